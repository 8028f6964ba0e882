//! CSRF protection of requests that are authenticated by cookie.

use crate::testkit::{Backend, Request, TestApp, on_both_databases};

on_both_databases!(a_post_by_cookie_needs_origin_and_value, a_value_is_good_for_its_own_session_only);

async fn a_post_by_cookie_needs_origin_and_value(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let before = app.rows().await;
    for path in ["/auth/refresh", "/auth/logout"] {
        let good = || browser.proven("POST", path);
        let by_site =
            |site| good().without("origin").without("sec-fetch-site").header("sec-fetch-site", site);
        let evil = "https://evil.example";
        let bad = [
            ("no proof at all", Request::new("POST", browser.url(path))),
            ("no value", good().without("x-csrf-token")),
            ("an empty value", good().without("x-csrf-token").header("x-csrf-token", "")),
            ("a wrong value", good().without("x-csrf-token").header("x-csrf-token", "AAAA.BBBB")),
            ("neither origin nor site", good().without("origin").without("sec-fetch-site")),
            ("another origin", good().without("sec-fetch-site").without("origin").header("origin", evil)),
            ("another origin and a same site", good().without("origin").header("origin", evil)),
            ("the origin null", good().without("sec-fetch-site").without("origin").header("origin", "null")),
            ("cross-site", by_site("cross-site")),
            ("same-site", by_site("same-site")),
            ("none", by_site("none")),
        ];
        for (what, request) in bad {
            let answer = browser.clone().send(request).await;
            assert_eq!(answer.status, 403, "{path}, {what}: {answer:?}");
            answer.refused(403, "csrf_failed");
        }
    }
    before.assert_same(&app.rows().await);
    assert!(browser.is_signed_in().await);
    let by_origin = browser.proven("POST", "/auth/refresh").without("sec-fetch-site");
    browser.send(by_origin).await.is(200);
    let by_site = browser.proven("POST", "/auth/refresh").without("origin");
    browser.send(by_site).await.is(200);
    browser.post("/auth/logout").await.is(200);
}

async fn a_value_is_good_for_its_own_session_only(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut ada = app.browser();
    ada.log_in("oidc/provider1", "ada-1").await;
    let mut bruno = app.browser();
    bruno.log_in("oidc/provider1", "bruno-2").await;
    let foreign = bruno.jar.value("portico_csrf").to_owned();
    // Cookie and header are equal, as after an injected cookie, but the session does not own the value.
    let mut cookie = ada.jar.find("portico_csrf").unwrap().clone();
    let own = cookie.value.clone();
    cookie.value = foreign;
    ada.jar.put(cookie.clone());
    ada.post("/auth/refresh").await.refused(403, "csrf_failed");
    cookie.value = own;
    ada.jar.put(cookie);
    ada.post("/auth/refresh").await.is(200);
    // The value in the answer of /auth/session is accepted as well.
    let repeated = ada.fetch("/auth/session").await.header("x-csrf-token").unwrap().to_owned();
    assert!(!repeated.is_empty());
    let request = ada.proven("POST", "/auth/refresh");
    ada.send(request).await.is(200);
}
