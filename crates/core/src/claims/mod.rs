//! Claims: what a provider says about a person, read once from verified documents.
//!
//! ```text
//! verified   Claims: the result, built from Evidence only
//! documents  Evidence: the verified documents of a login, and how claims are read from them
//! mapping    which claim has which meaning, and where it is in a document
//! identity   the parts of the result: identity key, e-mail, name, claims of the session
//! ```

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
