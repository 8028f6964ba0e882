//! One lie at a time, each beside an honest twin that passes.
//!
//! The names begin with the number of the threat in the catalogue: critical, high, medium, low. Each asserts status and code,
//! that nothing was written, and which of the provider's endpoints were asked.

mod critical;
mod high;
mod low;
mod medium;
