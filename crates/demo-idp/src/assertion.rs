//! A client's signed statement about itself (RFC 7523): by ES256, for this issuer and nobody else, once.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::realm::Realm;

/// Whether the statement is this client's, for this realm, still good, and new.
pub(crate) fn is_good(realm: &Realm, client_id: &str, point: &[u8], statement: &str) -> bool {
    let Some(claims) = verified(point, statement) else { return false };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let now = realm.now();
    let fits = text("iss") == Some(client_id)
        && text("sub") == Some(client_id)
        && text("aud") == Some(realm.stated_issuer().as_str())
        && claims.get("exp").and_then(Value::as_i64).is_some_and(|exp| exp > now && exp <= now + 300)
        && claims.get("iat").and_then(Value::as_i64).is_some_and(|iat| iat <= now + 60);
    fits && text("jti").is_some_and(|jti| !jti.is_empty() && realm.first_use_of(jti))
}

fn verified(point: &[u8], statement: &str) -> Option<Value> {
    let (message, signature) = statement.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    if json(header)?.get("alg")? != "ES256" {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(message.as_bytes(), &signature).ok()?;
    json(claims)
}
