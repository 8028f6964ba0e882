//! The demo identity provider as a separate process, for the benchmark and for tests in other languages.
//!
//! The process prints one JSON line, `{"base_url": …, "slots": […]}`. It serves until its standard input
//! closes or a signal terminates it.

use std::error::Error;
use std::io::{self, Read, Write};

use clap::Parser;
use portico_demo_idp::knobs::AutoLogin;
use portico_demo_idp::{DemoIdp, IdpConfig};
use serde_json::json;

/// Serves six demo realms, one for each slot of Portico.
#[derive(Parser)]
struct Arguments {
    /// The port on 127.0.0.1; 0 selects a free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The public URL of Portico, used to register its callback URLs.
    #[arg(long)]
    public_url: String,
    /// Signs this person in without a login page (`ada-1`, `bruno-2` or `chidi-3`).
    #[arg(long, conflicts_with = "auto_login_new")]
    auto_login: Option<String>,
    /// Signs a new person in at each login, without a login page.
    #[arg(long)]
    auto_login_new: bool,
    /// The number of worker threads.
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
