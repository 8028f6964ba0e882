//! The `portico` command line and the assembly of the service from its settings.
//!
//! This crate only connects the others. The decisions of a login are in `portico-core`.

pub mod cli;
mod credentials;
#[cfg(feature = "demo")]
mod demo;
pub mod failure;
mod log;
mod metered;
mod output;
mod reload;
pub mod service;
pub mod settings;
mod startup_checks;
mod telemetry;
mod traces;
pub mod wire;
