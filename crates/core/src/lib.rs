//! Portico's decisions.
//!
//! This crate knows no HTTP server, no SQL and no HTTP client. What it needs of the outside it asks for through two
//! ports: [`provider::ProtocolClient`] (the identity provider) and [`store::Store`] (the disk).
//!
//! The flow, written once in [`flow`]:
//!
//! ```text
//! begin    slot ── client.start ── sealed cookie + redirect to the provider
//! finish   open the cookie ── spend the login ── client.finish (network) ── candidates ── decide ── settle ── tokens
//! refresh  hash ── rotate ── tokens            sign_out  revoke ── where the provider ends its own session
//! redeem   take the hand-off code ── verifier ── tokens
//! ```

pub mod account;
pub mod admission;
pub mod audit;
pub mod cache;
pub mod claims;
pub mod clock;
pub mod error;
pub mod flow;
pub mod keys;
pub mod pending_login;
pub mod provider;
pub mod public_url;
pub mod return_to;
pub mod seal;
pub mod session;
pub mod slot;
pub mod store;
pub mod text;
pub mod token;

#[cfg(test)]
mod properties;
