//! Faults that show only under repetition or concurrency.

mod refresh;
mod replicas;
mod rotation;
