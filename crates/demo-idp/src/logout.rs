//! The logout endpoint (OIDC RP-Initiated Logout).
//!
//! The provider has no sessions, so the endpoint only redirects the browser.

use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::authorize::with_query;
use crate::pages;
use crate::params::Params;
use crate::state::RealmFromPath;
use crate::traffic::Endpoint;

/// `GET` or `POST /end_session`.
pub(crate) async fn end_session(
    RealmFromPath(realm): RealmFromPath,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    realm.traffic.record(Endpoint::EndSession, &request, &body);
    let encoded = if request.method() == Method::POST { &*body } else { request.query_string().as_bytes() };
    let Ok(params) = Params::parse(encoded) else {
        return pages::error(&realm, pages::REPEATED_PARAMETER);
    };
    let Some(target) = params.find("post_logout_redirect_uri") else {
        return pages::signed_out(&realm);
    };
    let id =
        params.find("client_id").map(str::to_owned).or_else(|| client_id_of(params.find("id_token_hint")?));
    let client = id.and_then(|id| realm.find_client(&id));
    let registered =
        client.is_some_and(|client| client.post_logout_redirect_uris.iter().any(|uri| uri == target));
    if !registered {
        return pages::error(&realm, "This post-logout redirect URI is not registered for the client.");
    }
    let location = match params.find("state") {
        Some(state) => with_query(target, &[("state".to_owned(), state.to_owned())]),
        None => target.to_owned(),
    };
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// The audience of an ID token hint, without verification of the token.
///
/// The audience only selects the client whose registered URIs are compared with the requested one.
fn client_id_of(hint: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(hint.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.get("aud")?.as_str().map(str::to_owned)
}
