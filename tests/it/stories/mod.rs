//! What a person, a frontend, a backend or an operator sees.

mod accounts;
mod adoption;
mod clients;
mod command_line;
mod cookies;
mod csrf;
mod errors;
mod login;
mod login_page;
mod outages;
mod public_url;
mod races;
mod refresh;
mod sameness;
mod service;
mod session;
mod tokens;
