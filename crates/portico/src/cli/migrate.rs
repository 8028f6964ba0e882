//! `portico migrate`: the database at this version's schema, without starting the service.

use clap::Args;

use super::{Failure, say};
use crate::settings::Loaded;
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) fn run(&self, loaded: &Loaded) -> Result<(), Failure> {
        let applied = wire::migrate(&loaded.settings)?;
        if self.json {
            say(&serde_json::json!({ "applied": applied }).to_string());
        } else if applied == 0 {
            say("The database is up to date.");
        } else {
            say(&format!("Applied {applied} migration(s)."));
        }
        Ok(())
    }
}
