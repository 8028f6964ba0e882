//! Logins: the rows that are written, and the guards of the transaction.

use portico_core::account::{AccountStatus, Decision};
use portico_core::claims::Email;
use portico_core::clock::Entropy;
use portico_core::session::SessionId;
use portico_core::store::Committed;
use serde_json::json;

use crate::bench::{Bench, NOON, after, on_bench};
use crate::people::{Person, Visit, ada};

on_both_databases!(
    on_bench;
    a_first_login_writes_everything,
    a_known_person_enters,
    a_login_without_an_email_keeps_the_last_one,
    only_an_active_account_is_entered,
    an_identity_that_moved_is_a_conflict,
    the_first_free_name_is_taken,
    a_known_identity_creates_nothing,
    m02_subjects_are_exact_bytes,
    a_local_account_is_adopted,
    adoption_ends_older_sessions,
    only_a_fit_account_is_adopted,
    a_replaced_session_ends,
    a_taken_identifier_is_a_conflict,
    whatever_a_provider_says_can_be_kept,
);

async fn a_first_login_writes_everything(bench: &Bench) {
    let person =
        ada().with("groups", json!(["staff"])).with("sid", "idp-session").with("amr", json!(["pwd"]));
    let visit = Visit::creating(&person, &["Ada", "ada@example.com"]);
    let entry = visit.succeeds(&*bench.store).await;
    let account = &entry.account;
    assert_eq!(
        (account.id, account.name.as_str(), account.label.as_str()),
        (visit.new_account, "Ada", "Ada")
    );
    assert_eq!(account.email, Some(Email { address: "ada@example.com".to_owned(), verified: Some(true) }));
    assert_eq!(account.status, AccountStatus::Active);
    assert!(account.ever_linked && account.roles.is_empty());
    assert_eq!((account.created_at, account.last_login_at), (NOON, Some(NOON)));
    let session = &entry.session;
    assert_eq!(
        (session.id, session.account, session.slot),
        (visit.session.id, account.id, Some(visit.claims.slot()))
    );
    assert_eq!(&session.session_claims, visit.claims.session_claims());
    assert_eq!((session.created_at, session.last_used_at, session.revoked_at), (NOON, NOON, None));
    assert_eq!(session.expires_at, visit.session.expires_at);
    let found = bench.store.find_session(session.id).await.unwrap().unwrap();
    assert_eq!((&found.session, &found.account), (session, account));
    assert_eq!(bench.store.find_refresh(&visit.token.hash()).await.unwrap(), Some(session.id));
    assert_eq!(bench.database.events().await, ["account_created", "identity_linked", "login_succeeded"]);
    let audited =
        "outcome = 'success' AND slot = 'oidc/provider1' AND request_id = 'request-1' AND ip = '192.0.2.7'";
    assert_eq!(bench.database.count("audit_events", audited).await, 3);
    let stored = "ip = '192.0.2.7' AND user_agent = 'A browser' AND idp_sid = 'idp-session' \
        AND issuer = 'https://idp.example.com' AND identity_id IS NOT NULL";
    assert_eq!(bench.database.count("sessions", stored).await, 1);
}

async fn a_known_person_enters(bench: &Bench) {
    let first = bench.newcomer(ada()).await;
    let married =
        ada().with("name", "Ada Married").with("email", "new@example.com").with("email_verified", false);
    let visit = Visit::new(&married, Decision::Use(first.new_account)).at(after(60));
    let entry = visit.succeeds(&*bench.store).await;
    assert_eq!(entry.account.id, first.new_account);
    assert_eq!((entry.account.name.as_str(), entry.account.label.as_str()), ("Ada", "Ada Married"));
    assert_eq!(
        entry.account.email,
        Some(Email { address: "new@example.com".to_owned(), verified: Some(false) })
    );
    assert_eq!((entry.account.created_at, entry.account.last_login_at), (NOON, Some(after(60))));
    let identity = "last_login_at = 1800000060 AND linked_at = 1800000000 AND email = 'new@example.com'";
    assert_eq!(bench.database.count("identities", identity).await, 1);
    assert_eq!(bench.database.count("identities", "1 = 1").await, 1);
    assert!(!bench.is_revoked(first.session.id).await, "the session of another browser stays live");
    assert_eq!(bench.database.events().await.last().unwrap(), "login_succeeded");
}

async fn a_login_without_an_email_keeps_the_last_one(bench: &Bench) {
    let first = bench.newcomer(ada()).await;
    let without_email = Visit::new(&Person::new("ada-1"), Decision::Use(first.new_account));
    let account = without_email.succeeds(&*bench.store).await.account;
    assert_eq!(account.email, Some(Email { address: "ada@example.com".to_owned(), verified: Some(true) }));
    assert_eq!(account.label, "Ada");
    let unverified = Person::new("ada-1").with("email", "ada@example.com");
    let account =
        Visit::new(&unverified, Decision::Use(first.new_account)).succeeds(&*bench.store).await.account;
    assert_eq!(account.email, Some(Email { address: "ada@example.com".to_owned(), verified: None }));
}

async fn only_an_active_account_is_entered(bench: &Bench) {
    let first = bench.newcomer(ada()).await;
    for status in [AccountStatus::Disabled, AccountStatus::Deleted] {
        bench.set_status(first.new_account, status).await;
        bench.conflicts(&Visit::new(&ada(), Decision::Use(first.new_account))).await;
    }
    bench.set_status(first.new_account, AccountStatus::Active).await;
    Visit::new(&ada(), Decision::Use(first.new_account)).succeeds(&*bench.store).await;
}

async fn an_identity_that_moved_is_a_conflict(bench: &Bench) {
    let first = bench.newcomer(ada()).await;
    let other = bench.local("Other", &[]).await;
    bench.conflicts(&Visit::new(&ada(), Decision::Use(other))).await;
    let other_id = bench.id(other.0);
    let transfer = format!(
        "UPDATE accounts SET ever_linked_at = 0 WHERE id = {other_id}; \
         UPDATE identities SET account_id = {other_id}"
    );
    bench.database.execute(&transfer).await.unwrap();
    bench.conflicts(&Visit::new(&ada(), Decision::Use(first.new_account))).await;
    Visit::new(&ada(), Decision::Use(other)).succeeds(&*bench.store).await;
    bench.database.execute("DELETE FROM identities").await.unwrap();
    bench.conflicts(&Visit::new(&ada(), Decision::Use(other))).await;
    assert!(
        bench.store.find_session(first.session.id).await.unwrap().is_some(),
        "sessions outlive their identity"
    );
}

async fn the_first_free_name_is_taken(bench: &Bench) {
    let names = ["Ada", "ada@example.com", "Ada-x"];
    for (sub, name) in [("1", names[0]), ("2", names[1]), ("3", names[2])] {
        let visit = Visit::creating(&Person::new(sub).with("name", "Ada"), &names);
        let account = visit.succeeds(&*bench.store).await.account;
        assert_eq!((account.name.as_str(), account.label.as_str()), (name, "Ada"));
    }
    bench.conflicts(&Visit::creating(&Person::new("4"), &names)).await;
    bench.conflicts(&Visit::creating(&Person::new("4"), &[])).await;
    let nameless = Visit::creating(&Person::new("4"), &["subject"]).succeeds(&*bench.store).await.account;
    assert_eq!((nameless.label.as_str(), nameless.email), ("subject", None));
}

async fn a_known_identity_creates_nothing(bench: &Bench) {
    bench.newcomer(ada()).await;
    bench.conflicts(&Visit::creating(&ada(), &["Free"])).await;
    Visit::creating(&Person::new("ada-2"), &["Free"]).succeeds(&*bench.store).await;
}

async fn m02_subjects_are_exact_bytes(bench: &Bench) {
    let subjects = ["a", "A", "a ", " a", "\u{e1}", "a\u{301}", "1", "01", "1.0", "%", "a_", "'"];
    for (number, sub) in subjects.into_iter().enumerate() {
        let name = number.to_string();
        let visit = Visit::creating(&Person::new(sub), &[&name]);
        let identity = visit.claims.identity();
        assert_eq!(bench.store.find_candidates(identity, None).await.unwrap().by_identity, None, "{sub:?}");
        let account = visit.succeeds(&*bench.store).await.account;
        let found = bench.store.find_candidates(identity, None).await.unwrap();
        assert_eq!(found.by_identity.map(|found| found.id), Some(account.id), "{sub:?}");
    }
}

async fn a_local_account_is_adopted(bench: &Bench) {
    let local = bench.local("Ada", &["editor"]).await;
    let visit = Visit::new(&ada(), Decision::Adopt(local)).at(after(60));
    let account = visit.succeeds(&*bench.store).await.account;
    assert_eq!((account.id, account.name.as_str(), account.label.as_str()), (local, "Ada", "Ada"));
    assert!(account.ever_linked);
    assert_eq!(account.roles, ["editor"]);
    assert_eq!((account.created_at, account.last_login_at), (NOON, Some(after(60))));
    let expected = ["account_created", "account_adopted", "identity_linked", "login_succeeded"];
    assert_eq!(bench.database.events().await, expected);
    let found = bench.store.find_candidates(visit.claims.identity(), Some("Ada")).await.unwrap();
    assert_eq!(found.by_identity, found.by_name);
    assert_eq!(found.by_name.map(|account| account.id), Some(local));
}

async fn adoption_ends_older_sessions(bench: &Bench) {
    let local = bench.local("Ada", &[]).await;
    let other = bench.newcomer(Person::new("other")).await;
    // A session of a local account, as a break-glass code starts one.
    let planted = format!(
        "INSERT INTO sessions (id, account_id, slot, issuer, facts, created_at, last_used_at, expires_at) \
         SELECT {}, {}, slot, issuer, facts, created_at, last_used_at, expires_at FROM sessions",
        bench.id(Entropy.id(NOON)),
        bench.id(local.0)
    );
    bench.database.execute(&planted).await.unwrap();
    let visit = Visit::new(&ada(), Decision::Adopt(local)).at(after(60));
    visit.succeeds(&*bench.store).await;
    assert_eq!(bench.database.count("sessions", "revoked_at = 1800000060").await, 1);
    assert!(!bench.is_revoked(visit.session.id).await);
    assert!(!bench.is_revoked(other.session.id).await);
    assert!(bench.database.events().await.contains(&"session_revoked account_adopted".to_owned()));
}

async fn only_a_fit_account_is_adopted(bench: &Bench) {
    let adoptable = bench.local("Fit", &["editor"]).await;
    let privileged = bench.local("Boss", &["editor", "admin"]).await;
    let linked = bench.newcomer(Person::new("other")).await.new_account;
    bench.database.execute("DELETE FROM identities").await.unwrap();
    bench.conflicts(&Visit::new(&ada(), Decision::Adopt(privileged))).await;
    bench.conflicts(&Visit::new(&ada(), Decision::Adopt(linked))).await;
    for status in [AccountStatus::Disabled, AccountStatus::Deleted] {
        bench.set_status(adoptable, status).await;
        bench.conflicts(&Visit::new(&ada(), Decision::Adopt(adoptable))).await;
    }
    bench.set_status(adoptable, AccountStatus::Active).await;
    Visit::creating(&ada(), &["Somewhere else"]).succeeds(&*bench.store).await;
    bench.conflicts(&Visit::new(&ada(), Decision::Adopt(adoptable))).await;
    Visit::new(&Person::new("ada-2"), Decision::Adopt(adoptable)).succeeds(&*bench.store).await;
    bench.conflicts(&Visit::new(&Person::new("ada-3"), Decision::Adopt(adoptable))).await;
}

async fn a_replaced_session_ends(bench: &Bench) {
    let first = bench.newcomer(ada()).await;
    let other_browser = Visit::new(&ada(), Decision::Use(first.new_account));
    other_browser.succeeds(&*bench.store).await;
    let replacing = |session| {
        let mut visit = Visit::new(&ada(), Decision::Use(first.new_account)).at(after(60));
        visit.browser = Some(session);
        visit
    };
    replacing(first.session.id).succeeds(&*bench.store).await;
    assert!(bench.is_revoked(first.session.id).await);
    assert!(!bench.is_revoked(other_browser.session.id).await);
    let ends = "event = 'session_revoked' AND reason = 'replaced'";
    assert_eq!(bench.database.count("audit_events", ends).await, 1);
    replacing(first.session.id).succeeds(&*bench.store).await;
    replacing(SessionId(Entropy.id(NOON))).succeeds(&*bench.store).await;
    assert_eq!(
        bench.database.count("audit_events", ends).await,
        1,
        "a revoked or unknown session does not end again"
    );
}

async fn a_taken_identifier_is_a_conflict(bench: &Bench) {
    let first = bench.newcomer(ada()).await;
    let fresh = || Visit::creating(&Person::new("ada-2"), &["Free"]);
    bench.conflicts(&Visit { new_account: first.new_account, ..fresh() }).await;
    bench.conflicts(&Visit { new_identity: first.new_identity, ..fresh() }).await;
    bench.conflicts(&Visit { session: first.session.clone(), ..fresh() }).await;
    assert!(matches!(fresh().commit_login(&*bench.store).await, Committed::Done(_)));
}

async fn whatever_a_provider_says_can_be_kept(bench: &Bench) {
    let groups = json!(["nul \0", "quote \" ' \\", "\u{1f}\u{7f}\u{1f980}", "line\nline", "\u{fffe}"]);
    let person = ada().with("groups", groups).with("sid", "nul \0").with("acr", "\0");
    let visit = Visit::creating(&person, &["Ada"]);
    let entry = visit.succeeds(&*bench.store).await;
    assert_eq!(&entry.session.session_claims, visit.claims.session_claims());
    assert_eq!(entry.session.session_claims.groups.as_ref().unwrap().len(), 5);
}
