//! `portico accounts create`.

use clap::Args;
use portico_core::account::AccountId;
use portico_core::clock::{Clock, Entropy};
use portico_core::store::{AdminStore, LocalAccount};

use super::{account_json, made, usable, usable_roles};
use crate::cli::{Failure, print_out};

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
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

impl Create {
    pub(super) async fn run(self, store: &dyn AdminStore) -> Result<(), Failure> {
        let name = self.name;
        let account = local(&name, self.label, self.email, self.roles).map_err(Failure::Failed)?;
        match store.create_account(&account, &made(&account)).await? {
            Some(made) if self.json => print_out(&account_json(&made).to_string()),
            Some(made) => print_out(&format!("{}  {}", made.id, made.name)),
            None => return Err(Failure::Failed(format!("an account named {name:?} exists already"))),
        }
        Ok(())
    }
}

/// A local account of checked texts.
pub(super) fn local(
    name: &str,
    label: Option<String>,
    email: Option<String>,
    roles: Vec<String>,
) -> Result<LocalAccount, String> {
    let name = usable("name", name)?;
    let label = label.map_or_else(|| Ok(name.clone()), |label| usable("label", &label))?;
    usable_roles(&roles)?;
    let unusable = |email: &String| {
        email.len() > 254
            || !email.contains('@')
            || email.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    if let Some(email) = email.as_ref().filter(|email| unusable(email)) {
        return Err(format!("e-mail {email:?}: an address of at most 254 bytes, without blanks"));
    }
    Ok(LocalAccount { id: AccountId(Entropy.id(Clock::System.now())), name, label, email, roles })
}
