//! Client assertions for `private_key_jwt` (RFC 7523): signed with ES256, addressed to this issuer, used
//! once.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::realm::Realm;

/// Whether the assertion is valid: signature, `iss`, `sub`, `aud`, `exp`, `iat`, and a `jti` not used before.
pub(crate) fn is_valid(realm: &Realm, client_id: &str, public_key: &[u8], client_assertion: &str) -> bool {
    let Some(claims) = verify_signature(public_key, client_assertion) else { return false };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let now = realm.now();
    let valid = text("iss") == Some(client_id)
        && text("sub") == Some(client_id)
        && text("aud") == Some(realm.stated_issuer().as_str())
        && claims.get("exp").and_then(Value::as_i64).is_some_and(|exp| exp > now && exp <= now + 300)
        && claims.get("iat").and_then(Value::as_i64).is_some_and(|iat| iat <= now + 60);
    valid && text("jti").is_some_and(|jti| !jti.is_empty() && realm.is_first_use(jti))
}

/// The claims, if the signature is valid for this public key.
fn verify_signature(public_key: &[u8], client_assertion: &str) -> Option<Value> {
    let (message, signature) = client_assertion.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    if json(header)?.get("alg")? != "ES256" {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key);
    key.verify(message.as_bytes(), &signature).ok()?;
    json(claims)
}
