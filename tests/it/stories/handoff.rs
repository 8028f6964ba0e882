//! The hand-off of tokens to a frontend on another site by a one-time code with PKCE.

use serde_json::{Value, json};
use url::Url;

use crate::testkit::{Answer, Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    a_frontend_on_another_site_gets_tokens_for_its_code,
    h24_a_code_is_good_once_for_its_own_verifier_and_a_minute,
    a_hand_off_needs_an_allowed_origin_and_a_challenge,
    a_relayed_callback_gives_the_code_away_only_in_the_address,
    a_hand_off_of_a_disabled_account_is_refused,
    a_hand_off_ends_with_the_sessions_of_its_account,
);

const SPA: &str = "https://spa.example.org";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn start(backend: Backend) -> TestApp {
    TestApp::on(backend).slots(&["oidc/provider1"]).set("SERVER_RETURN_ORIGINS", SPA).start().await
}

fn login(browser: &Browser, return_to: &str, challenge: Option<&str>) -> Url {
    let mut url = browser.url("/auth/oidc/provider1/login");
    url.query_pairs_mut().append_pair("return_to", return_to);
    if let Some(challenge) = challenge {
        url.query_pairs_mut().append_pair("code_challenge", challenge);
    }
    url
}

/// Performs a whole login with hand-off. Returns the URL of the last redirect.
async fn handed_off(browser: &mut Browser, return_to: &str) -> Url {
    let start = login(browser, return_to, Some(CHALLENGE));
    let authorization = browser.visit(&start).await.location();
    let callback = browser.choose(&authorization, "ada-1").await;
    let answer = browser.callback(&callback).await;
    assert!(!answer.gives_session(), "the answer only deletes the login cookie: {answer:?}");
    answer.location()
}

fn code_in(url: &Url) -> String {
    url.query_pairs().find(|(name, _)| name == "code").expect("the URL has a code").1.into_owned()
}

async fn exchange(browser: &mut Browser, code: &str, verifier: &str) -> Answer {
    let body = json!({ "code": code, "code_verifier": verifier });
    browser.send(Request::new("POST", browser.url("/auth/token")).json(&body)).await
}

async fn a_frontend_on_another_site_gets_tokens_for_its_code(backend: Backend) {
    let app = start(backend).await;
    let mut browser = app.browser();
    let arrived = handed_off(&mut browser, "https://spa.example.org/cb?x=1&y=a%20b#/route").await;
    assert_eq!(arrived.origin().ascii_serialization(), SPA);
    assert!(arrived.query().unwrap().starts_with("x=1&y=a%20b&code="), "{arrived}");
    assert_eq!(arrived.fragment(), Some("/route"));
    assert_eq!(
        app.database.count("sessions", "1 = 1").await,
        0,
        "the session starts with the exchange of the code"
    );
    let mut frontend = app.browser();
    let answer = exchange(&mut frontend, &code_in(&arrived), VERIFIER).await;
    assert!(answer.set_cookies().is_empty(), "{answer:?}");
    let tokens = answer.is(200).json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let who = Request::script("GET", frontend.url("/auth/session")).header("authorization", &bearer);
    assert_eq!(frontend.send(who).await.is(200).json()["account"]["name"], "Ada Example");
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    let refresh = Request::new("POST", frontend.url("/auth/refresh")).json(&body);
    assert!(frontend.send(refresh).await.is(200).json()["refresh_token"].is_string());
    assert_eq!(app.audited("login_succeeded").await, 1);
}

async fn h24_a_code_is_good_once_for_its_own_verifier_and_a_minute(backend: Backend) {
    let app = start(backend).await;
    let mut frontend = app.browser();
    let code = async || code_in(&handed_off(&mut app.browser(), "https://spa.example.org/").await);
    let spent = code().await;
    exchange(&mut frontend, &spent, VERIFIER).await.is(200);
    let before = app.rows().await;
    exchange(&mut frontend, &spent, VERIFIER).await.refused(400, "handoff_invalid");
    before.assert_same(&app.rows().await);
    let burnt = code().await;
    let other = "x".repeat(43);
    exchange(&mut frontend, &burnt, &other).await.refused(400, "handoff_invalid");
    exchange(&mut frontend, &burnt, VERIFIER).await.refused(400, "handoff_invalid");
    for nonsense in ["", "x", &"x".repeat(43)] {
        exchange(&mut frontend, nonsense, VERIFIER).await.refused(400, "handoff_invalid");
    }
    let (late, timely) = (code().await, code().await);
    app.advance(59);
    exchange(&mut frontend, &timely, VERIFIER).await.is(200);
    app.advance(1);
    exchange(&mut frontend, &late, VERIFIER).await.refused(400, "handoff_invalid");
    let url = frontend.url("/auth/token");
    let form = Request::new("POST", url.clone()).body("application/x-www-form-urlencoded", "code=x");
    frontend.send(form).await.refused(415, "unsupported_media_type");
    frontend.send(Request::new("POST", url.clone())).await.refused(415, "unsupported_media_type");
    frontend
        .send(Request::new("POST", url.clone()).json(&json!({ "code": 7 })))
        .await
        .refused(400, "bad_request");
    frontend.send(Request::new("GET", url)).await.refused(405, "method_not_allowed");
    assert_eq!(app.database.count("sessions", "1 = 1").await, 2);
}

async fn a_hand_off_needs_an_allowed_origin_and_a_challenge(backend: Backend) {
    let app = start(backend).await;
    let mut browser = app.browser();
    for (return_to, challenge) in [
        ("https://spa.example.org/", None),
        ("https://spa.example.org/", Some("short")),
        ("https://spa.example.org/?code=x", Some(CHALLENGE)),
        ("https://spa.example.org", Some(CHALLENGE)),
        ("https://spa.example.org.evil.example/", Some(CHALLENGE)),
        ("https://evil.example/", Some(CHALLENGE)),
        ("http://spa.example.org/", Some(CHALLENGE)),
        ("https://spa.example.org@evil.example/", Some(CHALLENGE)),
        ("https://spa.example.org:444/", Some(CHALLENGE)),
    ] {
        let url = login(&browser, return_to, challenge);
        let answer = browser.visit(&url).await;
        answer.refused(400, "bad_request");
        assert!(answer.set_cookies().is_empty(), "{return_to}: no login may start");
    }
    let mut plain = login(&browser, "https://spa.example.org/", Some(CHALLENGE));
    plain.query_pairs_mut().append_pair("code_challenge_method", "plain");
    browser.visit(&plain).await.refused(400, "bad_request");
    let good = login(&browser, "https://spa.example.org/", Some(CHALLENGE));
    browser.visit(&good).await.is(303);
    // If the origin is no longer allowed at the callback, the login is refused.
    let mut app = app;
    let authorization = browser.visit(&good).await.location();
    let callback = browser.choose(&authorization, "ada-1").await;
    app.restart(&[("SERVER_RETURN_ORIGINS", None)]).await;
    browser.callback(&callback).await.refused(400, "login_state_invalid");
}

async fn a_relayed_callback_gives_the_code_away_only_in_the_address(backend: Backend) {
    let app = start(backend).await;
    let mut browser = app.browser();
    let start = login(&browser, "https://spa.example.org/cb", Some(CHALLENGE));
    let authorization = browser.visit(&start).await.location();
    let callback = browser.choose(&authorization, "ada-1").await;
    let answer = browser.relay(&callback).await;
    assert!(!answer.gives_session());
    let Value::Object(members) = answer.is(200).json() else { panic!("{answer:?}") };
    assert_eq!(members.keys().collect::<Vec<_>>(), ["return_to"]);
    let code = code_in(&members["return_to"].as_str().unwrap().parse().unwrap());
    exchange(&mut app.browser(), &code, VERIFIER).await.is(200);
}

async fn a_hand_off_of_a_disabled_account_is_refused(backend: Backend) {
    let app = start(backend).await;
    let code = code_in(&handed_off(&mut app.browser(), "https://spa.example.org/").await);
    app.set_status("Ada Example", "disabled").await;
    exchange(&mut app.browser(), &code, VERIFIER).await.refused(400, "handoff_invalid");
    // The code is still stored, as when the account is disabled during the exchange.
    app.set_status("Ada Example", "active").await;
    let code = code_in(&handed_off(&mut app.browser(), "https://spa.example.org/").await);
    app.database.execute("UPDATE accounts SET status = 'disabled'").await;
    exchange(&mut app.browser(), &code, VERIFIER).await.refused(403, "account_disabled");
    assert_eq!(app.database.count("sessions", "1 = 1").await, 0);
}

async fn a_hand_off_ends_with_the_sessions_of_its_account(backend: Backend) {
    let app = start(backend).await;
    let mut elsewhere = app.browser();
    elsewhere.log_in("oidc/provider1", "ada-1").await;
    let code = code_in(&handed_off(&mut app.browser(), "https://spa.example.org/").await);
    elsewhere.send(elsewhere.proven("DELETE", "/auth/sessions")).await.is(204);
    exchange(&mut app.browser(), &code, VERIFIER).await.refused(400, "handoff_invalid");
    assert_eq!(app.database.count("sessions", "revoked_at IS NULL").await, 0);
}
