//! The second opinion: `openidconnect` verifies every token of these tests, with the same result.
//!
//! Its `IdTokenVerifier` gets the rules of the slot, and the keys of Portico by its trait. Where the two
//! differ, the difference is on [`DIFFERENCES`] with its reason. A difference that is not on the list fails
//! the test that judged the token.

mod differences;

use chrono::DateTime;
use openidconnect::core::{
    CoreGenderClaim, CoreJsonWebKey, CoreJsonWebKeyType, CoreJsonWebKeyUse,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, EmptyAdditionalClaims, IdToken,
    IdTokenVerifier, IssuerUrl, JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, JsonWebKeySet, Nonce,
    SignatureVerificationError,
};
use serde::{Deserialize, Serialize};

use self::differences::{DIFFERENCES, with_claim};
use super::*;

type TypedIdToken = IdToken<
    EmptyAdditionalClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// A key of Portico that implements the trait of `openidconnect`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
struct OurKey {
    jwk: Value,
    kid: Option<JsonWebKeyId>,
    kty: CoreJsonWebKeyType,
    alg: Option<CoreJwsSigningAlgorithm>,
}

impl TryFrom<Value> for OurKey {
    type Error = String;

    fn try_from(jwk: Value) -> Result<Self, String> {
        let document = json!({ "keys": [jwk] });
        KeySet::from_document(document.as_object().unwrap()).map_err(|error| error.to_string())?;
        let kid = jwk.get("kid").map(|kid| JsonWebKeyId::new(kid.as_str().unwrap().to_owned()));
        let alg = jwk.get("alg").map(|alg| serde_json::from_value(alg.clone()).unwrap());
        let kty = serde_json::from_value(jwk["kty"].clone()).unwrap();
        Ok(Self { jwk, kid, kty, alg })
    }
}

impl From<OurKey> for Value {
    fn from(key: OurKey) -> Self {
        key.jwk
    }
}

impl JsonWebKey for OurKey {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.kid.as_ref()
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        &self.kty
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        None
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        self.alg.as_ref().map_or(JsonWebKeyAlgorithm::Unspecified, JsonWebKeyAlgorithm::Algorithm)
    }

    fn new_symmetric(_: Vec<u8>) -> Self {
        panic!("no client secret was given")
    }

    fn verify_signature(
        &self,
        alg: &CoreJwsSigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureVerificationError> {
        let failed = |why: &str| SignatureVerificationError::CryptoError(why.to_owned());
        let alg = ours(alg).ok_or_else(|| failed("algorithm"))?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        let keys = set(std::slice::from_ref(&self.jwk)).keys;
        let verifies =
            |key| jsonwebtoken::crypto::verify(&signature, message, key, jws(alg)).unwrap_or(false);
        if keys.candidates(alg, None).any(verifies) { Ok(()) } else { Err(failed("signature")) }
    }

    fn hash_bytes(&self, bytes: &[u8], alg: &CoreJwsSigningAlgorithm) -> Result<Vec<u8>, String> {
        let alg = ours(alg).ok_or("algorithm")?;
        Ok(digest::digest(hash_of(alg), bytes).as_ref().to_vec())
    }
}

/// The algorithm in the types of `openidconnect`.
fn theirs(alg: SigningAlg) -> CoreJwsSigningAlgorithm {
    serde_json::from_value(json!(alg.as_str())).unwrap()
}

fn ours(alg: &CoreJwsSigningAlgorithm) -> Option<SigningAlg> {
    SigningAlg::parse(serde_json::to_value(alg).unwrap().as_str().unwrap())
}

/// The result of `openidconnect`.
#[derive(Debug)]
enum Opinion {
    Accepts,
    /// The types of `openidconnect` cannot represent the token.
    #[expect(dead_code, reason = "a test that fails shows the error")]
    Unreadable(String),
    Refuses(ClaimsVerificationError),
}

/// A token with the results of Portico and of `openidconnect`.
#[derive(Debug)]
pub(super) struct Judgement<'a> {
    token: &'a str,
    header: Value,
    claims: Value,
    ours: Result<(), &'static str>,
    theirs: Opinion,
}

impl<'a> Judgement<'a> {
    pub(super) fn new(
        rules: &Rules,
        token: &'a str,
        keys: &Published,
        ours: Result<(), &'static str>,
    ) -> Self {
        let mut parts = token.split('.').map(|part| {
            let decoded = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice(&decoded).unwrap_or_default()
        });
        let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Self { token, header, claims, ours, theirs: opinion(rules, token, keys) }
    }

    fn agrees(&self) -> bool {
        self.ours.is_ok() == matches!(self.theirs, Opinion::Accepts)
    }

    /// Fails if the results differ and the difference is not on the list.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.agrees() || DIFFERENCES.iter().any(|known| (known.explains)(self)) {
            return Ok(());
        }
        Err(format!("openidconnect judges otherwise, and the list does not say why: {self:#?}"))
    }

    /// Portico accepts the token, and `openidconnect` cannot parse it.
    fn is_unreadable_only(&self) -> bool {
        self.ours.is_ok() && matches!(self.theirs, Opinion::Unreadable(_))
    }

    /// Only Portico refuses the token, by this check.
    fn fails_only(&self, check: &str) -> bool {
        self.ours == Err(check) && matches!(self.theirs, Opinion::Accepts)
    }

    /// Only `openidconnect` refuses the token, with this text in its error.
    fn is_unsupported_only(&self, word: &str) -> bool {
        use ClaimsVerificationError::Unsupported;
        let refused = matches!(&self.theirs, Opinion::Refuses(Unsupported(why)) if why.contains(word));
        self.ours.is_ok() && refused
    }
}

fn opinion(rules: &Rules, token: &str, keys: &Published) -> Opinion {
    let typed: TypedIdToken = match token.parse() {
        Ok(typed) => typed,
        Err(error) => return Opinion::Unreadable(error.to_string()),
    };
    let keys: Vec<OurKey> = keys.jwks.iter().filter_map(|jwk| OurKey::try_from(jwk.clone()).ok()).collect();
    let skew = i64::try_from(rules.skew).unwrap();
    let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
    let mut last = Opinion::Refuses(ClaimsVerificationError::InvalidIssuer("none is known".to_owned()));
    // `openidconnect` supports one issuer and no aliases.
    let issuers = std::iter::once(&rules.issuer).chain(&rules.aliases);
    for issuer in issuers.filter_map(|issuer| IssuerUrl::new(issuer.to_string()).ok()) {
        let client_id = ClientId::new("portico".to_owned());
        let verifier =
            IdTokenVerifier::new_public_client(client_id, issuer, JsonWebKeySet::new(keys.clone()))
                .set_allowed_algs(rules.algs.iter().copied().map(theirs))
                .set_time_fn(move || at(NOW - skew))
                .set_issue_time_verifier_fn(move |issued| {
                    if issued <= at(NOW + skew) { Ok(()) } else { Err("in the future".to_owned()) }
                })
                .set_other_audience_verifier_fn(|_| true);
        let nonce = |received: Option<&Nonce>| match (rules.nonce, received.map(Nonce::secret)) {
            (NonceMode::IfPresent | NonceMode::Never, None) => Ok(()),
            (NonceMode::Never, Some(nonce)) if nonce.is_empty() => Ok(()),
            (NonceMode::Required | NonceMode::IfPresent, Some(nonce)) if nonce == NONCE => Ok(()),
            _ => Err("nonce".to_owned()),
        };
        match typed.claims(&verifier, nonce) {
            Ok(_) => return Opinion::Accepts,
            Err(error) => last = Opinion::Refuses(error),
        }
    }
    last
}

#[test]
fn every_explained_difference_still_occurs() {
    for known in DIFFERENCES {
        let (rules, token, keys) = (known.example)();
        let keys = set(&keys);
        let judgement = Judgement::new(&rules, &token, &keys, rules.own_judgement(&token, &keys.keys));
        assert!(!judgement.agrees(), "both judge alike now: {}", known.what);
        assert!((known.explains)(&judgement), "{}: {judgement:#?}", known.what);
    }
}

#[test]
fn a_difference_without_explanation_fails() {
    let keys = set(&[EC.published("k1")]);
    let honest = Draft::honest(SigningAlg::ES256).signed(&EC);
    let forged = Draft::honest(SigningAlg::ES256).signed(&OTHER);
    let (_, late, _) = with_claim("exp", json!(NOW - 61));
    for (token, right, wrong) in [
        (&honest, Ok(()), Err("signature")),
        (&honest, Ok(()), Err("nbf")),
        (&forged, Err("signature"), Ok(())),
        (&late, Err("exp"), Ok(())),
    ] {
        let rules = Rules::default();
        assert_eq!(Judgement::new(&rules, token, &keys, right).check(), Ok(()));
        assert!(Judgement::new(&rules, token, &keys, wrong).check().is_err(), "{wrong:?}");
    }
}

#[test]
fn m08_the_hash_of_an_access_token_is_the_one_of_openidconnect() {
    let p384 = Pair::ec(&ECDSA_P384_SHA384_FIXED_SIGNING, SigningAlg::ES384);
    let ed = Pair::ed();
    for alg in SigningAlg::ALL {
        let pair = match alg {
            SigningAlg::ES256 => &*EC,
            SigningAlg::ES384 => &p384,
            SigningAlg::EdDSA => &ed,
            _ => &*RSA,
        };
        // The key type of `openidconnect`, so that its own table of hash functions is used.
        let key: CoreJsonWebKey = serde_json::from_value(pair.published("k1")).unwrap();
        let token = AccessToken::new(ACCESS_TOKEN.to_owned());
        let hash = AccessTokenHash::from_token(&token, &theirs(alg), &key).unwrap();
        assert_eq!(json!(*hash), Draft::honest(alg).claims["at_hash"], "{alg:?}");
    }
}
