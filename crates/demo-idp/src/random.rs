//! Random identifiers.

use uuid::Uuid;

/// A random identifier (UUID version 4).
#[expect(clippy::disallowed_methods, reason = "the only place where the provider draws random identifiers")]
pub(crate) fn random_id() -> Uuid {
    Uuid::new_v4()
}
