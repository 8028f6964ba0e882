//! The public URL: all absolute URLs come from the setting, not from the request.

use crate::testkit::{Backend, Request, TestApp, on_both_databases};

on_both_databases!(
    everything_works_under_a_path,
    behind_https_everything_is_https,
    c15_headers_of_the_request_change_no_address,
);

async fn everything_works_under_a_path(backend: Backend) {
    let app = TestApp::on(backend).under("/sso/v1").start().await;
    for slot in ["oidc/provider1", "oauth2/provider2"] {
        let mut browser = app.browser();
        let authorization = browser.start_for(slot, "/outside/of/it").await;
        let callback = browser.choose(&authorization, "ada-1").await;
        assert_eq!(callback.path(), format!("/sso/v1/auth/{slot}/callback"));
        let answer = browser.callback(&callback).await;
        assert_eq!(answer.location().path(), "/outside/of/it");
        assert_eq!(browser.jar.find("portico_refresh").unwrap().path, "/sso/v1/auth");
        assert!(browser.is_signed_in().await);
        browser.post("/auth/refresh").await.is(200);
        let metadata = browser.fetch("/.well-known/openid-configuration").await.json();
        assert_eq!(metadata["issuer"], app.public.as_str());
        assert_eq!(metadata["jwks_uri"], browser.url("/.well-known/jwks.json").as_str());
        browser.fetch("/.well-known/jwks.json").await.is(200);
        browser.post("/auth/logout").await.is(200);
    }
    let mut outside = app.public.clone();
    for path in
        ["/auth/providers", "/sso/auth/providers", "/sso/v1x/auth/providers", "/SSO/v1/auth/providers"]
    {
        outside.set_path(path);
        app.browser().send(Request::script("GET", outside.clone())).await.refused(404, "not_found");
    }
}

async fn behind_https_everything_is_https(backend: Backend) {
    let app = TestApp::on(backend).public_url("https://login.example.com").start().await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    browser.post("/auth/refresh").await.is(200);
    let listed = browser.fetch("/auth/providers").await.json();
    assert_eq!(listed["providers"][0]["login_url"], "https://login.example.com/auth/oidc/provider1/login");
    let asked = app.realm("oidc/provider1").last_request(portico_demo_idp::Endpoint::Authorize).unwrap();
    let redirect = asked.query_pairs().into_iter().find(|(name, _)| name == "redirect_uri").unwrap().1;
    assert_eq!(redirect, "https://login.example.com/auth/oidc/provider1/callback");
    browser.post("/auth/logout").await.is(200);
}

async fn c15_headers_of_the_request_change_no_address(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let login = browser.url("/auth/oidc/provider1/login");
    let honest = redirect_uri(&browser.visit(&login).await.location());
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-uri", "/evil"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-auth-request-user", "admin"),
        ("x-forwarded-user", "admin"),
    ] {
        let mut browser = app.browser();
        let answer = browser.send(Request::navigation(login.clone()).header(name, value)).await;
        assert_eq!(redirect_uri(&answer.location()), honest, "{name}");
        let cookie = browser.cookies_seen[0].clone();
        assert!(!cookie.has("Secure") && cookie.name.starts_with("portico_login_"), "{name}: {cookie:?}");
        let answer =
            browser.send(Request::script("GET", browser.url("/auth/providers")).header(name, value)).await;
        assert!(!answer.is(200).body.contains("evil"), "{name}");
        let answer =
            browser.send(Request::script("GET", browser.url("/auth/session")).header(name, value)).await;
        answer.refused(401, "session_invalid");
    }
    // The `Host` header of the request is ignored as well.
    let login = format!("GET {} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", login.path());
    let answer = crate::testkit::raw(app.at, &login).await;
    assert!(answer.starts_with("HTTP/1.1 303") && !answer.contains("evil"), "{answer}");
}

fn redirect_uri(authorization: &url::Url) -> String {
    authorization.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned()
}
