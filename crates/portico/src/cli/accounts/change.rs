//! `portico accounts grant`, `revoke`, `disable`, `enable`, `delete`, `release` and `unlink`.

use clap::Args;
use portico_core::account::{Account, AccountStatus};
use portico_core::audit::Event;
use portico_core::store::{AccountChange, AccountChanged, Grant as What, LoginStore, Store, Unlinked};
use serde_json::json;

use super::local::MAX_ROLES;
use super::lookup::{find, not_found};
use super::output::{account_json, account_line, by_operator};
use crate::failure::Failure;
use crate::output::{print_err, print_out};

#[derive(Debug, Args)]
pub(in crate::cli) struct Grant {
    /// Account id, or exact name; a name with an @ must be given as id
    account: String,
    /// The role
    #[arg(required_unless_present = "group", conflicts_with = "group")]
    role: Option<String>,
    /// A group instead of a role
    #[arg(long)]
    group: Option<String>,
    /// Answer in JSON: the account
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct One {
    /// Account id, or exact name; a name with an @ must be given as id
    account: String,
    /// Answer in JSON: the account
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Unlink {
    /// Account id, or exact name; a name with an @ must be given as id
    account: String,
    /// Identity id, as printed by `accounts show`
    identity_id: uuid::Uuid,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Grant {
    pub(super) async fn run(
        self,
        store: &dyn Store,
        event: Event,
        change: impl FnOnce(What) -> AccountChange,
    ) -> Result<(), Failure> {
        let (what, named) = match (self.role, self.group) {
            (Some(role), None) => (format!("role:{role}"), What::Role(role)),
            (_, group) => {
                let group = group.unwrap_or_default();
                (format!("group:{group}"), What::Group(group))
            }
        };
        let (What::Role(text) | What::Group(text)) = &named;
        if text.is_empty() || text.len() > 64 {
            return Err(Failure::Failed("a role or group has 1 to 64 bytes".to_owned()));
        }
        let (account, _) = find(store, &self.account).await?;
        let event = by_operator(event, account.id).because(what.clone());
        let change = change(named);
        if exceeds_max_roles(&account, &change) {
            return Err(Failure::Failed(format!("an account has at most {MAX_ROLES} roles")));
        }
        match store.change_account(account.id, &change, &event).await? {
            AccountChanged::Done(account) => print_account(&account, self.json),
            // A repeated grant is no failure. Revoking a role that was never granted may be a mistake, or the
            // role comes from the provider's groups.
            AccountChanged::Unchanged(account) => {
                print_account(&account, self.json);
                if matches!(change, AccountChange::Revoke(_)) {
                    print_err(&format!("nothing revoked: no operator granted {what}"));
                }
            }
            AccountChanged::Unknown => return Err(not_found(&self.account)),
        }
        Ok(())
    }
}

impl One {
    pub(super) async fn run(
        self,
        store: &dyn Store,
        event: Event,
        change: &AccountChange,
    ) -> Result<(), Failure> {
        let (account, _) = find(store, &self.account).await?;
        match store.change_account(account.id, change, &by_operator(event, account.id)).await? {
            AccountChanged::Done(account) => print_account(&account, self.json),
            AccountChanged::Unchanged(account) if is_done(&account, change) => {
                print_account(&account, self.json);
            }
            AccountChanged::Unchanged(account) => {
                let status = account.status.as_str();
                let only = match change {
                    AccountChange::Release => "only a deleted account can be released",
                    _ => "this change is not possible",
                };
                return Err(Failure::Failed(format!("account {} is {status}: {only}", account.id)));
            }
            AccountChanged::Unknown => return Err(not_found(&self.account)),
        }
        Ok(())
    }
}

/// Whether the change grants a further role to an account with the maximum number of roles.
fn exceeds_max_roles(account: &Account, change: &AccountChange) -> bool {
    match change {
        AccountChange::Grant(What::Role(role)) => {
            account.roles.len() >= MAX_ROLES && !account.roles.contains(role)
        }
        AccountChange::Grant(What::Group(_))
        | AccountChange::Revoke(_)
        | AccountChange::Disable
        | AccountChange::Enable
        | AccountChange::Delete
        | AccountChange::Release => false,
    }
}

/// Whether the account is already in the state after the change.
fn is_done(account: &Account, change: &AccountChange) -> bool {
    match change {
        AccountChange::Disable => account.status == AccountStatus::Disabled,
        AccountChange::Enable => account.status == AccountStatus::Active,
        AccountChange::Delete | AccountChange::Release => account.status == AccountStatus::Deleted,
        AccountChange::Grant(_) | AccountChange::Revoke(_) => true,
    }
}

impl Unlink {
    pub(super) async fn run(self, store: &dyn LoginStore) -> Result<(), Failure> {
        let (account, _) = find(store, &self.account).await?;
        let event = by_operator(Event::IdentityUnlinked, account.id);
        match store.unlink_identity(account.id, self.identity_id, &event).await? {
            Unlinked::Done if self.json => print_out(&json!({ "unlinked": self.identity_id }).to_string()),
            Unlinked::Done => print_out("Unlinked. The sessions that it started are ended."),
            Unlinked::Last => {
                return Err(Failure::Failed(
                    "this is the last identity of the account; delete and release the account instead"
                        .to_owned(),
                ));
            }
            Unlinked::Unknown => {
                return Err(Failure::Failed("the account has no such identity, or is not active".to_owned()));
            }
        }
        Ok(())
    }
}

fn print_account(account: &Account, json: bool) {
    print_out(&if json { account_json(account).to_string() } else { account_line(account) });
}
