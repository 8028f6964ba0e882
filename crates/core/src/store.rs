//! The port to the disk: what must be remembered, in methods that are one transaction each.

use std::collections::HashSet;

use async_trait::async_trait;
use uuid::Uuid;

use crate::account::{Account, AccountId, AccountStatus, Candidates, Decision, Identity, NamePolicy};
use crate::audit::{AuditEvent, AuditFilter};
use crate::claims::{Claims, IdentityKey};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::keys::StoredKey;
use crate::provider::logout::LogoutToken;
use crate::session::{Caller, HandOff, NewBreakGlass, NewHandOff, NewSession, Session, SessionId, TokenHash};
use crate::slot::SlotId;

/// Whether a login was still unspent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was, and is spent now, by this call.
    Now,
    /// Another callback was first.
    Before,
}

/// What begins when a login is written.
#[derive(Debug, Clone, Copy)]
pub enum SessionKind<'a> {
    /// A session of this browser.
    Session(&'a NewSession),
    /// Nothing yet: a code that its owner exchanges for a session.
    HandOff(&'a NewHandOff),
    /// Nothing: an identity was linked within a session that goes on.
    Nothing,
}

/// A login about to be written: everything or nothing.
#[derive(Debug)]
pub struct LoginCommit<'a> {
    /// Which account; the premises it rests on are checked again in the same transaction.
    pub decision: &'a Decision,
    /// The identifier of the account if one is created.
    pub new_account: AccountId,
    /// The identifier of the identity if it is new.
    pub new_identity: Uuid,
    /// Who came.
    pub claims: &'a Claims,
    /// The display label, cleaned.
    pub label: Option<&'a str>,
    /// What begins.
    pub session_kind: SessionKind<'a>,
    /// The session of the same browser: a login ends it; for [`Decision::Link`] it must be live and of that account,
    /// and is the only one that goes on.
    pub browser: Option<SessionId>,
    /// Roles whose accounts are never adopted.
    pub policy: &'a NamePolicy,
    /// Granted locally when the account is created or adopted.
    pub default_group: Option<&'a str>,
    /// Who asked.
    pub caller: &'a Caller,
    /// Now.
    pub now: Timestamp,
}

/// How a settlement ended.
#[derive(Debug)]
pub enum Committed {
    /// Everything is written.
    Done(Box<CommittedLogin>),
    /// A premise no longer holds (somebody was faster); nothing is written. Look again.
    Conflict,
}

/// A login that is written.
#[derive(Debug)]
pub struct CommittedLogin {
    /// The account as it is now.
    pub account: Account,
    /// The session, if one began.
    pub session: Option<Session>,
    /// What was audited in the same transaction.
    pub events: Vec<AuditEvent>,
}

/// A session together with its account.
#[derive(Debug, Clone)]
pub struct SessionWithAccount {
    /// The session.
    pub session: Session,
    /// Its account.
    pub account: Account,
}

/// What became of a refresh token that was presented.
#[derive(Debug)]
pub enum Rotation {
    /// It was the current one and is superseded by the successor now.
    Rotated(SessionWithAccount),
    /// It was superseded before; nothing is written.
    Superseded {
        /// The session it belongs to.
        entry: SessionWithAccount,
        /// When it was superseded.
        at: Timestamp,
        /// The session's current token.
        current: TokenHash,
        /// All tokens of the session that were superseded at that time or later, in no order.
        since: HashSet<TokenHash>,
    },
    /// Nobody knows it.
    Unknown,
}

/// A refresh token presented for rotation.
#[derive(Debug, Clone, Copy)]
pub struct Rotate {
    /// The token presented.
    pub presented: TokenHash,
    /// The session it names; see [`Store::find_refresh`].
    pub session: SessionId,
    /// Its successor.
    pub next: TokenHash,
    /// Now.
    pub now: Timestamp,
}

/// A local account about to be made by an operator.
#[derive(Debug, Clone)]
pub struct LocalAccount {
    /// Its identifier.
    pub id: AccountId,
    /// Its unique name.
    pub name: String,
    /// Its display label.
    pub label: String,
    /// Its e-mail.
    pub email: Option<String>,
    /// Roles granted.
    pub roles: Vec<String>,
}

/// What to list of the accounts. Sorted by identifier, which is the order of creation.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Only of this standing.
    pub status: Option<AccountStatus>,
    /// Only of exactly this name.
    pub name: Option<String>,
    /// Only with this local role.
    pub role: Option<String>,
    /// Only after this one.
    pub after: Option<AccountId>,
    /// At most so many.
    pub limit: u32,
}

/// How to name one account.
#[derive(Debug, Clone)]
pub enum AccountRef {
    /// By identifier.
    Id(AccountId),
    /// By exact name.
    Name(String),
}

/// Something granted to an account locally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A role.
    Role(String),
    /// A group.
    Group(String),
}

/// What an operator does to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    /// Switches an active account off and ends its sessions.
    Disable,
    /// Switches a disabled account on again.
    Enable,
    /// Deletes an account and ends its sessions; its identities stay as tombstones.
    Delete,
    /// Removes the tombstones of a deleted account, so that its people may come back as new ones.
    Release,
    /// Grants something.
    Grant(Grant),
    /// Takes a grant back.
    Revoke(Grant),
}

/// People who last came through one slot, under one issuer and client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityCount {
    /// The slot.
    pub slot: SlotId,
    /// As in their identity keys.
    pub issuer: String,
    /// Our client identifier then.
    pub client_id: String,
    /// How many.
    pub count: u64,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChanged {
    /// It is written; the account as it is now.
    Done(Account),
    /// There was nothing to do, or the account's status does not allow it; nothing is written.
    Unchanged(Account),
    /// There is no such account.
    Unknown,
}

/// What became of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// Identities and grants are the other account's now; as it is now.
    Done(Account),
    /// The one is deleted, the other is not active, or both are the same; nothing is written.
    Refused,
    /// One of the two is unknown.
    Unknown,
}

/// What became of an unlinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlinked {
    /// The identity is gone and the sessions it began are ended.
    Done,
    /// It is the account's last one; nothing is written.
    Last,
    /// The account has no such identity, or is not active.
    Unknown,
}

/// What became of a break-glass link that somebody used.
#[derive(Debug, Clone)]
pub enum BreakGlassRedemption {
    /// A session began. The link is gone.
    SessionStarted(Box<SessionWithAccount>),
    /// The account is disabled or deleted. The link is gone.
    Refused(AccountId),
    /// There is no such link: it never was, was used or replaced, or has expired.
    Unknown,
}

/// Which sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionSelection {
    /// This one.
    One(SessionId),
    /// All of an account.
    Of(AccountId),
    /// All there are.
    All,
}

/// What to list of the sessions that are neither revoked nor past their absolute life. Sorted by identifier, which is
/// the order of creation.
#[derive(Debug, Clone, Copy)]
pub struct SessionFilter {
    /// Only of this account.
    pub account: Option<AccountId>,
    /// Only those used at that time or later.
    pub used_since: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// Only after this one.
    pub after: Option<SessionId>,
    /// At most so many.
    pub limit: u32,
}

/// Sessions that a provider ended.
#[derive(Debug, Default)]
pub struct EndedSessions {
    /// Those that were live.
    pub sessions: Vec<SessionId>,
    /// What was audited in the same transaction.
    pub events: Vec<AuditEvent>,
}

/// How long things are kept that nobody asks for any more.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Audit events older than this are forgotten; `None` keeps them for ever.
    pub audit_before: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// Portico's memory, in SQLite or PostgreSQL alike. A method is a transaction; races are decided here.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Answers when the store can be read.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Marks a login as spent, unless it is already. The mark is kept until `forget_at`.
    async fn spend_login(&self, login: &[u8; 32], forget_at: Timestamp) -> Result<Spent, StoreError>;

    /// The accounts that a person may be: by identity, and by exact name where one is given.
    async fn find_candidates(
        &self,
        identity: &IdentityKey,
        name: Option<&str>,
    ) -> Result<Candidates, StoreError>;

    /// Writes a login: account, identity, session, refresh token, the end of the replaced session, and audit events,
    /// in one transaction that repeats every premise of the decision as a guard.
    async fn commit_login(&self, commit: &LoginCommit<'_>) -> Result<Committed, StoreError>;

    /// A session with its account, whatever their state.
    async fn find_session(&self, id: SessionId) -> Result<Option<SessionWithAccount>, StoreError>;

    /// The session that a refresh token belongs to, current or superseded.
    async fn find_refresh(&self, presented: &TokenHash) -> Result<Option<SessionId>, StoreError>;

    /// Supersedes the current refresh token of a live session by its successor, in one conditional update.
    async fn rotate_refresh(&self, rotate: &Rotate) -> Result<Rotation, StoreError>;

    /// Takes a hand-off code: it is gone afterwards, whatever it is good for. `None` when it is unknown.
    async fn take_handoff(&self, code: &TokenHash) -> Result<Option<HandOff>, StoreError>;

    /// Begins a session of an account that is active and still has the identity; `None` otherwise.
    async fn begin_session(
        &self,
        handoff: &HandOff,
        session: &NewSession,
    ) -> Result<Option<SessionWithAccount>, StoreError>;

    /// Remembers a break-glass link of an active account, in the place of an earlier one; `false` when the account is not
    /// active. The event is written with it.
    async fn create_break_glass(&self, code: &NewBreakGlass, event: &AuditEvent) -> Result<bool, StoreError>;

    /// Takes a break-glass link and begins the session, of the account that it names. Of two at once one finds it. The event,
    /// about that account, is written with it.
    async fn redeem_break_glass(
        &self,
        code: &TokenHash,
        session: &NewSession,
        event: &AuditEvent,
    ) -> Result<BreakGlassRedemption, StoreError>;

    /// Revokes sessions that are not revoked; how many those were. When there were any the event is written with it. All of
    /// an account, or all there are, include those that a hand-off code or a break-glass link would begin.
    async fn revoke_sessions(&self, which: SessionSelection, event: &AuditEvent) -> Result<u64, StoreError>;

    /// The ID token that a session began with, as it was sealed; none once the session is revoked.
    async fn find_id_token(&self, session: SessionId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Ends the sessions that a provider says have ended, and those that a hand-off code would begin. `None` when this
    /// notice was heard before.
    async fn backchannel_logout(
        &self,
        logout_token: &LogoutToken,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<EndedSessions>, StoreError>;

    /// Some of the live sessions, sorted by identifier.
    async fn list_sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, StoreError>;

    /// Makes a local account; `None` when its name is taken.
    async fn create_account(
        &self,
        account: &LocalAccount,
        event: &AuditEvent,
    ) -> Result<Option<Account>, StoreError>;

    /// Some of the accounts, sorted by identifier.
    async fn list_accounts(&self, filter: &AccountFilter) -> Result<Vec<Account>, StoreError>;

    /// One account with its identities, oldest first.
    async fn find_account(
        &self,
        account: &AccountRef,
    ) -> Result<Option<(Account, Vec<Identity>)>, StoreError>;

    /// Changes an account as an operator wants it. The event is written with it.
    async fn change_account(
        &self,
        account: AccountId,
        change: &AccountChange,
        event: &AuditEvent,
    ) -> Result<AccountChanged, StoreError>;

    /// Gives identities and grants of one account to another, which is active; the first one is deleted afterwards,
    /// and the sessions of both end. The one way an identity moves.
    async fn merge_accounts(
        &self,
        from: AccountId,
        into: AccountId,
        event: &AuditEvent,
    ) -> Result<Merged, StoreError>;

    /// Takes an identity away from its active account, unless it is the last one, and ends the sessions it began. Of two
    /// at once that would leave none, one is refused.
    async fn unlink_identity(
        &self,
        account: AccountId,
        identity: Uuid,
        event: &AuditEvent,
    ) -> Result<Unlinked, StoreError>;

    /// How many people last came through each slot, under which names.
    async fn count_identities(&self) -> Result<Vec<IdentityCount>, StoreError>;

    /// How many accounts a first login could still adopt by name.
    async fn count_adoptable(&self, policy: &NamePolicy) -> Result<u64, StoreError>;

    /// All signing keys, oldest first.
    async fn list_keys(&self) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds a key, unless there is one of its algorithm and state already. `true` when this call added it.
    async fn add_key(&self, key: &StoredKey) -> Result<bool, StoreError>;

    /// Makes a next key the current one; every key that signed so far is retired and published until `retires_at`.
    /// `false` when it is not a next key any more: another replica was first. The event is written with it.
    async fn promote_key(
        &self,
        kid: &str,
        retires_at: Timestamp,
        event: &AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Replaces a key's sealed private half, if it still is what it was.
    async fn reseal_key(&self, kid: &str, before: &[u8], after: &[u8]) -> Result<(), StoreError>;

    /// Forgets a key, if it still is sealed so. `true` when this call did. The event is written with it.
    async fn discard_key(&self, kid: &str, sealed: &[u8], event: &AuditEvent) -> Result<bool, StoreError>;

    /// Writes an event that stands alone.
    async fn record(&self, event: &AuditEvent) -> Result<(), StoreError>;

    /// Some of the audit events, sorted by identifier.
    async fn list_events(&self, filter: &AuditFilter) -> Result<Vec<AuditEvent>, StoreError>;

    /// Forgets spent logins, hand-off codes, sessions and keys that ended long ago, and old audit events; returns how
    /// many rows went.
    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError>;
}
