//! Portico's stories and attacks, told against the real application: a person's browser one hop at a time, the demo identity
//! provider over loopback, SQLite and PostgreSQL.
//!
//! Nothing of Portico is replaced by a double. Tests share no database, no port and no order, and move a clock instead of
//! sleeping. The PostgreSQL half needs `PORTICO_TEST_POSTGRES_URL`, an address where databases may be created.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub,
    reason = "tests: a surprise is a failure"
)]

mod architecture;
mod attacks;
mod canaries;
mod endurance;
mod faults;
mod personas;
mod stories;
mod testkit;
