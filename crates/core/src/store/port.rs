//! The traits of the store.
//!
//! The list in `store_traits!` is the only list of methods. It generates the traits, their names in
//! [`METHODS`], and the forwarding code of [`layered`]. A new method is written in three places: in this
//! list, in the SQL implementation, and in the contract tests.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::admin::{
    AccountChange, AccountChanged, AccountFilter, AccountRef, IdentityCount, LocalAccount, Merged, Retention,
};
use super::login::{BreakGlassRedemption, Committed, LoginCommit, Spent, Unlinked};
use super::session::{EndedSessions, Rotate, Rotation, SessionFilter, SessionSelection, SessionWithAccount};
use crate::account::{Account, AccountId, Candidates, Identity, NamePolicy};
use crate::audit::{AuditEvent, AuditFilter};
use crate::claims::IdentityKey;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::keys::StoredKey;
use crate::provider::logout::LogoutToken;
use crate::session::{Caller, HandOff, NewBreakGlass, NewSession, Session, SessionId, TokenHash};

/// Runs code around every call of a store: to measure it, to record it, or to let it fail.
pub trait StoreLayer: Send + Sync + 'static {
    /// Receives the name of a method and the call itself, which runs when it is awaited.
    fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;
}

/// Lets the owner of a layer keep a handle to it.
impl<L: StoreLayer> StoreLayer for Arc<L> {
    fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        (**self).around(method, call)
    }
}

/// Wraps a store, so that each of its calls goes through `layer`.
pub fn layered(store: Arc<dyn Store>, layer: impl StoreLayer) -> Arc<dyn Store> {
    Arc::new(Layered { store, layer })
}

struct Layered<L> {
    store: Arc<dyn Store>,
    layer: L,
}

/// The whole store. A function asks for the smallest trait that it needs; `&dyn Store` converts to each of
/// them.
pub trait Store: LoginStore + SessionStore + KeyStore + AdminStore + SystemStore {}

impl<S: LoginStore + SessionStore + KeyStore + AdminStore + SystemStore> Store for S {}

/// Declares traits whose methods are `async`, and implements each for [`Layered`].
macro_rules! store_traits {
    ($(
        $(#[$about_trait:meta])*
        pub trait $name:ident {
            $(
                $(#[$about:meta])*
                async fn $method:ident(&self $(, $argument:ident: $type:ty)* $(,)?) -> Result<$answer:ty>;
            )*
        }
    )*) => {
        $(
            $(#[$about_trait])*
            #[async_trait]
            pub trait $name: Send + Sync + 'static {
                $(
                    $(#[$about])*
                    async fn $method(&self, $($argument: $type),*) -> Result<$answer, StoreError>;
                )*
            }

            #[async_trait]
            impl<L: StoreLayer> $name for Layered<L> {
                $(
                    async fn $method(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                        self.layer.around(stringify!($method), self.store.$method($($argument),*)).await
                    }
                )*
            }
        )*

        /// The names of all methods of [`Store`].
        pub const METHODS: &[&str] = &[$($(stringify!($method)),*),*];
    };
}

store_traits! {
    /// What a login reads and writes: pending logins, accounts, identities and codes. Each method is one
    /// transaction, and races are decided in the database.
    pub trait LoginStore {
        /// Records that a pending login is spent, unless it already is. The record is retained until
        /// `forget_at`.
        async fn spend_login(&self, login: &[u8; 32], forget_at: Timestamp) -> Result<Spent>;

        /// Finds the accounts that a login may enter: by identity, and by exact name if one is given.
        async fn find_candidates(&self, identity: &IdentityKey, name: Option<&str>) -> Result<Candidates>;

        /// Writes a login in one transaction: account, identity, session, refresh token, the end of the
        /// replaced session, and audit events. The transaction repeats every premise of the decision as a
        /// guard.
        async fn commit_login(&self, commit: &LoginCommit<'_>) -> Result<Committed>;

        /// Takes a hand-off code and deletes it, whether or not it is still valid. `None` if it is unknown.
        async fn take_handoff(&self, code: &TokenHash) -> Result<Option<HandOff>>;

        /// Creates the session of a hand-off. `None` if the account is not active or no longer has the
        /// identity.
        async fn begin_session(
            &self,
            handoff: &HandOff,
            session: &NewSession,
        ) -> Result<Option<SessionWithAccount>>;

        /// Redeems a break-glass code and creates a session of the account that it names. Of several
        /// concurrent calls one succeeds. The event, completed with the account, is written in the same
        /// transaction.
        async fn redeem_break_glass(
            &self,
            code: &TokenHash,
            session: &NewSession,
            event: &AuditEvent,
        ) -> Result<BreakGlassRedemption>;

        /// Finds one account with its identities, oldest first.
        async fn find_account(&self, account: &AccountRef) -> Result<Option<(Account, Vec<Identity>)>>;

        /// Unlinks an identity from its active account, unless it is the last one, and revokes the sessions
        /// that it started. Of two concurrent calls that together would leave no identity, one is refused.
        async fn unlink_identity(
            &self,
            account: AccountId,
            identity: Uuid,
            event: &AuditEvent,
        ) -> Result<Unlinked>;
    }

    /// What session refresh, sign-out and the session list read and write.
    pub trait SessionStore {
        /// Finds a session with its account, whatever the state of either.
        async fn find_session(&self, id: SessionId) -> Result<Option<SessionWithAccount>>;

        /// Finds the session that a refresh token belongs to, whether the token is current or superseded.
        async fn find_refresh(&self, presented: &TokenHash) -> Result<Option<SessionId>>;

        /// Replaces the current refresh token of a live session by its successor, in one conditional update.
        async fn rotate_refresh(&self, rotate: &Rotate) -> Result<Rotation>;

        /// Revokes sessions and returns how many were not revoked before. If there were any, the event
        /// is written too. [`SessionSelection::Of`] and [`SessionSelection::All`] include the hand-off
        /// and break-glass codes that would start such a session.
        async fn revoke_sessions(&self, which: SessionSelection, event: &AuditEvent) -> Result<u64>;

        /// Reads the sealed ID token of a session. `None` if the session has none or is revoked.
        async fn find_id_token(&self, session: SessionId) -> Result<Option<Vec<u8>>>;

        /// Ends the sessions that a logout token of a provider names, and the hand-off codes that would start
        /// such a session. `None` if the logout token was processed before.
        async fn backchannel_logout(
            &self,
            logout_token: &LogoutToken,
            caller: &Caller,
            now: Timestamp,
        ) -> Result<Option<EndedSessions>>;

        /// Lists live sessions, sorted by identifier.
        async fn list_sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>>;
    }

    /// The signing keys.
    pub trait KeyStore {
        /// Lists all signing keys, oldest first.
        async fn list_keys(&self) -> Result<Vec<StoredKey>>;

        /// Adds a key, unless one of its algorithm and state exists. `true` if this call added it.
        async fn add_key(&self, key: &StoredKey) -> Result<bool>;

        /// Makes a `next` key the current one. Every key that signed before is retired and stays published
        /// until `retires_at`. `false` if the key is no longer `next`, because another replica promoted it.
        /// The event is written in the same transaction.
        async fn promote_key(&self, kid: &str, retires_at: Timestamp, event: &AuditEvent) -> Result<bool>;

        /// Replaces the sealed private half of a key if it still equals `before`.
        async fn reseal_key(&self, kid: &str, before: &[u8], after: &[u8]) -> Result<()>;

        /// Deletes a key if its sealed private half still equals `sealed`. `true` if this call deleted it.
        /// The event is written in the same transaction.
        async fn discard_key(&self, kid: &str, sealed: &[u8], event: &AuditEvent) -> Result<bool>;
    }

    /// What an operator reads and writes.
    pub trait AdminStore {
        /// Creates a local account. `None` if its name is taken.
        async fn create_account(&self, account: &LocalAccount, event: &AuditEvent) -> Result<Option<Account>>;

        /// Lists accounts, sorted by identifier.
        async fn list_accounts(&self, filter: &AccountFilter) -> Result<Vec<Account>>;

        /// Changes an account. The event is written in the same transaction.
        async fn change_account(
            &self,
            account: AccountId,
            change: &AccountChange,
            event: &AuditEvent,
        ) -> Result<AccountChanged>;

        /// Moves identities and grants from one account to another, active one. The source is deleted and the
        /// sessions of both end. No other method moves an identity.
        async fn merge_accounts(
            &self,
            from: AccountId,
            into: AccountId,
            event: &AuditEvent,
        ) -> Result<Merged>;

        /// Stores a break-glass code of an active account and replaces an earlier one. `false` if the account
        /// is not active. The event is written in the same transaction.
        async fn create_break_glass(&self, code: &NewBreakGlass, event: &AuditEvent) -> Result<bool>;

        /// Counts the identities per slot, issuer and client id of their last login.
        async fn count_identities(&self) -> Result<Vec<IdentityCount>>;

        /// Counts the accounts that a first login can still adopt by name.
        async fn count_adoptable(&self, policy: &NamePolicy) -> Result<u64>;

        /// Lists audit events, sorted by identifier.
        async fn list_events(&self, filter: &AuditFilter) -> Result<Vec<AuditEvent>>;
    }

    /// Health, audit and cleanup.
    pub trait SystemStore {
        /// Succeeds if the store can be read.
        async fn ping(&self) -> Result<()>;

        /// Writes an audit event outside any other transaction.
        async fn record(&self, event: &AuditEvent) -> Result<()>;

        /// Deletes pending logins, codes, sessions and keys that ended long ago, and old audit events.
        /// Returns the number of deleted rows.
        async fn sweep(&self, retention: &Retention) -> Result<u64>;
    }
}
