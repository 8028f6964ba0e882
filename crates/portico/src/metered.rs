//! The store, timed. What it is asked and how it fares is counted here, so that it need not know.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use portico_core::account::{Account, AccountId, Candidates, Identity, NamePolicy};
use portico_core::audit::{AuditEvent, AuditFilter};
use portico_core::claims::IdentityKey;
use portico_core::clock::Timestamp;
use portico_core::error::StoreError;
use portico_core::keys::StoredKey;
use portico_core::provider::logout::LogoutToken;
use portico_core::session::{Caller, HandOff, NewBreakGlass, NewSession, Session, SessionId, TokenHash};
use portico_core::store::EndedSessions;
use portico_core::store::{
    AccountChange, AccountChanged, AccountFilter, AccountRef, BreakGlassRedemption, Committed, IdentityCount,
    LocalAccount, LoginCommit, Merged, Retention, Rotate, Rotation, SessionFilter, SessionSelection,
    SessionWithAccount, Spent, Store, Unlinked,
};
use tracing::Instrument as _;
use uuid::Uuid;

/// Another store, and a clock beside it.
pub(crate) struct Metered(Arc<dyn Store>);

impl Metered {
    pub(crate) fn over(store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self(store))
    }
}

/// Passes each method on, and notes how long it took and whether it failed.
macro_rules! metered {
    ($(fn $method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for Metered {
            $(async fn $method(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                let started = Instant::now();
                let span = tracing::error_span!("store", operation = stringify!($method));
                let done = self.0.$method($($argument),*).instrument(span).await;
                note(stringify!($method), started, done.is_err());
                done
            })*
        }
    };
}

fn note(operation: &'static str, started: Instant, failed: bool) {
    metrics::histogram!("portico_store_seconds", "operation" => operation).record(started.elapsed());
    if failed {
        metrics::counter!("portico_store_errors_total", "operation" => operation).increment(1);
    }
}

metered! {
    fn ping() -> ();
    fn spend_login(login: &[u8; 32], forget_at: Timestamp) -> Spent;
    fn find_candidates(identity: &IdentityKey, name: Option<&str>) -> Candidates;
    fn commit_login(commit: &LoginCommit<'_>) -> Committed;
    fn find_session(id: SessionId) -> Option<SessionWithAccount>;
    fn find_refresh(presented: &TokenHash) -> Option<SessionId>;
    fn rotate_refresh(rotate: &Rotate) -> Rotation;
    fn take_handoff(code: &TokenHash) -> Option<HandOff>;
    fn begin_session(handoff: &HandOff, session: &NewSession) -> Option<SessionWithAccount>;
    fn revoke_sessions(which: SessionSelection, event: &AuditEvent) -> u64;
    fn find_id_token(session: SessionId) -> Option<Vec<u8>>;
    fn backchannel_logout(logout_token: &LogoutToken, caller: &Caller, now: Timestamp) -> Option<EndedSessions>;
    fn create_break_glass(code: &NewBreakGlass, event: &AuditEvent) -> bool;
    fn redeem_break_glass(code: &TokenHash, session: &NewSession, event: &AuditEvent) -> BreakGlassRedemption;
    fn list_sessions(filter: &SessionFilter) -> Vec<Session>;
    fn create_account(account: &LocalAccount, event: &AuditEvent) -> Option<Account>;
    fn list_accounts(filter: &AccountFilter) -> Vec<Account>;
    fn find_account(account: &AccountRef) -> Option<(Account, Vec<Identity>)>;
    fn change_account(account: AccountId, change: &AccountChange, event: &AuditEvent) -> AccountChanged;
    fn merge_accounts(from: AccountId, into: AccountId, event: &AuditEvent) -> Merged;
    fn unlink_identity(account: AccountId, identity: Uuid, event: &AuditEvent) -> Unlinked;
    fn count_identities() -> Vec<IdentityCount>;
    fn count_adoptable(policy: &NamePolicy) -> u64;
    fn list_keys() -> Vec<StoredKey>;
    fn add_key(key: &StoredKey) -> bool;
    fn promote_key(kid: &str, retires_at: Timestamp, event: &AuditEvent) -> bool;
    fn reseal_key(kid: &str, before: &[u8], after: &[u8]) -> ();
    fn discard_key(kid: &str, sealed: &[u8], event: &AuditEvent) -> bool;
    fn record(event: &AuditEvent) -> ();
    fn list_events(filter: &AuditFilter) -> Vec<AuditEvent>;
    fn sweep(retention: &Retention) -> u64;
}
