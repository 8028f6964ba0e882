//! What a provider says of sessions that ended there (OIDC Back-Channel Logout 1.0).

use crate::claims::IdentityKey;
use crate::clock::Timestamp;
use crate::seal::sha256;

/// A logout token that passed its checks (OIDC Back-Channel Logout 1.0, 2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// Whose sessions end.
    pub whose: Whose,
    /// Names the token; it is heard once.
    pub once: [u8; 32],
    /// The token is good for nothing from then on.
    pub forget_at: Timestamp,
}

impl LogoutToken {
    /// The name of a token that this issuer gave this `jti`.
    pub fn name(issuer: &str, jti: &str) -> [u8; 32] {
        let length = (issuer.len() as u64).to_be_bytes();
        sha256(&[b"portico logout v1", &length, issuer.as_bytes(), jti.as_bytes()])
    }
}

/// Whose sessions end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of one session at the provider.
    Session {
        /// As in the identity key of who began it.
        issuer: String,
        /// The provider's `sid`.
        sid: String,
    },
    /// All that began with this identity.
    Person(IdentityKey),
}
