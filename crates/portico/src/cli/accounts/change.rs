//! Grants, switches and unlinking.

use clap::Args;
use portico_core::account::{Account, AccountStatus};
use portico_core::audit::Event;
use portico_core::store::{AccountChange, AccountChanged, Grant as What, LoginStore, Store, Unlinked};
use serde_json::json;

use super::{MOST_ROLES, account_json, account_line, by_operator, find};
use crate::cli::{Failure, print_err, print_out};

#[derive(Debug, Args)]
pub(in crate::cli) struct Grant {
    /// Account id, or exact name; a name with an @ must be given as id
    account: String,
    /// The role
    #[arg(required_unless_present = "group", conflicts_with = "group")]
    role: Option<String>,
    /// A group in place of a role
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
    /// The identity's id, as `accounts show` has it
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
        if is_one_role_too_many(&account, &change) {
            return Err(Failure::Failed(format!("an account has at most {MOST_ROLES} roles")));
        }
        match store.change_account(account.id, &change, &event).await? {
            AccountChanged::Done(account) => shown(&account, self.json),
            // Granting what is granted is done already. Revoking what is not may be a slip, or the provider's groups give it.
            AccountChanged::Unchanged(account) => {
                shown(&account, self.json);
                if matches!(change, AccountChange::Revoke(_)) {
                    print_err(&format!("nothing was taken back: {what} was never granted by an operator"));
                }
            }
            AccountChanged::Unknown => return Err(gone(&self.account)),
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
            AccountChanged::Done(account) => shown(&account, self.json),
            AccountChanged::Unchanged(account) if is_so(&account, change) => shown(&account, self.json),
            AccountChanged::Unchanged(account) => {
                let status = account.status.as_str();
                let only = match change {
                    AccountChange::Release => "only a deleted account is released",
                    _ => "that cannot be done",
                };
                return Err(Failure::Failed(format!("account {} is {status}: {only}", account.id)));
            }
            AccountChanged::Unknown => return Err(gone(&self.account)),
        }
        Ok(())
    }
}

/// Whether the change grants a further role to an account that has all it may have.
fn is_one_role_too_many(account: &Account, change: &AccountChange) -> bool {
    match change {
        AccountChange::Grant(What::Role(role)) => {
            account.roles.len() >= MOST_ROLES && !account.roles.contains(role)
        }
        AccountChange::Grant(What::Group(_))
        | AccountChange::Revoke(_)
        | AccountChange::Disable
        | AccountChange::Enable
        | AccountChange::Delete
        | AccountChange::Release => false,
    }
}

/// Whether the account already is what the change makes of it.
fn is_so(account: &Account, change: &AccountChange) -> bool {
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
            Unlinked::Done => print_out("Unlinked; the sessions it began are ended."),
            Unlinked::Last => {
                return Err(Failure::Failed(
                    "it is the account's last identity; delete the account and release it instead".to_owned(),
                ));
            }
            Unlinked::Unknown => {
                return Err(Failure::Failed("the account has no such identity, or is not active".to_owned()));
            }
        }
        Ok(())
    }
}

fn shown(account: &Account, json: bool) {
    print_out(&if json { account_json(account).to_string() } else { account_line(account) });
}

fn gone(named: &str) -> Failure {
    Failure::Failed(format!("there is no account {named:?}"))
}
