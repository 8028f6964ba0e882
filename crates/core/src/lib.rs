//! Accounts, sessions, keys and the flows of a login. Knows no HTTP server, no SQL and no HTTP client.
//!
//! The crate reaches the outside through two ports: [`provider::ProtocolClient`] (an identity provider) and
//! [`store::Store`] (the database). Time and randomness are arguments ([`clock`]).
//!
//! The flows are in [`flow`]; start reading at `flow/login.rs`:
//!
//! ```text
//! begin     client.authorization_redirect ─ seal the pending login into a cookie ─ redirect to the provider
//! finish    open the cookie ─ store.spend_login ─ client.exchange_code ─ access rule
//!           ─ store.find_candidates ─ account::decide ─ store.commit_login ─ token::issue
//! refresh   store.find_refresh ─ access rule ─ store.rotate_refresh ─ token::issue
//! redeem    store.take_handoff ─ verifier ─ access rule ─ store.begin_session ─ token::issue
//! sign out  store.revoke_sessions ─ client.end_session
//! ```
//!
//! The modules:
//!
//! ```text
//! flow           the flows and what they share
//! provider       the settings of a slot, and the port to its provider
//! store          the port to the database
//!
//! slot           the six slots and their names
//! pending_login  a login between begin and finish, sealed into a cookie
//! return_to      where a login may return to
//! claims         what a provider says about a person
//! admission      access rules, and the roles that groups grant
//! account        accounts, and the decision which account a login enters
//! session        sessions, refresh tokens and one-time codes
//! token          access tokens: issue and verify
//! keys           the signing keys
//! audit          audit events
//! error          why a login or a session is refused
//!
//! public_url     the external address of the installation
//! seal           encryption and message authentication under the operator's secret keys
//! clock          time and randomness
//! text           text from outside, made safe to log and to show
//! cache          the metric of cache lookups
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
