//! `portico accounts list` and `show`.

use clap::{Args, ValueEnum};
use portico_core::account::{AccountId, AccountStatus};
use portico_core::clock::Clock;
use portico_core::session::Lifetimes;
use portico_core::store::{AccountFilter, AdminStore, SessionFilter, Store};
use serde_json::Value;

use super::lookup::find;
use super::output::{account_json, account_line, identity_json};
use crate::cli::page::Page;
use crate::cli::sessions::session_json;
use crate::failure::Failure;
use crate::output::print_out;

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only accounts with this status
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only the account with exactly this name
    #[arg(long)]
    name: Option<String>,
    /// Only accounts with this granted role
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    page: Page<uuid::Uuid>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// Account id, or exact name; a name with an @ must be given as id
    account: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
    Active,
    Disabled,
    Deleted,
}

impl Status {
    const fn status(self) -> AccountStatus {
        match self {
            Self::Active => AccountStatus::Active,
            Self::Disabled => AccountStatus::Disabled,
            Self::Deleted => AccountStatus::Deleted,
        }
    }
}

impl List {
    pub(super) async fn run(self, store: &dyn AdminStore) -> Result<(), Failure> {
        let filter = AccountFilter {
            status: self.status.map(Status::status),
            name: self.name,
            role: self.role,
            after: self.page.after.map(AccountId),
            limit: self.page.limit,
        };
        let accounts = store.list_accounts(&filter).await?;
        self.page.print_out(&accounts, account_json, account_line, |account| account.id.to_string());
        Ok(())
    }
}

impl Show {
    pub(super) async fn run(self, store: &dyn Store, lifetimes: &Lifetimes) -> Result<(), Failure> {
        let (account, identities) = find(store, &self.account).await?;
        let now = Clock::System.now();
        let filter = SessionFilter {
            account: Some(account.id),
            used_since: now.minus(lifetimes.idle),
            now,
            after: None,
            limit: 1000,
        };
        let sessions = store.list_sessions(&filter).await?;
        let mut shown = account_json(&account);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("identities".to_owned(), identities.iter().map(identity_json).collect());
            fields.insert("sessions".to_owned(), sessions.iter().map(session_json).collect::<Value>());
        }
        let text = if self.json { Ok(shown.to_string()) } else { serde_json::to_string_pretty(&shown) };
        print_out(&text.unwrap_or_default());
        Ok(())
    }
}
