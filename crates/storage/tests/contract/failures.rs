//! A failure or a corrupt row is an error, never "not found".

use std::sync::Arc;

use portico_core::account::{Decision, NamePolicy};
use portico_core::audit::AuditFilter;
use portico_core::clock::Entropy;
use portico_core::error::StoreError;
use portico_core::keys::{KeyState, StoredKey, TokenAlg};
use portico_core::provider::logout::{LogoutToken, Whose};
use portico_core::session::{
    Caller, Challenge, HandOff, NewBreakGlass, NewSession, RefreshToken, SessionId, TokenHash,
};
use portico_core::store::{
    AccountChange, AccountFilter, AccountRef, AdminStore, KeyStore, LoginCommit, LoginStore, Retention,
    Rotate, SessionFilter, SessionKind, SessionSelection, SessionStore, Store,
};
use portico_storage::Storage;

use crate::bench::{Bench, NOON, event, local, on_bench};
use crate::people::{Person, Visit, ada};
use crate::recorded::{Outcome, recorded};

on_both_databases!(
    on_bench;
    a_closed_store_is_unavailable,
    a_broken_table_is_unavailable,
    a_corrupt_row_is_named,
);

/// Calls every method and ignores the results. The layer that wraps `store` records them.
async fn call_everything(store: &dyn Store, visit: &Visit) {
    call_logins(store, visit).await;
    call_sessions(store, visit).await;
    call_keys(store).await;
    call_admin(store, visit).await;
    store.ping().await.ok();
    store.record(&event("logout", NOON)).await.ok();
    store.sweep(&Retention { audit_before: Some(NOON), now: NOON }).await.ok();
}

async fn call_logins(store: &dyn LoginStore, visit: &Visit) {
    let (account, decision) = (visit.new_account, Decision::Create(vec!["Somebody".to_owned()]));
    let commit = LoginCommit {
        decision: &decision,
        new_account: account,
        new_identity: visit.new_identity,
        claims: &visit.claims,
        label: None,
        session_kind: SessionKind::Session(&visit.session),
        browser: None,
        policy: &visit.policy,
        default_group: None,
        caller: &visit.session.caller,
        now: NOON,
    };
    let (code, session) = (fresh(), another_session(visit));
    store.spend_login(&[9; 32], NOON).await.ok();
    store.find_candidates(visit.claims.identity(), Some("Ada")).await.ok();
    store.commit_login(&commit).await.ok();
    store.take_handoff(&code).await.ok();
    store.begin_session(&handoff(visit), &session).await.ok();
    store.redeem_break_glass(&code, &session, &event("break_glass_used", NOON)).await.ok();
    store.find_account(&AccountRef::Name("Ada".to_owned())).await.ok();
    store.unlink_identity(account, visit.new_identity, &event("identity_unlinked", NOON)).await.ok();
}

async fn call_sessions(store: &dyn SessionStore, visit: &Visit) {
    let session = visit.session.id;
    let token = visit.token.hash();
    let rotate = Rotate { presented: token, session, next: fresh(), now: NOON };
    let whose = Whose::Session { issuer: "i".to_owned(), sid: "s".to_owned() };
    let logout_token = LogoutToken { whose, once: [0; 32], forget_at: NOON };
    let filter = SessionFilter { account: None, used_since: NOON, now: NOON, after: None, limit: 1 };
    store.find_session(session).await.ok();
    store.find_refresh(&token).await.ok();
    store.rotate_refresh(&rotate).await.ok();
    store.revoke_sessions(SessionSelection::One(session), &event("logout", NOON)).await.ok();
    store.find_id_token(session).await.ok();
    store.backchannel_logout(&logout_token, &Caller::default(), NOON).await.ok();
    store.list_sessions(&filter).await.ok();
}

async fn call_keys(store: &dyn KeyStore) {
    let key = StoredKey {
        kid: "kid".to_owned(),
        alg: TokenAlg::ES256,
        state: KeyState::Current,
        public_jwk: "{}".to_owned(),
        sealed: Vec::new(),
        created_at: NOON,
        retires_at: None,
    };
    let rotated = event("key_rotated", NOON);
    store.list_keys().await.ok();
    store.add_key(&key).await.ok();
    store.promote_key("unknown", NOON, &rotated).await.ok();
    store.reseal_key("unknown", b"", b"").await.ok();
    store.discard_key("unknown", b"", &rotated).await.ok();
}

async fn call_admin(store: &dyn AdminStore, visit: &Visit) {
    let account = visit.new_account;
    let (filter, events) = (AccountFilter::default(), AuditFilter::default());
    let code = NewBreakGlass { code: fresh(), account, expires_at: NOON };
    let disabled = event("account_disabled", NOON);
    store.create_account(&local("Bo", &["x"]), &event("account_created", NOON)).await.ok();
    store.list_accounts(&AccountFilter { limit: 1, ..filter }).await.ok();
    store.change_account(account, &AccountChange::Disable, &disabled).await.ok();
    store.merge_accounts(account, account, &event("account_merged", NOON)).await.ok();
    store.create_break_glass(&code, &event("break_glass_issued", NOON)).await.ok();
    store.count_identities().await.ok();
    store.count_adoptable(&NamePolicy::default()).await.ok();
    store.list_events(&AuditFilter { limit: 1, ..events }).await.ok();
}

fn fresh() -> TokenHash {
    RefreshToken::first(Entropy).hash()
}

fn another_session(visit: &Visit) -> NewSession {
    NewSession { id: SessionId(Entropy.id(NOON)), refresh: fresh(), ..visit.session.clone() }
}

fn handoff(visit: &Visit) -> HandOff {
    HandOff {
        account: visit.new_account,
        identity: visit.new_identity,
        slot: visit.claims.slot(),
        session_claims: visit.claims.session_claims().clone(),
        challenge: Challenge([0; 16]),
        id_token: None,
        created_at: NOON,
        expires_at: NOON,
    }
}

async fn a_closed_store_is_unavailable(bench: &Bench) {
    let storage = Storage::open(&bench.database.url).await.unwrap();
    let (store, calls) = recorded(storage.store());
    call_everything(&*store, &Visit::creating(&ada(), &[])).await;
    calls.assert_every_method(Outcome::Done);
    storage.close().await;
    let before = bench.rows().await;
    call_everything(&*store, &Visit::creating(&Person::new("new"), &[])).await;
    calls.assert_every_method(Outcome::Unavailable);
    assert_eq!(bench.rows().await, before);
}

async fn a_broken_table_is_unavailable(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let tables = [
        "accounts",
        "account_roles",
        "break_glass",
        "hand_offs",
        "identities",
        "sessions",
        "refresh_tokens",
        "spent_logins",
        "signing_keys",
        "audit_events",
    ];
    let renames = tables.map(|table| format!("ALTER TABLE {table} RENAME TO lost_{table};"));
    bench.database.execute(&renames.concat()).await.unwrap();
    let (store, calls) = recorded(Arc::clone(&bench.store));
    call_everything(&*store, &visit).await;
    calls.assert_every_method(Outcome::Unavailable);
}

async fn a_corrupt_row_is_named(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let session = async || bench.store.find_session(visit.session.id).await;
    let identities = async || bench.store.find_account(&AccountRef::Id(visit.new_account)).await;
    assert!(session().await.is_ok() && identities().await.is_ok());
    for session_claims in [r#"{"groups":7}"#, "[1]", "7"] {
        bench.database.execute(&format!("UPDATE sessions SET facts = '{session_claims}'")).await.unwrap();
        let error = session().await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { row: "session", .. }), "{session_claims}: {error}");
    }
    bench.database.execute("UPDATE sessions SET facts = '{}', slot = 'saml/google'").await.unwrap();
    assert!(matches!(session().await.unwrap_err(), StoreError::Corrupt { row: "session", .. }));
    bench.database.execute("UPDATE identities SET subject = ' '").await.unwrap();
    assert!(matches!(identities().await.unwrap_err(), StoreError::Corrupt { row: "identity", .. }));
    let key = "INSERT INTO signing_keys (kid, alg, state, public_jwk, sealed, created_at) \
        SELECT 'kid', 'HS256', 'next', '{}', hash, 0 FROM refresh_tokens";
    bench.database.execute(key).await.unwrap();
    let error = bench.store.list_keys().await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { row: "signing key", .. }), "{error}");
}
