//! The claims of issued tokens, and the refusal of forged ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::account::{Account, AccountId, AccountStatus};
use crate::claims::SessionClaims;
use crate::clock::Entropy;
use crate::keys::{KeyState, StoredKey, TokenAlg, generate};
use crate::seal::{Seals, base64url, from_base64url};
use crate::session::Session;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn public() -> PublicUrl {
    PublicUrl::parse("https://login.example.com").unwrap()
}

fn lifetimes() -> Lifetimes {
    let minutes = std::time::Duration::from_mins;
    Lifetimes { access_token: minutes(15), session: minutes(600), idle: minutes(60) }
}

fn entry(groups: Option<Vec<String>>) -> SessionWithAccount {
    let account = Account {
        id: AccountId(Uuid::from_u128(1)),
        name: "jane".to_owned(),
        label: "Jane Doe".to_owned(),
        email: None,
        status: AccountStatus::Active,
        roles: vec!["staff".to_owned()],
        groups: Vec::new(),
        ever_linked: true,
        created_at: NOW,
        last_login_at: Some(NOW),
    };
    let session = Session {
        identity: None,
        ip: None,
        user_agent: None,
        id: SessionId(Uuid::from_u128(2)),
        account: account.id,
        slot: "oidc/provider1".parse().ok(),
        session_claims: SessionClaims { groups, ..SessionClaims::default() },
        created_at: NOW,
        last_used_at: NOW,
        expires_at: NOW.plus(lifetimes().session),
        revoked_at: None,
    };
    SessionWithAccount { session, account }
}

fn ring_of(keys: &[StoredKey], alg: TokenAlg, seals: &Seals) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(alg, keys, seals, NOW).unwrap().unwrap())
}

fn one(alg: TokenAlg) -> (Arc<KeyRing>, Seals) {
    let seals = Seals::new(b"secret", &[]);
    let key = generate(alg, KeyState::Current, &seals, Entropy, NOW).unwrap();
    (ring_of(&[key], alg, &seals), seals)
}

fn token(ring: &KeyRing, entry: &SessionWithAccount) -> String {
    let audience = ["https://login.example.com".to_owned()];
    let under = Issuance {
        public_url: &public(),
        audience: &audience,
        roles: entry.account.roles.clone(),
        lifetimes: &lifetimes(),
        now: NOW,
        id: Uuid::from_u128(3),
    };
    issue(ring, &under, entry).unwrap().0
}

fn accept(ring: &KeyRing, token: &str, now: Timestamp) -> Result<AccessClaims, &'static str> {
    verify(ring, token, &public(), &["https://login.example.com".to_owned()], now).map_err(TokenError::reason)
}

#[test]
fn every_algorithm_signs_what_it_verifies() {
    for alg in TokenAlg::ALL {
        let (ring, _) = one(alg);
        let claims = accept(&ring, &token(&ring, &entry(None)), NOW).unwrap();
        assert_eq!((claims.sub, claims.sid), (Uuid::from_u128(1), Uuid::from_u128(2)));
        assert_eq!((claims.idp.as_str(), claims.groups), ("oidc/provider1", None));
        let jwks = ring.jwks();
        assert_eq!((&jwks["keys"][0]["alg"], &jwks["keys"][0]["use"]), (&json!(alg.as_str()), &json!("sig")));
        for secret in ["d", "p", "q", "k"] {
            assert!(jwks["keys"][0].get(secret).is_none(), "{secret} is not public");
        }
    }
}

#[test]
fn a_token_is_valid_from_its_issue_to_its_expiry() {
    let (ring, _) = one(TokenAlg::ES256);
    let token = token(&ring, &entry(None));
    let at = |offset: i64| accept(&ring, &token, Timestamp::from_unix(NOW.unix() + offset));
    assert!(at(0).is_ok() && at(899).is_ok());
    assert_eq!(at(900), Err("the access token has expired"));
    assert!(at(-60).is_ok());
    assert_eq!(at(-61), Err("the access token is not valid yet"));
}

#[test]
fn a_token_never_outlives_its_session() {
    let (ring, _) = one(TokenAlg::EdDSA);
    let mut short = entry(None);
    short.session.expires_at = Timestamp::from_unix(NOW.unix() + 10);
    assert_eq!(accept(&ring, &token(&ring, &short), NOW).unwrap().exp, NOW.unix() + 10);
}

fn parts(token: &str) -> (Value, Value) {
    let mut segments = token
        .split('.')
        .map(|part| serde_json::from_slice(&from_base64url(part).unwrap_or_default()).unwrap_or_default());
    (segments.next().unwrap(), segments.next().unwrap())
}

/// Signs any header and claims with the ring's key.
fn resign(key: &EncodingKey, header: &Value, claims: &Value) -> String {
    let signed =
        format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, Algorithm::ES256).unwrap();
    format!("{signed}.{signature}")
}

/// A ring, its private key, and the parts of a valid token.
struct Forge {
    ring: Arc<KeyRing>,
    stored: StoredKey,
    key: EncodingKey,
    token: String,
    header: Value,
    claims: Value,
}

impl Forge {
    fn new() -> Self {
        let seals = Seals::new(b"secret", &[]);
        let stored = generate(TokenAlg::ES256, KeyState::Current, &seals, Entropy, NOW).unwrap();
        let pkcs8 =
            seals.open(crate::seal::Purpose::SigningKey, &[stored.kid.as_bytes()], &stored.sealed).unwrap().0;
        let ring = ring_of(std::slice::from_ref(&stored), TokenAlg::ES256, &seals);
        let token = token(&ring, &entry(None));
        let (header, claims) = parts(&token);
        Self { ring, stored, key: EncodingKey::from_ec_der(&pkcs8), token, header, claims }
    }

    fn accepts(&self, token: &str) -> bool {
        accept(&self.ring, token, NOW).is_ok()
    }
}

fn with(document: &Value, name: &str, value: Value) -> Value {
    let mut changed = document.clone();
    changed[name] = value;
    changed
}

#[test]
fn no_token_with_one_wrong_header_or_claim_is_believed() {
    let forge = Forge::new();
    assert!(
        forge.accepts(&resign(&forge.key, &forge.header, &forge.claims)),
        "the twin: unchanged and signed again"
    );
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("rt+jwt")),
        ("typ", Value::Null),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("kid", json!("other")),
        ("kid", json!("../../etc/passwd")),
        ("crit", json!(["exp"])),
    ] {
        let forged = resign(&forge.key, &with(&forge.header, name, value.clone()), &forge.claims);
        assert!(!forge.accepts(&forged), "header {name} = {value}");
    }
    for (name, value) in [
        ("iss", json!("https://login.example.com/")),
        ("iss", json!("https://evil.example")),
        ("iss", Value::Null),
        ("aud", json!(["other"])),
        ("aud", json!([])),
        ("aud", json!(7)),
        ("exp", json!("9999999999")),
        ("exp", json!(NOW.unix() - 1)),
        ("nbf", json!(NOW.unix() + 61)),
        ("nbf", json!("x")),
        ("sid", json!("x")),
        ("sub", json!(["a"])),
    ] {
        let forged = resign(&forge.key, &forge.header, &with(&forge.claims, name, value.clone()));
        assert!(!forge.accepts(&forged), "claim {name} = {value}");
    }
}

#[test]
fn no_token_with_a_wrong_signature_is_believed() {
    let forge = Forge::new();
    let (signed, _) = forge.token.rsplit_once('.').unwrap();
    for signature in ["", "AAAA", &base64url(&[0; 64])] {
        assert!(!forge.accepts(&format!("{signed}.{signature}")));
    }
    let (kid, typ) = (Some(forge.stored.kid.clone()), Some("at+jwt".to_owned()));
    let header = Header { alg: Algorithm::HS256, kid, typ, ..Header::default() };
    let secret = EncodingKey::from_secret(forge.stored.public_jwk.as_bytes()).unwrap();
    let hmac = encode(&header, &forge.claims, &secret);
    assert!(!forge.accepts(&hmac.unwrap()), "the public key as an HMAC secret");
    let (stranger, _) = one(TokenAlg::ES256);
    assert!(!forge.accepts(&token(&stranger, &entry(None))), "another deployment's key");
    for nonsense in ["", ".", "..", "a.b.c", &"x".repeat(10_000)] {
        assert!(!forge.accepts(nonsense));
    }
}

#[test]
fn many_groups_are_cut_until_the_token_fits_a_cookie() {
    let groups: Vec<_> = (0..1000).map(|number| format!("group-{number}-with-a-rather-long-name")).collect();
    for alg in TokenAlg::ALL {
        let (ring, _) = one(alg);
        let token = token(&ring, &entry(Some(groups.clone())));
        assert!(token.len() < MAX_TOKEN, "{alg:?}: {}", token.len());
        let claims = accept(&ring, &token, NOW).unwrap();
        assert!(claims.groups_truncated && claims.groups.unwrap().len() > 10);
    }
    let (ring, _) = one(TokenAlg::ES256);
    let few = accept(&ring, &token(&ring, &entry(Some(vec!["a".to_owned()]))), NOW).unwrap();
    assert_eq!((few.groups_truncated, few.groups), (false, Some(vec!["a".to_owned()])));
}

#[test]
fn a_retired_key_is_published_until_its_end() {
    let seals = Seals::new(b"secret", &[]);
    let mut old = generate(TokenAlg::ES256, KeyState::Current, &seals, Entropy, NOW).unwrap();
    let before = token(&ring_of(std::slice::from_ref(&old), TokenAlg::ES256, &seals), &entry(None));
    old.state = KeyState::Retired;
    old.retires_at = Some(Timestamp::from_unix(NOW.unix() + 1));
    let new = generate(TokenAlg::ES256, KeyState::Current, &seals, Entropy, NOW).unwrap();
    assert!(accept(&ring_of(&[old.clone(), new.clone()], TokenAlg::ES256, &seals), &before, NOW).is_ok());
    old.retires_at = Some(NOW);
    assert!(accept(&ring_of(&[old, new], TokenAlg::ES256, &seals), &before, NOW).is_err());
}
