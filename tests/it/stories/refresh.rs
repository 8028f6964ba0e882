//! Refresh of sessions: rotation, retries, reuse.

use futures_util::future::join_all;
use serde_json::json;

use crate::testkit::{Backend, Browser, Request, TestApp, on_both_databases, on_postgres};

on_both_databases!(
    each_refresh_gives_a_new_token,
    a_retry_within_half_a_minute_gets_the_same_successor,
    h05_reuse_after_that_ends_the_session,
    h05_many_tabs_refresh_at_once,
    a_program_refreshes_by_body,
    a_body_needs_its_media_type,
    nonsense_is_refused,
    revocation_is_at_once,
);

on_postgres!(two_replicas_agree);

async fn signed_in(app: &TestApp) -> Browser {
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    browser
}

fn by_body(browser: &Browser, token: &str) -> Request {
    Request::new("POST", browser.url("/auth/refresh")).json(&json!({ "refresh_token": token }))
}

async fn each_refresh_gives_a_new_token(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = signed_in(&app).await;
    let mut seen = vec![browser.jar.value("portico_refresh").to_owned()];
    for _ in 0..4 {
        app.advance(60);
        let answer = browser.post("/auth/refresh").await;
        let given = answer.is(200).json();
        assert_eq!(given["token_type"], "Bearer");
        assert_eq!(given["access_token"], browser.jar.value("portico_access"));
        assert!(given.get("refresh_token").is_none(), "the refresh token is only in the cookie");
        let token = browser.jar.value("portico_refresh").to_owned();
        assert!(token.len() == 43 && !seen.contains(&token));
        seen.push(token);
    }
    let stored = app.rows().await;
    assert!(seen.iter().all(|token| !format!("{stored:?}").contains(token)), "only hashes are stored");
}

async fn a_retry_within_half_a_minute_gets_the_same_successor(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = signed_in(&app).await;
    let mut lost = browser.clone();
    browser.post("/auth/refresh").await.is(200);
    let successor = browser.jar.value("portico_refresh").to_owned();
    app.advance(30);
    lost.clone().post("/auth/refresh").await.is(200);
    let mut retry = lost.clone();
    retry.post("/auth/refresh").await.is(200);
    assert_eq!(retry.jar.value("portico_refresh"), successor);
    // A token two rotations old also gets the current token as answer.
    browser.post("/auth/refresh").await.is(200);
    lost.post("/auth/refresh").await.is(200);
    assert_eq!(lost.jar.value("portico_refresh"), browser.jar.value("portico_refresh"));
    assert!(browser.is_signed_in().await);
    assert_eq!(app.audited("refresh_reused").await, 0);
}

async fn h05_reuse_after_that_ends_the_session(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = signed_in(&app).await;
    let mut other = signed_in(&app).await;
    let mut thief = browser.clone();
    browser.post("/auth/refresh").await.is(200);
    app.advance(31);
    thief.post("/auth/refresh").await.refused(401, "session_invalid");
    assert!(!browser.is_signed_in().await, "the whole session ends, as the thief cannot be identified");
    browser.post("/auth/refresh").await.refused(401, "session_invalid");
    assert_eq!(app.audited("refresh_reused").await, 1);
    assert!(other.is_signed_in().await, "other sessions of the person stay valid");
}

async fn h05_many_tabs_refresh_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let browser = signed_in(&app).await;
    let tabs = join_all((0..12).map(|_| {
        let mut tab = browser.clone();
        async move {
            tab.post("/auth/refresh").await.is(200);
            tab.jar.value("portico_refresh").to_owned()
        }
    }));
    let mut tokens = tabs.await;
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "one refresh rotates the token, the others get its result");
    assert_eq!(app.audited("refresh_reused").await, 0);
}

async fn a_program_refreshes_by_body(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = signed_in(&app).await;
    let token = browser.jar.value("portico_refresh").to_owned();
    let mut program = app.browser();
    let answer = program.send(by_body(&browser, &token)).await;
    let given = answer.is(200).json();
    let successor = given["refresh_token"].as_str().unwrap();
    assert_ne!(successor, token);
    assert_eq!(given["expires_in"], 900);
    assert!(answer.set_cookies().is_empty(), "{answer:?}");
    // Cookies are ignored if the request has a body, even valid cookies.
    let beside = by_body(&browser, &"x".repeat(43));
    browser.send(beside).await.refused(401, "session_invalid");
    assert!(browser.is_signed_in().await);
}

async fn a_body_needs_its_media_type(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = signed_in(&app).await;
    let token = browser.jar.value("portico_refresh").to_owned();
    let body = json!({ "refresh_token": token }).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json"] {
        let request = Request::new("POST", browser.url("/auth/refresh")).body(kind, &body);
        app.browser().send(request).await.refused(415, "unsupported_media_type");
    }
    let request =
        Request::new("POST", browser.url("/auth/refresh")).body("application/json; charset=utf-8", &body);
    app.browser().send(request).await.is(200);
    browser.post("/auth/refresh").await.is(200);
}

async fn nonsense_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let browser = signed_in(&app).await;
    let access = browser.jar.value("portico_access").to_owned();
    for token in ["", "x", &"x".repeat(43), &"x".repeat(4000), &access] {
        app.browser().send(by_body(&browser, token)).await.refused(401, "session_invalid");
    }
    // Without a body, the refresh token comes from the cookie, which is missing here.
    let bodies = ["{", "[]", "null", r#"{"refresh_token":7}"#, r#"{"token":"x"}"#]
        .map(|body| (body, 400, "bad_request"));
    for (body, status, code) in [("", 401, "session_invalid")].into_iter().chain(bodies) {
        let request = Request::new("POST", browser.url("/auth/refresh")).body("application/json", body);
        let answer = app.browser().send(request).await;
        answer.refused(status, code);
        assert!(answer.set_cookies().is_empty(), "{body}: {answer:?}");
    }
}

async fn revocation_is_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = signed_in(&app).await;
    let mut clone = browser.clone();
    assert!(clone.is_signed_in().await, "the session is in every cache");
    browser.post("/auth/logout").await.is(200);
    assert!(!clone.is_signed_in().await);
    clone.post("/auth/refresh").await.refused(401, "session_invalid");
}

/// SQLite supports only one process. The test of a second process on SQLite is in `service`.
async fn two_replicas_agree(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (_second, at) = app.replica().await;
    let mut browser = app.browser();
    let callback = browser.reach_callback("oidc/provider1", "ada-1").await;
    let mut late = browser.clone();
    let mut browser = browser.at(at);
    browser.callback(&callback).await.is(303);
    late.callback(&callback).await.refused(400, "login_state_invalid");
    browser.post("/auth/refresh").await.is(200);
    let mut browser = browser.at(app.at);
    assert!(browser.is_signed_in().await);
    browser.post("/auth/logout").await.is(200);
    let mut before = browser.at(at);
    before.post("/auth/refresh").await.refused(401, "session_invalid");
}
