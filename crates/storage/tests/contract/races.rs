//! Races: the database lets one of many concurrent calls succeed, and the others leave no rows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portico_core::account::{AccountStatus, Decision};
use portico_core::clock::Entropy;
use portico_core::keys::{KeyState, TokenAlg, generate};
use portico_core::seal::Seals;
use portico_core::session::RefreshToken;
use portico_core::store::{
    AccountChange, AccountChanged, BreakGlassRedemption, Merged, Rotate, Rotation, SessionSelection, Spent,
    Store,
};
use portico_storage::Storage;
use tokio::runtime::Handle;
use tokio::sync::Barrier;

use crate::bench::{Bench, NOON, after, event, local, on_bench};
use crate::break_glass::{create_code, redeem};
use crate::database::Backend;
use crate::people::{Person, Visit, ada};

on_both_databases!(
    on_bench;
    one_of_many_spends_wins,
    first_logins_of_one_identity_make_one_account,
    people_of_one_name_get_accounts_of_their_own,
    one_of_many_rotations_wins,
    a_local_account_is_adopted_once,
    a_revoked_session_does_not_rotate,
    one_of_many_first_keys_wins,
    one_of_many_local_accounts_gets_the_name,
    those_who_meet_in_one_account_do_not_fail,
    one_of_many_merges_wins,
    a_code_redeemed_while_its_account_is_disabled_does_not_fail,
    a_code_is_redeemed_after_its_account_is_locked,
);

/// The number of concurrent calls.
pub const MANY: usize = 24;

/// Runs numbered calls concurrently, each on its own thread. Half of them use a second replica, which for
/// SQLite is a command that runs beside the service.
pub async fn at_once<T: Send + 'static>(
    bench: &Bench,
    act: impl AsyncFnOnce(Arc<dyn Store>, usize) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let (barrier, runtime) = (Arc::new(Barrier::new(MANY)), Handle::current());
    let second = Storage::open(&bench.database.url).await.unwrap();
    let stores = [Arc::clone(&bench.store), second.store()];
    let start = |number| {
        let (act, store) = (act.clone(), Arc::clone(&stores[number % 2]));
        let (barrier, runtime) = (Arc::clone(&barrier), runtime.clone());
        std::thread::spawn(move || {
            runtime.block_on(async {
                barrier.wait().await;
                act(store, number).await
            })
        })
    };
    let threads: Vec<_> = (0..MANY).map(start).collect();
    let wait = move || threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let answers = tokio::task::spawn_blocking(wait).await.unwrap();
    second.close().await;
    answers
}

pub fn count(answers: &[bool]) -> usize {
    answers.iter().filter(|answer| **answer).count()
}

async fn one_of_many_spends_wins(bench: &Bench) {
    let spends =
        at_once(bench, async |store, _| store.spend_login(&[7; 32], after(900)).await.unwrap()).await;
    assert_eq!(spends.iter().filter(|spent| **spent == Spent::Now).count(), 1);
}

async fn first_logins_of_one_identity_make_one_account(bench: &Bench) {
    let visits = || Visit::creating(&ada(), &[]);
    let entered = at_once(bench, async move |store, _| visits().log_in(&*store).await).await;
    let accounts: BTreeSet<_> =
        entered.iter().map(|entry| entry.as_ref().expect("every login succeeds").account.id).collect();
    assert_eq!(accounts.len(), 1);
    assert_eq!(bench.database.count("accounts", "1 = 1").await, 1, "no account without an identity");
    assert_eq!(bench.database.count("identities", "1 = 1").await, 1);
    assert_eq!(bench.database.count("sessions", "1 = 1").await, MANY);
    assert_eq!(bench.database.count("audit_events", "event = 'account_created'").await, 1);
    assert_eq!(bench.database.count("audit_events", "event = 'login_succeeded'").await, MANY);
}

async fn people_of_one_name_get_accounts_of_their_own(bench: &Bench) {
    let entered = at_once(bench, async |store, number| {
        let person =
            Person::new(&format!("sam-{number}")).with("name", "Sam").with("email", "sam@example.com");
        Visit::creating(&person, &[]).log_in(&*store).await
    })
    .await;
    let accounts: Vec<_> =
        entered.into_iter().map(|entry| entry.expect("every login succeeds").account).collect();
    let names: BTreeSet<_> = accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names.len(), MANY);
    assert!(names.contains("Sam") && names.contains("sam@example.com"));
    assert_eq!(bench.database.count("accounts", "1 = 1").await, MANY, "no account without an identity");
    assert_eq!(bench.database.count("identities", "1 = 1").await, MANY);
}

async fn one_of_many_rotations_wins(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let (presented, session) = (visit.token.hash(), visit.session.id);
    let next = RefreshToken::first(Entropy).hash();
    let rotate = Rotate { presented, session, next, now: after(60) };
    let rotations =
        at_once(bench, async move |store, _| match store.rotate_refresh(&rotate).await.unwrap() {
            Rotation::Rotated(_) => true,
            Rotation::Superseded { at, current, .. } => {
                assert_eq!((at, current), (after(60), next));
                false
            }
            Rotation::Unknown => panic!("the session is live"),
        })
        .await;
    assert_eq!(count(&rotations), 1);
    assert_eq!(bench.database.count("refresh_tokens", "1 = 1").await, 2);
}

async fn a_local_account_is_adopted_once(bench: &Bench) {
    let local = bench.local("Sam", &[]).await;
    let entered = at_once(bench, async |store, number| {
        let person = Person::new(&format!("sam-{number}")).with("name", "Sam");
        Visit::creating(&person, &[]).log_in(&*store).await
    })
    .await;
    let adopted: Vec<_> = entered
        .iter()
        .map(|entry| entry.as_ref().expect("every login succeeds").account.id == local)
        .collect();
    assert_eq!(count(&adopted), 1);
    assert_eq!(bench.database.count("accounts", "1 = 1").await, MANY);
    assert_eq!(bench.database.count("audit_events", "event = 'account_adopted'").await, 1);
}

/// Half of the calls refresh the session, and half of them revoke it. The revoked session stays revoked.
async fn a_revoked_session_does_not_rotate(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let (presented, session) = (visit.token.hash(), visit.session.id);
    let ended = at_once(bench, async move |store, number| {
        if number < MANY / 2 {
            return store
                .revoke_sessions(SessionSelection::One(session), &event("logout", after(60)))
                .await
                .unwrap()
                > 0;
        }
        let next = RefreshToken::first(Entropy).hash();
        store.rotate_refresh(&Rotate { presented, session, next, now: after(60) }).await.unwrap();
        false
    })
    .await;
    assert_eq!(count(&ended), 1);
    assert!(bench.is_revoked(session).await);
    assert_eq!(bench.database.count("refresh_tokens", "superseded_at IS NULL").await, 1);
}

async fn one_of_many_first_keys_wins(bench: &Bench) {
    let added = at_once(bench, async |store, _| {
        let key =
            generate(TokenAlg::EdDSA, KeyState::Current, &Seals::new(b"secret", &[]), Entropy, NOON).unwrap();
        store.add_key(&key).await.unwrap()
    })
    .await;
    assert_eq!(count(&added), 1);
    assert_eq!(bench.store.list_keys().await.unwrap().len(), 1);
}

async fn one_of_many_local_accounts_gets_the_name(bench: &Bench) {
    let made = at_once(bench, async |store, _| {
        let account = local("Sam", &["editor"]);
        store.create_account(&account, &event("account_created", NOON)).await.unwrap().is_some()
    })
    .await;
    assert_eq!(count(&made), 1);
    assert_eq!(bench.database.count("account_roles", "1 = 1").await, 1);
}

/// Logins, links, unlinks and status changes run on one account. Each may conflict, but none fails.
async fn those_who_meet_in_one_account_do_not_fail(bench: &Bench) {
    let owner = bench.newcomer(ada()).await;
    let account = owner.new_account;
    for round in 0..4 {
        let session = Visit::new(&ada(), Decision::Use(account)).succeeds(&*bench.store).await.session.id;
        let second = Person::new(&format!("second-{round}"));
        let link = move |person: &Person| Visit {
            browser: Some(session),
            ..Visit::new(person, Decision::Link(account))
        };
        let linked = link(&second);
        linked.commit_login(&*bench.store).await;
        at_once(bench, async move |store, number| match number % 4 {
            0 => drop(Visit::new(&second, Decision::Use(account)).commit_login(&*store).await),
            1 => drop(link(&Person::new(&format!("third-{round}-{number}"))).commit_login(&*store).await),
            2 => {
                let audited = event("identity_unlinked", after(60));
                store.unlink_identity(account, linked.new_identity, &audited).await.unwrap();
            }
            _ => {
                for change in [AccountChange::Disable, AccountChange::Enable] {
                    let audited = event("account_disabled", after(60));
                    store.change_account(account, &change, &audited).await.unwrap();
                }
            }
        })
        .await;
        bench.set_status(account, AccountStatus::Active).await;
    }
}

/// The calls merge in both directions while users log in. One merge succeeds, and the account that it deletes
/// keeps no identity and no live session.
async fn one_of_many_merges_wins(bench: &Bench) {
    for round in 0..4 {
        let people = ["left", "right"].map(|side| Person::new(&format!("{side}-{round}")));
        let mut accounts = Vec::new();
        for person in &people {
            let name = person.claims().identity().subject.as_str().to_owned();
            accounts.push(Visit::creating(person, &[&name]).succeeds(&*bench.store).await.account.id);
        }
        let (left, right) = (accounts[0], accounts[1]);
        let merges = at_once(bench, async move |store, number| {
            if number % 3 == 2 {
                Visit::creating(&people[number % 2], &[])
                    .log_in(&*store)
                    .await
                    .expect("every login succeeds");
                return false;
            }
            let (from, into) = if number % 3 == 0 { (left, right) } else { (right, left) };
            let audited = event("account_merged", after(60));
            matches!(store.merge_accounts(from, into, &audited).await.unwrap(), Merged::Done(_))
        })
        .await;
        assert_eq!(count(&merges), 1);
    }
    assert_eq!(bench.database.count("accounts", "status = 'deleted'").await, 4);
    assert_eq!(bench.database.count("audit_events", "event = 'account_merged'").await, 4);
    let gone = "account_id IN (SELECT id FROM accounts WHERE status = 'deleted')";
    assert_eq!(bench.database.count("identities", gone).await, 0);
    assert_eq!(bench.database.count("sessions", &format!("revoked_at IS NULL AND {gone}")).await, 0);
}

/// Half of the calls redeem a break-glass code, and half of them disable its account. No call fails, and no
/// session remains live.
async fn a_code_redeemed_while_its_account_is_disabled_does_not_fail(bench: &Bench) {
    let account = bench.local("Sam", &["admin"]).await;
    for _ in 0..4 {
        let code = create_code(bench, account).await.expect("the account is active");
        let disabled = at_once(bench, async move |store, number| {
            if number % 2 == 0 {
                redeem(&*store, code, after(1)).await;
                return false;
            }
            let audited = event("account_disabled", after(1)).about(account);
            matches!(
                store.change_account(account, &AccountChange::Disable, &audited).await.unwrap(),
                AccountChanged::Done(_)
            )
        })
        .await;
        assert_eq!(count(&disabled), 1);
        assert_eq!(
            bench.database.count("break_glass", "1 = 1").await,
            0,
            "the code is deleted in both cases"
        );
        assert_eq!(bench.database.count("sessions", "revoked_at IS NULL").await, 0);
        bench
            .store
            .change_account(account, &AccountChange::Enable, &event("account_enabled", after(2)))
            .await
            .unwrap();
    }
}

/// A code is redeemed while its account is being disabled, with the statements in the order of
/// `change_account`. The redeeming transaction waits for the account before it locks anything, so there is no
/// deadlock. SQLite has one writer at a time.
async fn a_code_is_redeemed_after_its_account_is_locked(bench: &Bench) {
    let account = bench.local("Sam", &["admin"]).await;
    let code = create_code(bench, account).await.expect("the account is active");
    let id = bench.id(account.0);
    let update = format!("UPDATE accounts SET status = 'disabled' WHERE id = {id}");
    let drop_code = format!("DELETE FROM break_glass WHERE account_id = {id}");
    let redeemed = match bench.database.backend {
        Backend::Sqlite => {
            bench.database.execute(&format!("{update}; {drop_code}")).await.unwrap();
            redeem(&*bench.store, code, after(1)).await
        }
        Backend::Postgres => {
            let disable = format!("BEGIN; {update}; SELECT pg_sleep(1); {drop_code}; COMMIT");
            let redeem = async {
                let free = format!("SELECT id::text FROM accounts WHERE id = {id} FOR UPDATE SKIP LOCKED");
                while !bench.database.texts(&free).await.is_empty() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                redeem(&*bench.store, code, after(1)).await
            };
            let (disabled, redeemed) = tokio::join!(bench.database.execute(&disable), redeem);
            disabled.unwrap();
            redeemed
        }
    };
    assert!(matches!(redeemed, BreakGlassRedemption::Unknown), "{redeemed:?}");
    assert_eq!(bench.database.count("break_glass", "1 = 1").await, 0);
    assert_eq!(bench.database.count("sessions", "1 = 1").await, 0);
}
