//! Signing keys and their public halves in the JWKS.
//!
//! Keys are generated and used through `aws-lc-rs` directly. The code that signs a token therefore shares
//! nothing with the JWT library that verifies it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::random::random_id;

/// A JWS signature algorithm that the provider supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519, under its older name `EdDSA`.
    EdDsa,
    /// RSA with PKCS #1 v1.5 padding and SHA-256.
    Rs256,
    /// RSA with PKCS #1 v1.5 padding and SHA-384.
    Rs384,
    /// RSA with PKCS #1 v1.5 padding and SHA-512.
    Rs512,
    /// RSA with PSS padding and SHA-256.
    Ps256,
    /// RSA with PSS padding and SHA-384.
    Ps384,
    /// RSA with PSS padding and SHA-512.
    Ps512,
}

impl SigningAlgorithm {
    /// The name in the `alg` header and in the discovery document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    /// The hash function for `at_hash` (OIDC Core 3.1.3.6); Ed25519 uses SHA-512.
    pub(crate) fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Es256 | Self::Rs256 | Self::Ps256 => &digest::SHA256,
            Self::Es384 | Self::Rs384 | Self::Ps384 => &digest::SHA384,
            Self::Es512 | Self::EdDsa | Self::Rs512 | Self::Ps512 => &digest::SHA512,
        }
    }

    fn curve(self) -> Option<Curve> {
        match self {
            Self::Es256 => {
                Some(Curve { name: "P-256", coordinate: 32, algorithm: &ECDSA_P256_SHA256_FIXED_SIGNING })
            }
            Self::Es384 => {
                Some(Curve { name: "P-384", coordinate: 48, algorithm: &ECDSA_P384_SHA384_FIXED_SIGNING })
            }
            Self::Es512 => {
                Some(Curve { name: "P-521", coordinate: 66, algorithm: &ECDSA_P521_SHA512_FIXED_SIGNING })
            }
            Self::EdDsa
            | Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512 => None,
        }
    }

    fn padding(self) -> Option<&'static dyn RsaEncoding> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_SHA512),
            Self::Ps256 => Some(&RSA_PSS_SHA256),
            Self::Ps384 => Some(&RSA_PSS_SHA384),
            Self::Ps512 => Some(&RSA_PSS_SHA512),
            Self::Es256 | Self::Es384 | Self::Es512 | Self::EdDsa => None,
        }
    }
}

struct Curve {
    name: &'static str,
    coordinate: usize,
    algorithm: &'static EcdsaSigningAlgorithm,
}

/// A key could not be generated, or does not support the requested algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the demo identity provider could not generate or use a signing key")
    }
}

impl std::error::Error for KeyError {}

impl From<aws_lc_rs::error::Unspecified> for KeyError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

enum Material {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key with its `kid`.
pub(crate) struct Key {
    pub(crate) kid: String,
    pub(crate) algorithm: SigningAlgorithm,
    material: Material,
}

impl Key {
    /// Generates a key with a new `kid`. RSA keys have 2048 bits.
    pub(crate) fn generate(algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        let material = match (algorithm.curve(), algorithm.padding()) {
            (Some(curve), _) => Material::Ec(EcdsaKeyPair::generate(curve.algorithm)?),
            (None, Some(_)) => Material::Rsa(RsaKeyPair::generate(KeySize::Rsa2048)?),
            (None, None) => Material::Ed(Ed25519KeyPair::generate()?),
        };
        Ok(Self { kid: random_id().simple().to_string(), algorithm, material })
    }

    /// Signs `message` with the algorithm of the key.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.sign_as(self.algorithm, message)
    }

    /// Signs `message` with this algorithm. Only RSA keys support an algorithm other than their own.
    pub(crate) fn sign_as(&self, algorithm: SigningAlgorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.material {
            Material::Ec(pair) if algorithm == self.algorithm => {
                Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec())
            }
            Material::Ed(pair) if algorithm == self.algorithm => Ok(pair.sign(message).as_ref().to_vec()),
            Material::Rsa(pair) => {
                let padding = algorithm.padding().ok_or(KeyError)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            Material::Ec(_) | Material::Ed(_) => Err(KeyError),
        }
    }

    /// The public half as a JWK (RFC 7517).
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.material {
            Material::Ec(pair) => self.ec_jwk(pair.public_key().as_ref()),
            Material::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) })
            }
            Material::Rsa(pair) => {
                let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref()).unwrap_or_default();
                json!({ "kty": "RSA", "n": base64url(modulus), "e": base64url(exponent) })
            }
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".to_owned(), json!(self.kid));
            members.insert("use".to_owned(), json!("sig"));
            members.insert("alg".to_owned(), json!(self.algorithm.as_str()));
        }
        jwk
    }

    fn ec_jwk(&self, point: &[u8]) -> Value {
        let (name, width) = self.algorithm.curve().map_or(("", 0), |curve| (curve.name, curve.coordinate));
        // Uncompressed point (SEC 1, 2.3.3): one byte 0x04, then x, then y.
        let x = point.get(1..=width).unwrap_or_default();
        let y = point.get(1 + width..).unwrap_or_default();
        json!({ "kty": "EC", "crv": name, "x": base64url(x), "y": base64url(y) })
    }

    /// The public half as PEM text, which an algorithm-confusion attack uses as an HMAC secret.
    pub(crate) fn public_pem(&self) -> Result<String, KeyError> {
        let text = STANDARD.encode(self.public_der()?);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (index, character) in text.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        Ok(pem)
    }

    /// The public half as `SubjectPublicKeyInfo`.
    pub(crate) fn public_der(&self) -> Result<Vec<u8>, KeyError> {
        let der: PublicKeyX509Der<'_> = match &self.material {
            Material::Ec(pair) => pair.public_key().as_der()?,
            Material::Ed(pair) => pair.public_key().as_der()?,
            Material::Rsa(pair) => pair.public_key().as_der()?,
        };
        Ok(der.as_ref().to_vec())
    }
}

/// Modulus and exponent of a DER `RSAPublicKey` (RFC 8017, A.1.1), without leading zeros.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let (numbers, _) = der_value(SEQUENCE, der)?;
    let (modulus, rest) = der_value(INTEGER, numbers)?;
    let (exponent, _) = der_value(INTEGER, rest)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent))
}

/// The content of the first DER value, if it has this tag, and the remaining bytes.
fn der_value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (size, rest) = rest.split_first()?;
    let (length, rest) = if *size < 0x80 {
        (usize::from(*size), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(size & 0x7f))?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    (*first == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// The treatment of the published keys when a new key replaces the signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldKeys {
    /// The old keys stay in the JWKS, so tokens signed with them still verify.
    Keep,
    /// The old keys are removed from the JWKS immediately.
    Withdraw,
}

/// The keys of a realm: one signing key, and retired keys that are only published.
#[derive(Clone)]
pub(crate) struct KeyRing {
    pub(crate) signing: Arc<Key>,
    retired: Vec<Arc<Key>>,
}

impl KeyRing {
    /// A ring with one new key.
    pub(crate) fn generate(algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        Ok(Self { signing: Arc::new(Key::generate(algorithm)?), retired: Vec::new() })
    }

    /// The ring with a new signing key. At most eight old keys stay published.
    pub(crate) fn rotated(&self, algorithm: SigningAlgorithm, old: OldKeys) -> Result<Self, KeyError> {
        let mut next = Self::generate(algorithm)?;
        if old == OldKeys::Keep {
            next.retired.push(Arc::clone(&self.signing));
            next.retired.extend(self.retired.iter().take(7).cloned());
        }
        Ok(next)
    }

    /// The JWKS, newest key first.
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> =
            std::iter::once(&self.signing).chain(&self.retired).map(|key| key.jwk()).collect();
        json!({ "keys": keys })
    }
}

/// Base64url without padding, the encoding of JOSE.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [SigningAlgorithm; 10] = [
        SigningAlgorithm::Es256,
        SigningAlgorithm::Es384,
        SigningAlgorithm::Es512,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Rs384,
        SigningAlgorithm::Rs512,
        SigningAlgorithm::Ps256,
        SigningAlgorithm::Ps384,
        SigningAlgorithm::Ps512,
    ];

    /// The `jsonwebtoken` crate supports every algorithm except ES512.
    #[test]
    fn an_independent_library_verifies_every_algorithm() {
        for algorithm in ALL {
            let key = Key::generate(algorithm).unwrap();
            let signature = base64url(&key.sign(b"message").unwrap());
            if algorithm == SigningAlgorithm::Es512 {
                assert_eq!(key.jwk()["crv"], "P-521");
                assert_eq!(signature.len(), 176);
                continue;
            }
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk()).unwrap();
            let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
            let name: jsonwebtoken::Algorithm = algorithm.as_str().parse().unwrap();
            assert!(jsonwebtoken::crypto::verify(&signature, b"message", &decoding, name).unwrap());
            assert!(!jsonwebtoken::crypto::verify(&signature, b"massage", &decoding, name).unwrap());
        }
    }

    #[test]
    fn rotation_keeps_or_withdraws_the_old_key() {
        let first = KeyRing::generate(SigningAlgorithm::Es256).unwrap();
        let both = first.rotated(SigningAlgorithm::EdDsa, OldKeys::Keep).unwrap();
        let kids: Vec<Value> =
            both.jwks()["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
        assert_eq!(kids, [json!(both.signing.kid), json!(first.signing.kid)]);
        let alone = both.rotated(SigningAlgorithm::Es256, OldKeys::Withdraw).unwrap();
        assert_eq!(alone.jwks()["keys"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_pem_is_wrapped_at_64_letters() {
        let pem = Key::generate(SigningAlgorithm::Rs256).unwrap().public_pem().unwrap();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMII"));
        assert!(pem.lines().all(|line| line.len() <= 64));
    }
}
