//! Portico's own signing keys: made here, sealed at rest, shared by all replicas through the store.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;

use crate::clock::{Entropy, Timestamp};
use crate::error::StoreError;
use crate::seal::{Purpose, Seals, sha256};

/// The algorithm our tokens are signed with (RFC 7518 3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenAlg {
    /// ECDSA on P-256.
    ES256,
    /// Ed25519.
    EdDSA,
    /// RSA with 2048 bits.
    RS256,
}

impl TokenAlg {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ES256, Self::EdDSA, Self::RS256];

    /// The `alg` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::RS256 => "RS256",
        }
    }

    /// The algorithm of that exact name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == text)
    }

    const fn jws(self) -> Algorithm {
        match self {
            Self::ES256 => Algorithm::ES256,
            Self::EdDSA => Algorithm::EdDSA,
            Self::RS256 => Algorithm::RS256,
        }
    }
}

/// What a key is good for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, not signing yet.
    Next,
    /// Signs.
    Current,
    /// Published until the last token it signed has expired.
    Retired,
}

impl KeyState {
    /// The word in the store and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retired => "retired",
        }
    }

    /// The state of that word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Next, Self::Current, Self::Retired].into_iter().find(|state| state.as_str() == text)
    }
}

/// A signing key as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its identifier: the RFC 7638 thumbprint.
    pub kid: String,
    /// Its algorithm.
    pub alg: TokenAlg,
    /// What it is good for.
    pub state: KeyState,
    /// The public half, a JWK (RFC 7517).
    pub public_jwk: String,
    /// The private half, PKCS#8, sealed.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is no longer published.
    pub retires_at: Option<Timestamp>,
}

impl StoredKey {
    fn open(&self, seals: &Seals) -> Result<(Vec<u8>, bool), KeyError> {
        let opened = seals.open(Purpose::SigningKey, &[self.kid.as_bytes()], &self.sealed);
        let (pkcs8, key) = opened.map_err(|_| KeyError::Sealed(self.kid.clone()))?;
        Ok((pkcs8, seals.is_current(key)))
    }

    /// Whether the private half can be had with these secret keys.
    ///
    /// # Errors
    /// [`KeyError::Sealed`] when it cannot.
    pub fn opens(&self, seals: &Seals) -> Result<(), KeyError> {
        self.open(seals).map(|_| ())
    }

    /// The private half sealed under the current secret key, when it was sealed under a previous one.
    pub(crate) fn sealed_again(&self, seals: &Seals, entropy: Entropy) -> Option<Vec<u8>> {
        let (pkcs8, is_current) = self.open(seals).ok()?;
        (!is_current).then(|| seals.seal(Purpose::SigningKey, &[self.kid.as_bytes()], &pkcs8, entropy))
    }
}

/// A key cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private half does not open under the secret key or a previous one.
    #[error("signing key {0} does not open: it was sealed under another security.secret_key")]
    Sealed(String),
    /// The key material is not what it says.
    #[error("signing key {kid}: {problem}")]
    Broken {
        /// Which key.
        kid: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Makes a new key of this algorithm.
///
/// # Errors
/// [`KeyError::Broken`] when the cryptographic library refuses.
pub fn generate(
    alg: TokenAlg,
    state: KeyState,
    seals: &Seals,
    entropy: Entropy,
    now: Timestamp,
) -> Result<StoredKey, KeyError> {
    let broken = |problem: String| KeyError::Broken { kid: "(new)".to_owned(), problem };
    let pkcs8 = new_pkcs8(alg).map_err(|_| broken("the key could not be generated".to_owned()))?;
    let key = encoding_key(alg, &pkcs8).map_err(|error| broken(error.to_string()))?;
    let mut jwk = Jwk::from_encoding_key(&key, alg.jws()).map_err(|error| broken(error.to_string()))?;
    let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|error| broken(error.to_string()))?;
    jwk.common.key_id = Some(kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    let public_jwk = serde_json::to_string(&jwk).map_err(|error| broken(error.to_string()))?;
    let sealed = seals.seal(Purpose::SigningKey, &[kid.as_bytes()], &pkcs8, entropy);
    Ok(StoredKey { kid, alg, state, public_jwk, sealed, created_at: now, retires_at: None })
}

fn new_pkcs8(alg: TokenAlg) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let random = SystemRandom::new();
    match alg {
        TokenAlg::ES256 => {
            Ok(EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?.as_ref().to_vec())
        }
        TokenAlg::EdDSA => Ok(Ed25519KeyPair::generate_pkcs8v1(&random)?.as_ref().to_vec()),
        TokenAlg::RS256 => {
            let der: Pkcs8V1Der<'_> = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048)?.as_der()?;
            Ok(der.as_ref().to_vec())
        }
    }
}

fn encoding_key(alg: TokenAlg, pkcs8: &[u8]) -> Result<EncodingKey, jsonwebtoken::errors::Error> {
    match alg {
        TokenAlg::ES256 => Ok(EncodingKey::from_ec_der(pkcs8)),
        TokenAlg::EdDSA => Ok(EncodingKey::from_ed_der(pkcs8)),
        TokenAlg::RS256 => {
            let body = STANDARD.encode(pkcs8);
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
            EncodingKey::from_rsa_pem(pem.as_bytes())
        }
    }
}

/// The keys in use: one that signs, by construction, and all that are published.
pub struct KeyRing {
    signing: SigningKey,
    published: Vec<PublishedKey>,
    fingerprint: [u8; 32],
}

struct SigningKey {
    kid: String,
    alg: TokenAlg,
    key: EncodingKey,
}

struct PublishedKey {
    kid: String,
    alg: TokenAlg,
    jwk: serde_json::Value,
    key: DecodingKey,
}

impl KeyRing {
    pub(crate) fn new(
        alg: TokenAlg,
        stored: &[StoredKey],
        seals: &Seals,
        now: Timestamp,
    ) -> Result<Option<Self>, KeyError> {
        let live = stored.iter().filter(|key| key.retires_at.is_none_or(|end| end > now));
        let published = live.map(PublishedKey::open).collect::<Result<Vec<_>, _>>()?;
        let current = stored.iter().find(|key| key.alg == alg && key.state == KeyState::Current);
        let signing = current.map(|key| SigningKey::open(key, seals)).transpose()?;
        let kids: Vec<_> = published.iter().flat_map(|key| [key.kid.as_bytes(), b"\n"]).collect();
        let fingerprint = sha256(&kids);
        Ok(signing.map(|signing| Self { signing, published, fingerprint }))
    }

    /// Signs claims as an access token (RFC 9068 2.1: `typ` is `at+jwt`).
    ///
    /// # Errors
    /// When the cryptographic library refuses.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(self.signing.alg.jws());
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.signing.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.signing.key)
    }

    /// The published key of this identifier, with the one algorithm it may be used with.
    pub fn find(&self, kid: &str) -> Option<(&DecodingKey, Algorithm)> {
        self.published.iter().find(|key| key.kid == kid).map(|key| (&key.key, key.alg.jws()))
    }

    /// Another one for every other set of published keys: what was found with one set may not be so with the next.
    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The JWK set (RFC 7517 5).
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": self.published.iter().map(|key| &key.jwk).collect::<Vec<_>>() })
    }

    /// The algorithm that signs.
    pub fn alg(&self) -> TokenAlg {
        self.signing.alg
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<_> = self.published.iter().map(|key| &key.kid).collect();
        f.debug_struct("KeyRing")
            .field("signing", &self.signing.kid)
            .field("published", &kids)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    fn open(stored: &StoredKey, seals: &Seals) -> Result<Self, KeyError> {
        let kid = stored.kid.clone();
        let (pkcs8, _) = stored.open(seals)?;
        let key = encoding_key(stored.alg, &pkcs8)
            .map_err(|error| KeyError::Broken { kid: kid.clone(), problem: error.to_string() })?;
        Ok(Self { kid, alg: stored.alg, key })
    }
}

impl PublishedKey {
    fn open(stored: &StoredKey) -> Result<Self, KeyError> {
        let broken = |problem: String| KeyError::Broken { kid: stored.kid.clone(), problem };
        let jwk = serde_json::from_str(&stored.public_jwk).map_err(|error| broken(error.to_string()))?;
        let parsed: Jwk =
            serde_json::from_str(&stored.public_jwk).map_err(|error| broken(error.to_string()))?;
        let key = DecodingKey::from_jwk(&parsed).map_err(|error| broken(error.to_string()))?;
        Ok(Self { kid: stored.kid.clone(), alg: stored.alg, jwk, key })
    }
}
