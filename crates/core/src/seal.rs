//! Encryption and message authentication under the operator's secret keys. Each purpose has its own
//! derived key (HKDF-SHA256).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Entropy;

/// The purpose of a derived key. A value that was sealed for one purpose never opens for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The cookie of a pending login.
    Login,
    /// PKCE verifiers.
    Verifier,
    /// Nonces.
    Nonce,
    /// ID tokens at rest.
    IdToken,
    /// Signing keys at rest.
    SigningKey,
    /// Successors of refresh tokens.
    RefreshToken,
    /// CSRF tokens.
    Csrf,
    /// Requests of the proxy probe to Portico itself, and their responses.
    ProxyProbe,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Login => b"portico login v1",
            Self::Verifier => b"portico verifier v1",
            Self::Nonce => b"portico nonce v1",
            Self::IdToken => b"portico id token v1",
            Self::SigningKey => b"portico signing key v1",
            Self::RefreshToken => b"portico refresh token v1",
            Self::Csrf => b"portico csrf v1",
            // The label stays as it is: replicas of two versions must read each other's requests.
            Self::ProxyProbe => b"portico mirror v1",
        }
    }
}

/// The current secret key, and previous ones that open what was sealed under them.
#[derive(Debug)]
pub struct Seals {
    current: SealKey,
    previous: Vec<SealKey>,
}

/// One secret key.
pub struct SealKey(Prk);

/// The text does not open: it was changed, or was not sealed under any of the configured secret keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was not sealed under a configured secret key, or was changed")]
pub struct DoesNotOpen;

impl Seals {
    /// Secret keys: `current` seals, all of them open.
    pub fn new(current: &[u8], previous: &[Vec<u8>]) -> Self {
        let key = |secret: &[u8]| SealKey(Salt::new(HKDF_SHA256, b"portico").extract(secret));
        Self { current: key(current), previous: previous.iter().map(|secret| key(secret)).collect() }
    }

    /// Seals a text under the current key, with a random nonce. [`Seals::open`] needs the same `context`.
    pub fn seal(&self, purpose: Purpose, context: &[&[u8]], plain: &[u8], entropy: Entropy) -> Vec<u8> {
        let nonce = entropy.bytes::<NONCE_LEN>();
        [nonce.as_slice(), &self.current.aead(purpose).seal(context, nonce, plain)].concat()
    }

    /// Opens a text that was sealed for the same purpose and context. Returns it with the key that it
    /// was sealed under.
    ///
    /// # Errors
    /// [`DoesNotOpen`] if no key opens it.
    pub fn open(
        &self,
        purpose: Purpose,
        context: &[&[u8]],
        sealed: &[u8],
    ) -> Result<(Vec<u8>, &SealKey), DoesNotOpen> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(DoesNotOpen)?;
        self.keys()
            .find_map(|key| Some((key.aead(purpose).open(context, *nonce, text)?, key)))
            .ok_or(DoesNotOpen)
    }

    /// Seals a text under a key that derives from the secret `once`. The caller must never use the same
    /// secret for a second text, because the nonce is fixed. The result is shorter than that of
    /// [`Seals::seal`] by the nonce.
    pub fn seal_once(&self, purpose: Purpose, once: &[u8], context: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        self.current.once(purpose, once).seal(context, [0; NONCE_LEN], plain)
    }

    /// Opens a text of [`Seals::seal_once`]. Returns it with the key that it was sealed under.
    ///
    /// # Errors
    /// [`DoesNotOpen`] if no key opens it.
    pub fn open_once(
        &self,
        purpose: Purpose,
        once: &[u8],
        context: &[&[u8]],
        sealed: &[u8],
    ) -> Result<(Vec<u8>, &SealKey), DoesNotOpen> {
        let open = |key: &SealKey| key.once(purpose, once).open(context, [0; NONCE_LEN], sealed);
        self.keys().find_map(|key| Some((open(key)?, key))).ok_or(DoesNotOpen)
    }

    /// The current key.
    pub fn current(&self) -> &SealKey {
        &self.current
    }

    /// Whether a key that opened a text is the current one.
    pub fn is_current(&self, key: &SealKey) -> bool {
        std::ptr::eq(key, &raw const self.current)
    }

    /// All keys, the current one first.
    pub fn keys(&self) -> impl Iterator<Item = &SealKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl SealKey {
    /// The message authentication code of these parts (HMAC-SHA256); each part counts with its length.
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.derive(purpose)), &join(parts));
        array32(tag.as_ref())
    }

    fn aead(&self, purpose: Purpose) -> Aead {
        Aead::new(&self.derive(purpose))
    }

    fn once(&self, purpose: Purpose, once: &[u8]) -> Aead {
        Aead::new(&self.mac(purpose, &[once]))
    }

    #[expect(clippy::expect_used, reason = "HKDF-SHA256 always yields 32 bytes")]
    fn derive(&self, purpose: Purpose) -> [u8; 32] {
        let mut out = [0; 32];
        self.0
            .expand(&[purpose.label()], Bytes32)
            .and_then(|okm| okm.fill(&mut out))
            .expect("HKDF yields 32 bytes");
        out
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey([REDACTED])")
    }
}

/// Authenticated encryption under one derived key: AES-256-GCM.
struct Aead(LessSafeKey);

impl Aead {
    #[expect(clippy::expect_used, reason = "AES-256 takes any 32 bytes")]
    fn new(key: &[u8; 32]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes")))
    }

    #[expect(clippy::expect_used, reason = "AES-GCM refuses only texts of many gigabytes")]
    fn seal(&self, context: &[&[u8]], nonce: [u8; NONCE_LEN], plain: &[u8]) -> Vec<u8> {
        let mut text = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(nonce, Aad::from(join(context)), &mut text).expect("a short text");
        text
    }

    fn open(&self, context: &[&[u8]], nonce: [u8; NONCE_LEN], text: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self.0.open_in_place(nonce, Aad::from(join(context)), &mut buffer).ok()?;
        Some(plain.to_vec())
    }
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// The parts, each preceded by its length, so that no two lists have the same result.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect()
}

/// The SHA-256 hash of the concatenated parts.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    array32(context.finish().as_ref())
}

fn array32(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

/// Base64url without padding (RFC 4648 5).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url without padding (RFC 4648 5). `None` for any other text.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Compares secrets in constant time.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn l01_secrets_are_the_same_when_every_byte_is() {
        for (left, right, expected) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "b", false),
            ("a", "ab", false),
            ("ab", "a", false),
            ("", "a", false),
        ] {
            assert_eq!(same(left.as_bytes(), right.as_bytes()), expected, "{left} {right}");
        }
    }

    #[test]
    fn opens_only_the_same_purpose_context_and_key() {
        let seals = Seals::new(b"one", &[]);
        let sealed = seals.seal(Purpose::Login, &[b"a", b"b"], b"text", Entropy);
        assert_eq!(seals.open(Purpose::Login, &[b"a", b"b"], &sealed).unwrap().0, b"text");
        assert!(seals.open(Purpose::SigningKey, &[b"a", b"b"], &sealed).is_err());
        assert!(seals.open(Purpose::Login, &[b"ab", b""], &sealed).is_err());
        assert!(Seals::new(b"two", &[]).open(Purpose::Login, &[b"a", b"b"], &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(seals.open(Purpose::Login, &[b"a", b"b"], &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_is_sealed_once_opens_only_with_the_same_secret_purpose_context_and_key() {
        let seals = Seals::new(b"one", &[]);
        let sealed = seals.seal_once(Purpose::Login, b"state", &[b"a"], b"text");
        let rotated = Seals::new(b"new", &[b"one".to_vec()]);
        assert_eq!(rotated.open_once(Purpose::Login, b"state", &[b"a"], &sealed).unwrap().0, b"text");
        assert!(rotated.open_once(Purpose::Login, b"other", &[b"a"], &sealed).is_err());
        assert!(rotated.open_once(Purpose::Csrf, b"state", &[b"a"], &sealed).is_err());
        assert!(rotated.open_once(Purpose::Login, b"state", &[b"b"], &sealed).is_err());
        assert!(Seals::new(b"new", &[]).open_once(Purpose::Login, b"state", &[b"a"], &sealed).is_err());
        assert_ne!(sealed, seals.seal_once(Purpose::Login, b"other", &[b"a"], b"text"));
    }

    #[test]
    fn a_previous_key_opens_what_it_sealed() {
        let sealed = Seals::new(b"old", &[]).seal(Purpose::SigningKey, &[], b"key", Entropy);
        let rotated = Seals::new(b"new", &[b"old".to_vec()]);
        let (text, key) = rotated.open(Purpose::SigningKey, &[], &sealed).unwrap();
        assert_eq!((text.as_slice(), rotated.is_current(key)), (&b"key"[..], false));
        let now = rotated.seal(Purpose::SigningKey, &[], b"key", Entropy);
        assert!(Seals::new(b"old", &[]).open(Purpose::SigningKey, &[], &now).is_err());
    }
}
