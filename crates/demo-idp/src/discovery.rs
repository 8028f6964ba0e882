//! The public documents of an OIDC realm: the discovery document and the JWKS.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use crate::answer::IdpResponse;
use crate::config::RealmKind;
use crate::realm::Realm;
use crate::state::RealmFromPath;
use crate::traffic::Endpoint;

/// `GET /.well-known/openid-configuration` (OIDC Discovery 4).
pub(crate) async fn document(RealmFromPath(realm): RealmFromPath, request: HttpRequest) -> HttpResponse {
    realm.traffic.record(Endpoint::Discovery, &request, &[]);
    if realm.kind() != RealmKind::Oidc {
        return HttpResponse::NotFound().finish();
    }
    let knobs = realm.current_knobs();
    let usual = || {
        let mut members = metadata(&realm);
        knobs.discovery.fields.apply(&mut members);
        IdpResponse::json(StatusCode::OK, &Value::Object(members))
    };
    knobs.discovery.answer.respond(usual).await
}

/// `GET /jwks` (RFC 7517).
pub(crate) async fn jwks(RealmFromPath(realm): RealmFromPath, request: HttpRequest) -> HttpResponse {
    realm.traffic.record(Endpoint::Jwks, &request, &[]);
    if realm.kind() != RealmKind::Oidc {
        return HttpResponse::NotFound().finish();
    }
    let knobs = realm.current_knobs();
    let usual = || {
        let mut set = knobs.jwks.replace.clone().unwrap_or_else(|| realm.key_ring().jwks());
        if let Some(keys) = set.get_mut("keys").and_then(Value::as_array_mut) {
            keys.splice(0..0, knobs.jwks.extra_keys.iter().cloned());
        }
        IdpResponse::json(StatusCode::OK, &set)
    };
    knobs.jwks.answer.respond(usual).await
}

fn metadata(realm: &Realm) -> Map<String, Value> {
    let algorithm = realm.key_ring().signing.algorithm.as_str();
    let document = json!({
        "issuer": realm.issuer(),
        "authorization_endpoint": realm.authorization_url(),
        "token_endpoint": realm.token_url(),
        "userinfo_endpoint": realm.userinfo_url(),
        "jwks_uri": realm.jwks_url(),
        "end_session_endpoint": realm.end_session_url(),
        "scopes_supported": ["openid", "profile", "email", "groups"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [algorithm],
        "token_endpoint_auth_methods_supported": realm.client_auth_methods(),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "at_hash", "sid",
            "name", "preferred_username", "picture", "email", "email_verified", "groups"
        ],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    match document {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
