//! The demo identity provider as a process of its own, for the benchmark and for tests from outside.
//!
//! Prints one JSON line, `{"base_url": …, "slots": […]}`, and serves until its standard input closes or a signal ends it.

use std::error::Error;
use std::io::{self, Read, Write};

use clap::Parser;
use portico_demo_idp::knobs::AutoLogin;
use portico_demo_idp::{DemoIdp, IdpConfig};
use serde_json::json;

/// Serves six made-up realms, one for each slot of a Portico.
#[derive(Parser)]
struct Arguments {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The public URL of the Portico whose callbacks are registered.
    #[arg(long)]
    public_url: String,
    /// Signs this person in without asking (`ada-1`, `bruno-2` or `chidi-3`).
    #[arg(long, conflicts_with = "auto_login_new")]
    auto_login: Option<String>,
    /// Signs a person never seen before in at each login, without asking.
    #[arg(long)]
    auto_login_new: bool,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

impl Arguments {
    fn auto_login(&self) -> AutoLogin {
        match &self.auto_login {
            Some(sub) => AutoLogin::As(sub.clone()),
            None if self.auto_login_new => AutoLogin::NewPersonEachTime,
            None => AutoLogin::ShowLogin,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut config = IdpConfig::demo(&arguments.public_url);
    config.port = arguments.port;
    config.workers = arguments.workers;
    for realm in &mut config.realms {
        realm.knobs.authorize.auto_login = arguments.auto_login();
    }
    let idp = DemoIdp::start(config)?;
    let line = json!({ "base_url": idp.base_url(), "slots": idp.slot_settings() });
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    let mut ignored = [0; 256];
    while io::stdin().lock().read(&mut ignored)? > 0 {}
    idp.stop();
    Ok(())
}
