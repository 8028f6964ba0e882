//! The command line: arguments, subcommands and exit codes.

mod access;
mod accounts;
mod audit;
mod break_glass;
mod check;
mod config;
mod generated;
mod keys;
mod migrate;
mod page;
mod plan;
mod proxy_check;
mod serve;
mod sessions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::failure::Failure;
use crate::output::{print_err, print_out};
use crate::settings::{Loaded, Sources};

/// A login broker: one URL per login button, and session tokens of your own.
#[derive(Debug, Parser)]
#[command(name = "portico", version, about, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 69 store unavailable, 78 wrong configuration.
Settings come from environment variables and an optional TOML file; see docs/configuration.md.";

/// Options before or after the subcommand.
#[derive(Debug, Args)]
struct Global {
    /// TOML file with settings; environment variables override it [also: PORTICO_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prefix of the variables instead of PORTICO [also: PORTICO_ENV_PREFIX]
    #[arg(long, global = true, value_name = "PREFIX")]
    env_prefix: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (the default)
    Serve,
    /// Run the demo: embedded database, demo identity provider, a page with login buttons
    #[cfg(feature = "demo")]
    Demo,
    /// Check the settings, and with --live the providers
    Check(check::Check),
    /// Print the effective settings and the source of each, secrets masked
    Config(config::Config),
    /// Show what another settings file would change
    Plan(plan::Plan),
    /// Migrate the database to the schema of this version
    Migrate(migrate::Migrate),
    /// Show who is admitted, and with which roles
    #[command(subcommand)]
    Access(access::Access),
    /// List, create and change accounts
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// List and end sessions
    #[command(subcommand)]
    Sessions(sessions::SessionsCommand),
    /// List and rotate the keys that sign tokens
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Create a one-time login link for an account, for use when no provider works
    BreakGlass(break_glass::BreakGlass),
    /// List audit events, oldest first
    Audit(audit::Audit),
    /// Print the description of the HTTP API (OpenAPI 3.1, JSON); needs no settings
    Openapi,
    /// Print the completion script of a shell; needs no settings
    Completions(generated::Completions),
    /// Write a manual page for each command into a folder; needs no settings
    #[command(hide = true)]
    Man(generated::Man),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    // All TLS connections use this provider. A second call has no effect.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let Cli { global, command } = Cli::parse();
    let done = match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(global.sources()),
        #[cfg(feature = "demo")]
        Command::Demo => crate::demo::run(),
        Command::Config(config) => global.load().map(|loaded| config.run(&loaded)),
        Command::Check(check) => check.run(&global.sources()),
        Command::Plan(plan) => plan.run(&global.sources()),
        Command::Migrate(migrate) => global.load().and_then(|loaded| migrate.run(&loaded)),
        Command::Access(access) => global.load().and_then(|loaded| access.run(&loaded)),
        Command::Accounts(accounts) => global.load().and_then(|loaded| accounts.run(&loaded)),
        Command::Sessions(sessions) => global.load().and_then(|loaded| sessions.run(&loaded)),
        Command::Keys(keys) => global.load().and_then(|loaded| keys.run(&loaded)),
        Command::BreakGlass(break_glass) => global.load().and_then(|loaded| break_glass.run(&loaded)),
        Command::Openapi => {
            print_out(portico_http::description("/").trim_end());
            Ok(())
        }
        Command::Completions(completions) => {
            completions.run(Cli::command());
            Ok(())
        }
        Command::Man(man) => man.run(Cli::command()),
        Command::Audit(audit) => global.load().and_then(|loaded| audit.run(&loaded)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print_err(&failure);
            failure.exit_code()
        }
    }
}

impl Global {
    fn sources(self) -> Sources {
        Sources::from_process(self.config, self.env_prefix)
    }

    fn load(self) -> Result<Loaded, Failure> {
        Loaded::load(&self.sources()).map_err(Failure::Mistakes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
