//! The behaviour that persons, frontends, backends and operators observe.

mod access;
mod accounts;
mod adoption;
mod break_glass;
mod check;
mod clients;
mod command_line;
mod cookies;
mod cors;
mod csrf;
mod errors;
mod explain;
mod form_post;
mod handoff;
mod keys;
mod limits;
mod linking;
mod login;
mod login_page;
mod operating;
mod outages;
mod own_sessions;
mod public_url;
mod races;
mod refresh;
mod reload;
mod sameness;
mod service;
mod session;
mod telemetry;
mod tokens;
#[expect(clippy::disallowed_methods, reason = "tests measure durations")]
mod traces;
mod verify;
