//! C16: no spelling of a path, method or header bypasses the session check.

use crate::testkit::{Backend, Request, TestApp, on_both_databases, raw};

on_both_databases!(c16_no_spelling_of_a_path_lets_a_stranger_in, c16_no_preflight_passes_a_proxy);

const ORIGIN: &str = "http://localhost:3000";

/// Paths that need a session, and spellings of them.
const SPELLINGS: [&str; 24] = [
    "/auth/session",
    "/auth/sessions",
    "/auth/identities",
    "/auth/verify",
    "/auth/verify/",
    "/auth/verify/..",
    "/auth/verify/../providers",
    "/auth/verify/%2e%2e/providers",
    "/auth/verify/.well-known/jwks.json",
    "/auth/verify/livez",
    "/auth/verify?/auth/providers",
    "/auth/verify?roles=&groups=",
    "/auth/verify%2fx",
    "/auth/%76erify",
    "/auth/verify;x",
    "/auth/verify%00",
    "/auth/verify.",
    "/AUTH/verify",
    "//auth/verify",
    "/auth//verify",
    "/auth/./verify",
    "/auth/providers/../verify",
    "/.well-known/../auth/verify",
    "/auth/session?x=/auth/providers",
];

/// The status of a request that is sent exactly in this spelling.
async fn status(app: &TestApp, method: &str, path: &str, extra: &str) -> u16 {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{extra}\r\n", app.at);
    raw(app.at, &request).await.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn c16_no_spelling_of_a_path_lets_a_stranger_in(backend: Backend) {
    let app = TestApp::on(backend).set("SERVER_CORS_ORIGINS", ORIGIN).start().await;
    for path in SPELLINGS {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PURGE"] {
            let status = status(&app, method, path, "Content-Length: 0\r\n").await;
            assert!([400, 401, 404, 405].contains(&status), "{method} {path}: {status}");
        }
        for extra in [
            "User-Agent: kube-probe/1.33\r\n",
            "User-Agent: GoogleHC/1.0\r\n",
            "X-Original-URL: /auth/providers\r\n",
            "X-Forwarded-Uri: /auth/providers\r\n",
            "X-HTTP-Method-Override: OPTIONS\r\n",
            "Sec-Purpose: prefetch\r\n",
        ] {
            let status = status(&app, "GET", path, extra).await;
            assert!([400, 401, 404].contains(&status), "{path} {extra:?}: {status}");
        }
    }
    // With a session, the existing paths pass, and no other path.
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let cookie = format!("Cookie: portico_access={}\r\n", browser.jar.value("portico_access"));
    for (path, expected) in [
        ("/auth/verify", 200),
        ("/auth/verify/x//..;y", 200),
        ("/auth/session", 200),
        ("/auth/verify;x", 404),
        ("/AUTH/verify", 404),
        ("//auth/verify", 404),
    ] {
        assert_eq!(status(&app, "GET", path, &cookie).await, expected, "{path}");
    }
}

async fn c16_no_preflight_passes_a_proxy(backend: Backend) {
    let app = TestApp::on(backend).set("SERVER_CORS_ORIGINS", ORIGIN).start().await;
    let mut browser = app.browser();
    let preflight = |path: &str| {
        Request::new("OPTIONS", app.browser().url(path))
            .header("origin", ORIGIN)
            .header("access-control-request-method", "GET")
    };
    for path in ["/auth/verify", "/auth/verify/page", "/auth/%76erify"] {
        browser.send(preflight(path)).await.refused(401, "session_invalid");
    }
    // A preflight for a path that pages call is answered.
    browser.send(preflight("/auth/session")).await.is(204);
}
