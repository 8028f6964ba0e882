//! Outages of the store and of providers.

use std::net::TcpListener;

use portico_demo_idp::knobs::Body;
use portico_demo_idp::{Endpoint, OldKeys};

use crate::testkit::{Backend, TestApp, on_both_databases};

on_both_databases!(
    c11_a_store_that_fails_while_looking_writes_nothing_and_heals,
    link_13_a_local_account_is_not_adopted_in_an_outage,
    a_store_that_fails_in_a_session_is_503,
    a_dead_provider_hinders_neither_the_start_nor_another_slot,
    a_provider_that_comes_back_is_used_again,
    q_x_5_keys_that_rotated_between_two_logins_are_found,
    a_dead_key_set_keeps_the_good_keys,
    a_broken_token_endpoint_is_named_as_such,
    readiness_knows_the_store_and_not_the_providers,
);

async fn c11_a_store_that_fails_while_looking_writes_nothing_and_heals(backend: Backend) {
    let app = TestApp::start(backend).await;
    let before = app.browser().log_in("oidc/provider1", "ada-1").await;
    let rows = app.rows().await;
    app.expect_error("broken by a test");
    for (method, token_calls) in [("spend_login", 0), ("find_candidates", 1), ("commit_login", 1)] {
        for person in ["ada-1", "bruno-2"] {
            let mut browser = app.browser();
            let callback = browser.reach_callback("oidc/provider1", person).await;
            let asked = app.token_calls("oidc/provider1");
            app.store.break_method(method);
            browser.callback(&callback).await.refused(503, "unavailable");
            app.store.heal();
            rows.assert_same(&app.rows().await);
            assert_eq!(app.token_calls("oidc/provider1") - asked, token_calls, "{method}");
        }
    }
    let after = app.browser().log_in("oidc/provider1", "ada-1").await;
    assert_eq!(after["account"], before["account"]);
    app.browser().log_in("oidc/provider1", "bruno-2").await;
    assert_eq!(app.accounts().await.len(), 2);
    // If the audit event of a failed login cannot be written, the answer stays the same.
    app.store.break_method("record");
    app.browser().try_to_log_in("oidc/provider1", "nobody").await.refused(403, "idp_denied");
}

async fn link_13_a_local_account_is_not_adopted_in_an_outage(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("Ada Example", &[]).await;
    let rows = app.rows().await;
    app.store.break_method("find_candidates");
    app.expect_error("broken by a test");
    app.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(503, "unavailable");
    rows.assert_same(&app.rows().await);
    app.store.heal();
    let session = app.browser().log_in("oidc/provider1", "ada-1").await;
    assert_eq!(session["account"]["id"], local.to_string());
}

async fn a_store_that_fails_in_a_session_is_503(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback("oidc/provider1", "ada-1").await;
    browser.callback(&callback).await.is(303);
    let rows = app.rows().await;
    app.expect_error("broken by a test");
    app.store.break_method("find_session");
    app.store.break_method("find_refresh");
    browser.fetch("/auth/session").await.refused(503, "unavailable");
    browser.post("/auth/refresh").await.refused(503, "unavailable");
    app.store.heal();
    app.store.break_method("rotate_refresh");
    browser.post("/auth/refresh").await.refused(503, "unavailable");
    rows.assert_same(&app.rows().await);
    app.store.heal();
    browser.post("/auth/refresh").await.is(200);
    assert!(browser.is_signed_in().await);
}

/// A loopback address without a listener.
fn nowhere() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

async fn a_dead_provider_hinders_neither_the_start_nor_another_slot(backend: Backend) {
    let dead = nowhere();
    let app = TestApp::on(backend)
        .set("OIDC_PROVIDER2_DISCOVERY_URL", &format!("{dead}/oidc/provider2"))
        .set("OAUTH2_PROVIDER2_TOKEN_URL", &format!("{dead}/token"))
        .start()
        .await;
    let mut browser = app.browser();
    let start = browser.url("/auth/oidc/provider2/login");
    browser.visit(&start).await.refused(502, "idp_unreachable");
    assert!(browser.jar.logins().is_empty());
    browser.try_to_log_in("oauth2/provider2", "ada-1").await.refused(502, "idp_unreachable");
    browser.log_in("oidc/provider1", "ada-1").await;
    browser.log_in("oauth2/provider1", "ada-1").await;
    let listed = browser.fetch("/auth/providers").await.json();
    let status = |slot: &str| {
        let all = listed["providers"].as_array().unwrap();
        all.iter().find(|provider| provider["name"] == slot).unwrap()["status"].clone()
    };
    assert_eq!(status("oidc/provider1"), "ok");
    assert_eq!(status("oidc/provider2"), "down");
}

async fn a_provider_that_comes_back_is_used_again(backend: Backend) {
    let app = TestApp::start(backend).await;
    let realm = app.realm("oidc/provider1");
    realm.knobs(|knobs| knobs.discovery.answer.status = Some(503));
    let mut browser = app.browser();
    let start = browser.url("/auth/oidc/provider1/login");
    let refused = browser.visit(&start).await;
    assert_eq!(refused.status, 502, "{refused:?}");
    app.be_honest("oidc/provider1");
    // A failed lookup may be cached for up to one minute, to limit the requests to a failing provider.
    app.advance(61);
    browser.log_in("oidc/provider1", "ada-1").await;
}

async fn q_x_5_keys_that_rotated_between_two_logins_are_found(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in ["oidc/provider1", "oidc/provider2"] {
        for old in [OldKeys::Keep, OldKeys::Withdraw] {
            app.browser().log_in(slot, "ada-1").await;
            app.realm(slot).rotate_keys(old).unwrap();
            app.advance(61);
            app.browser().log_in(slot, "ada-1").await;
        }
    }
    assert_eq!(app.accounts().await.len(), 2);
}

async fn a_dead_key_set_keeps_the_good_keys(backend: Backend) {
    let app = TestApp::start(backend).await;
    let realm = app.realm("oidc/provider1");
    app.browser().log_in("oidc/provider1", "ada-1").await;
    for (what, body, status) in [
        ("gone", None, Some(500)),
        ("empty", Some(Body::from("")), None),
        ("no keys", Some(Body::from(serde_json::json!({}))), None),
        ("an empty list", Some(Body::from(serde_json::json!({ "keys": [] }))), None),
        ("a page", Some(Body::from("<html>maintenance</html>")), None),
    ] {
        realm.knobs(|knobs| {
            knobs.jwks.answer.body = body;
            knobs.jwks.answer.status = status;
            // A token with an unknown key id makes Portico fetch the key set again.
            knobs.id_token.header.set("kid", what);
        });
        app.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(401, "idp_token_invalid");
        realm.knobs(|knobs| knobs.id_token.header.clear());
        for _ in 0..2 {
            app.browser().log_in("oidc/provider1", "ada-1").await;
            app.advance(2 * 3600);
        }
        app.be_honest("oidc/provider1");
    }
    // Cached keys are no longer trusted after one day without a successful fetch.
    realm.knobs(|knobs| knobs.jwks.answer.status = Some(500));
    app.browser().log_in("oidc/provider1", "ada-1").await;
    app.advance(26 * 3600);
    let answer = app.browser().try_to_log_in("oidc/provider1", "ada-1").await;
    answer.refused(502, "idp_bad_response");
    app.be_honest("oidc/provider1");
    app.advance(61);
    app.browser().log_in("oidc/provider1", "ada-1").await;
}

async fn a_broken_token_endpoint_is_named_as_such(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in ["oidc/provider1", "oauth2/provider1"] {
        let realm = app.realm(slot);
        app.browser().log_in(slot, "ada-1").await;
        let rows = app.rows().await;
        for (status, body) in
            [(500, "oops"), (200, "<html>login</html>"), (200, ""), (200, "[]"), (200, "{"), (404, "")]
        {
            realm.knobs(|knobs| {
                knobs.token.answer.status = Some(status);
                knobs.token.answer.body = Some(Body::from(body));
            });
            let answer = app.browser().try_to_log_in(slot, "ada-1").await;
            assert_eq!(answer.status, 502, "{status} {body:?}: {answer:?}");
            answer.refused(502, "idp_bad_response");
            rows.assert_same(&app.rows().await);
        }
        app.be_honest(slot);
        app.browser().log_in(slot, "ada-1").await;
    }
}

async fn readiness_knows_the_store_and_not_the_providers(backend: Backend) {
    let mut app = TestApp::on(backend).set("OIDC_PROVIDER1_DISCOVERY_URL", &nowhere()).start().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let status = async |app: &TestApp, path: &str| {
        let answer = crate::testkit::raw(app.operator(), &get(path)).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status(&app, "/livez").await, "200");
    assert_eq!(status(&app, "/readyz").await, "200");
    app.store.break_method("ping");
    assert_eq!(status(&app, "/readyz").await, "503");
    assert_eq!(status(&app, "/livez").await, "200");
    app.store.heal();
    assert_eq!(status(&app, "/readyz").await, "200");
    assert_eq!(status(&app, "/auth/providers").await, "404", "the operator's listener has no public routes");
    app.restart(&[]).await;
    assert_eq!(status(&app, "/readyz").await, "200");
    let public = app.browser().fetch("/readyz").await;
    public.refused(404, "not_found");
    assert_eq!(app.counters("oidc/provider2"), portico_demo_idp::Counters::default());
    assert_eq!(app.realm("oidc/provider2").calls(Endpoint::Discovery), 0);
}
