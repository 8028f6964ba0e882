//! Forward authentication: the answers of /auth/verify to a proxy.

use portico_demo_idp::Person;

use crate::testkit::{Answer, Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    a_signed_in_person_passes_with_identity_headers,
    c15_inbound_identity_headers_are_never_believed,
    roles_and_groups_are_required_as_asked,
    a_revoked_session_passes_no_longer,
    identity_headers_stay_below_8_kib,
);

async fn verify(browser: &mut Browser, query: &str) -> Answer {
    browser.send(Request::new("GET", browser.url(&format!("/auth/verify{query}")))).await
}

async fn a_signed_in_person_passes_with_identity_headers(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let refused = verify(&mut browser, "").await;
    refused.refused(401, "session_invalid");
    assert_eq!(refused.json()["login_url"], browser.url("/auth/").as_str());
    let session = browser.log_in("oidc/provider1", "ada-1").await;
    for method in ["GET", "POST", "HEAD", "PUT", "DELETE"] {
        for path in ["/auth/verify", "/auth/verify/some/path?a=b"] {
            let answer = browser.send(Request::new(method, browser.url(path))).await;
            answer.is(200);
            assert_eq!(answer.header("x-auth-request-user"), Some("Ada%20Example"));
            assert_eq!(answer.header("x-auth-request-account"), session["account"]["id"].as_str());
            assert_eq!(answer.header("x-auth-request-email"), Some("ada@example.com"));
            assert_eq!(answer.header("x-auth-request-groups"), Some("engineering,admins"));
            assert_eq!(answer.header("x-auth-request-roles"), Some(""));
            let bearer = answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
            assert_eq!(bearer, browser.jar.value("portico_access"));
            assert!(answer.body.is_empty() && answer.set_cookies().is_empty());
        }
    }
    let bearer = format!("Bearer {}", browser.jar.value("portico_access"));
    let by_header = Request::new("GET", browser.url("/auth/verify")).header("authorization", &bearer);
    app.browser().send(by_header).await.is(200);
    // If the header is present, the cookies are ignored.
    let bad = Request::new("GET", browser.url("/auth/verify")).header("authorization", "Bearer x");
    browser.send(bad).await.refused(401, "session_invalid");
}

async fn c15_inbound_identity_headers_are_never_believed(backend: Backend) {
    let app = TestApp::start(backend).await;
    let claims = |request: Request| {
        request
            .header("x-auth-request-user", "root")
            .header("x_auth_request_user", "root")
            .header("x-auth-request-roles", "admin")
            .header("x-forwarded-user", "root")
            .header("remote-user", "root")
    };
    let mut nobody = app.browser();
    let asked = claims(Request::new("GET", nobody.url("/auth/verify?roles=admin")));
    nobody.send(asked).await.refused(401, "session_invalid");
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let answer = browser.send(claims(Request::new("GET", browser.url("/auth/verify")))).await;
    assert_eq!(answer.is(200).header("x-auth-request-user"), Some("Ada%20Example"));
    assert_eq!(answer.header("x-auth-request-roles"), Some(""));
    let asked = claims(Request::new("GET", browser.url("/auth/verify?roles=admin")));
    browser.send(asked).await.refused(403, "forbidden");
}

async fn roles_and_groups_are_required_as_asked(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.local_account("Ada Example", &["editor", "a,b"]).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    for (query, passes) in [
        ("?roles=editor", true),
        ("?roles=admin,editor", true),
        ("?roles=admin", false),
        ("?roles=Editor", false),
        ("?groups=admins", true),
        ("?groups=admin", false),
        ("?roles=editor&groups=ops", false),
        ("?roles=editor&groups=ops,engineering", true),
        ("?roles=", false),
    ] {
        let answer = verify(&mut browser, query).await;
        if passes {
            answer.is(200);
        } else {
            answer.refused(403, "forbidden");
            assert!(answer.header("x-auth-request-user").is_none(), "{query}");
        }
    }
    verify(&mut browser, "?roles=editor&roles=admin").await.refused(400, "bad_request");
    let roles = verify(&mut browser, "").await;
    assert_eq!(roles.header("x-auth-request-roles"), Some("a%2Cb,editor"));
}

async fn a_revoked_session_passes_no_longer(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (replica, at) = app.replica_if_possible().await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    verify(&mut browser, "").await.is(200);
    let before = browser.clone();
    browser.post("/auth/logout").await.is(200);
    verify(&mut before.clone(), "").await.refused(401, "session_invalid");
    if let Some(at) = at {
        verify(&mut before.clone().at(at), "").await.refused(401, "session_invalid");
    }
    drop(replica);
    app.advance(900);
    let mut late = app.browser();
    late.log_in("oidc/provider1", "ada-1").await;
    app.advance(901);
    verify(&mut late, "").await.refused(401, "session_invalid");
}

async fn identity_headers_stay_below_8_kib(backend: Backend) {
    let app = TestApp::start(backend).await;
    let groups = (0..200).map(|number| format!("gr\u{fc}ppe-{number:03}")).collect();
    app.realm("oidc/provider1").set_person(Person { groups, ..Person::new("many", "\u{1f980}".repeat(128)) });
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "many").await;
    let answer = verify(&mut browser, "").await;
    let size: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    assert!(size < 8 * 1024, "{size}");
    assert!(answer.header("x-auth-request-groups").unwrap().starts_with("gr%C3%BCppe-000,gr%C3%BCppe-001"));
}
