//! Client authentication at a provider's token endpoint (RFC 6749 2.3, RFC 7523 2.2).

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use crate::clock::{Entropy, Timestamp};
use crate::seal::{base64url, sha256};

/// The client authentication method of a slot. A request uses exactly one method (RFC 6749 2.3).
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// No secret: a public client sends only `client_id` in the body.
    Public,
    /// A method that the provider's metadata allows, preferably Basic. OAuth 2.0 slots use Basic.
    Auto(Secrets),
    /// `client_secret_basic`, with form-encoded credentials (RFC 6749 2.3.1).
    Basic(Secrets),
    /// `client_secret_post`.
    Post(Secrets),
    /// `private_key_jwt` (OIDC Core 9): a signed assertion in place of a secret.
    PrivateKey(Box<ClientKey>),
}

/// A client secret, and its successor during a change of secrets.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The secret that is tried first.
    pub current: SecretString,
    /// The secret that is tried if the provider refuses the first one with `invalid_client`.
    pub next: Option<SecretString>,
}

/// The lifetime of a client assertion: enough for one request and a small difference of clocks.
const ASSERTION_LIFETIME: Duration = Duration::from_mins(2);

/// The private key of `private_key_jwt`. `Debug` does not show it.
#[derive(Clone)]
pub struct ClientKey {
    key: EncodingKey,
    header: Header,
}

#[derive(Serialize)]
struct ClientAssertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: Uuid,
    iat: i64,
    exp: i64,
}

impl ClientKey {
    /// A key from PKCS#8 in PEM, with the key identifier that the provider knows and the DER of its
    /// certificate, if there are any.
    ///
    /// # Errors
    /// If the key cannot sign. Accepted are RSA with 2048 bits or more, P-256, P-384 and Ed25519.
    pub fn new(pem: &str, id: Option<&str>, certificate: Option<&[u8]>) -> Result<Self, &'static str> {
        let pem = pem.as_bytes();
        let parsed = [
            (EncodingKey::from_rsa_pem(pem), &[Algorithm::RS256][..]),
            (EncodingKey::from_ec_pem(pem), &[Algorithm::ES256, Algorithm::ES384]),
            (EncodingKey::from_ed_pem(pem), &[Algorithm::EdDSA]),
        ];
        for (key, algorithms) in parsed {
            let Ok(key) = key else { continue };
            for alg in algorithms {
                let header = Header {
                    kid: id.map(str::to_owned),
                    x5t_s256: certificate.map(|der| base64url(&sha256(&[der]))),
                    ..Header::new(*alg)
                };
                // A wrong curve or size is noticed only when the key signs.
                if encode(&header, &(), &key).is_ok() {
                    return Ok(Self { key, header });
                }
            }
        }
        Err("must be a private key as PKCS#8 in PEM: RSA (2048 bits or more), P-256, P-384 or Ed25519")
    }

    /// A client assertion for one request (RFC 7523 3). The audience is the provider's issuer, so that
    /// no other provider accepts it.
    ///
    /// # Errors
    /// If the key does not sign.
    pub fn client_assertion(
        &self,
        client_id: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<SecretString, &'static str> {
        let client_assertion = ClientAssertion {
            iss: client_id,
            sub: client_id,
            aud: audience,
            jti: Entropy.id(now),
            iat: now.unix(),
            exp: now.plus(ASSERTION_LIFETIME).unix(),
        };
        encode(&self.header, &client_assertion, &self.key)
            .map(Into::into)
            .map_err(|_| "the client key does not sign")
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("alg", &self.header.alg)
            .field("kid", &self.header.kid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    };
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use secrecy::ExposeSecret as _;
    use serde_json::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
    }

    fn keys() -> [(String, Algorithm); 3] {
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
        [
            (pem(p256.as_ref()), Algorithm::ES256),
            (pem(p384.as_ref()), Algorithm::ES384),
            (pem(ed.as_ref()), Algorithm::EdDSA),
        ]
    }

    #[test]
    fn a_statement_is_ours_for_one_issuer_and_one_request() {
        for (pem, alg) in keys() {
            let key = ClientKey::new(&pem, Some("k1"), Some(b"certificate")).unwrap();
            let client_assertion = |audience: &str| key.client_assertion("portico", audience, NOW).unwrap();
            let text = client_assertion("https://idp.example");
            let header = decode_header(text.expose_secret()).unwrap();
            assert_eq!((header.alg, header.kid.as_deref()), (alg, Some("k1")));
            assert_eq!(header.x5t_s256, Some(base64url(&sha256(&[b"certificate"]))));

            let public = DecodingKey::from_jwk(&Jwk::from_encoding_key(&key.key, alg).unwrap()).unwrap();
            let mut validation = Validation::new(alg);
            validation.set_audience(&["https://idp.example"]);
            validation.validate_exp = false;
            let read = |text: &SecretString| decode::<Value>(text.expose_secret(), &public, &validation);
            let claims = read(&text).unwrap().claims;
            assert_eq!((&claims["iss"], &claims["sub"]), (&"portico".into(), &"portico".into()));
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
            assert!(read(&client_assertion("https://other.example")).is_err());
            let again = read(&client_assertion("https://idp.example")).unwrap().claims;
            assert_ne!(claims["jti"], again["jti"]);
        }
    }

    #[test]
    fn what_cannot_sign_is_no_client_key() {
        let [(good, _), ..] = keys();
        let public = good.replace("PRIVATE", "PUBLIC");
        for bad in ["", "CANARY", &public, "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"] {
            let shown = ClientKey::new(bad, None, None).map(|_| ()).unwrap_err();
            assert!(!shown.contains("CANARY"));
        }
        let shown = format!("{:?}", ClientKey::new(&good, None, None).unwrap());
        assert!(!shown.contains("PRIVATE") && shown.contains("ES256"), "{shown}");
    }
}
