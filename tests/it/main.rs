//! Portico's integration tests against the real application.
//!
//! A test browser follows one hop at a time. The demo identity provider listens on loopback. The databases
//! are SQLite and PostgreSQL.
//!
//! No part of Portico is replaced by a double. Tests share no database and no port, and run in any order.
//! They advance a clock instead of sleeping. The PostgreSQL tests need `PORTICO_TEST_POSTGRES_URL`, the URL
//! of a server on which the tests may create databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub,
    reason = "tests fail on the first unexpected value"
)]

mod architecture;
mod attacks;
mod canaries;
mod endurance;
mod faults;
mod personas;
mod stories;
mod testkit;
