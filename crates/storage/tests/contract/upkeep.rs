//! Health, signing keys, audit events and cleanup.

use portico_core::account::AccountId;
use portico_core::audit::{AuditEvent, AuditFilter, Event, Outcome};
use portico_core::clock::{Entropy, Timestamp};
use portico_core::keys::{KeyState, StoredKey, TokenAlg};
use portico_core::slot::SlotId;
use portico_core::store::{Retention, Rotate, SessionSelection};

use crate::bench::{Bench, NOON, after, event, on_bench};
use crate::people::{Person, Visit, ada};

on_both_databases!(
    on_bench;
    it_answers,
    one_key_signs_for_each_algorithm,
    an_event_is_kept_as_it_is,
    what_ended_is_forgotten_in_time,
    much_is_forgotten_in_batches,
    l07_old_events_are_forgotten_when_asked,
    events_are_listed_by_what_is_known_of_them,
    keys_of_one_second_are_in_the_order_of_their_lives,
    a_next_key_is_promoted_once,
    a_key_is_sealed_again_only_as_it_was_read,
    a_key_is_discarded_only_as_it_was_read,
);

const DAY: i64 = 24 * 3600;

/// A retention that keeps audit events.
fn keeping(now: Timestamp) -> Retention {
    Retention { audit_before: None, now }
}

async fn it_answers(bench: &Bench) {
    bench.store.ping().await.unwrap();
}

fn key(kid: &str, alg: TokenAlg, created_at: Timestamp) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        alg,
        state: KeyState::Current,
        public_jwk: format!(r#"{{"kid":"{kid}"}}"#),
        sealed: vec![0, 255, 7],
        created_at,
        retires_at: None,
    }
}

async fn one_key_signs_for_each_algorithm(bench: &Bench) {
    assert!(bench.store.list_keys().await.unwrap().is_empty());
    let younger = key("younger", TokenAlg::ES256, after(60));
    let older = StoredKey { retires_at: Some(after(DAY)), ..key("older", TokenAlg::EdDSA, NOON) };
    assert!(bench.store.add_key(&younger).await.unwrap());
    assert!(bench.store.add_key(&older).await.unwrap());
    assert!(!bench.store.add_key(&key("second", TokenAlg::ES256, after(120))).await.unwrap());
    assert!(!bench.store.add_key(&key("younger", TokenAlg::RS256, NOON)).await.unwrap(), "a kid is unique");
    assert_eq!(bench.store.list_keys().await.unwrap(), [older, younger]);
    bench.database.execute("UPDATE signing_keys SET state = 'retired' WHERE kid = 'younger'").await.unwrap();
    assert!(bench.store.add_key(&key("second", TokenAlg::ES256, after(120))).await.unwrap());
    let states: Vec<_> = bench.store.list_keys().await.unwrap().iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Current, KeyState::Retired, KeyState::Current]);
}

async fn an_event_is_kept_as_it_is(bench: &Bench) {
    let full = AuditEvent {
        account: Some(AccountId(Entropy.id(NOON))),
        slot: SlotId::all().next(),
        outcome: Outcome::Failure,
        reason: Some("account_disabled".into()),
        request_id: Some("request-9".to_owned()),
        ip: Some("2001:db8::1".to_owned()),
        ..event("login_failed", after(1))
    };
    bench.store.record(&full).await.unwrap();
    bench.store.record(&event("logout", NOON)).await.unwrap();
    assert_eq!(bench.database.events().await, ["logout", "login_failed account_disabled"]);
    let stored = "time = 1800000001 AND outcome = 'failure' AND slot = 'oidc/provider1' \
        AND request_id = 'request-9' AND ip = '2001:db8::1' AND account_id IS NOT NULL";
    assert_eq!(bench.database.count("audit_events", stored).await, 1);
    let empty =
        "outcome = 'success' AND account_id IS NULL AND slot IS NULL AND reason IS NULL AND ip IS NULL";
    assert_eq!(bench.database.count("audit_events", empty).await, 1);
}

async fn what_ended_is_forgotten_in_time(bench: &Bench) {
    bench.store.spend_login(&[1; 32], after(900)).await.unwrap();
    let expired = bench.newcomer(ada()).await;
    let mut revoked = Visit::creating(&Person::new("bruno"), &["Bruno"]);
    revoked.session.expires_at = after(365 * DAY);
    revoked.succeeds(&*bench.store).await;
    let next = portico_core::session::RefreshToken::first(Entropy).hash();
    let rotate = Rotate { presented: revoked.token.hash(), session: revoked.session.id, next, now: after(1) };
    bench.store.rotate_refresh(&rotate).await.unwrap();
    bench
        .store
        .revoke_sessions(SessionSelection::One(revoked.session.id), &event("logout", after(DAY)))
        .await
        .unwrap();
    let mut living = Visit::creating(&Person::new("cleo"), &["Cleo"]);
    living.session.expires_at = after(365 * DAY);
    living.succeeds(&*bench.store).await;

    assert_eq!(
        bench.store.sweep(&keeping(after(900))).await.unwrap(),
        0,
        "the spent login is stored until `forget_at`"
    );
    assert_eq!(bench.store.sweep(&keeping(after(901))).await.unwrap(), 1);
    let end = expired.session.expires_at.unix() - NOON.unix();
    assert_eq!(bench.store.sweep(&keeping(after(30 * DAY + end))).await.unwrap(), 0);
    assert_eq!(bench.store.sweep(&keeping(after(30 * DAY + end + 1))).await.unwrap(), 1);
    assert!(bench.store.find_session(expired.session.id).await.unwrap().is_none());
    assert_eq!(
        bench.store.find_refresh(&expired.token.hash()).await.unwrap(),
        None,
        "the refresh tokens are deleted with the session"
    );
    assert_eq!(bench.store.sweep(&keeping(after(31 * DAY + 1))).await.unwrap(), 1);
    assert!(bench.store.find_session(revoked.session.id).await.unwrap().is_none());
    assert!(bench.store.find_session(living.session.id).await.unwrap().is_some());
    assert_eq!(bench.database.count("accounts", "1 = 1").await, 3);
    assert_eq!(bench.database.count("identities", "1 = 1").await, 3);
    assert_eq!(bench.database.count("audit_events", "1 = 1").await, 10, "audit events are kept");
}

async fn much_is_forgotten_in_batches(bench: &Bench) {
    for number in 0..1100_u32 {
        let mut login = [0; 32];
        login[..4].copy_from_slice(&number.to_be_bytes());
        bench.store.spend_login(&login, NOON).await.unwrap();
    }
    assert_eq!(bench.store.sweep(&keeping(after(1))).await.unwrap(), 1100);
    assert_eq!(bench.store.sweep(&keeping(after(1))).await.unwrap(), 0);
}

async fn l07_old_events_are_forgotten_when_asked(bench: &Bench) {
    for seconds in [0, 60, 120] {
        bench.store.record(&event("logout", after(seconds))).await.unwrap();
    }
    assert_eq!(
        bench.store.sweep(&keeping(after(DAY))).await.unwrap(),
        0,
        "events are kept without a retention period"
    );
    let retention = Retention { audit_before: Some(after(60)), now: after(DAY) };
    assert_eq!(bench.store.sweep(&retention).await.unwrap(), 1, "an event at the limit is kept");
    assert_eq!(bench.database.count("audit_events", "1 = 1").await, 2);
}

async fn events_are_listed_by_what_is_known_of_them(bench: &Bench) {
    let ada = AccountId(Entropy.id(NOON));
    let events = [
        event("logout", NOON).about(ada),
        event("login_failed", after(60)).failed().because("account_disabled"),
        event("logout", after(120)),
    ];
    for event in &events {
        bench.store.record(event).await.unwrap();
    }
    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    let listed = async |filter: AuditFilter| bench.store.list_events(&filter).await.unwrap();
    assert_eq!(listed(all.clone()).await, events);
    assert_eq!(listed(AuditFilter { limit: 1, ..all.clone() }).await, events[..1]);
    assert_eq!(listed(AuditFilter { after: Some(events[0].id), ..all.clone() }).await, events[1..]);
    assert_eq!(listed(AuditFilter { since: Some(after(60)), ..all.clone() }).await, events[1..]);
    assert_eq!(listed(AuditFilter { account: Some(ada), ..all.clone() }).await, events[..1]);
    let failed = AuditFilter { event: Some(Event::LoginFailed), ..all };
    assert_eq!(listed(failed).await, events[1..2]);
}

async fn keys_of_one_second_are_in_the_order_of_their_lives(bench: &Bench) {
    let lives = [("z", KeyState::Retired), ("y", KeyState::Current), ("x", KeyState::Next)];
    for (kid, state) in lives.into_iter().rev() {
        assert!(bench.store.add_key(&StoredKey { state, ..key(kid, TokenAlg::ES256, NOON) }).await.unwrap());
    }
    let listed = bench.store.list_keys().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|key| (key.kid.as_str(), key.state)).collect();
    assert_eq!(listed, lives);
}

/// Promotes the key `next` in concurrent calls. Returns how many succeed.
async fn promote_at_once(bench: &Bench) -> usize {
    let racing: Vec<_> = (0..8)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move {
                store.promote_key("next", after(DAY), &event("key_rotated", after(120))).await.unwrap()
            })
        })
        .collect();
    let mut won = 0;
    for racer in racing {
        won += usize::from(racer.await.unwrap());
    }
    won
}

async fn a_next_key_is_promoted_once(bench: &Bench) {
    let next = StoredKey { state: KeyState::Next, ..key("next", TokenAlg::ES256, after(60)) };
    bench.store.add_key(&key("current", TokenAlg::ES256, NOON)).await.unwrap();
    bench.store.add_key(&key("other", TokenAlg::EdDSA, NOON)).await.unwrap();
    assert!(bench.store.add_key(&next).await.unwrap());
    let second = StoredKey { kid: "second".to_owned(), ..next.clone() };
    assert!(!bench.store.add_key(&second).await.unwrap(), "an algorithm has at most one next key");
    let promote = async |kid: &str| {
        bench.store.promote_key(kid, after(DAY), &event("key_rotated", after(120))).await.unwrap()
    };
    let before = bench.rows().await;
    assert!(!promote("current").await && !promote("unknown").await);
    assert_eq!(bench.rows().await, before, "nothing is written");
    assert_eq!(promote_at_once(bench).await, 1);
    let keys = bench.store.list_keys().await.unwrap();
    let states: Vec<_> = keys.iter().map(|key| (key.kid.as_str(), key.state, key.retires_at)).collect();
    assert_eq!(
        states,
        [
            ("current", KeyState::Retired, Some(after(DAY))),
            ("other", KeyState::Retired, Some(after(DAY))),
            ("next", KeyState::Current, None)
        ]
    );
    assert_eq!(bench.database.events().await, ["key_rotated"]);
    assert_eq!(
        bench.store.sweep(&keeping(after(2 * DAY))).await.unwrap(),
        0,
        "a retired key is kept for one more day"
    );
    assert_eq!(bench.store.sweep(&keeping(after(2 * DAY + 1))).await.unwrap(), 2);
}

async fn a_key_is_discarded_only_as_it_was_read(bench: &Bench) {
    bench.store.add_key(&key("current", TokenAlg::ES256, NOON)).await.unwrap();
    bench.store.add_key(&key("other", TokenAlg::EdDSA, NOON)).await.unwrap();
    let discard = async |kid: &str, sealed: &[u8]| {
        bench.store.discard_key(kid, sealed, &event("key_rotated", NOON)).await.unwrap()
    };
    let before = bench.rows().await;
    assert!(!discard("current", b"something else").await && !discard("unknown", &[0, 255, 7]).await);
    assert_eq!(bench.rows().await, before, "nothing is written");
    assert!(discard("current", &[0, 255, 7]).await);
    let left = bench.store.list_keys().await.unwrap();
    assert_eq!(left.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(bench.database.events().await, ["key_rotated"]);
}

async fn a_key_is_sealed_again_only_as_it_was_read(bench: &Bench) {
    bench.store.add_key(&key("current", TokenAlg::ES256, NOON)).await.unwrap();
    bench.store.reseal_key("current", b"something else", b"new").await.unwrap();
    assert_eq!(bench.store.list_keys().await.unwrap()[0].sealed, [0, 255, 7]);
    bench.store.reseal_key("current", &[0, 255, 7], b"new").await.unwrap();
    assert_eq!(bench.store.list_keys().await.unwrap()[0].sealed, b"new");
}
