//! `portico config`: what the service would run with.

use clap::Args;

use super::say;
use crate::settings::{Loaded, render};

#[derive(Debug, Args)]
pub(super) struct Config {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(super) fn run(&self, loaded: &Loaded) {
        say(render(loaded, self.json).trim_end());
    }
}
