//! Tests of the provider over HTTP. The client does not follow redirects.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod clients;
mod codes;
#[expect(clippy::disallowed_methods, reason = "tests measure durations")]
mod knobs;
mod pages;
mod site;
mod tokens;
