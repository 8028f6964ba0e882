//! `portico accounts`: lists and changes accounts.

mod change;
mod create;
mod import;
mod list;
mod local;
pub(super) mod lookup;
mod merge;

use clap::Subcommand;
use portico_core::account::{Account, AccountId, Identity};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::Clock;
use portico_core::store::AccountChange;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::settings::Loaded;
use crate::wire;

#[derive(Debug, Subcommand)]
pub(super) enum Accounts {
    /// Create a local account for a user from before single sign-on
    Create(create::Create),
    /// Create local accounts from a CSV or JSON file
    Import(import::Import),
    /// List accounts, oldest first
    List(list::List),
    /// Show one account with its identities and sessions
    Show(list::Show),
    /// Grant a role or a group locally
    Grant(change::Grant),
    /// Revoke a locally granted role or group
    Revoke(change::Grant),
    /// Disable an account and end its sessions
    Disable(change::One),
    /// Enable a disabled account
    Enable(change::One),
    /// Delete an account and end its sessions; its identities are refused until they are released
    Delete(change::One),
    /// Release the identities of a deleted account: their next login creates a new account
    Release(change::One),
    /// Move identities and grants from one account to another, and delete the first
    Merge(merge::Merge),
    /// Unlink an identity from an account and end the sessions that it started
    Unlink(change::Unlink),
}

impl Accounts {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        wire::with_store(&loaded.settings, async |store| match self {
            Self::Create(create) => create.run(store).await,
            Self::Import(import) => import.run(store).await,
            Self::List(list) => list.run(store).await,
            Self::Show(show) => show.run(store, &loaded.settings.lifetimes).await,
            Self::Grant(grant) => grant.run(store, Event::RoleGranted, AccountChange::Grant).await,
            Self::Revoke(grant) => grant.run(store, Event::RoleRevoked, AccountChange::Revoke).await,
            Self::Disable(one) => one.run(store, Event::AccountDisabled, &AccountChange::Disable).await,
            Self::Enable(one) => one.run(store, Event::AccountEnabled, &AccountChange::Enable).await,
            Self::Delete(one) => one.run(store, Event::AccountDeleted, &AccountChange::Delete).await,
            Self::Release(one) => one.run(store, Event::AccountReleased, &AccountChange::Release).await,
            Self::Merge(merge) => merge.run(store).await,
            Self::Unlink(unlink) => unlink.run(store).await,
        })
    }
}

/// An audit event of now, caused by an operator.
fn by_operator(event: Event, account: AccountId) -> AuditEvent {
    AuditEvent::new(event, Clock::System.now()).about(account).because("operator")
}

fn account_line(account: &Account) -> String {
    let roles =
        if account.roles.is_empty() { String::new() } else { format!("  [{}]", account.roles.join(", ")) };
    format!("{}  {:8}  {}  ({}){roles}", account.id, account.status.as_str(), account.name, account.label)
}

fn account_json(account: &Account) -> Value {
    json!({
        "id": account.id.0,
        "name": account.name,
        "label": account.label,
        "email": account.email.as_ref().map(|email| &email.address),
        "email_verified": account.email.as_ref().and_then(|email| email.verified),
        "status": account.status.as_str(),
        "roles": account.roles,
        "groups": account.groups,
        "ever_linked": account.ever_linked,
        "created_at": portico_http::rfc3339(account.created_at),
        "last_login_at": account.last_login_at.map(portico_http::rfc3339),
    })
}

fn identity_json(identity: &Identity) -> Value {
    json!({
        "id": identity.id,
        "protocol": identity.key.protocol.as_str(),
        "slot": identity.slot.to_string(),
        "issuer": identity.key.issuer,
        "subject": identity.key.subject.as_str(),
        "email": identity.email,
        "linked_at": portico_http::rfc3339(identity.linked_at),
        "last_login_at": portico_http::rfc3339(identity.last_login_at),
    })
}
