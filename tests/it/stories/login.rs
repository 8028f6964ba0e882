//! The login from the start to the callback.

use portico_demo_idp::{Endpoint, Person};
use serde_json::json;

use crate::testkit::{Backend, TestApp, on_both_databases};

on_both_databases!(
    a_person_logs_in_through_each_of_the_six_slots,
    a_second_login_finds_the_same_account,
    a_changed_name_changes_the_label_and_nothing_else,
    a_login_leads_back_to_where_it_began,
    a_login_while_signed_in_ends_the_old_session,
    a_script_may_own_the_callback_and_relay_it,
    m11_tabs_finish_in_any_order,
    no_token_is_ever_in_an_address,
);

const SIX: [&str; 6] = [
    "oidc/provider1",
    "oidc/provider2",
    "oidc/google",
    "oauth2/provider1",
    "oauth2/provider2",
    "oauth2/google",
];

async fn a_person_logs_in_through_each_of_the_six_slots(backend: Backend) {
    let app = TestApp::on(backend).slots(&SIX).start().await;
    for slot in SIX {
        let mut browser = app.browser();
        let session = browser.log_in(slot, "ada-1").await;
        assert_eq!(session["idp"], slot);
        assert_eq!(session["account"]["label"], "Ada Example");
        assert_eq!(session["account"]["email"], "ada@example.com");
        assert_eq!(session["account"]["email_verified"], true);
        assert_eq!(app.token_calls(slot), 1);
        let asked = app.realm(slot).last_request(Endpoint::Authorize).unwrap();
        let sent: std::collections::BTreeMap<_, _> = asked.query_pairs().into_iter().collect();
        assert_eq!(sent["response_type"], "code");
        assert_eq!(sent["redirect_uri"], browser.url(&format!("/auth/{slot}/callback")).as_str());
        assert_eq!(sent["code_challenge_method"], "S256");
        assert_eq!(sent.contains_key("nonce"), slot.starts_with("oidc"), "{sent:?}");
        assert_eq!(sent["scope"], "openid profile email");
    }
    assert_eq!(app.accounts().await.len(), 6, "each of the six issuers has its own account");
}

async fn a_second_login_finds_the_same_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in ["oidc/provider1", "oauth2/provider1"] {
        let first = app.browser().log_in(slot, "bruno-2").await;
        app.advance(3600);
        let second = app.browser().log_in(slot, "bruno-2").await;
        assert_eq!(first["account"], second["account"]);
        assert_ne!(first["auth_time"], second["auth_time"]);
        let (account, identities) = app.account(second["account"]["id"].as_str().unwrap()).await;
        assert_eq!(identities.len(), 1);
        assert_eq!(identities[0].key.subject.as_str(), "bruno-2");
        assert_eq!(identities[0].last_login_at.unix(), app.now());
        assert_eq!(account.last_login_at.unwrap().unix(), app.now());
    }
    assert_eq!(app.accounts().await.len(), 2);
}

async fn a_changed_name_changes_the_label_and_nothing_else(backend: Backend) {
    let app = TestApp::start(backend).await;
    let before = app.browser().log_in("oidc/provider1", "ada-1").await;
    let renamed = Person { name: Some("Ada Married".to_owned()), ..Person::new("ada-1", "Ada Example") };
    app.realm("oidc/provider1").set_person(renamed);
    let mut after = app.browser().log_in("oidc/provider1", "ada-1").await;
    assert_eq!(after["account"]["label"], "Ada Married");
    after["account"]["label"] = json!("Ada Example");
    assert_eq!(before["account"], after["account"]);
    assert_eq!(app.accounts().await.len(), 1);
}

async fn a_login_leads_back_to_where_it_began(backend: Backend) {
    let app = TestApp::start(backend).await;
    for (return_to, end) in [
        ("/branches/main?page=2#top", "/branches/main?page=2#top"),
        ("/a/../b", "/b"),
        ("/?next=https://evil.example", "/?next=https://evil.example"),
        (app.browser().url("/absolute?a=%20b").as_str(), "/absolute?a=%20b"),
    ] {
        let mut browser = app.browser();
        let authorization = browser.start_for("oidc/provider1", return_to).await;
        assert!(!authorization.as_str().contains("return_to"), "the provider does not receive `return_to`");
        let callback = browser.choose(&authorization, "ada-1").await;
        browser.callback(&callback).await.is(303).leads_to(browser.url(end).as_str());
    }
    let mut browser = app.browser();
    let plain = browser.url("/auth/oidc/provider1/login");
    let authorization = browser.visit(&plain).await.location();
    let callback = browser.choose(&authorization, "ada-1").await;
    browser.callback(&callback).await.leads_to(browser.url("/").as_str());
}

async fn a_login_while_signed_in_ends_the_old_session(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let ada = browser.log_in("oidc/provider1", "ada-1").await;
    let mut thief = browser.clone();
    let bruno = browser.log_in("oauth2/provider1", "bruno-2").await;
    assert_ne!(ada["account"]["id"], bruno["account"]["id"]);
    thief.fetch("/auth/session").await.refused(401, "session_invalid");
    thief.post("/auth/refresh").await.refused(401, "session_invalid");
    assert_eq!(browser.who().await["account"]["label"], "Bruno Beispiel");

    // A further login of the same person starts a new session.
    let mut before = browser.clone();
    browser.log_in("oauth2/provider1", "bruno-2").await;
    assert!(!before.is_signed_in().await);
    assert!(browser.is_signed_in().await);
}

async fn a_script_may_own_the_callback_and_relay_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let authorization = browser.start_for("oidc/provider1", "/after?x=1").await;
    let callback = browser.choose(&authorization, "ada-1").await;
    let answer = browser.relay(&callback).await;
    let given = answer.is(200).json();
    assert_eq!(given["token_type"], "Bearer");
    assert_eq!(given["expires_in"], 900);
    assert_eq!(given["return_to"], browser.url("/after?x=1").as_str());
    assert_eq!(given["access_token"], answer.set_cookie("portico_access").value);
    assert!(given.get("refresh_token").is_none(), "the refresh token is only in the cookie: {given}");
    assert!(browser.is_signed_in().await);
    assert!(browser.jar.logins().is_empty());
}

async fn m11_tabs_finish_in_any_order(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let mut callbacks = Vec::new();
    for person in ["ada-1", "bruno-2", "chidi-3"] {
        callbacks.push(browser.reach_callback("oidc/provider1", person).await);
        app.advance(1);
    }
    assert_eq!(browser.jar.logins().len(), 3);
    for (left, callback) in callbacks.iter().enumerate().rev() {
        browser.callback(callback).await.is(303);
        assert_eq!(browser.jar.logins().len(), left, "each callback deletes only its own login cookie");
    }
    assert_eq!(browser.who().await["account"]["label"], "Ada Example");
}

async fn no_token_is_ever_in_an_address(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in ["oidc/provider1", "oidc/provider2", "oauth2/provider1"] {
        let mut browser = app.browser();
        browser.log_in(slot, "ada-1").await;
        browser.post("/auth/refresh").await.is(200);
        browser.post("/auth/logout").await.is(200);
        let issued = app.realm(slot).last_issued().unwrap();
        let mut secrets = vec![issued.access_token];
        secrets.extend(issued.id_token);
        secrets.extend(browser.cookies_seen.iter().filter(|set| !set.removes()).map(|set| set.value.clone()));
        for address in &browser.trail {
            assert!(secrets.iter().all(|secret| !address.as_str().contains(secret)), "{address}");
            assert!(!address.as_str().contains("eyJ"), "{address}");
        }
        assert!(secrets.len() >= 4, "the test has secrets to search for");
    }
}
