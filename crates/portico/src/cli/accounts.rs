//! `portico accounts`: what an operator sees of the accounts, and how one is made by hand.

use clap::{Args, Subcommand, ValueEnum};
use portico_core::account::{Account, AccountId, Identity, Standing, clean};
use portico_core::clock::{Clock, Entropy};
use portico_core::store::{AccountFilter, AccountRef, AuditEvent, LocalAccount, Store};
use serde_json::{Value, json};

use super::{Failure, say};
use crate::settings::Loaded;
use crate::wire;

#[derive(Debug, Subcommand)]
pub(super) enum Accounts {
    /// Make a local account, for a person who existed before single sign-on
    Create(Create),
    /// List accounts, oldest first
    List(List),
    /// Show one account with its identities
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Unique name
    #[arg(long)]
    name: String,
    /// Display label [default: the name]
    #[arg(long)]
    label: Option<String>,
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// Role to grant; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only accounts of this status
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only the account of exactly this name
    #[arg(long)]
    name: Option<String>,
    /// Only accounts that were granted this role
    #[arg(long)]
    role: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 1000, value_name = "N")]
    limit: u32,
    /// Only accounts after the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<uuid::Uuid>,
    /// Answer in JSON: an array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
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
    const fn standing(self) -> Standing {
        match self {
            Self::Active => Standing::Active,
            Self::Disabled => Standing::Disabled,
            Self::Deleted => Standing::Deleted,
        }
    }
}

impl Accounts {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        wire::with_store(&loaded.settings, async |store| match self {
            Self::Create(create) => create.run(store).await,
            Self::List(list) => list.run(store).await,
            Self::Show(show) => show.run(store).await,
        })
    }
}

impl Create {
    async fn run(self, store: &dyn Store) -> Result<(), Failure> {
        let name = usable("--name", &self.name)?;
        let label =
            self.label.as_deref().map_or_else(|| Ok(name.clone()), |label| usable("--label", label))?;
        if let Some(role) = self.roles.iter().find(|role| role.is_empty() || role.len() > 64) {
            return Err(Failure::Failed(format!("--role {role:?}: a role has 1 to 64 bytes")));
        }
        if self.roles.len() > 32 {
            return Err(Failure::Failed("an account has at most 32 roles".to_owned()));
        }
        let now = Clock::System.now();
        let id = AccountId(Entropy.id(now));
        let account = LocalAccount { id, name: name.clone(), label, email: self.email, roles: self.roles };
        let event = AuditEvent {
            id: Entropy.id(now),
            time: now,
            event: "account_created",
            account: Some(id),
            slot: None,
            outcome: "success",
            reason: Some("operator"),
            request_id: None,
            ip: None,
        };
        match store.create_account(&account, &event).await? {
            Some(made) if self.json => say(&account_json(&made).to_string()),
            Some(made) => say(&format!("{}  {}", made.id, made.name)),
            None => return Err(Failure::Failed(format!("an account named {name:?} exists already"))),
        }
        Ok(())
    }
}

/// A name exactly as it will be stored: an operator's text is never silently changed.
fn usable(flag: &str, text: &str) -> Result<String, Failure> {
    match clean(text) {
        Some(clean) if clean == text => Ok(clean),
        _ => Err(Failure::Failed(format!(
            "{flag} {text:?}: 1 to 128 characters in NFC, no blanks at the ends, no control or invisible characters"
        ))),
    }
}

impl List {
    async fn run(self, store: &dyn Store) -> Result<(), Failure> {
        let filter = AccountFilter {
            standing: self.status.map(Status::standing),
            name: self.name,
            role: self.role,
            after: self.after.map(AccountId),
            limit: self.limit,
        };
        let accounts = store.list_accounts(&filter).await?;
        if self.json {
            say(&Value::Array(accounts.iter().map(account_json).collect()).to_string());
        } else {
            for account in &accounts {
                say(&format!(
                    "{}  {:8}  {}  ({})",
                    account.id,
                    account.standing.as_str(),
                    account.name,
                    account.label
                ));
            }
        }
        Ok(())
    }
}

impl Show {
    async fn run(self, store: &dyn Store) -> Result<(), Failure> {
        let (account, identities) = find(store, &self.account).await?;
        let mut shown = account_json(&account);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("identities".to_owned(), identities.iter().map(identity_json).collect());
        }
        if self.json {
            say(&shown.to_string());
        } else {
            say(&serde_json::to_string_pretty(&shown).unwrap_or_default());
        }
        Ok(())
    }
}

async fn find(store: &dyn Store, named: &str) -> Result<(Account, Vec<Identity>), Failure> {
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

fn account_json(account: &Account) -> Value {
    json!({
        "id": account.id.0,
        "name": account.name,
        "label": account.label,
        "email": account.email.as_ref().map(|email| &email.address),
        "email_verified": account.email.as_ref().and_then(|email| email.verified),
        "status": account.standing.as_str(),
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
