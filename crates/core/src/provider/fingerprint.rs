//! A short hash that identifies a provider as a login saw it.

use aws_lc_rs::digest;

/// A mark of the resolved issuer and endpoints. A login finishes only at the provider it started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderFingerprint(pub [u8; 8]);

impl ProviderFingerprint {
    /// Marks these texts; each is counted with its length, so two lists never run together.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut mark = [0; 8];
        for (to, from) in mark.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        Self(mark)
    }
}
