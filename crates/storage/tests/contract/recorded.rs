//! The real store, with a list of what was asked of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

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
use uuid::Uuid;

/// The methods called so far, in all databases of a suite.
#[derive(Debug, Clone, Default)]
pub struct Called(Arc<Mutex<BTreeSet<&'static str>>>);

impl Called {
    pub fn missed(&self, methods: &[&'static str]) -> Vec<&'static str> {
        let called = self.0.lock().unwrap();
        methods.iter().copied().filter(|method| !called.contains(method)).collect()
    }
}

/// A store whose calls are recorded.
pub struct Recorded {
    pub inner: Arc<dyn Store>,
    pub called: Called,
}

/// Passes each method on. The compiler sees that none of the trait is missing, and so none is missing in the list.
macro_rules! recorded {
    ($(fn $method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Recorded {
            pub const METHODS: &'static [&'static str] = &[$(stringify!($method)),*];
        }

        #[async_trait]
        impl Store for Recorded {
            $(async fn $method(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.called.0.lock().unwrap().insert(stringify!($method));
                self.inner.$method($($argument),*).await
            })*
        }
    };
}

recorded! {
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
