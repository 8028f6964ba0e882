//! H12, H13, H14: identities linked to the wrong account.

use url::Url;

use crate::testkit::{Backend, Browser, TestApp, on_both_databases};

on_both_databases!(
    h12_a_strangers_link_finishes_in_no_other_browser,
    h12_a_login_links_nothing,
    h13_a_slot_switched_off_takes_no_identity_along,
    h13_what_is_left_of_a_deleted_account_is_nobodys,
    h14_an_account_switched_off_meanwhile_neither_enters_nor_gains,
);

const OIDC: &str = "oidc/provider1";
const OAUTH2: &str = "oauth2/provider1";

/// Starts to link an identity; returns the callback URL.
async fn reach_link_callback(browser: &mut Browser, slot: &str, person: &str) -> Url {
    let started = browser.post(&format!("/auth/{slot}/link")).await;
    let location = started.is(200).json()["location"].as_str().unwrap().parse().unwrap();
    browser.choose(&location, person).await
}

async fn h12_a_strangers_link_finishes_in_no_other_browser(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut attacker = app.browser();
    attacker.log_in(OIDC, "bruno-2").await;
    let callback = reach_link_callback(&mut attacker, OAUTH2, "bruno-2").await;
    let planted = attacker.jar.logins()[0].clone();
    let mut victim = app.browser();
    victim.log_in(OIDC, "ada-1").await;
    let before = app.rows().await;
    victim.callback(&callback).await.refused(400, "login_state_invalid");
    victim.jar.put(planted);
    victim.callback(&callback).await.refused(400, "login_state_invalid");
    before.assert_same(&app.rows().await);
    assert_eq!(app.token_calls(OAUTH2), 0, "the token endpoint is not called");
    assert!(victim.is_signed_in().await);
    // The attacker's own link completes, because the login is not consumed.
    attacker.callback(&callback).await.is(303);
    assert_eq!(app.audited("identity_linked").await, 1 + 2);
}

async fn h12_a_login_links_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let ada = browser.log_in(OIDC, "ada-1").await;
    let bruno = browser.log_in(OAUTH2, "bruno-2").await;
    assert_ne!(bruno["account"]["id"], ada["account"]["id"]);
    let (_, identities) = app.account(ada["account"]["id"].as_str().unwrap()).await;
    assert_eq!(identities.len(), 1);
}

async fn h13_a_slot_switched_off_takes_no_identity_along(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let ada = browser.log_in(OIDC, "ada-1").await;
    let callback = reach_link_callback(&mut browser, OAUTH2, "bruno-2").await;
    browser.callback(&callback).await.is(303);
    let before = app.rows().await;
    app.restart(&[("SECURITY_OIDC_PROVIDERS", Some("provider2"))]).await;
    before.assert_same(&app.rows().await);
    let stranger = portico_demo_idp::Person::new("stranger", "Ada Example");
    app.realm("oidc/provider2").set_person(stranger);
    let other = app.browser().log_in("oidc/provider2", "stranger").await;
    assert_ne!(other["account"]["id"], ada["account"]["id"]);
    let mut browser = app.browser();
    let again = browser.log_in(OAUTH2, "bruno-2").await;
    assert_eq!(again["account"]["id"], ada["account"]["id"]);
    let listed = browser.fetch("/auth/identities").await.json();
    assert_eq!(
        listed["identities"].as_array().unwrap().len(),
        2,
        "the identity of the disabled slot remains"
    );
    app.restart(&[("SECURITY_OIDC_PROVIDERS", Some("provider1,provider2"))]).await;
    let back = app.browser().log_in(OIDC, "ada-1").await;
    assert_eq!(back["account"]["id"], ada["account"]["id"]);
}

async fn h13_what_is_left_of_a_deleted_account_is_nobodys(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.browser().log_in(OAUTH2, "bruno-2").await;
    app.set_status("Bruno Beispiel", "deleted").await;
    let mut browser = app.browser();
    browser.log_in(OIDC, "ada-1").await;
    let callback = reach_link_callback(&mut browser, OAUTH2, "bruno-2").await;
    let before = app.rows().await;
    browser.callback(&callback).await.refused(409, "identity_conflict");
    before.assert_same(&app.rows().await);
    // An identity without an account can be linked.
    let callback = reach_link_callback(&mut browser, OAUTH2, "chidi-3").await;
    browser.callback(&callback).await.is(303);
}

async fn h14_an_account_switched_off_meanwhile_neither_enters_nor_gains(backend: Backend) {
    let app = TestApp::start(backend).await;
    for (status, person, name) in
        [("disabled", "ada-1", "Ada Example"), ("deleted", "chidi-3", "Chidi Sample")]
    {
        let mut inside = app.browser();
        inside.log_in(OIDC, person).await;
        let link = reach_link_callback(&mut inside, OAUTH2, "bruno-2").await;
        let mut outside = app.browser();
        let login = outside.reach_callback(OIDC, person).await;
        app.set_status(name, status).await;
        let before = app.rows().await;
        outside.callback(&login).await.refused(403, "account_disabled");
        inside.callback(&link).await.refused(403, "account_disabled");
        before.assert_same(&app.rows().await);
    }
    // An active account can log in and link.
    app.set_status("Ada Example", "active").await;
    let mut inside = app.browser();
    inside.log_in(OIDC, "ada-1").await;
    let link = reach_link_callback(&mut inside, OAUTH2, "bruno-2").await;
    inside.callback(&link).await.is(303);
}
