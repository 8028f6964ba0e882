//! C04, C05: only issuer and subject identify a person.

use portico_demo_idp::{IdpConfig, Person};

use crate::testkit::{Backend, TestApp, on_both_databases};

on_both_databases!(
    c04_no_other_attribute_finds_an_account,
    c05_a_slot_that_points_elsewhere_knows_nobody,
    c05_an_oauth2_slot_that_points_elsewhere_knows_nobody,
    c05_the_parts_of_a_key_never_run_together,
    c05_a_person_keeps_the_account_when_the_provider_moves_to_another_slot,
);

async fn c04_no_other_attribute_finds_an_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    let victim = app.browser().log_in("oidc/provider1", "ada-1").await;
    let before = app.rows().await;
    let mut accounts = vec![victim["account"]["id"].clone()];
    for (slot, sub) in [
        ("oidc/provider2", "attacker"),
        ("oidc/provider2", "ada-1"),
        ("oauth2/provider1", "attacker"),
        ("oauth2/provider1", "ada-1"),
        ("oidc/provider1", "attacker"),
        ("oidc/provider1", "ADA-1"),
        ("oidc/provider1", "ada-1 "),
    ] {
        app.realm(slot).set_person(Person::new(sub, "Ada Example"));
        let mut attacker = app.browser();
        let session = attacker.log_in(slot, sub).await;
        assert!(!accounts.contains(&session["account"]["id"]), "{slot} {sub}: {session}");
        assert_ne!(session["account"]["name"], victim["account"]["name"]);
        accounts.push(session["account"]["id"].clone());
    }
    let changes = before.changes(&app.rows().await);
    assert!(
        changes.iter().all(|change| change.starts_with('+')),
        "the victim's rows are unchanged: {changes:#?}"
    );
}

/// Adds a second realm of the same protocol whose people have the same subjects.
fn with_elsewhere(config: &mut IdpConfig) {
    let mut elsewhere = config.realms[0].clone();
    "elsewhere".clone_into(&mut elsewhere.name);
    config.realms.push(elsewhere);
}

async fn c05_a_slot_that_points_elsewhere_knows_nobody(backend: Backend) {
    let slot = "oidc/provider1";
    let mut app = TestApp::on(backend).slots(&[slot]).provider(with_elsewhere).start().await;
    let here = app.browser().log_in(slot, "ada-1").await;
    let back = app.variables["PORTICO_OIDC_PROVIDER1_DISCOVERY_URL"].clone();
    let elsewhere = app.idp.oidc("elsewhere").unwrap().discovery_url();
    app.restart(&[("OIDC_PROVIDER1_DISCOVERY_URL", Some(&elsewhere))]).await;
    let there = app.browser().log_in(slot, "ada-1").await;
    assert_ne!(here["account"]["id"], there["account"]["id"]);
    app.restart(&[("OIDC_PROVIDER1_DISCOVERY_URL", Some(&back))]).await;
    let again = app.browser().log_in(slot, "ada-1").await;
    assert_eq!(here["account"]["id"], again["account"]["id"]);
}

async fn c05_an_oauth2_slot_that_points_elsewhere_knows_nobody(backend: Backend) {
    let slot = "oauth2/provider1";
    let mut app = TestApp::on(backend).slots(&[slot]).provider(with_elsewhere).start().await;
    let here = app.browser().log_in(slot, "ada-1").await;
    let old = app.variables["PORTICO_OAUTH2_PROVIDER1_TOKEN_URL"].clone();
    let realm = app.idp.oauth2("elsewhere").unwrap();
    let [authorization, token, userinfo] =
        [realm.authorization_url(), realm.token_url(), realm.userinfo_url()];
    app.restart(&[
        ("OAUTH2_PROVIDER1_AUTHORIZATION_URL", Some(&authorization)),
        ("OAUTH2_PROVIDER1_TOKEN_URL", Some(&token)),
        ("OAUTH2_PROVIDER1_USERINFO_URL", Some(&userinfo)),
    ])
    .await;
    let there = app.browser().log_in(slot, "ada-1").await;
    assert_ne!(here["account"]["id"], there["account"]["id"]);
    // The operator declares that it is the same provider.
    app.restart(&[("OAUTH2_PROVIDER1_IDENTITY_NAMESPACE", Some(&old))]).await;
    let same = app.browser().log_in(slot, "ada-1").await;
    assert_eq!(here["account"]["id"], same["account"]["id"]);
}

async fn c05_the_parts_of_a_key_never_run_together(backend: Backend) {
    let slot = "oauth2/provider1";
    let mut app =
        TestApp::on(backend).slots(&[slot]).set("OAUTH2_PROVIDER1_IDENTITY_NAMESPACE", "a|b").start().await;
    app.realm(slot).set_person(Person::new("c", "First"));
    let first = app.browser().log_in(slot, "c").await;
    app.restart(&[("OAUTH2_PROVIDER1_IDENTITY_NAMESPACE", Some("a"))]).await;
    app.realm(slot).set_person(Person::new("b|c", "Second"));
    let second = app.browser().log_in(slot, "b|c").await;
    assert_ne!(first["account"]["id"], second["account"]["id"]);
}

async fn c05_a_person_keeps_the_account_when_the_provider_moves_to_another_slot(backend: Backend) {
    let both_callbacks = |config: &mut IdpConfig| {
        let uris = &mut config.realms[0].clients[0].redirect_uris;
        let other = uris[0].replace("provider1", "provider2");
        uris.push(other);
    };
    let mut app = TestApp::on(backend).slots(&["oidc/provider1"]).provider(both_callbacks).start().await;
    let before = app.browser().log_in("oidc/provider1", "ada-1").await;
    let variables: Vec<_> = app
        .variables
        .iter()
        .filter(|(name, _)| name.starts_with("PORTICO_OIDC_PROVIDER1_"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in variables {
        app.variables.remove(&name);
        app.variables.insert(name.replace("PROVIDER1", "PROVIDER2"), value);
    }
    app.restart(&[("SECURITY_OIDC_PROVIDERS", Some("provider2"))]).await;
    let after = app.browser().log_in("oidc/provider2", "ada-1").await;
    assert_eq!(before["account"], after["account"]);
    assert_eq!(after["idp"], "oidc/provider2");
}
