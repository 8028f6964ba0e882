//! Break-glass codes: one per active account, usable once.

use std::time::Duration;

use portico_core::account::{AccountId, AccountStatus};
use portico_core::clock::{Entropy, Timestamp};
use portico_core::session::{
    Caller, NewBreakGlass, NewSession, OneTimeCode, RefreshToken, SessionId, TokenHash,
};
use portico_core::store::{AccountChange, BreakGlassRedemption, SessionSelection, Store};

use crate::bench::{Bench, NOON, after, event, on_bench};
use crate::races::{MANY, at_once, count};

on_both_databases!(
    on_bench;
    a_link_begins_one_session,
    a_link_is_good_for_a_while_and_the_last_one_counts,
    only_an_active_account_has_a_link,
    one_of_many_who_have_a_link_gets_in,
);

pub async fn create_code(bench: &Bench, account: AccountId) -> Option<TokenHash> {
    let code = OneTimeCode::random(Entropy).hash();
    let new = NewBreakGlass { code, account, expires_at: after(600) };
    let added = bench
        .store
        .create_break_glass(&new, &event("break_glass_issued", NOON).about(account))
        .await
        .unwrap();
    added.then_some(code)
}

pub async fn redeem(store: &dyn Store, code: TokenHash, at: Timestamp) -> BreakGlassRedemption {
    let session = NewSession {
        id: SessionId(Entropy.id(at)),
        created_at: at,
        expires_at: at.plus(Duration::from_hours(1)),
        refresh: RefreshToken::first(Entropy).hash(),
        id_token: None,
        caller: Caller::default(),
    };
    store.redeem_break_glass(&code, &session, &event("break_glass_used", at)).await.unwrap()
}

async fn a_link_begins_one_session(bench: &Bench) {
    let account = bench.local("Sam", &["admin"]).await;
    let code = create_code(bench, account).await.unwrap();
    let BreakGlassRedemption::SessionStarted(entry) = redeem(&*bench.store, code, after(599)).await else {
        panic!("the code is valid")
    };
    assert_eq!((entry.account.id, entry.session.slot, entry.session.identity), (account, None, None));
    assert_eq!(entry.session.session_claims.amr.as_deref(), Some(&["break-glass".to_owned()][..]));
    assert_eq!(bench.store.find_session(entry.session.id).await.unwrap().unwrap().session, entry.session);
    assert!(matches!(redeem(&*bench.store, code, after(599)).await, BreakGlassRedemption::Unknown));
    assert_eq!(
        bench.database.count("audit_events", "event = 'break_glass_used' AND account_id IS NOT NULL").await,
        1
    );
    assert_eq!(bench.database.count("break_glass", "1 = 1").await, 0);
}

async fn a_link_is_good_for_a_while_and_the_last_one_counts(bench: &Bench) {
    let account = bench.local("Sam", &[]).await;
    let first = create_code(bench, account).await.unwrap();
    let second = create_code(bench, account).await.unwrap();
    assert!(matches!(redeem(&*bench.store, first, after(1)).await, BreakGlassRedemption::Unknown));
    assert!(
        matches!(redeem(&*bench.store, second, after(600)).await, BreakGlassRedemption::Unknown),
        "the code has expired"
    );
    assert!(matches!(
        redeem(&*bench.store, second, after(599)).await,
        BreakGlassRedemption::SessionStarted(_)
    ));
    assert!(matches!(
        redeem(&*bench.store, TokenHash([7; 32]), after(1)).await,
        BreakGlassRedemption::Unknown
    ));
}

async fn only_an_active_account_has_a_link(bench: &Bench) {
    let account = bench.local("Sam", &[]).await;
    for status in [AccountStatus::Disabled, AccountStatus::Deleted] {
        bench.set_status(account, status).await;
        assert_eq!(create_code(bench, account).await, None);
        assert_eq!(bench.database.count("audit_events", "event = 'break_glass_issued'").await, 0);
    }
    bench.set_status(account, AccountStatus::Active).await;
    let code = create_code(bench, account).await.unwrap();
    bench.set_status(account, AccountStatus::Disabled).await;
    let refused = redeem(&*bench.store, code, after(1)).await;
    assert!(matches!(refused, BreakGlassRedemption::Refused(of) if of == account), "{refused:?}");
    bench.set_status(account, AccountStatus::Active).await;
    assert!(
        matches!(redeem(&*bench.store, code, after(1)).await, BreakGlassRedemption::Unknown),
        "the code is deleted"
    );
    let code = create_code(bench, account).await.unwrap();
    for change in [AccountChange::Disable, AccountChange::Enable] {
        bench.store.change_account(account, &change, &event("account_disabled", NOON)).await.unwrap();
        let refused = redeem(&*bench.store, code, after(1)).await;
        assert!(
            matches!(refused, BreakGlassRedemption::Unknown),
            "the code is deleted when the account is disabled: {refused:?}"
        );
    }
    let code = create_code(bench, account).await.unwrap();
    bench
        .store
        .revoke_sessions(SessionSelection::Of(account), &event("session_revoked", NOON))
        .await
        .unwrap();
    assert!(
        matches!(redeem(&*bench.store, code, after(1)).await, BreakGlassRedemption::Unknown),
        "revoking all sessions deletes the code"
    );
}

async fn one_of_many_who_have_a_link_gets_in(bench: &Bench) {
    let account = bench.local("Sam", &[]).await;
    let code = create_code(bench, account).await.unwrap();
    let entered = at_once(bench, async move |store, _| {
        matches!(redeem(&*store, code, after(1)).await, BreakGlassRedemption::SessionStarted(_))
    })
    .await;
    assert_eq!(entered.len(), MANY);
    assert_eq!(count(&entered), 1);
    assert_eq!(bench.database.count("sessions", "1 = 1").await, 1);
}
