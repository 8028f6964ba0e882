//! A short hash of what identifies a provider, so that a login notices a change.

use aws_lc_rs::digest;

/// The first 8 bytes of a SHA-256 hash of issuer and endpoints. A login finishes only at the provider it
/// started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderFingerprint(pub [u8; 8]);

impl ProviderFingerprint {
    /// The fingerprint of these texts. Each is hashed with its length, so that no two lists have the
    /// same input.
    pub fn new(parts: &[&str]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut short = [0; 8];
        for (to, from) in short.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        Self(short)
    }
}
