//! H01, H25: the targets of redirects, and their status.

use crate::testkit::{Backend, Request, TestApp, on_both_databases};

on_both_databases!(
    h01_a_return_to_that_leads_elsewhere_is_refused_at_the_start,
    h01_the_callback_reads_no_target_of_its_own,
    h25_every_redirect_is_a_303,
);

/// Targets that must be refused; `HOST` stands for Portico's host and port.
const BAD: [&str; 52] = [
    "",
    " ",
    "branches",
    "./branches",
    "../branches",
    "?x",
    "#x",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "/\u{0}/evil.example",
    "/\u{a0}/evil.example",
    "/\u{2028}evil.example",
    "/\u{3000}/evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/x/..//evil.example",
    "/%2e%2e//evil.example",
    "https://evil.example",
    "http://evil.example/",
    "HTTPS://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "http:///evil.example",
    "//evil.example@HOST/",
    "http://HOST@evil.example/",
    "http://user@HOST/",
    "http://user:password@HOST/",
    "http://HOST.evil.example/",
    "http://evil.example#HOST",
    "http://evil.example?HOST",
    "http://HOST:1/",
    "https://HOST/",
    "http://HOST//evil.example",
    "http://HOST",
    "javascript:alert(1)",
    "javascript://HOST/%0aalert(1)",
    "JavaScript:alert(1)",
    "data:text/html,x",
    "ftp://HOST/",
    "\u{ff0f}\u{ff0f}evil.example",
];

/// Paths of the public origin, however they look.
const GOOD: [&str; 7] =
    ["/", "/a?b=//c", "/%2f%2fevil.example", "/@evil.example", "/a;b=c", "/\u{e9}", "/a:b"];

async fn h01_a_return_to_that_leads_elsewhere_is_refused_at_the_start(backend: Backend) {
    let app = TestApp::start(backend).await;
    let before = app.rows().await;
    let host = app.at.to_string();
    let mut accepted = Vec::new();
    let long = format!("/{}", "a".repeat(512));
    for bad in BAD.iter().map(|bad| bad.replace("HOST", &host)).chain([long]) {
        let mut browser = app.browser();
        let mut url = browser.url("/auth/oidc/provider1/login");
        url.query_pairs_mut().append_pair("return_to", &bad);
        let answer = browser.visit(&url).await;
        if answer.status == 400 {
            answer.refused(400, "bad_request");
            assert!(browser.jar.all().is_empty());
        } else {
            accepted.push((bad, answer.status));
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
    assert_eq!(
        app.counters("oidc/provider1").discovery,
        0,
        "return_to is checked before the provider is called"
    );
    before.assert_same(&app.rows().await);
    for good in GOOD.map(str::to_owned).into_iter().chain([format!("http://{host}/a")]) {
        app.browser().start_for("oidc/provider1", &good).await;
    }
    let doubled = app.browser().url("/auth/oidc/provider1/login?return_to=%2Fa&return_to=%2Fb");
    app.browser().visit(&doubled).await.refused(400, "bad_request");
    let broken = app.browser().url("/auth/oidc/provider1/login?return_to=%ff%fe");
    app.browser().visit(&broken).await.refused(400, "bad_request");
}

async fn h01_the_callback_reads_no_target_of_its_own(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let authorization = browser.start_for("oidc/provider1", "/honest").await;
    let mut callback = browser.choose(&authorization, "ada-1").await;
    callback
        .query_pairs_mut()
        .append_pair("return_to", "//evil.example")
        .append_pair("redirect_uri", "//evil.example");
    browser.callback(&callback).await.is(303).leads_to(browser.url("/honest").as_str());
}

async fn h25_every_redirect_is_a_303(backend: Backend) {
    let app = TestApp::on(backend).set("SERVER_ERROR_URL", "/failed").start().await;
    let mut browser = app.browser();
    let login = browser.url("/auth/oidc/provider1/login");
    let started = browser.visit(&login).await;
    let callback = browser.choose(&started.location(), "ada-1").await;
    let finished = browser.callback(&callback).await;
    let failed = browser.callback(&callback).await;
    for answer in [started, finished, failed] {
        assert_eq!(answer.status, 303, "{answer:?}");
    }
    // No other spelling of a path is redirected.
    for path in ["/auth", "/auth/providers/", "/auth/oidc/provider1/login/", "//auth/providers"] {
        let answer = crate::testkit::raw(
            app.at,
            &format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", app.at),
        )
        .await;
        assert!(!answer.starts_with("HTTP/1.1 30"), "{path}: {answer}");
    }
    let request = Request::navigation(browser.url("/auth/"));
    browser.send(request).await.is(200);
}
