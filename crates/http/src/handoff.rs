//! The hand-off: a frontend on another site exchanges its one-time code for tokens.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::Portico;
use crate::error::ApiError;
use crate::extract::HandOffBody;
use crate::limits::{TokenLimit, Within};
use crate::request_context::RequestContext;
use crate::session::TokenAnswer;

/// `POST /auth/token`. Cookies neither count nor are set: the frontend keeps its tokens itself.
pub(crate) async fn token(
    _: Within<TokenLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    body: HandOffBody,
) -> Result<HttpResponse, ApiError> {
    let tokens = portico.broker().redeem(&body.code, &body.code_verifier, context.caller()).await?;
    Ok(HttpResponse::Ok().json(TokenAnswer::of(&tokens).revealing(&tokens)))
}
