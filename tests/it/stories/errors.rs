//! Error answers: problem documents for programs, pages for browsers, and redirects to `server.error_url`.

use portico_demo_idp::knobs::StateKnob;
use serde_json::json;

use crate::testkit::{Backend, Request, TestApp, on_both_databases};

on_both_databases!(
    a_program_gets_problem_json,
    a_person_gets_a_page,
    an_application_gets_the_code_at_its_error_url,
    unknown_paths_and_methods_are_told_apart,
    what_is_too_large_is_refused,
    a_login_that_is_no_navigation_is_told_where_to_navigate,
    m24_every_answer_has_the_safety_headers,
);

async fn a_program_gets_problem_json(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let answer = browser.fetch("/auth/session").await;
    let problem = answer.problem();
    assert_eq!(
        problem,
        json!({
            "type": problem["type"],
            "title": "Unauthorized",
            "status": 401,
            "code": "session_invalid",
            "detail": problem["detail"],
            "request_id": problem["request_id"],
        })
    );
    assert_eq!(answer.header("x-request-id"), problem["request_id"].as_str());
    let again = browser.fetch("/auth/session").await.problem();
    assert_ne!(again["request_id"], problem["request_id"]);
}

async fn a_person_gets_a_page(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback("oidc/provider1", "ada-1").await;
    let answer = app.browser().callback(&callback).await;
    answer.refused(400, "login_state_invalid");
    assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{answer:?}");
    let id = answer.header("x-request-id").unwrap();
    assert!(answer.body.contains(id), "the page must contain the request id");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    for (_, value) in callback.query_pairs() {
        assert!(!answer.body.contains(&*value), "the page must not contain values of the query: {value}");
    }
}

async fn an_application_gets_the_code_at_its_error_url(backend: Backend) {
    let app = TestApp::on(backend)
        .set("SERVER_ERROR_URL", "https://app.example.com/failed?from=sso#login")
        .start()
        .await;
    let mut browser = app.browser();
    let authorization = browser.start("oidc/provider1").await;
    let callback = browser.choose(&authorization, "nobody").await;
    assert!(callback.query_pairs().any(|(name, value)| name == "error" && value == "access_denied"));
    let answer = browser.callback(&callback).await;
    let location = answer.location();
    let sent: std::collections::BTreeMap<_, _> = location.query_pairs().collect();
    assert_eq!(sent["error"], "idp_denied");
    assert_eq!(Some(&*sent["request_id"]), answer.header("x-request-id"));
    assert_eq!(sent["from"], "sso");
    assert_eq!(
        (location.host_str(), location.path(), location.fragment()),
        (Some("app.example.com"), "/failed", Some("login"))
    );
    assert!(!answer.gives_session());
    // A script still gets the problem document.
    browser.relay(&callback).await.refused(400, "login_state_invalid").problem();
    let start = browser.url("/auth/oidc/provider1/login?return_to=//evil");
    let answer = browser.visit(&start).await;
    assert!(answer.location().as_str().contains("error=bad_request"), "{answer:?}");
}

async fn unknown_paths_and_methods_are_told_apart(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    for path in
        ["/nothing", "/auth/nothing", "/auth/oidc", "/auth/oidc/provider1/nothing", "/.well-known/nothing"]
    {
        browser.fetch(path).await.refused(404, "not_found").problem();
    }
    browser.fetch("/auth/oidc/google/login").await.refused(404, "provider_unknown").problem();
    for (method, path) in [
        ("POST", "/auth/oidc/provider1/login"),
        ("PUT", "/auth/oidc/provider1/callback"),
        ("DELETE", "/auth/session"),
        ("GET", "/auth/refresh"),
        ("GET", "/auth/logout"),
        ("POST", "/auth/providers"),
        ("POST", "/.well-known/jwks.json"),
    ] {
        let request = Request::script(method, browser.url(path));
        browser.send(request).await.refused(405, "method_not_allowed").problem();
    }
}

async fn what_is_too_large_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = |name: &str, length: usize| {
        let mut url = browser.url("/auth/oidc/provider1/callback");
        url.query_pairs_mut().append_pair(name, &"x".repeat(length));
        url
    };
    let (code, state, iss, long) =
        (callback("code", 9000), callback("state", 300), callback("iss", 2100), callback("other", 20_000));
    for url in [code, state, iss] {
        browser.relay(&url).await.refused(400, "bad_request");
    }
    browser.relay(&long).await.refused(414, "too_large");
    let body = json!({ "refresh_token": "x".repeat(200_000) });
    let request = Request::new("POST", browser.url("/auth/refresh")).json(&body);
    browser.send(request).await.refused(413, "too_large");
    assert_eq!(app.token_calls("oidc/provider1"), 0);
}

async fn a_login_that_is_no_navigation_is_told_where_to_navigate(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let login = browser.url("/auth/oidc/provider1/login?return_to=%2Fhere");
    let plain = Request::new("GET", login.clone());
    for request in [
        plain.clone().header("accept", "application/json"),
        plain.clone().header("sec-fetch-mode", "cors"),
        plain.clone().header("accept", "text/html").header("sec-fetch-mode", "no-cors"),
    ] {
        let answer = browser.send(request).await;
        let problem = answer.refused(401, "session_invalid").problem();
        let url = problem["login_url"].as_str().unwrap();
        assert!(url.starts_with(browser.url("/auth/").as_str()), "{url}");
        assert!(browser.jar.logins().is_empty());
    }
    for request in [
        plain.clone(),
        plain.clone().header("accept", "*/*"),
        plain.clone().header("accept", "text/html, application/json"),
        plain.header("sec-fetch-mode", "navigate"),
    ] {
        browser.send(request).await.is(303);
    }
}

async fn m24_every_answer_has_the_safety_headers(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let start = browser.url("/auth/oidc/provider1/login");
    let started = browser.visit(&start).await;
    let callback = browser.choose(&started.location(), "ada-1").await;
    app.realm("oidc/provider1").knobs(|knobs| knobs.authorize.state = StateKnob::Drop);
    let stateless = browser.reach_callback("oidc/provider1", "ada-1").await;
    app.be_honest("oidc/provider1");
    let mut answers = vec![started, browser.callback(&stateless).await, browser.callback(&callback).await];
    let page = browser.url("/auth/");
    answers.push(browser.visit(&page).await);
    for path in ["/auth/session", "/auth/providers", "/auth/nothing"] {
        answers.push(browser.fetch(path).await);
    }
    answers.push(browser.post("/auth/refresh").await);
    answers.push(browser.post("/auth/logout").await);
    for answer in answers {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}: {answer:?}");
        }
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{answer:?}"
        );
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{answer:?}");
    }
}
