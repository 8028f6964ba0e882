//! Claims: what a provider says of a person, read once from checked documents.

mod documents;
pub mod identity;
mod mapping;
mod verified;

pub use documents::Evidence;
pub use identity::{ClaimedName, ClaimsError, Email, IdentityKey, SessionClaims, Subject};
pub use mapping::{ClaimMap, ClaimPath, GroupsSeparator};
pub use verified::{ClaimSource, Claims};

#[cfg(test)]
pub(crate) mod tests;
