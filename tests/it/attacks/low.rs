//! L02 to L07: low threats, mostly disclosure of information.

use std::collections::BTreeSet;

use portico_demo_idp::IdpConfig;

use crate::testkit::{Backend, Program, Request, TestApp, on_both_databases, slot_variables};

on_both_databases!(
    l02_no_answer_says_what_runs_here,
    l05_every_cookie_is_small_and_first_party,
    l06_buttons_are_drawn_from_our_own_shapes,
    l07_the_audit_trail_has_nobodys_name_or_address,
);

const SLOT: &str = "oidc/provider1";

async fn l02_no_answer_says_what_runs_here(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let version = env!("CARGO_PKG_VERSION");
    for path in [
        "/",
        "/auth/",
        "/auth/providers",
        "/auth/session",
        "/auth/oidc/none/login",
        "/auth/oidc/provider1/callback?state=x",
    ] {
        let url = browser.url(path);
        for request in [Request::navigation(url.clone()), Request::script("GET", url)] {
            let answer = browser.send(request).await;
            assert!(
                answer.header("server").is_none() && answer.header("x-powered-by").is_none(),
                "{answer:?}"
            );
            let text = format!("{:?} {}", answer.headers, answer.body).to_lowercase();
            for word in ["actix", "rust", "sqlx", "sqlite", "postgres", &format!("portico/{version}")] {
                assert!(!text.contains(word), "{word}: {answer:?}");
            }
        }
    }
}

async fn l05_every_cookie_is_small_and_first_party(backend: Backend) {
    let app = TestApp::on(backend).set("SERVER_RETURN_ORIGINS", "https://spa.example").start().await;
    let mut browser = app.browser();
    browser.start_for(SLOT, &format!("/{}", "x".repeat(500))).await;
    browser.log_in(SLOT, "ada-1").await;
    browser.post("/auth/refresh").await.is(200);
    assert!(browser.cookies_seen.len() >= 8);
    for set in &browser.cookies_seen {
        assert!(set.attribute("Domain").is_none() && set.has("SameSite=Lax"), "{set:?}");
        let most = if set.name.contains("portico_access") { 3584 } else { 800 };
        assert!(set.value.len() <= most, "{}: {}", set.name, set.value.len());
    }
}

async fn l06_buttons_are_drawn_from_our_own_shapes(backend: Backend) {
    let app = TestApp::on(backend)
        .set("OIDC_PROVIDER1_ICON", "mdi:github")
        .set("OIDC_PROVIDER2_ICON", "fa:google")
        .start()
        .await;
    let mut browser = app.browser();
    let page = browser.visit(&browser.url("/auth/")).await.is(200).clone();
    for foreign in ["<img", "src=", "url(", "@import", "<link", "<script", "<iframe", "http-equiv"] {
        assert!(!page.body.contains(foreign), "{foreign}");
    }
    let drawn = page.body.matches("<path d=\"M").count();
    assert_eq!(drawn, 5, "four buttons and Portico's logo");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("img-src"), "{policy}");
}

async fn l07_the_audit_trail_has_nobodys_name_or_address(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in(SLOT, "ada-1").await;
    browser.post("/auth/logout").await.is(200);
    let row =
        "event || coalesce(reason, '') || coalesce(slot, '') || outcome || request_id || coalesce(ip, '')";
    let trail = app.database.texts(&format!("SELECT {row} FROM audit_events")).await.concat();
    for personal in ["ada-1", "Ada", "example.com"] {
        assert!(!trail.contains(personal), "{personal}: {trail}");
    }
    assert!(trail.contains("login_succeeded") && trail.contains("logout"), "{trail}");
}

/// The `route` field of a log line is one of a fixed set, whatever the path of the request.
#[tokio::test]
async fn l03_hostile_paths_make_no_new_labels() {
    let program = Program::configured().set("PORTICO_LOG_LEVEL", "debug");
    let idp =
        portico_demo_idp::DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let service = program.set_all(slot_variables(&idp, &[SLOT.to_owned()])).serve().await;
    let mut browser = service.browser();
    for number in 0..50 {
        for path in [
            format!("/auth/oidc/slot-{number}/login"),
            format!("/auth/oidc/provider1/callback?state=CANARY-{number}"),
            format!("/auth/sessions/CANARY-{number}"),
            format!("/CANARY-{number}"),
            format!("/auth/verify/CANARY-{number}/x"),
        ] {
            browser.fetch(&path).await;
        }
    }
    let (_, log) = service.terminate();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let routes: BTreeSet<_> =
        lines.iter().filter_map(|line| line["route"].as_str().or(line["span"]["route"].as_str())).collect();
    assert!(!routes.is_empty() && routes.len() <= 25, "{routes:?}");
    assert!(!log.contains("CANARY") && !log.contains("slot-4"), "no part of a path is logged");
}
