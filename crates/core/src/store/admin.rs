//! Arguments and results of [`AdminStore`](super::AdminStore) and [`SystemStore`](super::SystemStore).

use crate::account::{Account, AccountId, AccountStatus};
use crate::clock::Timestamp;
use crate::slot::SlotId;

/// A local account that an operator creates.
#[derive(Debug, Clone)]
pub struct LocalAccount {
    /// Its identifier.
    pub id: AccountId,
    /// Its unique name.
    pub name: String,
    /// Its display label.
    pub label: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
}

/// Which accounts to list. They are sorted by identifier, which is the order of creation.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Only accounts with this status.
    pub status: Option<AccountStatus>,
    /// Only the account with exactly this name.
    pub name: Option<String>,
    /// Only accounts with this local role.
    pub role: Option<String>,
    /// Only accounts after this one.
    pub after: Option<AccountId>,
    /// The maximum number of accounts.
    pub limit: u32,
}

/// Names one account.
#[derive(Debug, Clone)]
pub enum AccountRef {
    /// By identifier.
    Id(AccountId),
    /// By exact name.
    Name(String),
}

/// A role or group that is granted to an account locally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A role.
    Role(String),
    /// A group.
    Group(String),
}

/// An operator's change of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    /// Disables an active account and ends its sessions.
    Disable,
    /// Enables a disabled account.
    Enable,
    /// Deletes an account and ends its sessions; its identities stay as tombstones.
    Delete,
    /// Removes the tombstones of a deleted account, so that their owners can log in to new accounts.
    Release,
    /// Adds a grant.
    Grant(Grant),
    /// Removes a grant.
    Revoke(Grant),
}

/// The number of identities that last logged in through one slot under one issuer and client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityCount {
    /// The slot.
    pub slot: SlotId,
    /// The issuer in their identity keys.
    pub issuer: String,
    /// Portico's client identifier at that login.
    pub client_id: String,
    /// How many identities.
    pub count: u64,
}

/// The result of an account change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChanged {
    /// The change is written; the account after it.
    Done(Account),
    /// The change has no effect, or the status of the account does not allow it. Nothing is written.
    Unchanged(Account),
    /// The account does not exist.
    Unknown,
}

/// The result of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The other account now has the identities and grants; that account after the merge.
    Done(Account),
    /// The source is deleted, the target is not active, or both are the same account. Nothing is written.
    Refused,
    /// One of the two accounts does not exist.
    Unknown,
}

/// How long rows that have ended are retained.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Audit events older than this are deleted; `None` retains them indefinitely.
    pub audit_before: Option<Timestamp>,
    /// The current time.
    pub now: Timestamp,
}
