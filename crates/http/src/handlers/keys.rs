//! The documents with which a backend verifies access tokens.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::web::Data;
use serde_json::{Value, json};

use crate::state::Portico;
use crate::urls;

/// Short, because a new key may sign immediately.
pub(crate) const CACHED: (HeaderName, HeaderValue) =
    (CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));

/// `GET /.well-known/jwks.json` (RFC 7517 5)
pub(crate) async fn jwks(portico: Data<Portico>) -> HttpResponse {
    cached(&portico.broker().keys().jwks())
}

/// `GET /.well-known/openid-configuration`: the metadata that a library needs to find the keys.
pub(crate) async fn metadata(portico: Data<Portico>) -> HttpResponse {
    let public = portico.broker().public_url();
    let jwks = portico.broker().keys().jwks();
    cached(&json!({
        "issuer": public.as_str(),
        "jwks_uri": urls::jwks_url(public).as_str(),
        "id_token_signing_alg_values_supported": algorithms(&jwks),
        "response_types_supported": [],
        "subject_types_supported": ["public"],
    }))
}

/// The algorithms of a key set, each once.
fn algorithms(jwks: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    for alg in jwks["keys"].as_array().into_iter().flatten().map(|key| &key["alg"]) {
        if !found.contains(&alg) {
            found.push(alg);
        }
    }
    found
}

fn cached(document: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header(CACHED).json(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_is_named_once() {
        let keys = json!({ "keys": [{ "alg": "EdDSA" }, { "alg": "ES256" }, { "alg": "EdDSA" }] });
        assert_eq!(algorithms(&keys), [&json!("EdDSA"), &json!("ES256")]);
        assert!(algorithms(&json!({ "keys": [] })).is_empty());
    }
}
