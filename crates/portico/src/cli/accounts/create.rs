//! `portico accounts create`.

use clap::Args;
use portico_core::store::AdminStore;

use super::local::{create, new_local_account};
use super::output::account_json;
use crate::failure::Failure;
use crate::output::print_out;

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
        let account =
            new_local_account(&name, self.label, self.email, self.roles).map_err(Failure::Failed)?;
        match create(store, &account).await? {
            Some(created) if self.json => print_out(&account_json(&created).to_string()),
            Some(created) => print_out(&format!("{}  {}", created.id, created.name)),
            None => return Err(Failure::Failed(format!("an account named {name:?} exists already"))),
        }
        Ok(())
    }
}
