//! The account that a login creates or finds, and the account's name.

use std::collections::BTreeSet;

use portico_demo_idp::Person;
use serde_json::{Value, json};

use crate::testkit::{Backend, TestApp, on_both_databases};

on_both_databases!(
    two_people_with_one_name_get_two_accounts,
    link_16_a_taken_name_and_a_taken_email_bring_a_suffix,
    link_17_a_taken_name_without_email_brings_a_suffix,
    an_unverified_email_is_no_name,
    a_reserved_name_brings_a_suffix,
    a_name_that_looks_like_an_address_brings_a_suffix_unless_it_is_ones_own,
    without_a_name_claim_something_else_is_the_name,
    link_21_the_same_subject_at_two_protocols_is_two_people,
    a_disabled_account_is_not_entered,
    a_deleted_account_is_not_entered_nor_made_again,
    names_are_cleaned_for_display,
);

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The account name after this person's first login at `oidc/provider1`.
async fn name_of(app: &TestApp, person: Person) -> String {
    let sub = person.sub.clone();
    app.realm("oidc/provider1").set_person(person);
    let session = app.browser().log_in("oidc/provider1", &sub).await;
    text(&session["account"]["name"]).to_owned()
}

#[track_caller]
fn assert_suffixed(name: &str, base: &str) {
    let suffix = name.strip_prefix(base).and_then(|rest| rest.strip_prefix('-'));
    assert!(suffix.is_some_and(|suffix| suffix.len() == 6), "{name:?} must be {base:?} with a suffix");
}

async fn two_people_with_one_name_get_two_accounts(backend: Backend) {
    let app = TestApp::start(backend).await;
    assert_eq!(name_of(&app, Person::new("first", "Sam Same")).await, "Sam Same");
    let other = Person { email: Some("other@example.com".to_owned()), ..Person::new("second", "Sam Same") };
    assert_eq!(name_of(&app, other).await, "other@example.com");
    let labels: Vec<_> = app.accounts().await.into_iter().map(|account| account.label).collect();
    assert_eq!(labels, ["Sam Same", "Sam Same"], "both accounts have the person's name as label");
}

async fn link_16_a_taken_name_and_a_taken_email_bring_a_suffix(backend: Backend) {
    let app = TestApp::start(backend).await;
    for (sub, expected) in [("a", "Sam Same"), ("b", "sam@example.com")] {
        assert_eq!(name_of(&app, Person::new(sub, "Sam Same")).await, expected);
    }
    let mut names = BTreeSet::new();
    for sub in ["c", "d", "e"] {
        let name = name_of(&app, Person::new(sub, "Sam Same")).await;
        assert_suffixed(&name, "Sam Same");
        assert!(names.insert(name), "suffixes must be unique");
    }
}

async fn link_17_a_taken_name_without_email_brings_a_suffix(backend: Backend) {
    let app = TestApp::start(backend).await;
    assert_eq!(name_of(&app, Person::new("a", "Sam Same")).await, "Sam Same");
    let mute = Person { email: None, ..Person::new("b", "Sam Same") };
    assert_suffixed(&name_of(&app, mute).await, "Sam Same");
}

async fn an_unverified_email_is_no_name(backend: Backend) {
    let app = TestApp::start(backend).await;
    assert_eq!(name_of(&app, Person::new("a", "Sam Same")).await, "Sam Same");
    let boaster = Person {
        email: Some("ceo@example.com".to_owned()),
        email_verified: false,
        ..Person::new("b", "Sam Same")
    };
    assert_suffixed(&name_of(&app, boaster).await, "Sam Same");
    assert!(app.accounts().await.iter().all(|account| account.name != "ceo@example.com"));
}

async fn a_reserved_name_brings_a_suffix(backend: Backend) {
    let app = TestApp::on(backend).set("SECURITY_RESERVED_NAMES", "admin, Operator").start().await;
    for (sub, name) in [("a", "admin"), ("b", "ADMIN"), ("c", "operator")] {
        let person = Person { email: None, ..Person::new(sub, name) };
        assert_suffixed(&name_of(&app, person).await, name);
    }
    let person = Person { email: None, ..Person::new("d", "root") };
    assert_eq!(name_of(&app, person).await, "root", "the operator's list replaces the default");
}

async fn a_name_that_looks_like_an_address_brings_a_suffix_unless_it_is_ones_own(backend: Backend) {
    let app = TestApp::start(backend).await;
    let with = |sub: &str, name: &str, email: &str, email_verified: bool| Person {
        name: Some(name.to_owned()),
        email: Some(email.to_owned()),
        email_verified,
        ..Person::new(sub, name)
    };
    assert_suffixed(
        &name_of(&app, with("a", "ceo@example.com", "a@example.com", true)).await,
        "ceo@example.com",
    );
    assert_suffixed(
        &name_of(&app, with("b", "ceo@example.com", "ceo@example.com", false)).await,
        "ceo@example.com",
    );
    assert_eq!(name_of(&app, with("c", "ceo@example.com", "ceo@example.com", true)).await, "ceo@example.com");
}

async fn without_a_name_claim_something_else_is_the_name(backend: Backend) {
    let app = TestApp::start(backend).await;
    let nameless = |sub: &str| Person { name: None, ..Person::new(sub, "Eve Example") };
    assert_eq!(name_of(&app, nameless("a")).await, "eve@example.com");
    let unverified = Person { email_verified: false, ..nameless("b") };
    assert_eq!(name_of(&app, unverified).await, "eve");
    let bare = Person { email: None, preferred_username: None, ..nameless("subject-c") };
    assert_eq!(name_of(&app, bare).await, "subject-c");
}

async fn link_21_the_same_subject_at_two_protocols_is_two_people(backend: Backend) {
    let app = TestApp::start(backend).await;
    let oidc = app.browser().log_in("oidc/provider1", "ada-1").await;
    let oauth2 = app.browser().log_in("oauth2/provider1", "ada-1").await;
    assert_ne!(oidc["account"]["id"], oauth2["account"]["id"]);
    let (_, identities) = app.account(text(&oidc["account"]["id"])).await;
    assert_eq!(identities[0].key.issuer, app.realm("oidc/provider1").issuer());
    let (_, identities) = app.account(text(&oauth2["account"]["id"])).await;
    assert_eq!(identities[0].key.issuer, app.realm("oauth2/provider1").token_url());
}

async fn a_disabled_account_is_not_entered(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut inside = app.browser();
    inside.log_in("oidc/provider1", "ada-1").await;
    app.set_status("Ada Example", "disabled").await;
    let before = app.rows().await;
    let mut browser = app.browser();
    browser.try_to_log_in("oidc/provider1", "ada-1").await.refused(403, "account_disabled");
    before.assert_same(&app.rows().await);
    inside.post("/auth/refresh").await.refused(403, "account_disabled");
    app.advance(1);
    app.set_status("Ada Example", "active").await;
    browser.log_in("oidc/provider1", "ada-1").await;
    assert_eq!(app.accounts().await.len(), 1);
}

async fn a_deleted_account_is_not_entered_nor_made_again(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.browser().log_in("oidc/provider1", "ada-1").await;
    app.set_status("Ada Example", "deleted").await;
    let before = app.rows().await;
    app.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(403, "account_disabled");
    before.assert_same(&app.rows().await);
    assert_eq!(app.audited("login_failed").await, 1);
}

async fn names_are_cleaned_for_display(backend: Backend) {
    let app = TestApp::start(backend).await;
    let odd = "  Zo\u{65}\u{301}\u{200b}\u{202e} <b>\u{7}Example\r\n ";
    assert_eq!(
        name_of(&app, Person { name: Some(odd.to_owned()), ..Person::new("a", "x") }).await,
        "Zo\u{e9} <b>Example"
    );
    let long = "n".repeat(10_000);
    let name = name_of(&app, Person { name: Some(long), ..Person::new("b", "x") }).await;
    assert_eq!(name, "n".repeat(128));
    let session = app.browser().log_in("oidc/provider1", "a").await;
    assert_eq!(session["account"]["label"], json!("Zo\u{e9} <b>Example"));
}
