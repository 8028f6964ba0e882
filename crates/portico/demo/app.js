// The demo application's frontend: what any single-page application does with Portico, without a framework.
//
// The access token lives in the variable `token` and nowhere else: not in web storage, not in a URL, not in the page.

const byId = (id) => document.getElementById(id);
let token = null;
let csrfHeader = null;
let providers = [];
let timer = 0;

/* ---- Portico ---------------------------------------------------------------------------------------------------- */

/** The readable cookie is what the header must equal; the answer of /auth/session repeats it. */
function csrf() {
  const cookie = document.cookie.split("; ").map((pair) => pair.split("="))
    .find(([name]) => name === "portico_csrf" || name === "__Host-portico_csrf");
  return cookie ? cookie.slice(1).join("=") : csrfHeader;
}

async function ask(method, path) {
  const headers = { Accept: "application/json" };
  const proof = csrf();
  if (method !== "GET" && proof) headers["X-CSRF-Token"] = proof;
  const answer = await fetch(path, { method, headers, credentials: "same-origin", cache: "no-store" });
  csrfHeader = answer.headers.get("X-CSRF-Token") ?? csrfHeader;
  const json = (answer.headers.get("Content-Type") ?? "").includes("json");
  return { ok: answer.ok, status: answer.status, body: json ? await answer.json() : null };
}

/** The session, after one refresh if only the access cookie has run out. */
async function findSession() {
  const first = await ask("GET", "/auth/session");
  if (first.ok || first.status !== 401 || !csrf()) return first;
  return (await refresh()) ? ask("GET", "/auth/session") : first;
}

async function refresh() {
  const answer = await ask("POST", "/auth/refresh");
  token = answer.ok ? answer.body.access_token : null;
  if (!answer.ok && answer.status !== 401) problem(answer.body?.code, answer.body?.request_id);
  return answer.ok;
}

/* ---- Building the page ------------------------------------------------------------------------------------------ */

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(space, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

function show(section) {
  for (const id of ["loading", "signed-out", "signed-in"]) byId(id).hidden = id !== section;
}

const SENTENCES = {
  idp_denied: "The provider did not let you in, or you cancelled there.",
  login_state_invalid: "That login is no longer open in this browser. Start again.",
  login_mixup: "The answer came from another provider than the one you chose.",
  code_rejected: "The provider took its answer back. Start again.",
  idp_token_missing: "The provider sent no ID token.",
  idp_token_invalid: "The provider’s ID token did not pass Portico’s checks.",
  idp_claims_incomplete: "The provider did not say who you are.",
  idp_metadata_invalid: "The provider’s description of itself cannot be used.",
  idp_bad_response: "The provider gave an answer that makes no sense.",
  idp_unreachable: "The provider cannot be reached.",
  idp_timeout: "The provider took too long.",
  account_disabled: "This account is switched off.",
  login_not_allowed: "This login is not allowed here.",
  provider_unknown: "There is no such login button.",
  csrf_failed: "The request did not prove that it came from this page. Reload and try again.",
  session_invalid: "Your session has ended. Sign in again.",
  unavailable: "Portico’s store does not answer at the moment.",
};

function problem(code, requestId) {
  const known = Object.hasOwn(SENTENCES, code ?? "");
  const box = byId("problem");
  box.replaceChildren(known ? SENTENCES[code] : "Something went wrong.");
  const details = [/^[a-z_]{1,40}$/.test(code ?? "") && code, /^[\w-]{1,64}$/.test(requestId ?? "") && `request ${requestId}`];
  const line = details.filter(Boolean).join(" · ");
  if (line) box.append(make("small", { textContent: line }));
  box.hidden = false;
}

function notice(...content) {
  byId("notice").replaceChildren(...content);
  byId("notice").hidden = content.length === 0;
}

/* ---- Signed out ------------------------------------------------------------------------------------------------- */

function slotLink(provider, icons) {
  const address = new URL(provider.login_url, location.href);
  address.searchParams.set("return_to", "/");
  const link = make("a", { className: "slot", href: address.href },
    icon(icons[provider.icon] ?? ""), make("span", { textContent: provider.display_label }));
  link.dataset.slot = provider.name;
  link.append(provider.status === "ok"
    ? make("code", { textContent: provider.name })
    : make("em", { textContent: provider.status === "down" ? "not available now" : "may be slow" }));
  return link;
}

async function showDoor() {
  clearInterval(timer);
  byId("who").hidden = true;
  const icons = await ask("GET", "/demo/icons.json");
  const groups = [["oidc", "OpenID Connect"], ["oauth2", "OAuth 2.0"]].flatMap(([protocol, title]) => {
    const links = providers.filter((provider) => provider.protocol === protocol)
      .map((provider) => slotLink(provider, icons.body ?? {}));
    return links.length ? [make("h3", { textContent: title }), make("div", { className: "slots" }, ...links)] : [];
  });
  byId("providers").replaceChildren(...(groups.length ? groups : [make("p", { textContent: "No provider is configured." })]));
  show("signed-out");
}

/* ---- Signed in -------------------------------------------------------------------------------------------------- */

const time = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

function chips(values, none) {
  const list = (values ?? []).map((value) => make("span", { className: "chip", textContent: value }));
  return list.length ? list : [make("span", { className: "dim", textContent: none })];
}

function emailOf(account) {
  if (!account.email) return [make("span", { className: "dim", textContent: "not given" })];
  const [style, text] = { true: ["chip good", "verified"], false: ["chip bad", "not verified"] }[account.email_verified]
    ?? ["chip", "verification unknown"];
  return [account.email, " ", make("span", { className: style, textContent: text })];
}

function showAccount({ account, groups, idp, auth_time, expires_at, session_expires_at }) {
  const label = providers.find((provider) => provider.name === idp)?.display_label ?? idp;
  byId("account-label").textContent = account.label;
  byId("face").textContent = account.label.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
  byId("account-idp").textContent = `signed in with ${label}`;
  byId("who").textContent = account.name;
  byId("who").hidden = false;
  const facts = {
    Name: [account.name],
    "E-mail": emailOf(account),
    Roles: chips(account.roles, "none"),
    Groups: chips(groups, groups ? "none" : "the provider sent none"),
    "Login via": [make("code", { textContent: idp })],
    "Signed in": [time(auth_time)],
    "Token until": [time(expires_at)],
    "Session until": [time(session_expires_at)],
    "Account id": [make("code", { textContent: account.id })],
  };
  byId("account-facts").replaceChildren(...Object.entries(facts).map(([term, what]) =>
    make("div", {}, make("dt", { textContent: term }), make("dd", {}, ...what))));
  showStory(idp, label, account);
}

function showStory(idp, label, account) {
  const oidc = idp.startsWith("oidc/");
  const code = (textContent) => make("code", { textContent });
  const steps = [
    ["You pressed a button", "The link led to ", code(`/auth/${idp}/login`), ". Portico sealed the pending login into a cookie of your browser and sent you on, with state, ",
      oidc ? "nonce " : "", "and a PKCE challenge. It wrote nothing to its database."],
    [`${label} asked who you are`, "Then it sent your browser back to ", code(`/auth/${idp}/callback`), " with a one-time code."],
    ["Portico checked the answer", "It spent the login, so the same answer can never be used twice, and exchanged the code. ",
      oidc ? "It verified the ID token: signature, issuer, audience, times and nonce." : "It asked the provider’s userinfo endpoint who the access token belongs to."],
    ["You became an account", "The provider’s identifier for you, not your name or e-mail, leads to the account ", code(account.name), ". Next time it finds the same one, whatever your name is then."],
    ["Portico started a session", "Two cookies that no script can read hold the access token and the refresh token; a third one, readable, protects against forged requests."],
    ["This page asked for the token", code("POST /auth/refresh"), " gave it the JWT that you see, and rotated the refresh token. A backend verifies the JWT with ", code("/.well-known/jwks.json"), " alone."],
  ];
  byId("story").replaceChildren(...steps.map(([title, ...text]) => make("li", {}, make("b", { textContent: title }), ...text)));
}

/* ---- The token -------------------------------------------------------------------------------------------------- */

const bytes = (part) => Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const json = (part) => JSON.parse(new TextDecoder().decode(bytes(part)));

const onOneLine = (list) => list.replace(/\n\s+/g, " ").replace("[ ", "[").replace(/ \]$/, "]");

function noted(note) {
  const mark = make("i");
  mark.dataset.note = note;
  return mark;
}

/** Coloured JSON. Its text stays plain JSON; what a NumericDate means is added by the style sheet. */
function pretty(value) {
  const text = JSON.stringify(value, null, 2).replace(/\[\n\s+[^[\]{}]{1,60}\n\s+\]/g, onOneLine);
  const parts = [];
  let done = 0;
  let key = "";
  for (const match of text.matchAll(/("(?:\\.|[^"\\])*")(:)?|true|false|null|-?\d[\d.eE+-]*/g)) {
    const [all, string, colon] = match;
    const kind = colon ? "key" : string ? "str" : /^[tfn]/.test(all) ? "lit" : "num";
    const span = make("span", { className: kind, textContent: colon ? string : all });
    if (colon) key = string.slice(1, -1);
    parts.push(text.slice(done, match.index), span, colon ?? "");
    done = match.index + all.length;
    if (kind === "num" && ["exp", "iat", "nbf", "auth_time"].includes(key)) {
      const comma = text[done] === "," ? "," : "";
      done += comma.length;
      parts.push(comma, noted(time(Number(all) * 1000)));
    }
  }
  return [...parts, text.slice(done)];
}

const ALGORITHMS = {
  ES256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  EdDSA: { name: "Ed25519" },
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
};

/** Verifies the signature as a backend would: with the published key of that `kid`, and its algorithm. */
async function signatureHolds(jwt) {
  const [head, body, signature] = jwt.split(".");
  const { kid } = json(head);
  const { body: set } = await ask("GET", "/.well-known/jwks.json");
  const jwk = set?.keys.find((key) => key.kid === kid);
  const algorithm = jwk && ALGORITHMS[jwk.alg];
  if (!algorithm) return false;
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["verify"]);
  return crypto.subtle.verify(algorithm, key, bytes(signature), new TextEncoder().encode(`${head}.${body}`));
}

async function showToken() {
  if (!token) return;
  const [header, claims] = token.split(".").slice(0, 2).map(json);
  byId("jwt-header").replaceChildren(...pretty(header));
  byId("jwt-claims").replaceChildren(...pretty(claims));
  byId("jti").textContent = claims.jti;
  clearInterval(timer);
  const tick = () => {
    const left = Math.max(0, Math.round(claims.exp - Date.now() / 1000));
    const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    byId("left").textContent = left ? `valid for ${clock}` : "expired: press Refresh";
    byId("life").style.transform = `scaleX(${Math.min(1, left / Math.max(1, claims.exp - claims.iat))})`;
  };
  tick();
  timer = setInterval(tick, 1000);
  const holds = await signatureHolds(token).catch(() => null);
  const [style, text] = { true: ["chip good", "signature verified in this browser"], false: ["chip bad", "signature does not verify"] }[holds]
    ?? ["chip", "this browser cannot check the signature"];
  Object.assign(byId("signature"), { className: style, textContent: text });
}

/* ---- What people do --------------------------------------------------------------------------------------------- */

async function pressed(button, act) {
  button.disabled = true;
  byId("problem").hidden = true;
  try {
    await act();
  } catch {
    problem(null, null);
  } finally {
    button.disabled = false;
  }
}

async function refreshPressed() {
  if (!await refresh()) return byId("problem").hidden ? ended() : undefined;
  const session = await ask("GET", "/auth/session");
  if (session.ok) showAccount(session.body);
  await showToken();
  const card = document.querySelector(".token");
  card.classList.remove("fresh");
  void card.offsetWidth;
  card.classList.add("fresh");
}

async function ended() {
  token = null;
  problem("session_invalid", null);
  await showDoor();
}

async function logoutPressed() {
  const answer = await ask("POST", "/auth/logout");
  if (!answer.ok) return problem(answer.body?.code, answer.body?.request_id);
  token = null;
  const elsewhere = answer.body.logout_url;
  const link = make("a", { href: elsewhere ?? "", textContent: "Sign out there too" });
  link.dataset.testid = "provider-logout";
  notice("You are signed out here. ", ...(elsewhere && /^https?:/.test(elsewhere) ? ["Your provider still knows you. ", link, "."] : []));
  await showDoor();
  byId("main").focus();
}

async function copyPressed() {
  await navigator.clipboard.writeText(token);
  byId("copy").textContent = "Copied";
  setTimeout(() => { byId("copy").textContent = "Copy the token"; }, 2000);
}

/* ---- Start ------------------------------------------------------------------------------------------------------ */

function readError() {
  const query = new URLSearchParams(location.search);
  if (query.has("error")) problem(query.get("error"), query.get("request_id"));
  if (location.search) history.replaceState(null, "", location.pathname);
}

async function start() {
  readError();
  const [session, list] = await Promise.all([findSession(), ask("GET", "/auth/providers")]);
  providers = list.body?.providers ?? [];
  if (!session.ok && session.status !== 401) problem(session.body?.code, session.body?.request_id);
  if (!session.ok) return showDoor();
  showAccount(session.body);
  show("signed-in");
  if (token || await refresh()) await showToken();
}

for (const [id, act] of [["refresh", refreshPressed], ["logout", logoutPressed], ["copy", copyPressed]]) {
  byId(id).addEventListener("click", (event) => pressed(event.currentTarget, act));
}
start().catch(() => {
  problem(null, null);
  show("signed-out");
});
