//! C01, C05, C13, H03, M16: the order of the checks, and providers whose settings changed.

use crate::testkit::{Backend, Request, TestApp, on_both_databases};

on_both_databases!(
    c01_a_login_that_is_not_open_here_asks_nobody,
    h03_a_callback_with_neither_code_nor_error_is_over,
    m16_a_provider_known_to_have_changed_leaves_the_login_unspent,
    c13_two_slots_of_one_issuer_are_one_provider_or_the_later_is_down,
    c05_c13_a_slot_that_was_pointed_elsewhere_is_told_at_the_start,
);

const SLOT: &str = "oidc/provider1";

async fn c01_a_login_that_is_not_open_here_asks_nobody(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    // The store fails: a request that reads it would get 503.
    for method in ["find_refresh", "find_session", "spend_login", "ping"] {
        app.store.break_method(method);
    }
    let planted = format!("portico_refresh={}; portico_access=a.b.c", "x".repeat(43));
    for cookies in ["", planted.as_str(), "portico_login_6a-AAAAAAAAAAAAAAAA=x"] {
        let request = Request::navigation(callback.clone()).cookies(cookies);
        browser.send(request).await.refused(400, "login_state_invalid");
    }
    assert_eq!(app.token_calls(SLOT), 0);
    // The browser of the login gets 503, and its login stays pending.
    let mut outage = browser.clone();
    outage.jar.never_forgets = true;
    app.expect_error("broken by a test");
    outage.callback(&callback).await.refused(503, "unavailable");
    app.store.heal();
    assert!(browser.callback(&callback).await.is(303).gives_session());
}

async fn h03_a_callback_with_neither_code_nor_error_is_over(backend: Backend) {
    let app = TestApp::start(backend).await;
    for query in ["", "&code=", "&iss=x", "&error_description=x"] {
        let mut browser = app.browser();
        let callback = browser.reach_callback(SLOT, "ada-1").await;
        let before = app.rows().await;
        let state = callback.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let mut empty = callback.clone();
        empty.set_query(Some(&format!("state={state}{query}")));
        let mut again = browser.clone();
        browser.callback(&empty).await.refused(400, "bad_request");
        before.assert_same(&app.rows().await);
        again.callback(&callback).await.refused(400, "login_state_invalid");
    }
    assert_eq!(app.token_calls(SLOT), 0);
    app.browser().log_in(SLOT, "ada-1").await;
}

async fn m16_a_provider_known_to_have_changed_leaves_the_login_unspent(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    app.realm(SLOT).knobs(|knobs| {
        knobs.discovery.fields.set("token_endpoint", "http://127.0.0.1:9/token");
    });
    app.restart(&[]).await;
    app.browser().start(SLOT).await;
    let asked = app.counters(SLOT);
    let mut later = browser.clone();
    browser.callback(&callback).await.refused(400, "login_state_invalid");
    assert_eq!(app.counters(SLOT), asked, "the provider is not called");
    assert_eq!(app.database.count("spent_logins", "1 = 1").await, 0);
    // The metadata is restored, and the login is still valid.
    app.be_honest(SLOT);
    app.restart(&[]).await;
    assert!(later.callback(&callback).await.is(303).gives_session());
}

async fn c13_two_slots_of_one_issuer_are_one_provider_or_the_later_is_down(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let issuer = app.realm(SLOT).issuer().to_owned();
    let document = format!("{issuer}/.well-known/openid-configuration");
    // The second slot has the issuer of the first slot, but another discovery document.
    let elsewhere = format!("{document}?other");
    app.restart(&[
        ("OIDC_PROVIDER2_DISCOVERY_URL", Some(&elsewhere)),
        ("OIDC_PROVIDER2_ISSUER", Some(&issuer)),
    ])
    .await;
    // The second slot is refused even if it is used first.
    let mut browser = app.browser();
    let url = browser.url("/auth/oidc/provider2/login");
    browser.visit(&url).await.refused(502, "idp_metadata_invalid");
    browser.log_in(SLOT, "ada-1").await;
    let status = browser.fetch("/auth/providers").await.json()["providers"].clone();
    assert_eq!((&status[0]["status"], &status[1]["status"]), (&"ok".into(), &"down".into()));
    app.restart(&[("OIDC_PROVIDER2_DISCOVERY_URL", Some(&document))]).await;
    browser.visit(&url).await.is(303);
}

async fn c05_c13_a_slot_that_was_pointed_elsewhere_is_told_at_the_start(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    for person in ["ada-1", "bruno-2"] {
        app.browser().log_in(SLOT, person).await;
        app.browser().log_in("oauth2/provider1", person).await;
    }
    let orphaned = async |app: &TestApp| {
        app.browser().start(SLOT).await;
        let mut found: Vec<_> = app.running().estranged().await.into_iter().collect();
        found.sort();
        found
    };
    assert_eq!(orphaned(&app).await, []);
    let namespace = ("OAUTH2_PROVIDER1_IDENTITY_NAMESPACE", Some("https://other.example"));
    app.restart(&[("OIDC_PROVIDER1_SUBJECT_CLAIM", Some("preferred_username")), namespace]).await;
    assert_eq!(orphaned(&app).await, [("oauth2/provider1".to_owned(), 2, 0), (SLOT.to_owned(), 2, 0)]);
    let client = ("OIDC_PROVIDER1_CLIENT_ID", Some("another"));
    app.restart(&[("OIDC_PROVIDER1_SUBJECT_CLAIM", None), (namespace.0, None), client]).await;
    assert_eq!(orphaned(&app).await, [(SLOT.to_owned(), 0, 2)]);
}
