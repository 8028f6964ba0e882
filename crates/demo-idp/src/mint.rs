//! ID tokens and logout tokens: their claims and their signatures.

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use serde_json::{Map, Value, json};

use crate::config::{ClientAuth, RealmKind};
use crate::grants::Consent;
use crate::keys::{Key, KeyError, SigningAlgorithm, base64url};
use crate::knobs::{Knobs, Overrides, Signing};
use crate::random::random_id;
use crate::realm::Realm;
use crate::state::ProviderState;

/// Lifetime of an ID token, in seconds.
const ID_TOKEN_LIFETIME: i64 = 300;

/// Lifetime of a logout token, in seconds.
const LOGOUT_TOKEN_LIFETIME: i64 = 120;

type Claims = Map<String, Value>;

/// The ID token for a consent, with the knobs applied; `None` if the realm issues no ID token for it.
pub(crate) fn id_token(
    state: &ProviderState,
    realm: &Realm,
    consent: &Consent,
    access_token: Option<&str>,
) -> Result<Option<String>, KeyError> {
    let knobs = realm.current_knobs();
    let issued = realm.kind() == RealmKind::Oidc || knobs.id_token.in_oauth2;
    if knobs.id_token.omit || !issued || !consent.scope.contains("openid") {
        return Ok(None);
    }
    if let Some(raw) = &knobs.id_token.raw {
        return Ok(Some(raw.clone()));
    }
    let mut claims = protocol_claims(realm, consent, access_token, &knobs);
    if !knobs.id_token.profile_only_at_userinfo {
        claims.extend(person_claims(consent));
    }
    knobs.id_token.claims.apply(&mut claims);
    sign(state, realm, &consent.client_id, claims, "JWT").map(Some)
}

/// The claims of OIDC Core 2 and 3.1.3.6, and `sid` of OIDC Back-Channel Logout 2.1.
fn protocol_claims(realm: &Realm, consent: &Consent, access_token: Option<&str>, knobs: &Knobs) -> Claims {
    let now = knobs.clock.unix_time();
    let mut claims = Map::new();
    claims.insert("iss".into(), json!(realm.issuer()));
    claims.insert("sub".into(), json!(consent.person.sub));
    claims.insert("aud".into(), json!(consent.client_id));
    claims.insert("iat".into(), json!(now));
    claims.insert("exp".into(), json!(now.saturating_add(ID_TOKEN_LIFETIME)));
    claims.insert("auth_time".into(), json!(consent.auth_time));
    claims.insert("sid".into(), json!(consent.sid));
    if let Some(nonce) = &consent.nonce {
        claims.insert("nonce".into(), json!(nonce));
    }
    if let Some(token) = access_token {
        let hash = digest::digest(realm.key_ring().signing.algorithm.digest(), token.as_bytes());
        let left = hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default();
        claims.insert("at_hash".into(), json!(base64url(left)));
    }
    claims
}

/// The claims of the granted scope (OIDC Core 5.4). The scopes `profile` and `groups` grant `groups`.
pub(crate) fn person_claims(consent: &Consent) -> Claims {
    let person = &consent.person;
    let mut claims = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            claims.insert(name.to_owned(), value);
        }
    };
    if consent.scope.contains("profile") {
        put("name", person.name.as_ref().map(|name| json!(name)));
        put("preferred_username", person.preferred_username.as_ref().map(|name| json!(name)));
        put("picture", person.picture.as_ref().map(|url| json!(url)));
    }
    if consent.scope.contains("email") {
        put("email", person.email.as_ref().map(|email| json!(email)));
        put("email_verified", person.email.as_ref().map(|_| json!(person.email_verified)));
    }
    if consent.scope.contains("profile") || consent.scope.contains("groups") {
        put("groups", (!person.groups.is_empty()).then(|| json!(person.groups)));
    }
    claims
}

/// A logout token, with the knobs applied.
pub(crate) fn logout_token(
    state: &ProviderState,
    realm: &Realm,
    client_id: &str,
    (sub, sid): (Option<&str>, Option<&str>),
) -> Result<String, KeyError> {
    let knobs = realm.current_knobs();
    let now = knobs.clock.unix_time();
    let mut claims = Map::new();
    claims.insert("iss".into(), json!(realm.issuer()));
    claims.insert("aud".into(), json!(client_id));
    claims.insert("iat".into(), json!(now));
    claims.insert("exp".into(), json!(now.saturating_add(LOGOUT_TOKEN_LIFETIME)));
    claims.insert("jti".into(), json!(random_id()));
    claims.insert("events".into(), json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
    claims.extend(sub.map(|sub| ("sub".to_owned(), json!(sub))));
    claims.extend(sid.map(|sid| ("sid".to_owned(), json!(sid))));
    knobs.logout_token.claims.apply(&mut claims);
    let signature = (&knobs.logout_token.header, &knobs.logout_token.signing);
    sign_with(state, realm, client_id, claims, "logout+jwt", signature)
}

/// A compact JWS of the claims, with the header and signature knobs of ID tokens applied.
pub(crate) fn sign(
    state: &ProviderState,
    realm: &Realm,
    client_id: &str,
    claims: Claims,
    typ: &str,
) -> Result<String, KeyError> {
    let knobs = realm.current_knobs();
    sign_with(state, realm, client_id, claims, typ, (&knobs.id_token.header, &knobs.id_token.signing))
}

fn sign_with(
    state: &ProviderState,
    realm: &Realm,
    client_id: &str,
    claims: Claims,
    typ: &str,
    (header_overrides, signing): (&Overrides, &Signing),
) -> Result<String, KeyError> {
    let published = realm.key_ring().signing;
    let signer = Signer::new(state, realm, client_id, &published, signing)?;
    let mut header = Map::new();
    header.insert("alg".into(), json!(signer.alg()));
    header.insert("kid".into(), json!(published.kid));
    header.insert("typ".into(), json!(typ));
    if let Signer::EmbeddedKey(key) = &signer {
        header.insert("kid".into(), json!(key.kid));
        header.insert("jwk".into(), key.jwk());
    }
    header_overrides.apply(&mut header);
    let (header, claims) = (Value::Object(header).to_string(), Value::Object(claims).to_string());
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = signer.sign(message.as_bytes())?;
    Ok(format!("{message}.{}", base64url(&signature)))
}

/// The source of a signature.
enum Signer {
    Key(Arc<Key>),
    KeyAs(Arc<Key>, SigningAlgorithm),
    EmbeddedKey(Key),
    Hmac(Vec<u8>),
    Unsigned { alg: &'static str },
    ZeroBytes(Arc<Key>),
    OtherMessage(Arc<Key>),
}

impl Signer {
    fn new(
        state: &ProviderState,
        realm: &Realm,
        client_id: &str,
        published: &Arc<Key>,
        signing: &Signing,
    ) -> Result<Self, KeyError> {
        let key = Arc::clone(published);
        Ok(match signing {
            Signing::Right => Self::Key(key),
            Signing::RightKeyAs(algorithm) => Self::KeyAs(key, *algorithm),
            Signing::UnpublishedKey => Self::Key(Arc::new(Key::generate(key.algorithm)?)),
            Signing::KeyInHeader => Self::EmbeddedKey(Key::generate(key.algorithm)?),
            Signing::KeyOfRealm(name) => {
                let other = state.find(realm.kind(), name).ok_or(KeyError)?;
                Self::Key(other.key_ring().signing)
            }
            Signing::None => Self::Unsigned { alg: "none" },
            Signing::EmptySignature => Self::Unsigned { alg: key.algorithm.as_str() },
            Signing::ZeroSignature => Self::ZeroBytes(key),
            Signing::GarbageSignature => Self::OtherMessage(key),
            Signing::HmacWithPublicPem => Self::Hmac(key.public_pem()?.into_bytes()),
            Signing::HmacWithPublicDer => Self::Hmac(key.public_der()?),
            Signing::HmacWithClientSecret => Self::Hmac(client_secret(realm, client_id)),
            Signing::HmacWithEmptyKey => Self::Hmac(Vec::new()),
        })
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::Key(key) | Self::ZeroBytes(key) | Self::OtherMessage(key) => key.algorithm.as_str(),
            Self::EmbeddedKey(key) => key.algorithm.as_str(),
            Self::KeyAs(_, algorithm) => algorithm.as_str(),
            Self::Hmac(_) => "HS256",
            Self::Unsigned { alg } => alg,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Key(key) => key.sign(message),
            Self::EmbeddedKey(key) => key.sign(message),
            Self::KeyAs(key, algorithm) => key.sign_as(*algorithm, message),
            Self::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                Ok(hmac::sign(&key, message).as_ref().to_vec())
            }
            Self::Unsigned { .. } => Ok(Vec::new()),
            Self::ZeroBytes(key) => Ok(vec![0; key.sign(message)?.len()]),
            Self::OtherMessage(key) => key.sign(b"something else entirely"),
        }
    }
}

fn client_secret(realm: &Realm, client_id: &str) -> Vec<u8> {
    let client = realm.find_client(client_id);
    let auth = client.as_ref().map_or(&ClientAuth::Public, |client| &client.auth);
    auth.secret().unwrap_or_default().as_bytes().to_vec()
}
