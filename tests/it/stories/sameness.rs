//! SQLite and PostgreSQL behave the same: one scenario on both has the same results.

use portico_demo_idp::Person;
use serde_json::{Value, json};

use crate::testkit::{Backend, TestApp};

#[tokio::test]
async fn both_databases_tell_the_same_story() {
    if !Backend::Postgres.is_here("stories::sameness") {
        return;
    }
    let sqlite = told(Backend::Sqlite).await;
    let postgres = told(Backend::Postgres).await;
    assert_eq!(sqlite, postgres);
    assert_eq!(sqlite.as_array().unwrap().len(), 11);
}

/// All observable results of the scenario, without random values and times.
async fn told(backend: Backend) -> Value {
    let app = TestApp::start(backend).await;
    app.local_account("\u{d6}zil B\u{fc}rger \u{1f980}", &["editor"]).await;
    app.local_account("zoe", &[]).await;
    app.local_account("ZOE", &["admin"]).await;
    let mut seen = Vec::new();
    for (sub, name) in [
        ("1", "\u{d6}zil B\u{fc}rger \u{1f980}"),
        ("2", "\u{d6}zil B\u{fc}rger \u{1f980}"),
        ("A", "Zoe"),
        ("a", "zoe"),
        ("a ", "ZOE"),
    ] {
        app.advance(1);
        app.realm("oidc/provider1").set_person(Person {
            email: Some(format!("p{}@example.com", sub.trim())),
            ..Person::new(sub, name)
        });
        let mut browser = app.browser();
        let session = browser.log_in("oidc/provider1", sub).await;
        browser.post("/auth/refresh").await.is(200);
        seen.push(json!([
            session["account"]["name"],
            session["account"]["label"],
            session["account"]["roles"],
            session["groups"]
        ]));
    }
    for account in app.accounts().await {
        let (_, identities) = app.account(&account.id.to_string()).await;
        let subjects: Vec<_> =
            identities.iter().map(|identity| identity.key.subject.as_str().to_owned()).collect();
        let session_claims =
            (account.ever_linked, account.roles, account.email.map(|email| (email.address, email.verified)));
        seen.push(json!([account.label, subjects, session_claims]));
    }
    seen.retain(|fact| !fact[0].as_str().is_some_and(|name| name.contains('-')));
    seen.into()
}
