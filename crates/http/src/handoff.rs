//! The hand-off: a frontend on another site exchanges its one-time code for tokens.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::Portico;
use crate::asker::Asker;
use crate::error::ApiError;
use crate::extract::HandOffBody;
use crate::limits::{Token, Within};
use crate::session::TokenAnswer;

/// `POST /auth/token`. Cookies neither count nor are set: the frontend keeps its tokens itself.
pub(crate) async fn token(
    _: Within<Token>,
    portico: Data<Portico>,
    asker: Asker,
    body: HandOffBody,
) -> Result<HttpResponse, ApiError> {
    let tokens = portico.broker().redeem(&body.code, &body.code_verifier, asker.caller()).await?;
    Ok(HttpResponse::Ok().json(TokenAnswer::of(&tokens).revealing(&tokens)))
}
