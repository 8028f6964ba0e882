//! H02: sessions and logins that an attacker planted in the browser.

use serde_json::Value;

use crate::testkit::{Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    h02_a_session_planted_before_the_login_does_not_become_ones_own,
    h02_a_session_cookie_that_comes_twice_counts_as_absent,
    h02_a_login_cookie_that_comes_twice_counts_as_absent,
    h02_a_planted_refresh_cookie_begins_nothing,
    h02_a_name_behind_an_odd_blank_is_another_cookie,
);

/// The `sid` claim of the browser's access token.
fn sid(browser: &Browser) -> Value {
    use base64::Engine as _;
    let payload = browser.jar.value("portico_access").split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap()["sid"].clone()
}

async fn h02_a_session_planted_before_the_login_does_not_become_ones_own(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut attacker = app.browser();
    attacker.log_in("oidc/provider1", "bruno-2").await;
    let mut victim = app.browser();
    for cookie in attacker.jar.all() {
        victim.jar.put(cookie.clone());
    }
    victim.log_in("oidc/provider1", "ada-1").await;
    assert_ne!(sid(&victim), sid(&attacker));
    for name in ["portico_access", "portico_refresh", "portico_csrf"] {
        assert_ne!(victim.jar.value(name), attacker.jar.value(name), "{name}");
    }
    assert!(!attacker.is_signed_in().await, "the planted session has ended");
    attacker.post("/auth/refresh").await.refused(401, "session_invalid");
    // A made-up value is replaced as well.
    let mut made_up = app.browser();
    let mut cookie = victim.jar.find("portico_refresh").unwrap().clone();
    cookie.value = "x".repeat(43);
    made_up.jar.put(cookie);
    made_up.log_in("oidc/provider1", "ada-1").await;
    assert_ne!(made_up.jar.value("portico_refresh"), "x".repeat(43));
}

async fn h02_a_session_cookie_that_comes_twice_counts_as_absent(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut ada = app.browser();
    ada.log_in("oidc/provider1", "ada-1").await;
    let mut bruno = app.browser();
    bruno.log_in("oidc/provider1", "bruno-2").await;
    let pair = |browser: &Browser, name: &str| format!("{name}={}", browser.jar.value(name));
    for (first, second) in [(&ada, &bruno), (&bruno, &ada), (&ada, &ada)] {
        let header = format!("{}; {}", pair(first, "portico_access"), pair(second, "portico_access"));
        let request = Request::script("GET", ada.url("/auth/session")).cookies(&header);
        app.browser().send(request).await.refused(401, "session_invalid");
        let csrf = first.jar.value("portico_csrf");
        let header = format!(
            "{}; {}; portico_csrf={csrf}",
            pair(first, "portico_refresh"),
            pair(second, "portico_refresh")
        );
        let request = first.proven("POST", "/auth/refresh").cookies(&header);
        app.browser().send(request).await.refused(401, "session_invalid");
    }
    let csrf = ada.jar.value("portico_csrf");
    let header = format!("{}; portico_csrf={csrf}; portico_csrf={csrf}", pair(&ada, "portico_refresh"));
    let request = ada.proven("POST", "/auth/refresh").cookies(&header);
    app.browser().send(request).await.refused(403, "csrf_failed");
    ada.post("/auth/refresh").await.is(200);
    bruno.post("/auth/refresh").await.is(200);
}

async fn h02_a_login_cookie_that_comes_twice_counts_as_absent(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback("oidc/provider1", "ada-1").await;
    let cookie = browser.jar.logins()[0].clone();
    let good = format!("{}={}", cookie.name, cookie.value);
    let bad = format!("{}=AAAA", cookie.name);
    for header in [format!("{good}; {bad}"), format!("{bad}; {good}"), format!("{good}; {good}")] {
        let request = Request::navigation(callback.clone()).cookies(&header);
        app.browser().send(request).await.refused(400, "login_state_invalid");
    }
    assert_eq!(app.token_calls("oidc/provider1"), 0);
    browser.callback(&callback).await.is(303);
}

async fn h02_a_planted_refresh_cookie_begins_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut attacker = app.browser();
    attacker.log_in("oidc/provider1", "bruno-2").await;
    let (refresh, csrf) = (attacker.jar.value("portico_refresh"), attacker.jar.value("portico_csrf"));
    let mut victim = app.browser();
    let url = victim.url("/auth/?return_to=/page");
    let mut other = app.browser();
    other.log_in("oidc/provider1", "ada-1").await;
    for planted in [
        format!("portico_refresh={refresh}"),
        format!("portico_refresh={refresh}; portico_csrf=AAAA.BBBB"),
        format!("portico_refresh={refresh}; portico_csrf={}", other.jar.value("portico_csrf")),
    ] {
        let answer = victim.send(Request::navigation(url.clone()).cookies(&planted)).await;
        assert!(answer.status == 200 && !answer.gives_session(), "{answer:?}");
    }
    // With both cookies of one session, the browser is redirected to `return_to` immediately.
    let both = Request::navigation(url).cookies(&format!("portico_refresh={refresh}; portico_csrf={csrf}"));
    let answer = app.browser().send(both).await;
    answer.leads_to(victim.url("/page").as_str());
    assert!(answer.gives_session());
}

async fn h02_a_name_behind_an_odd_blank_is_another_cookie(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let access = browser.jar.value("portico_access").to_owned();
    let request = |cookies: &str| Request::script("GET", browser.url("/auth/session")).cookies(cookies);
    for blank in ["\u{a0}", "\u{2003}", "\u{3000}"] {
        app.browser()
            .send(request(&format!("{blank}portico_access={access}")))
            .await
            .refused(401, "session_invalid");
        app.browser()
            .send(request(&format!("{blank}portico_access=x; portico_access={access}")))
            .await
            .is(200);
    }
    app.browser().send(request(&format!("portico_access={access}"))).await.is(200);
}
