//! Tests live in `it`.
