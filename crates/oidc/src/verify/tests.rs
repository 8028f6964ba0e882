//! Tokens with one fault each, and tokens that pass.

mod properties;
mod second_opinion;
mod signature;
mod tenants;

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair,
};
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use url::Url;

use self::second_opinion::Judgement;
use super::*;

const NOW: i64 = 1_900_000_000;
const ISSUER: &str = "https://idp.example";
const NONCE: &str = "the-nonce";
const ACCESS_TOKEN: &str = "the-access-token";

/// A key pair with its published half.
struct Pair {
    private: EncodingKey,
    alg: SigningAlg,
    jwk: Value,
}

impl Pair {
    fn new(private: EncodingKey, alg: SigningAlg) -> Self {
        let jwk = serde_json::to_value(Jwk::from_encoding_key(&private, jws(alg)).unwrap()).unwrap();
        let mut pair = Self { private, alg, jwk };
        for name in ["alg", "use", "kid"] {
            pair.jwk.as_object_mut().unwrap().remove(name);
        }
        pair
    }

    fn ec(curve: &'static EcdsaSigningAlgorithm, alg: SigningAlg) -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
        Self::new(EncodingKey::from_ec_der(pkcs8.as_ref()), alg)
    }

    fn es256() -> Self {
        Self::ec(&ECDSA_P256_SHA256_FIXED_SIGNING, SigningAlg::ES256)
    }

    fn rsa() -> Self {
        let der: Pkcs8V1Der<'_> =
            aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        Self::new(EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), SigningAlg::RS256)
    }

    fn ed() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        Self::new(EncodingKey::from_ed_der(pkcs8.as_ref()), SigningAlg::EdDSA)
    }

    fn published(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = json!(kid);
        jwk
    }
}

static EC: LazyLock<Pair> = LazyLock::new(Pair::es256);
static OTHER: LazyLock<Pair> = LazyLock::new(Pair::es256);
static RSA: LazyLock<Pair> = LazyLock::new(Pair::rsa);

/// Published keys: parsed, and as JSON.
struct Published {
    keys: KeySet,
    jwks: Vec<Value>,
}

fn set(jwks: &[Value]) -> Published {
    let document = json!({ "keys": jwks });
    Published { keys: KeySet::from_document(document.as_object().unwrap()).unwrap(), jwks: jwks.to_vec() }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token before it is signed.
struct Draft {
    header: Value,
    claims: Value,
}

impl Draft {
    fn honest(alg: SigningAlg) -> Self {
        let hash = digest::digest(hash_of(alg), ACCESS_TOKEN.as_bytes());
        let left = &hash.as_ref()[..hash.as_ref().len() / 2];
        Self {
            header: json!({ "alg": alg.as_str(), "kid": "k1", "typ": "JWT" }),
            claims: json!({
                "iss": ISSUER, "aud": "portico", "sub": "ada", "exp": NOW + 300, "iat": NOW, "nonce": NONCE,
                "at_hash": URL_SAFE_NO_PAD.encode(left),
            }),
        }
    }

    fn message(&self) -> String {
        format!("{}.{}", encoded(&self.header), encoded(&self.claims))
    }

    fn signed(&self, by: &Pair) -> String {
        self.signed_as(by, jws(by.alg))
    }

    fn signed_as(&self, by: &Pair, alg: Algorithm) -> String {
        let message = self.message();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &by.private, alg).unwrap();
        format!("{message}.{signature}")
    }
}

/// The settings of a slot.
struct Rules {
    issuer: Issuer,
    algs: Vec<SigningAlg>,
    aliases: Vec<Issuer>,
    skew: u64,
    nonce: NonceMode,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            issuer: Issuer::new(ISSUER),
            algs: SigningAlg::ALL.to_vec(),
            aliases: Vec::new(),
            skew: 60,
            nonce: NonceMode::Required,
        }
    }
}

impl Rules {
    /// The name of the failed check. The second opinion must be the same, or differ for a known reason.
    fn judge(&self, token: &str, keys: &Published) -> Result<(), &'static str> {
        let judged = self.own_judgement(token, &keys.keys);
        Judgement::new(self, token, keys, judged).check().unwrap();
        judged
    }

    fn own_judgement(&self, token: &str, keys: &KeySet) -> Result<(), &'static str> {
        let parties = Parties { client_id: "portico", issuer: &self.issuer, aliases: &self.aliases };
        let judge = || {
            let token = UnverifiedToken::parse(token)?;
            token.check_kind()?;
            let _own = token.check_parties(&parties)?;
            token.check_signature(keys, token.algorithm(&self.algs)?)?;
            token.check_times(Timestamp::from_unix(NOW), Duration::from_secs(self.skew))?;
            token.check_nonce(self.nonce, NONCE)?;
            token.check_access_token(ACCESS_TOKEN)
        };
        judge().map_err(|check: Check| check.name)
    }

    fn judge_claims(&self, change: impl FnOnce(&mut Value)) -> Result<(), &'static str> {
        let mut draft = Draft::honest(SigningAlg::ES256);
        change(&mut draft.claims);
        self.judge(&draft.signed(&EC), &set(&[EC.published("k1")]))
    }
}

fn judge_claim(name: &str, value: Option<Value>) -> Result<(), &'static str> {
    Rules::default().judge_claims(|claims| match value {
        Some(value) => claims[name] = value,
        None => drop(claims.as_object_mut().unwrap().remove(name)),
    })
}

fn judge_header(name: &str, value: Option<Value>) -> Result<(), &'static str> {
    let mut draft = Draft::honest(SigningAlg::ES256);
    match value {
        Some(value) => draft.header[name] = value,
        None => drop(draft.header.as_object_mut().unwrap().remove(name)),
    }
    Rules::default().judge(&draft.signed(&EC), &set(&[EC.published("k1")]))
}

#[test]
fn c03_other_kinds_of_token_are_no_id_token() {
    for (typ, expected) in [
        (None, Ok(())),
        (Some(json!("jwt")), Ok(())),
        (Some(json!("JWT")), Ok(())),
        (Some(json!("at+jwt")), Err("typ")),
        (Some(json!("AT+JWT")), Err("typ")),
        (Some(json!("application/at+jwt")), Err("typ")),
        (Some(json!("logout+jwt")), Err("typ")),
        (Some(json!(7)), Err("typ")),
    ] {
        assert_eq!(judge_header("typ", typ.clone()), expected, "{typ:?}");
    }
    for events in [json!({}), json!(null)] {
        assert_eq!(judge_claim("events", Some(events)), Err("events"));
    }
}

#[test]
fn c03_c09_m05_q_x_1_issuer_and_audience_are_compared_as_they_stand() {
    for (name, value, expected) in [
        ("iss", Some(json!("https://idp.example")), Ok(())),
        ("iss", Some(json!("https://idp.example/")), Err("iss")),
        ("iss", Some(json!("HTTPS://idp.example")), Err("iss")),
        ("iss", Some(json!("https://idp.example:443")), Err("iss")),
        ("iss", Some(json!("https://user@idp.example")), Err("iss")),
        ("iss", Some(json!("")), Err("iss")),
        ("iss", Some(json!(["https://idp.example"])), Err("iss")),
        ("iss", Some(json!(null)), Err("iss")),
        ("iss", None, Err("iss")),
        ("aud", Some(json!(["portico"])), Ok(())),
        ("aud", Some(json!(["other", "portico"])), Ok(())),
        ("aud", Some(json!("other")), Err("aud")),
        ("aud", Some(json!("Portico")), Err("aud")),
        ("aud", Some(json!("portico ")), Err("aud")),
        ("aud", Some(json!(["other"])), Err("aud")),
        ("aud", Some(json!(["portico", 7])), Err("aud")),
        ("aud", Some(json!([])), Err("aud")),
        ("aud", Some(json!({ "0": "portico" })), Err("aud")),
        ("aud", Some(json!(null)), Err("aud")),
        ("aud", None, Err("aud")),
        ("azp", None, Ok(())),
        ("azp", Some(json!("portico")), Ok(())),
        ("azp", Some(json!("other")), Err("azp")),
        ("azp", Some(json!("")), Err("azp")),
        ("azp", Some(json!(["portico"])), Err("azp")),
    ] {
        assert_eq!(judge_claim(name, value.clone()), expected, "{name} {value:?}");
    }
    let rules = Rules { aliases: vec![Issuer::new("idp.example")], ..Rules::default() };
    for (iss, expected) in [("idp.example", Ok(())), (ISSUER, Ok(())), ("idp.example/", Err("iss"))] {
        assert_eq!(rules.judge_claims(|claims| claims["iss"] = json!(iss)), expected, "{iss}");
    }
}

#[test]
fn h21_c09_q_x_7_times_are_judged_to_the_second_and_by_number_only() {
    for (name, value, expected) in [
        ("exp", Some(json!(NOW - 59)), Ok(())),
        ("exp", Some(json!(NOW - 60)), Err("exp")),
        ("exp", Some(json!(NOW - 61)), Err("exp")),
        ("exp", Some(json!(4_102_444_800_i64)), Ok(())),
        ("exp", Some(json!(u64::MAX)), Ok(())),
        ("exp", Some(json!(1e300)), Ok(())),
        ("exp", Some(json!(4_294_967_295.5)), Ok(())),
        ("exp", Some(json!(-1)), Err("exp")),
        ("exp", Some(json!(-1e300)), Err("exp")),
        ("exp", Some(json!("9999999999")), Err("exp")),
        ("exp", Some(json!([NOW + 300])), Err("exp")),
        ("exp", Some(json!(true)), Err("exp")),
        ("exp", Some(json!(null)), Err("exp")),
        ("exp", None, Err("exp")),
        ("iat", Some(json!(NOW + 60)), Ok(())),
        ("iat", Some(json!(NOW + 61)), Err("iat")),
        ("iat", Some(json!("now")), Err("iat")),
        ("iat", None, Err("iat")),
        ("nbf", None, Ok(())),
        ("nbf", Some(json!(0)), Ok(())),
        ("nbf", Some(json!(NOW + 60)), Ok(())),
        ("nbf", Some(json!(NOW + 61)), Err("nbf")),
        ("nbf", Some(json!(1e300)), Err("nbf")),
        ("nbf", Some(json!(u64::MAX)), Err("nbf")),
        ("nbf", Some(json!("0")), Err("nbf")),
        ("nbf", Some(json!(null)), Err("nbf")),
    ] {
        assert_eq!(judge_claim(name, value.clone()), expected, "{name} {value:?}");
    }
    let exact = Rules { skew: 0, ..Rules::default() };
    for (exp, expected) in [(NOW + 1, Ok(())), (NOW, Err("exp")), (NOW - 1, Err("exp"))] {
        assert_eq!(exact.judge_claims(|claims| claims["exp"] = json!(exp)), expected, "{exp}");
    }
}

#[test]
fn h15_q_x_10_a_nonce_is_this_logins_or_the_operator_does_without() {
    use NonceMode::{IfPresent, Never, Required};
    for (mode, nonce, passes) in [
        (Required, Some(json!(NONCE)), true),
        (Required, Some(json!("another")), false),
        (Required, Some(json!("")), false),
        (Required, Some(json!(7)), false),
        (Required, Some(json!(null)), false),
        (Required, None, false),
        (IfPresent, Some(json!(NONCE)), true),
        (IfPresent, Some(json!("another")), false),
        (IfPresent, Some(json!("")), false),
        (IfPresent, Some(json!(null)), false),
        (IfPresent, None, true),
        (Never, Some(json!("another")), false),
        (Never, Some(json!(7)), false),
        (Never, Some(json!("")), true),
        (Never, None, true),
    ] {
        let rules = Rules { nonce: mode, ..Rules::default() };
        let judged = rules.judge_claims(|claims| match &nonce {
            Some(nonce) => claims["nonce"] = nonce.clone(),
            None => drop(claims.as_object_mut().unwrap().remove("nonce")),
        });
        assert_eq!(judged, if passes { Ok(()) } else { Err("nonce") }, "{mode:?} {nonce:?}");
    }
}

#[test]
fn m08_q_x_9_a_hash_of_the_access_token_must_be_right_when_it_is_there() {
    for (value, expected) in [
        (None, Ok(())),
        (Some(json!("")), Err("at_hash")),
        (Some(json!("AAAAAAAAAAAAAAAAAAAAAA")), Err("at_hash")),
        (Some(json!(7)), Err("at_hash")),
        (Some(json!(null)), Err("at_hash")),
    ] {
        assert_eq!(judge_claim("at_hash", value.clone()), expected, "{value:?}");
    }
}

#[test]
fn h09_no_check_tells_a_nonce_or_a_token() {
    let draft = Draft::honest(SigningAlg::ES256);
    let text = draft.signed(&EC);
    let token = UnverifiedToken::parse(&text).unwrap();
    for failed in [
        token.check_nonce(NonceMode::Required, "another-CANARY").unwrap_err(),
        token.check_access_token("another-CANARY").unwrap_err(),
        token.check_signature(&set(&[OTHER.published("k1")]).keys, SigningAlg::ES256).unwrap_err(),
    ] {
        let told = failed.to_string();
        for secret in ["CANARY", NONCE, ACCESS_TOKEN, text.rsplit_once('.').unwrap().1] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}
