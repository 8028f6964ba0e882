//! The secret key: refused if it may be guessable, and never printed.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretBox};
use uuid::Uuid;

/// The minimum length of a key in bytes.
const MIN_BYTES: usize = 32;

/// The minimum number of different bytes. A random key of 32 bytes has about thirty.
const MIN_DIFFERENT_BYTES: usize = 8;

/// Keys from documentation, and obvious sequences.
const PUBLISHED: [&str; 4] = [
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "OQINaROshtE9TcZkNAm-5Zs2Pv3xaWytBmc5W7sPX7w=",
    "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=",
    "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=",
];

/// A secret key of at least 32 bytes.
pub struct SecretKey(SecretBox<Vec<u8>>);

impl SecretKey {
    /// Decodes a key from hex, base64 or base64url, with or without padding.
    ///
    /// # Errors
    /// The problem and the remedy, without the text of the key.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let advice = "take the output of `openssl rand -base64 32`";
        let refused = |what: &str| Err(format!("{what}; {advice}"));
        let text = text.trim();
        if Uuid::try_parse(text).is_ok() {
            return refused("is a UUID, which is too short and often not random");
        }
        let Some(bytes) = decode(text) else { return refused("is neither base64 nor hex") };
        if bytes.len() < MIN_BYTES {
            return refused("has fewer than 32 bytes");
        }
        if PUBLISHED.iter().any(|published| decode(published).as_ref() == Some(&bytes)) {
            return refused("is a published example");
        }
        if repeats(&bytes) {
            return refused("repeats itself");
        }
        Ok(Self(SecretBox::new(Box::new(bytes))))
    }

    /// The bytes, to derive keys from.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([REDACTED])")
    }
}

/// Decodes hex digits as hex: base64 would overstate the length of the key.
fn decode(text: &str) -> Option<Vec<u8>> {
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return hex::decode(text).ok();
    }
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::URL_SAFE, lenient);
    engine.decode(text.replace('+', "-").replace('/', "_")).ok()
}

/// Whether the key repeats a shorter sequence, or has very few different bytes.
fn repeats(bytes: &[u8]) -> bool {
    let different = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
    let again = |period: usize| bytes.iter().zip(bytes.iter().skip(period)).all(|(one, other)| one == other);
    different < MIN_DIFFERENT_BYTES || (1..=bytes.len() / 2).any(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_keys_are_taken_in_each_spelling() {
        let bytes: Vec<u8> = (0..32_u8).map(|i| i.wrapping_mul(37) ^ 0xfb).collect();
        let hex = hex::encode(&bytes);
        for text in [
            base64::engine::general_purpose::STANDARD.encode(&bytes),
            base64::engine::general_purpose::STANDARD_NO_PAD.encode(&bytes),
            base64::engine::general_purpose::URL_SAFE.encode(&bytes),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes),
            hex.to_uppercase(),
            format!(" {hex}\n"),
        ] {
            assert_eq!(SecretKey::parse(&text).map(|key| key.expose().to_vec()), Ok(bytes.clone()), "{text}");
        }
        assert!(SecretKey::parse("Y2FuYXJ5LXNlY3JldC1rZXktb2YtdGhlLXRlc3RzLTAx").is_ok());
    }

    #[test]
    fn weak_keys_are_refused_and_not_repeated() {
        for (weak, because) in [
            ("", "fewer"),
            ("secret", "neither"),
            ("not base64 at all, but long enough to be a key", "neither"),
            ("327f747f-efac-42be-9e73-999f08f86b92", "UUID"),
            ("327f747fefac42be9e73999f08f86b92", "UUID"),
            ("{327f747f-efac-42be-9e73-999f08f86b92}", "UUID"),
            ("b3RoZXItc2VjcmV0LWtleS1vZi10aGUtdGVzdHM=", "fewer"),
            ("0123456789abcdef0123456789abcde", "neither"),
            // Hex of 22 bytes; as base64 it would be 33.
            ("6f1d9c0b7a83e2455c6e80d3b19fa4721e0c5d8b3f6a", "fewer"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "fewer"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeats"),
            ("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "repeats"),
            ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "repeats"),
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "repeats"),
            ("changemechangemechangemechangemechangemechangeme", "repeats"),
            ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "repeats"),
            ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "published"),
            ("OQINaROshtE9TcZkNAm+5Zs2Pv3xaWytBmc5W7sPX7w", "published"),
        ] {
            let message = SecretKey::parse(weak).map(|_| ()).unwrap_err();
            assert!(message.contains(because), "{weak}: {message}");
            assert!(weak.is_empty() || !message.contains(weak), "{message}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let key = SecretKey::parse("b3RoZXItc2VjcmV0LWtleS1vZi10aGUtdGVzdHMtMDI=").unwrap();
        assert_eq!(format!("{key:?}"), "SecretKey([REDACTED])");
    }
}
