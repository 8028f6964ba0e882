//! The storage port: what Portico persists, in methods that are one transaction each.
//!
//! ```text
//! port     the traits, each method listed once; layers that wrap every call
//! login    arguments and results of LoginStore
//! session  arguments and results of SessionStore
//! admin    arguments and results of AdminStore and SystemStore
//! ```

mod admin;
mod login;
mod port;
mod session;

pub use admin::{
    AccountChange, AccountChanged, AccountFilter, AccountRef, Grant, IdentityCount, LocalAccount, Merged,
    Retention,
};
pub use login::{BreakGlassRedemption, Committed, CommittedLogin, LoginCommit, SessionKind, Spent, Unlinked};
pub use port::{
    AdminStore, KeyStore, LoginStore, METHODS, SessionStore, Store, StoreLayer, SystemStore, layered,
};
pub use session::{EndedSessions, Rotate, Rotation, SessionFilter, SessionSelection, SessionWithAccount};
