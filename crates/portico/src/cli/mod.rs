//! The command line: what can be said, and how each word ends.

mod access;
mod accounts;
mod audit;
mod break_glass;
mod check;
mod config;
mod generated;
mod keys;
mod migrate;
mod plan;
mod proxy_check;
mod serve;
mod sessions;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde_json::Value;

use crate::settings::{Loaded, Mistake, Sources};

pub(crate) use serve::look_at_providers;

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

/// Stand before or after the command.
#[derive(Debug, Args)]
struct Global {
    /// TOML file with settings; environment variables win over it [also: PORTICO_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read variables that begin with this instead of PORTICO [also: PORTICO_ENV_PREFIX]
    #[arg(long, global = true, value_name = "PREFIX")]
    env_prefix: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (the default)
    Serve,
    /// Run a demonstration: embedded database, demo identity provider, a page with login buttons
    #[cfg(feature = "demo")]
    Demo,
    /// Check the settings, and with --live the providers
    Check(check::Check),
    /// Print the effective settings and where each comes from, secrets masked
    Config(config::Config),
    /// See what other settings would change
    Plan(plan::Plan),
    /// Bring the database to this version's schema
    Migrate(migrate::Migrate),
    /// See who would be let in, and as what
    #[command(subcommand)]
    Access(access::Access),
    /// See, make and change accounts
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// See and end sessions
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// See and rotate the keys that sign tokens
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Make a one-time login link for somebody, when no provider can be asked
    BreakGlass(break_glass::BreakGlass),
    /// See what happened, oldest first
    Audit(audit::Audit),
    /// Print the description of the HTTP API (OpenAPI 3.1, JSON); needs no settings
    Openapi,
    /// Print the completion script of a shell; needs no settings
    Completions(generated::Completions),
    /// Write a manual page for each command into a folder; needs no settings
    #[command(hide = true)]
    Man(generated::Man),
}

/// Which part of a list is wanted, and in which form.
#[derive(Debug, Args)]
struct Page<T: Clone + Send + Sync + FromStr<Err: std::error::Error + Send + Sync> + 'static> {
    /// At most so many
    #[arg(long, default_value_t = 1000, value_name = "N")]
    limit: u32,
    /// Only those after the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<T>,
    /// Answer in JSON: an array
    #[arg(long)]
    json: bool,
}

impl<T: Clone + Send + Sync + FromStr<Err: std::error::Error + Send + Sync> + 'static> Page<T> {
    /// Prints the list. Where it was cut, says how to go on.
    fn print_out<R>(&self, rows: &[R], json: fn(&R) -> Value, line: fn(&R) -> String, id: fn(&R) -> String) {
        if self.json {
            return print_out(&rows.iter().map(json).collect::<Value>().to_string());
        }
        for row in rows {
            print_out(&line(row));
        }
        if let Some(last) = rows.last().filter(|_| rows.len() >= self.limit as usize) {
            print_err(&format!("There may be more: --after {}", id(last)));
        }
    }
}

/// How a command failed, and with which exit code.
#[derive(Debug)]
pub enum Failure {
    /// Wrong settings: every mistake, a line each. Exit code 78.
    Mistakes(Vec<Mistake>),
    /// Something else is wrong with the configuration. Exit code 78.
    Configuration(String),
    /// The store cannot be used. Exit code 69.
    Store(String),
    /// Anything else. Exit code 1.
    Failed(String),
    /// The same, in several lines.
    Lines(Vec<String>),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Mistakes(_) | Self::Configuration(_) => ExitCode::from(78),
            Self::Store(_) => ExitCode::from(69),
            Self::Failed(_) | Self::Lines(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistakes(mistakes) => {
                let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Lines(lines) => f.write_str(&lines.join("\n")),
            Self::Configuration(what) | Self::Store(what) | Self::Failed(what) => {
                write!(f, "portico: {what}")
            }
        }
    }
}

impl From<portico_core::error::StoreError> for Failure {
    fn from(error: portico_core::error::StoreError) -> Self {
        Self::Store(chain(&error))
    }
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let mut line = error.to_string();
    for cause in causes.map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    // One TLS implementation for everything; a second call is harmless.
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
        Sources::of_process(self.config, self.env_prefix)
    }

    fn load(self) -> Result<Loaded, Failure> {
        Loaded::load(&self.sources()).map_err(Failure::Mistakes)
    }
}

/// Writes beside a command's result what its person should know.
#[expect(clippy::print_stderr, reason = "the command line answers the person who typed it")]
pub(crate) fn print_err(failure: &dyn fmt::Display) {
    eprintln!("{failure}");
}

/// Writes a command's result. A reader that went away (`| head`) is no error.
pub(crate) fn print_out(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
