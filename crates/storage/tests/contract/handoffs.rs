//! Hand-off codes.

use portico_core::account::{AccountId, AccountStatus, Decision};
use portico_core::clock::Entropy;
use portico_core::session::{
    Caller, Challenge, HandOff, NewHandOff, NewSession, OneTimeCode, RefreshToken, SessionId, TokenHash,
};
use portico_core::store::{AccountChange, AccountRef, Committed, Retention, SessionSelection};

use crate::bench::{Bench, NOON, after, event, on_bench};
use crate::changing::{change, link, work};
use crate::people::{Person, Visit, ada};

on_both_databases!(
    on_bench;
    a_hand_off_is_taken_once,
    a_hand_off_of_a_disabled_account_begins_nothing,
    a_hand_off_ends_with_the_sessions,
);

fn handed_off(person: &Person) -> (Visit, OneTimeCode) {
    let code = OneTimeCode::random(Entropy);
    let handoff = NewHandOff {
        code: code.hash(),
        challenge: Challenge([7; 16]),
        id_token: None,
        expires_at: after(60),
    };
    let visit = Visit { handoff: Some(handoff), ..Visit::creating(person, &["Ada", "Somebody"]) };
    (visit, code)
}

fn session() -> NewSession {
    NewSession {
        id: SessionId(Entropy.id(NOON)),
        created_at: NOON,
        expires_at: after(3600),
        refresh: RefreshToken::first(Entropy).hash(),
        id_token: None,
        caller: Caller::default(),
    }
}

async fn a_hand_off_is_taken_once(bench: &Bench) {
    let (visit, code) = handed_off(&ada());
    let Committed::Done(written) = visit.commit_login(&*bench.store).await else { panic!("written") };
    assert!(written.session.is_none());
    assert_eq!(bench.database.count("sessions", "1 = 1").await, 0, "the session starts at the exchange");
    let racing: Vec<_> = (0..16)
        .map(|_| {
            let (store, code) = (bench.store.clone(), code.hash());
            tokio::spawn(async move { store.take_handoff(&code).await.unwrap() })
        })
        .collect();
    let mut taken = Vec::new();
    for racer in racing {
        taken.extend(racer.await.unwrap());
    }
    let [handoff] = &taken[..] else { panic!("{} calls took the code", taken.len()) };
    assert_eq!((handoff.account, handoff.identity), (visit.new_account, visit.new_identity));
    assert_eq!(
        (handoff.challenge, handoff.created_at, handoff.expires_at),
        (Challenge([7; 16]), NOON, after(60))
    );
    assert_eq!(&handoff.session_claims, visit.claims.session_claims());
    let session = session();
    let entry = bench.store.begin_session(handoff, &session).await.unwrap().unwrap();
    assert_eq!((entry.session.id, entry.account.id), (session.id, visit.new_account));
    assert_eq!(entry.session.identity, Some(visit.new_identity));
    assert_eq!(bench.store.find_refresh(&session.refresh).await.unwrap(), Some(session.id));
    let (unused, code) = handed_off(&Person::new("other"));
    assert!(matches!(unused.commit_login(&*bench.store).await, Committed::Done(_)));
    let sweep = |seconds| Retention { audit_before: None, now: after(seconds) };
    assert_eq!(bench.store.sweep(&sweep(60)).await.unwrap(), 0);
    assert_eq!(bench.store.sweep(&sweep(61)).await.unwrap(), 1);
    assert!(bench.store.take_handoff(&code.hash()).await.unwrap().is_none());
}

async fn a_hand_off_of_a_disabled_account_begins_nothing(bench: &Bench) {
    let (visit, code) = handed_off(&ada());
    visit.commit_login(&*bench.store).await;
    let handoff = bench.store.take_handoff(&code.hash()).await.unwrap().unwrap();
    bench.set_status(visit.new_account, AccountStatus::Disabled).await;
    let before = bench.rows().await;
    assert!(bench.store.begin_session(&handoff, &session()).await.unwrap().is_none());
    assert_eq!(bench.rows().await, before);
    bench.set_status(visit.new_account, AccountStatus::Active).await;
    assert!(bench.store.begin_session(&handoff, &session()).await.unwrap().is_some());
}

/// A hand-off code represents a session: an event that ends all sessions of the account deletes the code too.
async fn a_hand_off_ends_with_the_sessions(bench: &Bench) {
    let owner = bench.newcomer(ada()).await;
    let account = owner.new_account;
    let stranger = Visit::creating(&Person::new("stranger"), &["Stranger"]);
    stranger.succeeds(&*bench.store).await;
    let revoke = async |which| {
        bench.store.revoke_sessions(which, &event("session_revoked", after(60))).await.unwrap();
    };

    let own = pending_handoff(bench, &ada(), account).await;
    let other = pending_handoff(bench, &Person::new("stranger"), stranger.new_account).await;
    revoke(SessionSelection::Of(account)).await;
    assert!(!redeems(bench, own).await && redeems(bench, other).await, "codes of other accounts stay");

    let own = pending_handoff(bench, &ada(), account).await;
    let handoff = handoff(&owner);
    let session_id = bench.store.begin_session(&handoff, &session()).await.unwrap().unwrap().session.id;
    revoke(SessionSelection::One(session_id)).await;
    assert!(redeems(bench, own).await, "the end of one session does not delete the code");

    let own = pending_handoff(bench, &ada(), account).await;
    revoke(SessionSelection::All).await;
    assert!(!redeems(bench, own).await);
    changes_end_hand_offs(bench, account).await;
}

async fn changes_end_hand_offs(bench: &Bench, account: AccountId) {
    let own = pending_handoff(bench, &ada(), account).await;
    change(bench, account, AccountChange::Disable).await;
    change(bench, account, AccountChange::Enable).await;
    assert!(!redeems(bench, own).await, "the account was enabled again before the exchange");

    let linking = Visit::new(&ada(), Decision::Use(account));
    linking.succeeds(&*bench.store).await;
    let own = pending_handoff(bench, &ada(), account).await;
    link(bench, &Visit { new_account: account, ..linking }, &work()).await;
    assert!(!redeems(bench, own).await, "linking an identity ends all other sessions");

    let own = pending_handoff(bench, &work(), account).await;
    let unlinked = event("identity_unlinked", after(60));
    let (_, identities) = bench.store.find_account(&AccountRef::Id(account)).await.unwrap().unwrap();
    bench.store.unlink_identity(account, identities[1].id, &unlinked).await.unwrap();
    assert!(!redeems(bench, own).await, "its identity is deleted");
}

/// Logs in with a hand-off that waits for its exchange.
async fn pending_handoff(bench: &Bench, person: &Person, account: AccountId) -> TokenHash {
    let (visit, code) = handed_off(person);
    let visit = Visit { decision: Decision::Use(account), ..visit };
    assert!(matches!(visit.commit_login(&*bench.store).await, Committed::Done(_)));
    code.hash()
}

async fn redeems(bench: &Bench, code: TokenHash) -> bool {
    bench.store.take_handoff(&code).await.unwrap().is_some()
}

fn handoff(owner: &Visit) -> HandOff {
    HandOff {
        account: owner.new_account,
        identity: owner.new_identity,
        slot: owner.claims.slot(),
        session_claims: owner.claims.session_claims().clone(),
        challenge: Challenge([7; 16]),
        id_token: None,
        created_at: NOON,
        expires_at: after(60),
    }
}
