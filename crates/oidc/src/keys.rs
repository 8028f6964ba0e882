//! The provider's public keys.
//!
//! A key verifies only the algorithms of its own type, whatever the header of a token says. An unusable key
//! is skipped and does not make the set unusable.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use portico_core::error::UpstreamError;
use portico_core::provider::SigningAlg;
use serde_json::{Map, Value};

/// The most keys of a set.
const MAX_KEYS: usize = 100;

/// The most keys that are tried for one token.
const MAX_TRIES: usize = 10;

/// The accepted sizes of RSA keys, in bits (RFC 7518 3.3; the upper limit is that of aws-lc).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The usable keys of a set; never empty.
pub(crate) struct KeySet(Vec<Key>);

struct Key {
    kid: Option<String>,
    family: Family,
    /// The member `alg`: the only algorithm of the key.
    alg: Option<SigningAlg>,
    material: DecodingKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 5).
    ///
    /// # Errors
    /// The list of keys is missing or too long, or has no usable key.
    pub(crate) fn from_document(document: &Map<String, Value>) -> Result<Self, UpstreamError> {
        let refuse = |problem: &str| UpstreamError::Metadata(format!("key set: {problem}"));
        let listed =
            document.get("keys").and_then(Value::as_array).ok_or_else(|| refuse("it has no list of keys"))?;
        if listed.len() > MAX_KEYS {
            return Err(refuse("it has more than 100 keys"));
        }
        let keys: Vec<_> = listed.iter().filter_map(Key::from_jwk).collect();
        if keys.is_empty() { Err(refuse("none of its keys is usable")) } else { Ok(Self(keys)) }
    }

    /// The keys for a token with this algorithm and `kid`. Without a `kid`, all keys for the algorithm.
    pub(crate) fn candidates(
        &self,
        alg: SigningAlg,
        kid: Option<&str>,
    ) -> impl Iterator<Item = &DecodingKey> {
        self.0
            .iter()
            .filter(move |key| kid.is_none_or(|kid| key.kid.as_deref() == Some(kid)) && key.fits(alg))
            .map(|key| &key.material)
            .take(MAX_TRIES)
    }
}

impl Key {
    /// The key; `None` if it is not for signatures, is malformed, or has an unsupported type.
    fn from_jwk(jwk: &Value) -> Option<Self> {
        let jwk = jwk.as_object()?;
        let absent_or = |name: &str, good: fn(&Value) -> bool| jwk.get(name).is_none_or(good);
        // RFC 7517 4.2, 4.3: keys for encryption are skipped.
        let for_signatures = absent_or("use", |value| value == "sig")
            && absent_or("key_ops", |value| {
                value.as_array().is_some_and(|all| all.iter().any(|op| op == "verify"))
            });
        if !for_signatures {
            return None;
        }
        let kid = match jwk.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        let alg = match jwk.get("alg") {
            None => None,
            // RFC 9864 2.2: the name of the curve in place of `EdDSA`.
            Some(alg) if alg == "Ed25519" => Some(SigningAlg::EdDSA),
            Some(alg) => Some(SigningAlg::parse(alg.as_str()?)?),
        };
        let (family, material) = material(jwk)?;
        alg.is_none_or(|alg| family_of(alg) == family).then_some(Self { kid, family, alg, material })
    }

    fn fits(&self, alg: SigningAlg) -> bool {
        family_of(alg) == self.family && self.alg.is_none_or(|own| own == alg)
    }
}

/// The key itself and its type (RFC 7518 6.2.1 and 6.3.1, RFC 8037 2).
fn material(jwk: &Map<String, Value>) -> Option<(Family, DecodingKey)> {
    let text = |name: &str| jwk.get(name)?.as_str();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
    let point = |size: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        let sized = x.len() == size && y.len() == size;
        let key = DecodingKey::from_ec_components(&URL_SAFE_NO_PAD.encode(x), &URL_SAFE_NO_PAD.encode(y));
        if sized { key.ok() } else { None }
    };
    match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let (modulus, exponent) = (bytes("n")?, bytes("e")?);
            let modulus = modulus.get(modulus.iter().position(|byte| *byte != 0)?..)?;
            let spare = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
            let key = DecodingKey::from_rsa_raw_components(modulus, &exponent);
            RSA_BITS.contains(&(modulus.len() * 8 - spare)).then_some((Family::Rsa, key))
        }
        ("EC", Some("P-256")) => Some((Family::P256, point(32)?)),
        ("EC", Some("P-384")) => Some((Family::P384, point(48)?)),
        ("OKP", Some("Ed25519")) => {
            let x = bytes("x").filter(|x| x.len() == 32)?;
            Some((Family::Ed25519, DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(x)).ok()?))
        }
        _ => None,
    }
}

const fn family_of(alg: SigningAlg) -> Family {
    match alg {
        SigningAlg::RS256
        | SigningAlg::RS384
        | SigningAlg::RS512
        | SigningAlg::PS256
        | SigningAlg::PS384
        | SigningAlg::PS512 => Family::Rsa,
        SigningAlg::ES256 => Family::P256,
        SigningAlg::ES384 => Family::P384,
        SigningAlg::EdDSA => Family::Ed25519,
    }
}

/// The algorithm in the types of `jsonwebtoken`.
pub(crate) const fn jws(alg: SigningAlg) -> Algorithm {
    match alg {
        SigningAlg::RS256 => Algorithm::RS256,
        SigningAlg::RS384 => Algorithm::RS384,
        SigningAlg::RS512 => Algorithm::RS512,
        SigningAlg::PS256 => Algorithm::PS256,
        SigningAlg::PS384 => Algorithm::PS384,
        SigningAlg::PS512 => Algorithm::PS512,
        SigningAlg::ES256 => Algorithm::ES256,
        SigningAlg::ES384 => Algorithm::ES384,
        SigningAlg::EdDSA => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base64url(size: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xb5; size])
    }

    /// How many keys of the set are usable for each of these algorithms.
    fn usable(key: &Value) -> [usize; 4] {
        let document = json!({ "keys": [key] });
        let Ok(set) = KeySet::from_document(document.as_object().unwrap()) else { return [0; 4] };
        [SigningAlg::RS256, SigningAlg::PS256, SigningAlg::ES256, SigningAlg::EdDSA]
            .map(|alg| set.candidates(alg, None).count())
    }

    fn rsa() -> Value {
        json!({ "kty": "RSA", "n": base64url(256), "e": "AQAB" })
    }

    fn ec() -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": base64url(32), "y": base64url(32) })
    }

    fn ed() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(32) })
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    /// An RSA key whose modulus has this many leading zero bytes.
    fn rsa_with_zeros(zeros: usize, size: usize) -> Value {
        let modulus = [vec![0; zeros], vec![0xb5; size]].concat();
        with(rsa(), "n", json!(URL_SAFE_NO_PAD.encode(modulus)))
    }

    /// Keys that the set skips.
    fn unusable_keys() -> Vec<Value> {
        vec![
            with(rsa(), "alg", json!("ES256")),
            with(rsa(), "alg", json!("RSA-OAEP")),
            with(rsa(), "alg", json!("HS256")),
            with(rsa(), "use", json!("enc")),
            with(rsa(), "key_ops", json!(["encrypt"])),
            with(rsa(), "key_ops", json!("verify")),
            with(rsa(), "kid", json!(7)),
            with(rsa(), "n", json!(base64url(255))),
            rsa_with_zeros(8, 248),
            with(rsa(), "n", json!("")),
            with(rsa(), "n", json!(7)),
            with(ec(), "crv", json!("secp256k1")),
            with(ec(), "crv", json!("P-521")),
            with(ec(), "x", json!(base64url(31))),
            with(ed(), "x", json!(base64url(31))),
            with(ed(), "crv", json!("X25519")),
            json!({ "kty": "oct", "k": base64url(32) }),
            json!({ "kty": "AKP", "alg": "ML-DSA-65", "pub": "AA" }),
            json!({}),
            json!("text"),
            json!(null),
        ]
    }

    #[test]
    fn c02_m06_a_key_is_good_for_its_own_kind_only() {
        for (key, expected) in [
            (rsa(), [1, 1, 0, 0]),
            (ec(), [0, 0, 1, 0]),
            (ed(), [0, 0, 0, 1]),
            (with(rsa(), "alg", json!("RS256")), [1, 0, 0, 0]),
            (with(ed(), "alg", json!("Ed25519")), [0, 0, 0, 1]),
            (with(rsa(), "use", json!("sig")), [1, 1, 0, 0]),
            (with(rsa(), "key_ops", json!(["verify"])), [1, 1, 0, 0]),
            (rsa_with_zeros(1, 256), [1, 1, 0, 0]),
        ] {
            assert_eq!(usable(&key), expected, "{key}");
        }
        for key in unusable_keys() {
            assert_eq!(usable(&key), [0; 4], "{key}");
        }
    }

    #[test]
    fn h07_a_set_is_refused_as_a_whole_when_nothing_in_it_helps() {
        let good = || json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(32), "kid": "a" });
        for (document, passes) in [
            (json!({ "keys": [good()] }), true),
            (json!({ "keys": [null, "x", {}, good()] }), true),
            (json!({ "keys": vec![good(); 100] }), true),
            (json!({ "keys": vec![good(); 101] }), false),
            (json!({ "keys": [] }), false),
            (json!({ "keys": [{ "kty": "oct", "k": "AA" }] }), false),
            (json!({ "keys": good() }), false),
            (json!({}), false),
        ] {
            assert_eq!(KeySet::from_document(document.as_object().unwrap()).is_ok(), passes, "{document}");
        }
    }

    #[test]
    fn m07_a_kid_narrows_the_choice_and_a_crowd_is_not_tried() {
        let key = |kid: Value| json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(32), "kid": kid });
        let mut keys: Vec<_> = (0..20).map(|number| key(json!(format!("k{number}")))).collect();
        keys.push(key(json!("k3")));
        let document = json!({ "keys": keys });
        let set = KeySet::from_document(document.as_object().unwrap()).unwrap();
        for (kid, expected) in [(Some("k1"), 1), (Some("k3"), 2), (Some("K1"), 0), (Some(""), 0), (None, 10)]
        {
            assert_eq!(set.candidates(SigningAlg::EdDSA, kid).count(), expected, "{kid:?}");
        }
    }
}
