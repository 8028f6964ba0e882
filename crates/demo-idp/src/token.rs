//! The token endpoint: authenticates the client and redeems its code for tokens.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::answer::IdpResponse;
use crate::client_auth::{InvalidClient, authenticate};
use crate::grants::{Redemption, TOKEN_LIFETIME};
use crate::knobs::TokenFormat;
use crate::mint;
use crate::params::Params;
use crate::realm::{Issued, Realm};
use crate::state::{ProviderState, RealmFromPath};
use crate::traffic::Endpoint;

/// `POST /token`.
pub(crate) async fn exchange(
    RealmFromPath(realm): RealmFromPath,
    state: web::Data<ProviderState>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    realm.traffic.record(Endpoint::Token, &request, &body);
    let knobs = realm.current_knobs();
    let usual = || match exchange_code(&state, &realm, &request, &body) {
        Ok(members) => token_response(knobs.token.format, &members),
        Err(error) => error.response(),
    };
    knobs.token.answer.respond(usual).await
}

/// An error response of the token endpoint (RFC 6749, 5.2).
struct ErrorResponse {
    status: StatusCode,
    error: String,
    challenge: bool,
}

impl ErrorResponse {
    fn new(status: StatusCode, error: &str) -> Self {
        Self { status, error: error.to_owned(), challenge: false }
    }

    fn bad_request(error: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    fn response(self) -> IdpResponse {
        let response = IdpResponse::json(self.status, &json!({ "error": self.error })).no_store();
        if self.challenge {
            return response.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"token\""));
        }
        response
    }
}

impl From<InvalidClient> for ErrorResponse {
    fn from(error: InvalidClient) -> Self {
        Self { challenge: error.used_header, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_client") }
    }
}

fn exchange_code(
    state: &ProviderState,
    realm: &Realm,
    request: &HttpRequest,
    body: &[u8],
) -> Result<Map<String, Value>, ErrorResponse> {
    let knobs = realm.current_knobs();
    if let Some(forced) = &knobs.token.error {
        let status = StatusCode::from_u16(forced.status).unwrap_or(StatusCode::BAD_REQUEST);
        return Err(ErrorResponse::new(status, &forced.error));
    }
    if !is_form(request) {
        return Err(ErrorResponse::bad_request("invalid_request"));
    }
    let params = Params::parse(body).map_err(|_| ErrorResponse::bad_request("invalid_request"))?;
    let client = authenticate(realm, request, &params)?;
    match params.find("grant_type") {
        Some("authorization_code") => {}
        Some(_) => return Err(ErrorResponse::bad_request("unsupported_grant_type")),
        None => return Err(ErrorResponse::bad_request("invalid_request")),
    }
    let redemption = Redemption {
        code: params.find("code").ok_or_else(|| ErrorResponse::bad_request("invalid_request"))?,
        client_id: &client.id,
        redirect_uri: params.find("redirect_uri"),
        verifier: params.find("code_verifier"),
    };
    let mut members = issue_tokens(state, realm, &redemption)?;
    knobs.token.fields.apply(&mut members);
    Ok(members)
}

fn issue_tokens(
    state: &ProviderState,
    realm: &Realm,
    redemption: &Redemption<'_>,
) -> Result<Map<String, Value>, ErrorResponse> {
    let (access_token, consent) = realm.grants.redeem(redemption, realm.now()).map_err(|reason| {
        tracing::debug!(realm = realm.issuer(), ?reason, "demo identity provider refused a code");
        ErrorResponse::bad_request("invalid_grant")
    })?;
    let id_token = mint::id_token(state, realm, &consent, Some(&access_token))
        .map_err(|_| ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error"))?;
    let mut members = Map::new();
    members.insert("access_token".into(), json!(access_token));
    members.insert("token_type".into(), json!("Bearer"));
    members.insert("expires_in".into(), json!(TOKEN_LIFETIME));
    members.insert("scope".into(), json!(consent.scope.to_text()));
    if let Some(token) = &id_token {
        members.insert("id_token".into(), json!(token));
    }
    realm.record_issued(Issued { access_token, id_token, sub: consent.person.sub.clone() });
    Ok(members)
}

fn is_form(request: &HttpRequest) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn token_response(format: TokenFormat, members: &Map<String, Value>) -> IdpResponse {
    match format {
        TokenFormat::Json => IdpResponse::json(StatusCode::OK, &Value::Object(members.clone())),
        TokenFormat::Form => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let pairs = members.iter().map(|(name, value)| (name, text(value)));
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            IdpResponse::text(StatusCode::OK, "application/x-www-form-urlencoded", body)
        }
    }
    .no_store()
}
