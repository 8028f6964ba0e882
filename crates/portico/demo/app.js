// The frontend of the demo application: a single-page application with Portico and without a framework.
//
// The access token is stored only in the variable `token`, never in web storage, a URL or the page.

const byId = (id) => document.getElementById(id);
let token = null;
let csrfHeader = null;
let providers = [];
let timer = 0;

/* ---- Portico ------------------------------------------------------------------------------------------- */

/** Returns the CSRF token: the value of the readable cookie, or of a header of /auth/session. */
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

/** Fetches the session, with one refresh and a second attempt if only the access cookie has expired. */
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

/* ---- Building the page --------------------------------------------------------------------------------- */

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
  login_state_invalid: "This browser has no such pending login. Start again.",
  login_mixup: "The response came from another provider than the one you chose.",
  code_rejected: "The provider rejected the authorization code. Start again.",
  idp_token_missing: "The provider sent no ID token.",
  idp_token_invalid: "The provider’s ID token did not pass Portico’s checks.",
  idp_claims_incomplete: "The provider sent no usable user id.",
  idp_metadata_invalid: "The provider’s metadata is not usable.",
  idp_bad_response: "The provider sent an invalid response.",
  idp_unreachable: "The provider is unreachable.",
  idp_timeout: "The provider did not respond in time.",
  account_disabled: "This account is disabled.",
  login_not_allowed: "This login is not allowed here.",
  provider_unknown: "There is no such login button.",
  csrf_failed: "The request did not prove that it came from this page. Reload and try again.",
  session_invalid: "Your session has ended. Sign in again.",
  unavailable: "Portico’s database is not available.",
};

function problem(code, requestId) {
  const known = Object.hasOwn(SENTENCES, code ?? "");
  const box = byId("problem");
  box.replaceChildren(known ? SENTENCES[code] : "Something went wrong.");
  const details = [
    /^[a-z_]{1,40}$/.test(code ?? "") && code,
    /^[\w-]{1,64}$/.test(requestId ?? "") && `request ${requestId}`,
  ];
  const line = details.filter(Boolean).join(" · ");
  if (line) box.append(make("small", { textContent: line }));
  box.hidden = false;
}

function notice(...content) {
  byId("notice").replaceChildren(...content);
  byId("notice").hidden = content.length === 0;
}

/* ---- Signed out ---------------------------------------------------------------------------------------- */

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
    if (!links.length) return [];
    return [make("h3", { textContent: title }), make("div", { className: "slots" }, ...links)];
  });
  const none = make("p", { textContent: "No provider is configured." });
  byId("providers").replaceChildren(...(groups.length ? groups : [none]));
  show("signed-out");
}

/* ---- Signed in ----------------------------------------------------------------------------------------- */

const time = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

function chips(values, none) {
  const list = (values ?? []).map((value) => make("span", { className: "chip", textContent: value }));
  return list.length ? list : [make("span", { className: "dim", textContent: none })];
}

function emailOf(account) {
  if (!account.email) return [make("span", { className: "dim", textContent: "not given" })];
  const states = { true: ["chip good", "verified"], false: ["chip bad", "not verified"] };
  const [style, text] = states[account.email_verified] ?? ["chip", "verification unknown"];
  return [account.email, " ", make("span", { className: style, textContent: text })];
}

function showAccount({ account, groups, idp, auth_time, expires_at, session_expires_at }) {
  const label = providers.find((provider) => provider.name === idp)?.display_label ?? idp;
  byId("account-label").textContent = account.label;
  const initials = account.label.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "");
  byId("face").textContent = initials.join("").toUpperCase();
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
    ["You pressed a button", "Your browser requested ", code(`/auth/${idp}/login`),
      ". Portico sealed the pending login into a cookie and redirected the browser to the provider, with ",
      oidc ? "state, nonce " : "state ", "and a PKCE challenge. It wrote nothing to its database."],
    [`${label} identified you`, "Then it redirected your browser to ", code(`/auth/${idp}/callback`),
      " with a one-time code."],
    ["Portico verified the response",
      "It spent the login, so the response works only once, and exchanged the code. ",
      oidc ? "It verified the ID token: signature, issuer, audience, times and nonce."
        : "It fetched your identity from the provider’s userinfo endpoint."],
    ["Portico resolved your account",
      "The provider’s identifier for you, not your name or e-mail, selects the account ",
      code(account.name), ". Later logins find the same account, even after a change of your name."],
    ["Portico started a session",
      "Two cookies contain the access token and the refresh token; scripts cannot read them. ",
      "A third, readable cookie protects against forged requests."],
    ["This page requested the token", code("POST /auth/refresh"),
      " returned the JWT shown above and rotated the refresh token. ",
      "A backend verifies the JWT with the keys at ", code("/.well-known/jwks.json"), "."],
  ];
  const items = steps.map(([title, ...text]) => make("li", {}, make("b", { textContent: title }), ...text));
  byId("story").replaceChildren(...items);
}

/* ---- The token ----------------------------------------------------------------------------------------- */

const base64 = (part) => part.replaceAll("-", "+").replaceAll("_", "/");
const bytes = (part) => Uint8Array.from(atob(base64(part)), (c) => c.charCodeAt(0));
const json = (part) => JSON.parse(new TextDecoder().decode(bytes(part)));

const onOneLine = (list) => list.replace(/\n\s+/g, " ").replace("[ ", "[").replace(/ \]$/, "]");

function noted(note) {
  const mark = make("i");
  mark.dataset.note = note;
  return mark;
}

/** Returns coloured JSON. Its text is plain JSON; the style sheet adds the readable form of a NumericDate. */
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

/** Verifies the signature like a backend, with the published key of the `kid` and its algorithm. */
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
  const states = {
    true: ["chip good", "signature verified in this browser"],
    false: ["chip bad", "signature does not verify"],
  };
  const [style, text] = states[holds] ?? ["chip", "this browser cannot check the signature"];
  Object.assign(byId("signature"), { className: style, textContent: text });
}

/* ---- User actions -------------------------------------------------------------------------------------- */

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
  const offered = elsewhere && /^https?:/.test(elsewhere);
  const also = offered ? ["Your session at the provider continues. ", link, "."] : [];
  notice("You are signed out here. ", ...also);
  await showDoor();
  byId("main").focus();
}

async function copyPressed() {
  await navigator.clipboard.writeText(token);
  byId("copy").textContent = "Copied";
  setTimeout(() => { byId("copy").textContent = "Copy the token"; }, 2000);
}

/* ---- Start --------------------------------------------------------------------------------------------- */

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
