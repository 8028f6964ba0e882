//! `portico accounts`: what an operator sees of the accounts, and what can be done to one.

mod change;
mod create;
mod import;
mod list;
mod merge;

use clap::Subcommand;
use portico_core::account::{Account, AccountId, Identity};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::Clock;
use portico_core::store::{AccountRef, LocalAccount, LoginStore};
use portico_core::text::clean;
use serde_json::{Value, json};

use super::Failure;
use crate::settings::Loaded;
use crate::wire;

#[derive(Debug, Subcommand)]
pub(super) enum Accounts {
    /// Make a local account, for a person who existed before single sign-on
    Create(create::Create),
    /// Make local accounts from a CSV or JSON file
    Import(import::Import),
    /// List accounts, oldest first
    List(list::List),
    /// Show one account with its identities and sessions
    Show(list::Show),
    /// Grant a role, or a group, locally
    Grant(change::Grant),
    /// Take back a role, or a group, that was granted locally
    Revoke(change::Grant),
    /// Switch an account off and end its sessions
    Disable(change::One),
    /// Switch a disabled account on again
    Enable(change::One),
    /// Delete an account and end its sessions; its identities stay refused until they are released
    Delete(change::One),
    /// Release the identities of a deleted account: their people may come back, as new accounts
    Release(change::One),
    /// Give identities and grants of one account to another; the first one is deleted
    Merge(merge::Merge),
    /// Take an identity away from an account and end the sessions it began
    Unlink(change::Unlink),
}

impl Accounts {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        use portico_core::store::AccountChange;
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

/// An event of an operator's doing, now.
fn by_operator(event: Event, account: AccountId) -> AuditEvent {
    AuditEvent::new(event, Clock::System.now()).about(account).because("operator")
}

/// The making of a local account; with which roles is part of it.
fn made(account: &LocalAccount) -> AuditEvent {
    let event = by_operator(Event::AccountCreated, account.id);
    if account.roles.is_empty() { event } else { event.because(format!("roles:{}", account.roles.join(","))) }
}

/// A name exactly as it will be stored: an operator's text is never silently changed.
fn usable(what: &str, text: &str) -> Result<String, String> {
    match clean(text) {
        Some(clean) if clean == text => Ok(clean),
        _ => Err(format!(
            "{what} {text:?}: 1 to 128 characters in NFC, no blanks at the ends, no control or invisible characters"
        )),
    }
}

/// The most roles that an account is granted (section 5 of the contract).
const MOST_ROLES: usize = 32;

/// Roles have 1 to 64 bytes, and an account at most [`MOST_ROLES`] of them.
fn usable_roles(roles: &[String]) -> Result<(), String> {
    if let Some(role) = roles.iter().find(|role| role.is_empty() || role.len() > 64) {
        return Err(format!("role {role:?}: a role has 1 to 64 bytes"));
    }
    if roles.len() > MOST_ROLES { Err(format!("an account has at most {MOST_ROLES} roles")) } else { Ok(()) }
}

/// The account that an operator names by id or exact name.
pub(super) async fn find(store: &dyn LoginStore, named: &str) -> Result<(Account, Vec<Identity>), Failure> {
    let reference = match named.parse() {
        Ok(id) => AccountRef::Id(AccountId(id)),
        Err(_) if named.contains('@') => {
            return Err(Failure::Failed(format!("{named:?} has an @: name this account by its id")));
        }
        Err(_) => AccountRef::Name(named.to_owned()),
    };
    store
        .find_account(&reference)
        .await?
        .ok_or_else(|| Failure::Failed(format!("there is no account {named:?}")))
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
