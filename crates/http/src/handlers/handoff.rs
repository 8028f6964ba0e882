//! Hand-off: a frontend on another site exchanges its one-time code for tokens.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::error::ApiError;
use crate::request::bodies::HandOffBody;
use crate::request::context::RequestContext;
use crate::request::rate_limit::{TokenLimit, Within};
use crate::session_response::TokenResponse;
use crate::state::Portico;

/// `POST /auth/token`. It neither reads nor sets cookies, because the frontend stores its tokens itself.
pub(crate) async fn token(
    _: Within<TokenLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    body: HandOffBody,
) -> Result<HttpResponse, ApiError> {
    let tokens = portico.broker().handoff().redeem(&body.code, &body.code_verifier, context.caller()).await?;
    Ok(HttpResponse::Ok().json(TokenResponse::new(&tokens).with_refresh_token(&tokens)))
}
