//! CORS for exactly the origins that the operator configures.

use crate::testkit::{Answer, Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    m37_an_allowed_origin_may_use_the_session_and_no_other,
    an_origin_of_returns_may_exchange_and_refresh_without_cookies,
);

const OTHER: &str = "http://localhost:3000";
const SPA: &str = "https://spa.example.org";

async fn start(backend: Backend) -> TestApp {
    TestApp::on(backend)
        .slots(&["oidc/provider1"])
        .set("SERVER_CORS_ORIGINS", OTHER)
        .set("SERVER_RETURN_ORIGINS", SPA)
        .start()
        .await
}

async fn preflight(browser: &mut Browser, path: &str, origin: &str) -> Answer {
    let request = Request::new("OPTIONS", browser.url(path))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-csrf-token");
    browser.send(request).await
}

async fn m37_an_allowed_origin_may_use_the_session_and_no_other(backend: Backend) {
    let app = start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let url = browser.url("/auth/session");
    let session = |origin: &str| Request::new("GET", url.clone()).header("origin", origin);
    let answer = browser.clone().send(session(OTHER)).await;
    assert_eq!(answer.is(200).header("access-control-allow-origin"), Some(OTHER));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-csrf-token, x-request-id"));
    assert!(answer.header("vary").unwrap().contains("Origin"));
    let value = answer.header("x-csrf-token").unwrap().to_owned();
    for evil in
        ["https://evil.example", "http://localhost:3001", "null", "http://localhost:3000.evil.example"]
    {
        let answer = browser.clone().send(session(evil)).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{evil}");
        assert!(answer.header("vary").unwrap().contains("Origin"));
        let answer = preflight(&mut browser, "/auth/refresh", evil).await;
        assert!(answer.status >= 400 && answer.header("access-control-allow-origin").is_none(), "{answer:?}");
        let post = browser.proven("POST", "/auth/refresh").without("origin").header("origin", evil);
        browser.clone().send(post).await.refused(403, "csrf_failed");
    }
    let answer = preflight(&mut browser, "/auth/refresh", OTHER).await;
    assert_eq!(answer.is(204).header("access-control-allow-origin"), Some(OTHER));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("x-csrf-token"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("DELETE"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    let post = Request::new("POST", browser.url("/auth/refresh"))
        .header("origin", OTHER)
        .header("sec-fetch-site", "same-site")
        .header("x-csrf-token", &value);
    browser.send(post).await.is(200);
    // Routes that only proxies and libraries use have no CORS headers.
    let keys = Request::new("GET", browser.url("/.well-known/jwks.json")).header("origin", OTHER);
    assert_eq!(browser.send(keys).await.header("access-control-allow-origin"), None);
}

async fn an_origin_of_returns_may_exchange_and_refresh_without_cookies(backend: Backend) {
    let app = start(backend).await;
    let mut browser = app.browser();
    for (path, granted) in [
        ("/auth/token", true),
        ("/auth/refresh", true),
        ("/auth/session", true),
        ("/auth/logout", false),
        ("/auth/sessions", false),
        ("/auth/verify", false),
    ] {
        let answer = preflight(&mut browser, path, SPA).await;
        assert_eq!(answer.header("access-control-allow-origin"), granted.then_some(SPA), "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{path}");
    }
}
