//! The contract of the store, tested on SQLite and on PostgreSQL.
//!
//! Each test has its own database. Tests on PostgreSQL need `PORTICO_TEST_POSTGRES_URL`, the address of a
//! server on which databases can be created. A test in `failures` fails if it does not call every store
//! method.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test may panic"
)]

#[expect(clippy::disallowed_methods, reason = "tests create databases with random names")]
#[macro_use]
mod database;

mod accounts;
mod bench;
mod break_glass;
mod changing;
mod commit_login;
mod failures;
mod handoffs;
mod logouts;
mod opening;
mod people;
mod races;
mod recorded;
mod sessions;
mod tables;
mod upkeep;

/// `.config/nextest.toml` always shows the output of this test.
#[test]
fn the_tests_on_postgresql_run() {
    database::Backend::Postgres.is_here("the PostgreSQL half of the contract");
}
