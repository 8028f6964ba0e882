//! Attacks with one deviation at a time, each beside a valid request that passes.
//!
//! A test's name begins with the numbers of the threats in `docs/security.md`: critical (`c`), high (`h`),
//! medium (`m`), low (`l`). A test asserts the status and the error code, that no row was written, and which
//! endpoints of the provider were called.

mod critical;
mod high;
mod low;
mod medium;
