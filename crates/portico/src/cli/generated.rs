//! What is generated from the description of the command line: shell completions and manual pages.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::print_out;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell that reads the script
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// An existing folder; pages of the same names in it are replaced
    folder: PathBuf,
}

impl Completions {
    pub(super) fn run(&self, mut command: Command) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "portico", &mut script);
        print_out(String::from_utf8_lossy(&script).trim_end());
    }
}

impl Man {
    pub(super) fn run(&self, command: Command) -> Result<(), Failure> {
        let failed = |error| Failure::Failed(format!("cannot write to {}: {error}", self.folder.display()));
        clap_mangen::generate_to(command, &self.folder).map_err(failed)
    }
}
