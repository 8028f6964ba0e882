//! `portico accounts`: lists and changes accounts.

mod change;
mod create;
mod import;
mod list;
mod local;
pub(super) mod lookup;
mod merge;
mod output;

use clap::Subcommand;
use portico_core::audit::Event;
use portico_core::store::AccountChange;

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
