//! The token endpoint: a code and a proven client in, tokens out.

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
use crate::traffic::Endpoint;
use crate::world::{InRealm, World};

/// `POST /token`.
pub(crate) async fn exchange(
    InRealm(realm): InRealm,
    world: web::Data<World>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    realm.traffic.record(Endpoint::Token, &request, &body);
    let knobs = realm.current_knobs();
    let usual = || match answer(&world, &realm, &request, &body) {
        Ok(members) => write(knobs.token.format, &members),
        Err(refusal) => refusal.response(),
    };
    knobs.token.answer.deliver(usual).await
}

struct Refusal {
    status: StatusCode,
    error: String,
    challenge: bool,
}

impl Refusal {
    fn new(status: StatusCode, error: &str) -> Self {
        Self { status, error: error.to_owned(), challenge: false }
    }

    fn bad(error: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    fn response(self) -> IdpResponse {
        let response = IdpResponse::json(self.status, &json!({ "error": self.error })).not_stored();
        if self.challenge {
            return response.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"token\""));
        }
        response
    }
}

impl From<InvalidClient> for Refusal {
    fn from(client: InvalidClient) -> Self {
        Self { challenge: client.by_header, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_client") }
    }
}

fn answer(
    world: &World,
    realm: &Realm,
    request: &HttpRequest,
    body: &[u8],
) -> Result<Map<String, Value>, Refusal> {
    let knobs = realm.current_knobs();
    if let Some(forced) = &knobs.token.error {
        let status = StatusCode::from_u16(forced.status).unwrap_or(StatusCode::BAD_REQUEST);
        return Err(Refusal::new(status, &forced.error));
    }
    if !is_form(request) {
        return Err(Refusal::bad("invalid_request"));
    }
    let params = Params::parse(body).map_err(|_| Refusal::bad("invalid_request"))?;
    let client = authenticate(realm, request, &params)?;
    match params.find("grant_type") {
        Some("authorization_code") => {}
        Some(_) => return Err(Refusal::bad("unsupported_grant_type")),
        None => return Err(Refusal::bad("invalid_request")),
    }
    let redemption = Redemption {
        code: params.find("code").ok_or_else(|| Refusal::bad("invalid_request"))?,
        client_id: &client.id,
        redirect_uri: params.find("redirect_uri"),
        verifier: params.find("code_verifier"),
    };
    let mut members = redeem(world, realm, &redemption)?;
    knobs.token.fields.apply(&mut members);
    Ok(members)
}

fn redeem(world: &World, realm: &Realm, ask: &Redemption<'_>) -> Result<Map<String, Value>, Refusal> {
    let (access_token, consent) = realm.grants.redeem(ask, realm.now()).map_err(|reason| {
        tracing::debug!(realm = realm.issuer(), ?reason, "the demo identity provider refused a code");
        Refusal::bad("invalid_grant")
    })?;
    let id_token = mint::id_token(world, realm, &consent, Some(&access_token))
        .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error"))?;
    let mut members = Map::new();
    members.insert("access_token".into(), json!(access_token));
    members.insert("token_type".into(), json!("Bearer"));
    members.insert("expires_in".into(), json!(TOKEN_LIFETIME));
    members.insert("scope".into(), json!(consent.scope.text()));
    if let Some(token) = &id_token {
        members.insert("id_token".into(), json!(token));
    }
    realm.remember_issued(Issued { access_token, id_token, sub: consent.person.sub.clone() });
    Ok(members)
}

fn is_form(request: &HttpRequest) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn write(format: TokenFormat, members: &Map<String, Value>) -> IdpResponse {
    match format {
        TokenFormat::Json => IdpResponse::json(StatusCode::OK, &Value::Object(members.clone())),
        TokenFormat::Form => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let pairs = members.iter().map(|(name, value)| (name, text(value)));
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            IdpResponse::text(StatusCode::OK, "application/x-www-form-urlencoded", body)
        }
    }
    .not_stored()
}
