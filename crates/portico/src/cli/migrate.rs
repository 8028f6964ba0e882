//! `portico migrate`: migrates the database to the schema of this version, without starting the service.

use clap::Args;

use crate::failure::Failure;
use crate::output::print_out;
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
            print_out(&serde_json::json!({ "applied": applied }).to_string());
        } else if applied == 0 {
            print_out("The database is up to date.");
        } else {
            print_out(&format!("Applied {applied} migration(s)."));
        }
        Ok(())
    }
}
