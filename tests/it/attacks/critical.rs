//! Taking over an account, getting in as somebody else.

mod binding;
mod identity;
mod routes;
mod session;
mod signature;
mod token;
