//! Break-glass access, for the time when no provider is available.

use portico_demo_idp::{DemoIdp, IdpConfig};
use serde_json::{Value, json};
use url::Url;

use crate::testkit::{
    Answer, Backend, Browser, Database, Program, Request, Service, on_both_databases, slot_variables,
};

on_both_databases!(
    a_link_signs_in_once_with_every_provider_down,
    h02_only_our_own_page_signs_in,
    h03_m20_of_many_at_once_one_gets_in,
    h12_a_link_opens_no_door_that_stays_open,
    h13_h14_only_whoever_is_active_gets_in,
    h09_l08_a_link_is_in_nothing_but_the_operators_hands,
    m19_looking_at_the_page_uses_nothing_up,
);

/// A service without reachable providers, with one local account.
async fn serve(backend: Backend) -> (Service, Database) {
    let database = backend.fresh().await;
    let program =
        Program::configured().set("PORTICO_STORAGE_URL", &database.url).set("PORTICO_LOG_LEVEL", "trace");
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let slots = ["oidc/provider1", "oauth2/provider1"].map(str::to_owned);
    let program = program.set_all(slot_variables(&idp, &slots));
    drop(idp);
    let service = program.serve().await;
    service.program.run(&["accounts", "create", "--name", "Root Person", "--role", "admin"]).exits(0);
    (service, database)
}

fn link(service: &Service) -> (Url, String) {
    let made = service.program.run(&["break-glass", "Root Person", "--json"]).json();
    let url: Url = made["url"].as_str().unwrap().parse().unwrap();
    let code = url.fragment().unwrap().to_owned();
    (url, code)
}

fn press(browser: &Browser, code: &str) -> Request {
    let url = browser.url("/auth/break-glass");
    let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("code", code).finish();
    Request::new("POST", url.clone())
        .header("accept", "text/html")
        .header("sec-fetch-mode", "navigate")
        .header("origin", &url.origin().ascii_serialization())
        .header("sec-fetch-site", "same-origin")
        .body("application/x-www-form-urlencoded", &body)
}

async fn enter(browser: &mut Browser, code: &str) -> Answer {
    let request = press(browser, code);
    browser.send(request).await
}

fn claims(browser: &Browser) -> Value {
    use base64::Engine as _;
    let token = browser.jar.value("portico_access");
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
    serde_json::from_slice(&payload.unwrap()).unwrap()
}

async fn a_link_signs_in_once_with_every_provider_down(backend: Backend) {
    let (service, _database) = serve(backend).await;
    let (url, code) = link(&service);
    assert_eq!(url.path(), "/auth/break-glass");
    assert_eq!(url.query(), None, "the code is in the fragment, which browsers do not send");
    let mut browser = service.browser();
    let page = browser.visit(&browser.url("/auth/break-glass")).await;
    assert!(page.is(200).body.contains("location.hash") && !page.gives_session());
    // Browsers send `Origin: null` for a page with the policy `no-referrer` of the header, so the page
    // overrides the policy.
    assert!(page.body.contains(r#"<meta name="referrer" content="same-origin">"#), "{}", page.body);
    let answer = enter(&mut browser, &code).await;
    assert!(answer.is(303).gives_session());
    assert_eq!(answer.location().path(), "/");
    let who = browser.who().await;
    assert_eq!((&who["account"]["name"], &who["idp"]), (&json!("Root Person"), &json!("break-glass")));
    assert_eq!(who["account"]["roles"], json!(["admin"]));
    let token = claims(&browser);
    assert_eq!((&token["amr"], &token["idp"]), (&json!(["break-glass"]), &json!("break-glass")));
    // The session can be refreshed, keeps `amr` and `idp`, and ends after one hour.
    browser.post("/auth/refresh").await.is(200);
    assert_eq!(claims(&browser)["amr"], json!(["break-glass"]));
    let listed = service.program.run(&["sessions", "list", "--json"]).json();
    assert_eq!(listed[0]["idp"], "break-glass");
    let time = |name: &str| seconds(listed[0][name].as_str().unwrap());
    assert_eq!(time("expires_at") - time("created_at"), 3600);
    // The code is valid only once.
    let mut other = service.browser();
    enter(&mut other, &code).await.refused(400, "login_state_invalid");
    let events = service.program.run(&["audit", "--json"]).json();
    let named: Vec<_> =
        events.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(named, ["account_created", "break_glass_issued", "break_glass_used"]);
    assert_eq!(events[2]["account_id"], who["account"]["id"]);
    // A failed attempt, which anyone can repeat, is logged but not written to the database.
    service.has_logged("the break-glass code is unknown, used, replaced or expired", 1).await;
    browser.post("/auth/logout").await.is(200);
    browser.post("/auth/refresh").await.refused(401, "session_invalid");
}

fn seconds(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp()
}

/// Another site must not sign a browser in to an account of the attacker's choice (login CSRF).
async fn h02_only_our_own_page_signs_in(backend: Backend) {
    let (service, database) = serve(backend).await;
    let (_, code) = link(&service);
    let mut browser = service.browser();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "none"),
    ] {
        let mut request = press(&browser, &code).without("origin").without("sec-fetch-site");
        request = request.header(name, value);
        assert!(!browser.send(request).await.refused(403, "csrf_failed").gives_session(), "{name}: {value}");
    }
    let bare = press(&browser, &code).without("origin").without("sec-fetch-site");
    browser.send(bare).await.refused(403, "csrf_failed");
    let json = press(&browser, &code)
        .without("content-type")
        .body("application/json", &json!({ "code": code }).to_string());
    browser.send(json).await.refused(415, "unsupported_media_type");
    for odd in ["", "x", &format!("{code}x"), &"A".repeat(43)] {
        enter(&mut browser, odd).await.refused(400, "login_state_invalid");
    }
    let twice = press(&browser, &code)
        .without("content-type")
        .body("application/x-www-form-urlencoded", &format!("code={code}&code={code}"));
    browser.send(twice).await.refused(400, "bad_request");
    assert_eq!(database.count("sessions", "1 = 1").await, 0);
    enter(&mut browser, &code).await.is(303);
    // A new break-glass login revokes the browser's previous session.
    let before = browser.jar.clone();
    let (_, code) = link(&service);
    enter(&mut browser, &code).await.is(303);
    browser.jar = before;
    browser.post("/auth/refresh").await.refused(401, "session_invalid");
}

/// A break-glass session must neither add nor remove identities. The permitted cases are in `linking`.
async fn h12_a_link_opens_no_door_that_stays_open(backend: Backend) {
    let (service, database) = serve(backend).await;
    let (_, code) = link(&service);
    let mut browser = service.browser();
    enter(&mut browser, &code).await.is(303);
    browser.post("/auth/oauth2/provider1/link").await.refused(403, "reauthentication_required");
    let identity = "/auth/identities/01900000-0000-7000-8000-000000000000";
    browser.send(browser.proven("DELETE", identity)).await.refused(403, "reauthentication_required");
    assert_eq!(database.count("identities", "1 = 1").await, 0);
}

async fn h03_m20_of_many_at_once_one_gets_in(backend: Backend) {
    let (service, database) = serve(backend).await;
    let (_, code) = link(&service);
    let presses = (0..20).map(|_| {
        let (mut browser, code) = (service.browser(), code.clone());
        async move { enter(&mut browser, &code).await.status }
    });
    let statuses = futures_util::future::join_all(presses).await;
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 19, "{statuses:?}");
    assert_eq!(database.count("sessions", "1 = 1").await, 1);
}

async fn h13_h14_only_whoever_is_active_gets_in(backend: Backend) {
    let (service, _database) = serve(backend).await;
    let run = |words: &[&str], code: i32| {
        service.program.run(words).exits(code);
    };
    let (_, code) = link(&service);
    run(&["accounts", "disable", "Root Person"], 0);
    enter(&mut service.browser(), &code).await.refused(400, "login_state_invalid");
    run(&["break-glass", "Root Person"], 1);
    run(&["break-glass", "Nobody"], 1);
    run(&["accounts", "enable", "Root Person"], 0);
    enter(&mut service.browser(), &code).await.refused(400, "login_state_invalid");
    let (_, first) = link(&service);
    let (_, second) = link(&service);
    enter(&mut service.browser(), &first).await.refused(400, "login_state_invalid");
    let mut browser = service.browser();
    enter(&mut browser, &second).await.is(303);
    run(&["accounts", "disable", "Root Person"], 0);
    browser.post("/auth/refresh").await.refused(403, "account_disabled");
}

async fn h09_l08_a_link_is_in_nothing_but_the_operators_hands(backend: Backend) {
    let (service, database) = serve(backend).await;
    let (_, used) = link(&service);
    let mut browser = service.browser();
    enter(&mut browser, &used).await.is(303);
    let (_, waiting) = link(&service);
    let dump = database.everything().await;
    let (_, log) = service.terminate();
    for code in [&used, &waiting] {
        assert!(!dump.contains(code.as_str()) && !log.contains(code.as_str()));
    }
    assert!(log.contains("break_glass_used") && dump.contains("break_glass_issued"));
}

async fn m19_looking_at_the_page_uses_nothing_up(backend: Backend) {
    let (service, database) = serve(backend).await;
    let (url, code) = link(&service);
    let mut browser = service.browser();
    for _ in 0..3 {
        browser.visit(&url).await.is(200);
    }
    let head = Request::new("HEAD", browser.url("/auth/break-glass"));
    browser.send(head).await.is(405);
    assert_eq!(database.count("break_glass", "1 = 1").await, 1);
    let page = browser.visit(&url).await;
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'nonce-", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(
        (page.header("referrer-policy"), page.header("cache-control")),
        (Some("no-referrer"), Some("no-store"))
    );
    enter(&mut browser, &code).await.is(303);
}
