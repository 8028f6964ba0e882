//! The tests are in `it`, the benchmark is in `bench`.
