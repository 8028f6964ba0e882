//! Stores accounts, identities, sessions and keys in SQLite or PostgreSQL.
//!
//! The traits of [`portico_core::store`] are implemented once, generic over the database. Constraints and
//! conditional statements decide races; no state in this process does. This crate knows neither the providers
//! nor HTTP, and makes no decision about admission.
//!
//! ```text
//! storage       opens a database by its URL; the lock beside an SQLite file
//! error         why a database cannot be opened or migrated
//! migrations    the schema that this version expects
//! store         the store traits, one method per statement or transaction
//! commit_login  the transaction of a login          break_glass  break-glass codes
//! sessions      creation, refresh and end           logout       back-channel logout
//! change        account changes                     audit        writes audit events
//! locking       the lock of an account              rows         converts rows to core types
//! pool          connections and their runtime       sql          every SQL statement
//! backend       the differences between the two databases
//! ```

mod audit;
mod backend;
mod break_glass;
mod change;
mod commit_login;
mod error;
mod locking;
mod logout;
mod migrations;
mod pool;
mod rows;
mod sessions;
mod sql;
mod storage;
mod store;

pub use error::OpenError;
pub use storage::Storage;
