//! Logout tokens: a provider reports sessions that ended there (OIDC Back-Channel Logout 1.0).

use crate::claims::IdentityKey;
use crate::clock::Timestamp;
use crate::seal::sha256;

/// A logout token that passed its checks (OIDC Back-Channel Logout 1.0, 2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// Whose sessions end.
    pub whose: Whose,
    /// Identifies the token, so that it is processed once. See [`LogoutToken::name`].
    pub once: [u8; 32],
    /// When the token has expired for certain, so that its identifier need not be stored any longer.
    pub forget_at: Timestamp,
}

impl LogoutToken {
    /// The identifier of the token with this `jti` of this issuer.
    pub fn name(issuer: &str, jti: &str) -> [u8; 32] {
        let length = (issuer.len() as u64).to_be_bytes();
        sha256(&[b"portico logout v1", &length, issuer.as_bytes(), jti.as_bytes()])
    }
}

/// The sessions that a logout token ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those that started in one session at the provider.
    Session {
        /// The issuer, as in identity keys.
        issuer: String,
        /// The provider's `sid`.
        sid: String,
    },
    /// Those that started with this identity.
    Identity(IdentityKey),
}
