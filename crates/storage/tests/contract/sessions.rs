//! Spending of logins, refresh and revocation of sessions.

use std::time::Duration;

use portico_core::account::{AccountStatus, Decision};
use portico_core::clock::Entropy;
use portico_core::session::{RefreshToken, SessionId, TokenHash};
use portico_core::store::{Rotate, Rotation, SessionFilter, SessionSelection, Spent};

use crate::bench::{Bench, NOON, after, event, on_bench};
use crate::people::{Person, Visit, ada};

on_both_databases!(
    on_bench;
    a_login_is_spent_once,
    an_unknown_session_is_none,
    a_refresh_token_rotates,
    a_superseded_token_leads_to_the_current_one,
    only_a_live_session_rotates,
    a_token_belongs_to_its_session,
    a_session_is_revoked_once,
    live_sessions_are_listed,
    sessions_are_revoked_by_account_or_all,
);

fn fresh() -> TokenHash {
    RefreshToken::first(Entropy).hash()
}

fn rotate(visit: &Visit, presented: TokenHash, next: TokenHash, seconds: i64) -> Rotate {
    Rotate { presented, session: visit.session.id, next, now: after(seconds) }
}

async fn a_login_is_spent_once(bench: &Bench) {
    assert_eq!(bench.store.spend_login(&[1; 32], after(900)).await.unwrap(), Spent::Now);
    for _ in 0..3 {
        assert_eq!(bench.store.spend_login(&[1; 32], after(1800)).await.unwrap(), Spent::Before);
    }
    assert_eq!(bench.store.spend_login(&[2; 32], after(900)).await.unwrap(), Spent::Now);
    assert_eq!(bench.database.count("spent_logins", "forget_at = 1800000900").await, 2);
}

async fn an_unknown_session_is_none(bench: &Bench) {
    let unknown = SessionId(Entropy.id(NOON));
    assert!(bench.store.find_session(unknown).await.unwrap().is_none());
    assert_eq!(bench.store.find_refresh(&fresh()).await.unwrap(), None);
    let rotate = Rotate { presented: fresh(), session: unknown, next: fresh(), now: NOON };
    assert!(matches!(bench.store.rotate_refresh(&rotate).await.unwrap(), Rotation::Unknown));
    assert_eq!(
        bench.store.revoke_sessions(SessionSelection::One(unknown), &event("logout", NOON)).await.unwrap(),
        0
    );
    assert!(bench.database.events().await.is_empty());
}

async fn a_refresh_token_rotates(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let (first, second, third) = (visit.token.hash(), fresh(), fresh());
    for (presented, next, seconds) in [(first, second, 60), (second, third, 120)] {
        let rotation = bench.store.rotate_refresh(&rotate(&visit, presented, next, seconds)).await.unwrap();
        let Rotation::Rotated(entry) = rotation else { panic!("{rotation:?}") };
        assert_eq!(entry.session.id, visit.session.id);
        assert_eq!((entry.session.created_at, entry.session.last_used_at), (NOON, after(seconds)));
        assert_eq!(entry.session.expires_at, visit.session.expires_at);
        assert_eq!(entry.account.id, visit.new_account);
    }
    for token in [first, second, third] {
        assert_eq!(bench.store.find_refresh(&token).await.unwrap(), Some(visit.session.id));
    }
    assert_eq!(bench.database.count("refresh_tokens", "superseded_at IS NULL").await, 1);
}

async fn a_superseded_token_leads_to_the_current_one(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let (first, second, third) = (visit.token.hash(), fresh(), fresh());
    bench.store.rotate_refresh(&rotate(&visit, first, second, 60)).await.unwrap();
    bench.store.rotate_refresh(&rotate(&visit, second, third, 120)).await.unwrap();
    let before = bench.rows().await;
    for (presented, superseded) in [(first, 60), (second, 120)] {
        let rotation = bench.store.rotate_refresh(&rotate(&visit, presented, fresh(), 180)).await.unwrap();
        let Rotation::Superseded { entry, at, current, since } = rotation else { panic!("{rotation:?}") };
        assert_eq!((at, current), (after(superseded), third));
        let later = if presented == first { vec![first, second] } else { vec![second] };
        assert_eq!(since, later.into_iter().collect());
        assert_eq!((entry.session.id, entry.session.last_used_at), (visit.session.id, after(120)));
    }
    assert_eq!(bench.rows().await, before, "nothing is written");
}

async fn only_a_live_session_rotates(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let (first, second) = (visit.token.hash(), fresh());
    let rotates = async |presented, next, seconds| {
        let rotation = bench.store.rotate_refresh(&rotate(&visit, presented, next, seconds)).await.unwrap();
        !matches!(rotation, Rotation::Unknown)
    };
    let over = visit.session.expires_at.unix() - NOON.unix();
    let before = bench.rows().await;
    assert!(!rotates(first, second, over).await, "expired");
    for status in [AccountStatus::Disabled, AccountStatus::Deleted] {
        bench.set_status(visit.new_account, status).await;
        assert!(!rotates(first, second, 1).await, "{status:?}");
    }
    bench.set_status(visit.new_account, AccountStatus::Active).await;
    assert_eq!(bench.rows().await, before);
    assert!(rotates(first, second, over - 1).await, "the session is live until its last second");
    assert!(rotates(first, fresh(), over - 1).await, "the superseded token is still known");
    assert!(!rotates(first, fresh(), over).await);
    bench.set_status(visit.new_account, AccountStatus::Disabled).await;
    assert!(!rotates(first, fresh(), 1).await);
    bench.set_status(visit.new_account, AccountStatus::Active).await;
    bench
        .store
        .revoke_sessions(SessionSelection::One(visit.session.id), &event("logout", after(1)))
        .await
        .unwrap();
    assert!(!rotates(second, fresh(), 1).await, "revoked");
    assert!(!rotates(first, fresh(), 1).await);
}

async fn a_token_belongs_to_its_session(bench: &Bench) {
    let ada = bench.newcomer(ada()).await;
    let other = Visit::creating(&Person::new("other"), &["Other"]);
    other.succeeds(&*bench.store).await;
    let (first, second) = (ada.token.hash(), fresh());
    let crossed = async |presented| {
        let before = bench.rows().await;
        let rotation = bench.store.rotate_refresh(&rotate(&other, presented, fresh(), 60)).await.unwrap();
        assert!(matches!(rotation, Rotation::Unknown), "{rotation:?}");
        assert_eq!(bench.rows().await, before);
    };
    crossed(first).await;
    bench.store.rotate_refresh(&rotate(&ada, first, second, 60)).await.unwrap();
    crossed(first).await;
    crossed(second).await;
}

async fn a_session_is_revoked_once(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let id = visit.session.id;
    assert_eq!(
        bench.store.revoke_sessions(SessionSelection::One(id), &event("logout", after(60))).await.unwrap(),
        1
    );
    assert_eq!(
        bench.store.revoke_sessions(SessionSelection::One(id), &event("logout", after(120))).await.unwrap(),
        0
    );
    let found = bench.store.find_session(id).await.unwrap().unwrap();
    assert_eq!(found.session.revoked_at, Some(after(60)));
    assert_eq!(bench.database.count("audit_events", "event = 'logout'").await, 1);
}

async fn live_sessions_are_listed(bench: &Bench) {
    let first = bench.newcomer(ada()).await;
    let second =
        Visit::new(&ada(), Decision::Use(first.new_account)).at(after(1)).succeeds(&*bench.store).await;
    let other = Visit::creating(&Person::new("other"), &["Other"]).at(after(2)).succeeds(&*bench.store).await;
    let revoked =
        Visit::new(&ada(), Decision::Use(first.new_account)).at(after(3)).succeeds(&*bench.store).await;
    let logout = event("logout", after(4));
    bench.store.revoke_sessions(SessionSelection::One(revoked.session.id), &logout).await.unwrap();
    let all = SessionFilter { account: None, used_since: NOON, now: after(10), after: None, limit: 100 };
    let listed = async |filter: SessionFilter| -> Vec<SessionId> {
        bench.store.list_sessions(&filter).await.unwrap().iter().map(|session| session.id).collect()
    };
    let mut ids = vec![first.session.id, second.session.id, other.session.id];
    ids.sort();
    assert_eq!(listed(all).await, ids);
    assert_eq!(listed(SessionFilter { account: Some(other.account.id), ..all }).await, [other.session.id]);
    assert_eq!(listed(SessionFilter { limit: 1, ..all }).await, ids[..1]);
    assert_eq!(listed(SessionFilter { after: Some(ids[0]), ..all }).await, ids[1..]);
    assert_eq!(
        listed(SessionFilter { used_since: after(2), ..all }).await,
        [other.session.id],
        "the other sessions are idle"
    );
    let over = NOON.plus(Duration::from_hours(8));
    assert!(listed(SessionFilter { now: over, ..all }).await.is_empty(), "expired");
    let own = SessionFilter { account: Some(first.new_account), ..all };
    let mut ids = vec![first.session.id, second.session.id];
    ids.sort();
    assert_eq!(listed(own).await, ids);
    assert_eq!(listed(SessionFilter { limit: 1, ..own }).await, ids[..1]);
    assert_eq!(listed(SessionFilter { after: Some(ids[0]), ..own }).await, ids[1..]);
    assert_eq!(listed(SessionFilter { used_since: after(1), ..own }).await, [second.session.id]);
    assert!(listed(SessionFilter { now: over, ..own }).await.is_empty(), "expired");
    let own = bench.store.list_sessions(&own).await.unwrap();
    assert_eq!((own[0].ip.as_deref(), own[0].user_agent.as_deref()), (Some("192.0.2.7"), Some("A browser")));
}

async fn sessions_are_revoked_by_account_or_all(bench: &Bench) {
    let first = bench.newcomer(ada()).await;
    let second = Visit::new(&ada(), Decision::Use(first.new_account)).succeeds(&*bench.store).await;
    let other = Visit::creating(&Person::new("other"), &["Other"]).succeeds(&*bench.store).await;
    let revoke =
        async |which| bench.store.revoke_sessions(which, &event("session_revoked", after(60))).await.unwrap();
    assert_eq!(revoke(SessionSelection::Of(first.new_account)).await, 2);
    assert!(bench.is_revoked(second.session.id).await && !bench.is_revoked(other.session.id).await);
    assert_eq!(revoke(SessionSelection::All).await, 1);
    assert_eq!(revoke(SessionSelection::All).await, 0);
    let revoked = bench.database.count("audit_events", "event = 'session_revoked'").await;
    assert_eq!(revoked, 2, "no event without a revoked session");
}
