//! What a person, a frontend, a backend or an operator sees.

mod access;
mod accounts;
mod adoption;
mod clients;
mod command_line;
mod cookies;
mod cors;
mod csrf;
mod errors;
mod handoff;
mod keys;
mod linking;
mod login;
mod login_page;
mod operating;
mod outages;
mod own_sessions;
mod public_url;
mod races;
mod refresh;
mod sameness;
mod service;
mod session;
mod tokens;
mod verify;
