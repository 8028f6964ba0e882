//! Critical threats: takeover of an account, login as another person.

mod binding;
mod identity;
mod routes;
mod session;
mod signature;
mod token;
