//! Account changes by operators and users: status, grants, merges, linked identities.

use portico_core::account::{AccountId, AccountStatus, Decision};
use portico_core::clock::Entropy;
use portico_core::session::SessionId;
use portico_core::store::{
    AccountChange, AccountChanged, Committed, CommittedLogin, Grant, Merged, SessionSelection, Unlinked,
};

use crate::bench::{Bench, NOON, after, event, on_bench};
use crate::people::{Person, Visit, ada};

on_both_databases!(
    on_bench;
    a_disabled_account_is_out_at_once,
    a_deleted_account_keeps_its_identities_until_they_are_released,
    grants_are_given_and_taken,
    a_merge_moves_identities_and_grants,
    an_unfit_merge_moves_nothing,
    an_identity_is_unlinked_with_its_sessions,
    only_an_active_account_is_unlinked,
    of_two_unlinkings_at_once_one_is_refused,
    an_identity_is_linked_within_a_live_session,
    only_a_fit_session_links,
    a_link_and_a_login_of_one_identity_do_not_both_win,
    a_default_group_is_granted_at_a_first_login,
);

pub fn work() -> Person {
    Person::new("work-7").with("name", "Ada at work")
}

pub async fn change(bench: &Bench, account: AccountId, change: AccountChange) -> AccountChanged {
    bench.store.change_account(account, &change, &event("account_disabled", after(60))).await.unwrap()
}

/// Links a second identity to the account of this visit.
pub async fn link(bench: &Bench, visit: &Visit, person: &Person) -> CommittedLogin {
    let link =
        Visit { browser: Some(visit.session.id), ..Visit::new(person, Decision::Link(visit.new_account)) };
    match link.commit_login(&*bench.store).await {
        Committed::Done(written) => *written,
        Committed::Conflict => panic!("the link conflicts"),
    }
}

async fn a_disabled_account_is_out_at_once(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let other = Visit::creating(&Person::new("other"), &["Other"]);
    other.succeeds(&*bench.store).await;
    let AccountChanged::Done(account) = change(bench, visit.new_account, AccountChange::Disable).await else {
        panic!("done")
    };
    assert_eq!(account.status, AccountStatus::Disabled);
    assert!(bench.is_revoked(visit.session.id).await && !bench.is_revoked(other.session.id).await);
    let before = bench.rows().await;
    assert!(matches!(
        change(bench, visit.new_account, AccountChange::Disable).await,
        AccountChanged::Unchanged(_)
    ));
    assert!(matches!(
        change(bench, visit.new_account, AccountChange::Release).await,
        AccountChanged::Unchanged(_)
    ));
    assert_eq!(
        change(bench, AccountId(Entropy.id(NOON)), AccountChange::Disable).await,
        AccountChanged::Unknown
    );
    assert_eq!(bench.rows().await, before, "nothing is written");
    let AccountChanged::Done(account) = change(bench, visit.new_account, AccountChange::Enable).await else {
        panic!("done")
    };
    assert_eq!(account.status, AccountStatus::Active);
    assert!(bench.is_revoked(visit.session.id).await, "the session stays revoked");
}

async fn a_deleted_account_keeps_its_identities_until_they_are_released(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    assert!(matches!(change(bench, visit.new_account, AccountChange::Delete).await, AccountChanged::Done(_)));
    assert!(bench.is_revoked(visit.session.id).await);
    assert!(
        matches!(change(bench, visit.new_account, AccountChange::Enable).await, AccountChanged::Unchanged(_)),
        "deletion is final"
    );
    let found = bench.store.find_candidates(visit.claims.identity(), None).await.unwrap();
    assert_eq!(
        found.by_identity.map(|account| account.status),
        Some(AccountStatus::Deleted),
        "the identity is a tombstone"
    );
    assert!(matches!(
        change(bench, visit.new_account, AccountChange::Release).await,
        AccountChanged::Done(_)
    ));
    let found = bench.store.find_candidates(visit.claims.identity(), None).await.unwrap();
    assert_eq!(found.by_identity, None);
    let account = bench.account(visit.new_account).await;
    assert!(account.ever_linked && account.status == AccountStatus::Deleted);
    bench.conflicts(&Visit::new(&ada(), Decision::Adopt(visit.new_account))).await;
    let again = Visit::creating(&ada(), &["Ada", "Ada again"]).succeeds(&*bench.store).await;
    assert_eq!(again.account.name, "Ada again");
}

async fn grants_are_given_and_taken(bench: &Bench) {
    let id = bench.local("Ada", &["editor"]).await;
    let role = |name: &str| Grant::Role(name.to_owned());
    let group = || Grant::Group("staff".to_owned());
    for (what, done) in [
        (AccountChange::Grant(role("admin")), true),
        (AccountChange::Grant(role("admin")), false),
        (AccountChange::Grant(group()), true),
        (AccountChange::Revoke(role("editor")), true),
        (AccountChange::Revoke(role("editor")), false),
        (AccountChange::Revoke(role("Admin")), false),
    ] {
        assert_eq!(
            matches!(change(bench, id, what.clone()).await, AccountChanged::Done(_)),
            done,
            "{what:?}"
        );
    }
    let account = bench.account(id).await;
    assert_eq!((account.roles, account.groups), (vec!["admin".to_owned()], vec!["staff".to_owned()]));
    assert!(matches!(change(bench, id, AccountChange::Revoke(group())).await, AccountChanged::Done(_)));
    bench.set_status(id, AccountStatus::Deleted).await;
    assert!(matches!(
        change(bench, id, AccountChange::Grant(role("late"))).await,
        AccountChanged::Unchanged(_)
    ));
}

async fn a_merge_moves_identities_and_grants(bench: &Bench) {
    let from = bench.newcomer(ada()).await;
    change(bench, from.new_account, AccountChange::Grant(Grant::Role("editor".to_owned()))).await;
    change(bench, from.new_account, AccountChange::Grant(Grant::Group("staff".to_owned()))).await;
    let into = bench.local("Ada before", &["editor", "admin"]).await;
    let merged = event("account_merged", after(60)).about(into);
    let Merged::Done(account) = bench.store.merge_accounts(from.new_account, into, &merged).await.unwrap()
    else {
        panic!("merged")
    };
    assert_eq!((account.id, account.ever_linked), (into, true));
    assert_eq!(
        (account.roles, account.groups),
        (vec!["admin".to_owned(), "editor".to_owned()], vec!["staff".to_owned()])
    );
    let found = bench.store.find_candidates(from.claims.identity(), None).await.unwrap();
    assert_eq!(found.by_identity.map(|account| account.id), Some(into));
    let gone = bench.account(from.new_account).await;
    assert_eq!((gone.status, gone.roles.len(), gone.groups.len()), (AccountStatus::Deleted, 0, 0));
    assert!(bench.is_revoked(from.session.id).await);
    bench.conflicts(&Visit::new(&ada(), Decision::Use(from.new_account))).await;
    Visit::new(&ada(), Decision::Use(into)).succeeds(&*bench.store).await;
}

async fn an_unfit_merge_moves_nothing(bench: &Bench) {
    let ada = bench.newcomer(ada()).await.new_account;
    let other = bench.local("Other", &[]).await;
    let merge = async |from, into| {
        bench.store.merge_accounts(from, into, &event("account_merged", after(60))).await.unwrap()
    };
    let before = bench.rows().await;
    assert_eq!(merge(ada, ada).await, Merged::Refused);
    assert_eq!(merge(ada, AccountId(Entropy.id(NOON))).await, Merged::Unknown);
    assert_eq!(merge(AccountId(Entropy.id(NOON)), ada).await, Merged::Unknown);
    assert_eq!(bench.rows().await, before);
    for status in [AccountStatus::Disabled, AccountStatus::Deleted] {
        bench.set_status(other, status).await;
        assert_eq!(merge(ada, other).await, Merged::Refused, "{status:?}");
    }
    assert_eq!(merge(other, ada).await, Merged::Refused, "deleted");
    assert_eq!(bench.account(ada).await.status, AccountStatus::Active);
    bench.set_status(other, AccountStatus::Active).await;
    assert!(matches!(merge(ada, other).await, Merged::Done(_)), "an active target accepts the merge");
}

async fn an_identity_is_unlinked_with_its_sessions(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let unlink = async |account, identity| {
        bench.store.unlink_identity(account, identity, &event("identity_unlinked", after(60))).await.unwrap()
    };
    let before = bench.rows().await;
    assert_eq!(unlink(visit.new_account, visit.new_identity).await, Unlinked::Last);
    assert_eq!(unlink(visit.new_account, Entropy.id(NOON)).await, Unlinked::Unknown);
    let stranger = bench.local("Stranger", &[]).await;
    assert_eq!(unlink(stranger, visit.new_identity).await, Unlinked::Unknown);
    change(bench, stranger, AccountChange::Delete).await;
    assert_ne!(bench.rows().await, before);
    link(bench, &visit, &work()).await;
    let at_work = Visit::new(&work(), Decision::Use(visit.new_account)).succeeds(&*bench.store).await;
    assert_eq!(unlink(visit.new_account, visit.new_identity).await, Unlinked::Done);
    assert!(bench.is_revoked(visit.session.id).await, "the session started with that identity");
    assert!(!bench.is_revoked(at_work.session.id).await);
    assert!(bench.account(visit.new_account).await.ever_linked);
    let found = bench.store.find_candidates(visit.claims.identity(), None).await.unwrap();
    assert_eq!(found.by_identity, None);
}

/// A user whose session is still cached cannot unlink an identity of a disabled account and register with it
/// again.
async fn only_an_active_account_is_unlinked(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    link(bench, &visit, &work()).await;
    let unlink = async || {
        let audited = event("identity_unlinked", after(60));
        bench.store.unlink_identity(visit.new_account, visit.new_identity, &audited).await.unwrap()
    };
    for status in [AccountStatus::Disabled, AccountStatus::Deleted] {
        bench.set_status(visit.new_account, status).await;
        let before = bench.rows().await;
        assert_eq!(unlink().await, Unlinked::Unknown, "{status:?}");
        assert_eq!(bench.rows().await, before);
    }
    bench.set_status(visit.new_account, AccountStatus::Active).await;
    assert_eq!(unlink().await, Unlinked::Done);
}

async fn of_two_unlinkings_at_once_one_is_refused(bench: &Bench) {
    for round in 0..10 {
        let person = Person::new(&format!("first-{round}"));
        let visit = Visit::creating(&person, &[&format!("Person {round}")]);
        visit.succeeds(&*bench.store).await;
        link(bench, &visit, &Person::new(&format!("second-{round}"))).await;
        let (_, identities) = bench
            .store
            .find_account(&portico_core::store::AccountRef::Id(visit.new_account))
            .await
            .unwrap()
            .unwrap();
        let racing: Vec<_> = identities
            .iter()
            .map(|identity| {
                let (store, account, id) = (bench.store.clone(), visit.new_account, identity.id);
                tokio::spawn(async move {
                    store.unlink_identity(account, id, &event("identity_unlinked", after(60))).await.unwrap()
                })
            })
            .collect();
        let mut ended = Vec::new();
        for racer in racing {
            ended.push(racer.await.unwrap());
        }
        assert!(ended.contains(&Unlinked::Done) && ended.contains(&Unlinked::Last), "{ended:?}");
    }
}

async fn an_identity_is_linked_within_a_live_session(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let elsewhere = Visit::new(&ada(), Decision::Use(visit.new_account)).succeeds(&*bench.store).await;
    let written = link(bench, &visit, &work()).await;
    assert_eq!((written.account.id, written.session), (visit.new_account, None));
    let events: Vec<_> = written.events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(events, ["session_revoked", "identity_linked"]);
    assert!(!bench.is_revoked(visit.session.id).await, "the requesting session stays live");
    assert!(bench.is_revoked(elsewhere.session.id).await, "all other sessions end");
    let found = bench.store.find_candidates(work().claims().identity(), None).await.unwrap();
    assert_eq!(found.by_identity.map(|account| account.id), Some(visit.new_account));
}

async fn only_a_fit_session_links(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let other = Visit::creating(&Person::new("other"), &["Other"]);
    other.succeeds(&*bench.store).await;
    let linking = |browser| Visit { browser, ..Visit::new(&work(), Decision::Link(visit.new_account)) };
    for browser in [None, Some(SessionId(Entropy.id(NOON))), Some(other.session.id)] {
        bench.conflicts(&linking(browser)).await;
    }
    bench.conflicts(&linking(Some(visit.session.id)).at(visit.session.expires_at)).await;
    bench.set_status(visit.new_account, AccountStatus::Disabled).await;
    bench.conflicts(&linking(Some(visit.session.id))).await;
    bench.set_status(visit.new_account, AccountStatus::Active).await;
    let taken = Visit {
        browser: Some(visit.session.id),
        ..Visit::new(&Person::new("other"), Decision::Link(visit.new_account))
    };
    bench.conflicts(&taken).await;
    bench
        .store
        .revoke_sessions(SessionSelection::One(other.session.id), &event("logout", NOON))
        .await
        .unwrap();
    link(bench, &visit, &work()).await;
    bench
        .store
        .revoke_sessions(SessionSelection::One(visit.session.id), &event("logout", NOON))
        .await
        .unwrap();
    let late = Visit {
        browser: Some(visit.session.id),
        ..Visit::new(&Person::new("third"), Decision::Link(visit.new_account))
    };
    bench.conflicts(&late).await;
}

async fn a_link_and_a_login_of_one_identity_do_not_both_win(bench: &Bench) {
    for round in 0..10 {
        let owner = Visit::creating(&Person::new(&format!("owner-{round}")), &[&format!("Owner {round}")]);
        owner.succeeds(&*bench.store).await;
        let person = Person::new(&format!("new-{round}"));
        let linking = Visit {
            browser: Some(owner.session.id),
            ..Visit::new(&person, Decision::Link(owner.new_account))
        };
        let creating = Visit::creating(&person, &[&format!("New {round}")]);
        let racing = [linking, creating].map(|visit| {
            let store = bench.store.clone();
            tokio::spawn(async move { matches!(visit.commit_login(&*store).await, Committed::Done(_)) })
        });
        let mut won = 0;
        for racer in racing {
            won += usize::from(racer.await.unwrap());
        }
        assert_eq!(won, 1);
    }
    assert_eq!(bench.database.count("identities", "subject LIKE 'new-%'").await, 10);
}

async fn a_default_group_is_granted_at_a_first_login(bench: &Bench) {
    let first = Visit { default_group: Some("everybody"), ..Visit::creating(&ada(), &["Ada"]) };
    assert_eq!(first.succeeds(&*bench.store).await.account.groups, ["everybody"]);
    let local = bench.local("Local", &[]).await;
    let adopting = Visit { default_group: Some("everybody"), ..Visit::new(&work(), Decision::Adopt(local)) };
    assert_eq!(adopting.succeeds(&*bench.store).await.account.groups, ["everybody"]);
    change(bench, local, AccountChange::Revoke(Grant::Group("everybody".to_owned()))).await;
    let again = Visit { default_group: Some("everybody"), ..Visit::new(&work(), Decision::Use(local)) };
    assert!(
        again.succeeds(&*bench.store).await.account.groups.is_empty(),
        "only the first login grants the group"
    );
}
