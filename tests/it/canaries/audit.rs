//! M32, L07: what the audit trail has of people.
