//! Remembers accounts, identities, sessions and keys in SQLite or PostgreSQL.
//!
//! The port [`portico_core::store::Store`] is implemented once, generic over the database. Races are decided by
//! constraints and conditional statements, never by what this process remembers. This crate knows neither the network of
//! providers nor HTTP, and decides nothing about who may come in.
//!
//! ```text
//! storage     opens a database by its URL; the lock beside an SQLite file
//! migrations  which schema this version expects
//! store       Store, a method a transaction      settle   the transaction of a login
//! pool        connections and their runtime      change   what operators and owners change
//! sessions    how they begin, go on and end      rows     rows become the core's types
//! sql         every statement, once
//! backend     what differs between the two
//! ```

mod backend;
mod break_glass;
mod change;
mod commit_login;
mod logout;
mod migrations;
mod pool;
mod rows;
mod sessions;
mod sql;
mod storage;
mod store;

pub use storage::{OpenError, Storage};
