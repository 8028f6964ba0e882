//! The port to the disk: what must be remembered, in methods that are one transaction each.

use async_trait::async_trait;
use uuid::Uuid;

use crate::account::{Account, AccountId, Candidates, Decision, Identity, NamePolicy, Standing};
use crate::claims::{Claims, IdentityKey};
use crate::clock::Timestamp;
use crate::keys::StoredKey;
use crate::session::{NewSession, Session, SessionId, TokenHash};
use crate::slot::SlotId;

/// The store did not answer, or answered nonsense. Never read as "not found".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is locked, full or overloaded.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row holds what no version of Portico writes.
    #[error("the store holds a corrupt {row}: {problem}")]
    Corrupt {
        /// Which kind of row.
        row: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// Whether a login was still unspent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was, and is spent now, by this call.
    Now,
    /// Another callback was first.
    Before,
}

/// A login about to be written: everything or nothing.
#[derive(Debug)]
pub struct Settlement<'a> {
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
    /// The session that begins.
    pub session: &'a NewSession,
    /// The session of the same browser that ends.
    pub replaces: Option<SessionId>,
    /// Roles whose accounts are never adopted.
    pub policy: &'a NamePolicy,
    /// Now.
    pub now: Timestamp,
}

/// How a settlement ended.
#[derive(Debug)]
pub enum Settled {
    /// Everything is written; account and session as they are now.
    Done(Box<Present>),
    /// A premise no longer holds (somebody was faster); nothing is written. Look again.
    Conflict,
}

/// A session together with its account.
#[derive(Debug, Clone)]
pub struct Present {
    /// The session.
    pub session: Session,
    /// Its account.
    pub account: Account,
}

/// What became of a refresh token that was presented.
#[derive(Debug)]
pub enum Rotation {
    /// It was the current one and is superseded by the successor now.
    Rotated(Present),
    /// It was superseded before; nothing is written.
    Superseded {
        /// The session it belongs to.
        present: Present,
        /// When it was superseded.
        at: Timestamp,
        /// The session's current token.
        current: TokenHash,
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
    pub standing: Option<Standing>,
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

/// Something worth remembering. Never holds a secret.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// Its identifier, which sorts by time.
    pub id: Uuid,
    /// When.
    pub time: Timestamp,
    /// What: one of the names of the specification, such as `login_succeeded`.
    pub event: &'static str,
    /// Whose account.
    pub account: Option<AccountId>,
    /// Through which slot.
    pub slot: Option<SlotId>,
    /// `success` or `failure`.
    pub outcome: &'static str,
    /// Why, as a stable code.
    pub reason: Option<&'static str>,
    /// The request it happened in.
    pub request_id: Option<String>,
    /// From where.
    pub ip: Option<String>,
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
    async fn settle(&self, settlement: &Settlement<'_>) -> Result<Settled, StoreError>;

    /// A session with its account, whatever their state.
    async fn find_session(&self, id: SessionId) -> Result<Option<Present>, StoreError>;

    /// The session that a refresh token belongs to, current or superseded.
    async fn find_refresh(&self, presented: &TokenHash) -> Result<Option<SessionId>, StoreError>;

    /// Supersedes the current refresh token of a live session by its successor, in one conditional update.
    async fn rotate_refresh(&self, rotate: &Rotate) -> Result<Rotation, StoreError>;

    /// Revokes a session; `false` when it was revoked already or is unknown. The event is written with it.
    async fn revoke_session(&self, id: SessionId, event: &AuditEvent) -> Result<bool, StoreError>;

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

    /// How many accounts a first login could still adopt by name.
    async fn count_adoptable(&self, policy: &NamePolicy) -> Result<u64, StoreError>;

    /// All signing keys, oldest first.
    async fn list_keys(&self) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds a current key for its algorithm, unless there is one already. `true` when this call added it.
    async fn add_first_key(&self, key: &StoredKey) -> Result<bool, StoreError>;

    /// Writes an event that stands alone.
    async fn record(&self, event: &AuditEvent) -> Result<(), StoreError>;

    /// Forgets spent logins and sessions that ended long ago; returns how many rows went.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;
}
