//! `portico config`: the effective settings.

use clap::Args;

use crate::output::print_out;
use crate::settings::{Loaded, render};

#[derive(Debug, Args)]
pub(super) struct Config {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(super) fn run(&self, loaded: &Loaded) {
        print_out(render(loaded, self.json).trim_end());
    }
}
