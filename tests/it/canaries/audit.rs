//! M32, L07: the audit trail records each request, and no personal data.

use std::collections::BTreeSet;

use portico_demo_idp::Person;

use crate::testkit::{Backend, Browser, TestApp, on_both_databases};

on_both_databases!(
    m32_each_thing_that_happens_is_recorded_with_who_asked_and_from_where,
    l07_the_trail_names_nobody,
);

const SLOT: &str = "oidc/provider1";
const OTHER: &str = "oauth2/provider1";

async fn link(browser: &mut Browser, person: &str) -> u16 {
    let begun = browser.post(&format!("/auth/{OTHER}/link?return_to=/settings")).await;
    let location = begun.is(200).json()["location"].as_str().unwrap().parse().unwrap();
    let callback = browser.choose(&location, person).await;
    browser.callback(&callback).await.status
}

/// Causes each audited event at least once.
async fn cause_events(app: &TestApp) {
    app.local_account("Ada Example", &[]).await;
    let mut ada = app.browser();
    ada.log_in(SLOT, "ada-1").await;
    app.browser().log_in(OTHER, "bruno-2").await;
    assert_eq!(link(&mut ada, "bruno-2").await, 409);
    assert_eq!(link(&mut ada, "chidi-3").await, 303);
    let listed = ada.fetch("/auth/identities").await.json();
    let id = listed["identities"][1]["id"].as_str().unwrap().to_owned();
    let request = ada.proven("DELETE", &format!("/auth/identities/{id}"));
    assert!(ada.send(request).await.status < 300);
    app.realm(SLOT).knobs(|knobs| {
        knobs.id_token.claims.set("nonce", "wrong");
    });
    ada.try_to_log_in(SLOT, "ada-1").await.is(401);
    app.be_honest(SLOT);
    let stolen = ada.jar.clone();
    ada.post("/auth/refresh").await.is(200);
    app.advance(60);
    let mut thief = app.browser();
    thief.jar = stolen;
    thief.post("/auth/refresh").await.is(401);
    let mut again = app.browser();
    again.log_in(SLOT, "ada-1").await;
    again.post("/auth/logout").await.is(200);
}

async fn m32_each_thing_that_happens_is_recorded_with_who_asked_and_from_where(backend: Backend) {
    let app = TestApp::start(backend).await;
    cause_events(&app).await;
    for (event, outcome, times) in [
        ("login_succeeded", "success", 3),
        ("login_failed", "failure", 2),
        ("account_created", "success", 2),
        ("account_adopted", "success", 1),
        ("identity_linked", "success", 3),
        ("identity_unlinked", "success", 1),
        ("refresh_reused", "success", 1),
        ("logout", "success", 1),
    ] {
        let found =
            app.database.count("audit_events", &format!("event = '{event}' AND outcome = '{outcome}'")).await;
        assert_eq!(found, times, "{event}");
    }
    // Each event has its request; a failure has its reason.
    let local = "event = 'account_created' AND reason = 'operator'";
    let count = async |condition: &str| {
        app.database.count("audit_events", &format!("NOT ({local}) AND ({condition})")).await
    };
    assert_eq!(count("request_id IS NULL OR ip IS NULL OR ip <> '127.0.0.1'").await, 0);
    assert_eq!(count("event = 'login_failed' AND (reason IS NULL OR slot IS NULL)").await, 0);
    assert_eq!(count("event <> 'login_failed' AND account_id IS NULL").await, 0);
    let reasons = app.database.texts("SELECT reason FROM audit_events WHERE event = 'login_failed'").await;
    let reasons: BTreeSet<_> = reasons.iter().map(String::as_str).collect();
    assert_eq!(reasons, BTreeSet::from(["identity_conflict", "idp_token_invalid"]));
}

async fn l07_the_trail_names_nobody(backend: Backend) {
    let app = TestApp::start(backend).await;
    cause_events(&app).await;
    let everything = app.database.everything().await;
    let trail: Vec<_> = everything.lines().filter(|line| line.starts_with("audit_events: ")).collect();
    assert!(trail.len() > 10, "{everything}");
    assert!(everything.contains("Bruno Beispiel"), "the dump has the names of accounts");
    for person in Person::examples() {
        let (name, email) = (person.name.unwrap(), person.email.unwrap());
        for personal in [&name, &email, &person.sub] {
            let named = trail.iter().find(|line| line.to_lowercase().contains(&personal.to_lowercase()));
            assert!(named.is_none(), "{personal}: {named:?}");
        }
    }
}
