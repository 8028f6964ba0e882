//! Puts Portico together: settings in, running service or finished command out.
//!
//! Everything here is wiring. What Portico decides stands in `portico-core`.

pub mod cli;
mod credentials;
#[cfg(feature = "demo")]
pub mod demo;
pub mod log;
mod metered;
mod reload;
pub mod service;
pub mod settings;
mod telemetry;
mod traces;
pub mod wire;
