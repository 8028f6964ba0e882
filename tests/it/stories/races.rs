//! Concurrent logins, links and refreshes.

use std::time::Duration;

use futures_util::future::join_all;
use portico_demo_idp::Person;
use portico_demo_idp::knobs::Gate;
use url::Url;

use crate::testkit::{Answer, Backend, Browser, TestApp, on_both_databases};

on_both_databases!(
    link_12_two_parallel_first_logins_of_one_person_make_one_account,
    link_11_two_parallel_first_logins_of_one_name_adopt_once,
    h04_many_parallel_first_logins_of_one_name_make_as_many_accounts,
    link_22_two_accounts_that_link_one_identity_at_once_leave_it_to_one,
);

/// Runs all callbacks concurrently. The token endpoint answers none of them before it has received all.
async fn at_once(app: &TestApp, slot: &str, logins: Vec<(Browser, Url)>) -> Vec<(Browser, Answer)> {
    let gate = Gate::new();
    app.realm(slot).knobs(|knobs| knobs.token.answer.gate = Some(gate.clone()));
    let count = logins.len();
    let finishing = join_all(logins.into_iter().map(|(mut browser, callback)| async move {
        let answer = browser.callback(&callback).await;
        (browser, answer)
    }));
    let opening = async {
        let all = gate.wait_for_arrivals(count, Duration::from_secs(20)).await;
        gate.open();
        assert!(all, "all requests must reach the token endpoint");
    };
    let (finished, ()) = futures_util::join!(finishing, opening);
    app.be_honest(slot);
    finished
}

async fn begin(app: &TestApp, slot: &str, people: &[&str]) -> Vec<(Browser, Url)> {
    let mut begun = Vec::new();
    for person in people {
        let mut browser = app.browser();
        let callback = browser.reach_callback(slot, person).await;
        begun.push((browser, callback));
    }
    begun
}

async fn link_12_two_parallel_first_logins_of_one_person_make_one_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    for (slot, copies) in [("oidc/provider1", 2), ("oauth2/provider1", 12)] {
        let logins = begin(&app, slot, &vec!["ada-1"; copies]).await;
        let mut accounts = Vec::new();
        for (mut browser, answer) in at_once(&app, slot, logins).await {
            answer.is(303);
            accounts.push(browser.who().await["account"]["id"].as_str().unwrap().to_owned());
        }
        accounts.dedup();
        assert_eq!(accounts.len(), 1, "all sessions belong to one account");
        let (_, identities) = app.account(&accounts[0]).await;
        assert_eq!(identities.len(), 1);
    }
    assert_eq!(app.accounts().await.len(), 2);
    assert_eq!(app.audited("account_created").await, 2);
    assert_eq!(app.audited("login_succeeded").await, 14);
}

async fn link_11_two_parallel_first_logins_of_one_name_adopt_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("Sam Same", &[]).await.to_string();
    let people = ["s-1", "s-2"];
    for sub in people {
        let email = Some(format!("{sub}@example.com"));
        app.realm("oidc/provider1").set_person(Person { email, ..Person::new(sub, "Sam Same") });
    }
    let logins = begin(&app, "oidc/provider1", &people).await;
    let mut adopted = 0;
    for (mut browser, answer) in at_once(&app, "oidc/provider1", logins).await {
        answer.is(303);
        adopted += usize::from(browser.who().await["account"]["id"] == local);
    }
    assert_eq!(adopted, 1, "one login adopts the account, the other creates one");
    assert_eq!(app.accounts().await.len(), 2);
    assert_eq!(app.audited("account_adopted").await, 1);
}

async fn h04_many_parallel_first_logins_of_one_name_make_as_many_accounts(backend: Backend) {
    let app = TestApp::start(backend).await;
    let people: Vec<_> = (0..12).map(|number| format!("s-{number}")).collect();
    for sub in &people {
        app.realm("oidc/provider1").set_person(Person::new(sub, "Sam Same"));
    }
    let people: Vec<_> = people.iter().map(String::as_str).collect();
    let logins = begin(&app, "oidc/provider1", &people).await;
    for (_, answer) in at_once(&app, "oidc/provider1", logins).await {
        assert!(answer.status == 303, "a login must not fail because of a name: {answer:?}");
    }
    let accounts = app.accounts().await;
    let mut names: Vec<_> = accounts.iter().map(|account| account.name.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 12, "{names:?}");
    assert!(names.contains(&"Sam Same".to_owned()) && names.contains(&"sam@example.com".to_owned()));
    assert_eq!(app.database.count("identities", "1 = 1").await, 12, "each account has one identity");
}

async fn link_22_two_accounts_that_link_one_identity_at_once_leave_it_to_one(backend: Backend) {
    let app = TestApp::start(backend).await;
    let slot = "oauth2/provider1";
    let mut links = Vec::new();
    for person in ["ada-1", "chidi-3"] {
        let mut browser = app.browser();
        browser.log_in("oidc/provider1", person).await;
        let begun = browser.post(&format!("/auth/{slot}/link")).await;
        let location = begun.is(200).json()["location"].as_str().unwrap().parse().unwrap();
        let callback = browser.choose(&location, "bruno-2").await;
        links.push((browser, callback));
    }
    let mut statuses = Vec::new();
    for (mut browser, answer) in at_once(&app, slot, links).await {
        let listed = browser.fetch("/auth/identities").await.json();
        let count = listed["identities"].as_array().unwrap().len();
        assert_eq!(count, if answer.status == 303 { 2 } else { 1 }, "{answer:?}");
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409]);
    assert_eq!(app.accounts().await.len(), 2);
}
