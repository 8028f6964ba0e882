//! Back-channel logout: a provider says that a session ended there. Nobody is signed in for it; the token is the proof.

use actix_web::dev::Payload;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use portico_core::error::LoginError;
use secrecy::SecretString;
use serde_json::json;

use crate::Portico;
use crate::error::ApiError;
use crate::extract::{SlotPath, is_of_kind};
use crate::query::once;
use crate::request_context::RequestContext;

/// Longer than any logout token that is accepted; the body has a limit of its own.
const LONGEST_TOKEN: usize = 64 * 1024;

/// The form of a logout request (OIDC Back-Channel Logout 1.0, 2.5), or what is wrong with it.
pub(crate) struct LogoutForm(Result<SecretString, &'static str>);

impl LogoutForm {
    fn parse(body: &[u8]) -> Result<SecretString, &'static str> {
        let text = std::str::from_utf8(body).map_err(|_| "the form is not UTF-8")?;
        let token = once(text, "logout_token", LONGEST_TOKEN)?;
        token.map(Into::into).ok_or("there is no logout_token")
    }
}

impl FromRequest for LogoutForm {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = is_of_kind(request.headers(), "application/x-www-form-urlencoded");
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            let body = body.await?;
            Ok(Self(if form { Self::parse(&body) } else { Err("the body is no form") }))
        })
    }
}

/// `POST /auth/oidc/{slot}/backchannel-logout`. Also 200 when the session was over already, or never was one.
pub(crate) async fn backchannel_logout(
    portico: Data<Portico>,
    context: RequestContext,
    SlotPath(slot): SlotPath,
    LogoutForm(form): LogoutForm,
) -> Result<HttpResponse, ApiError> {
    let heard = match &form {
        Ok(token) => portico.broker().backchannel_logout(slot, token, context.caller()).await,
        Err(why) => Err(LoginError::BadRequest(why)),
    };
    match heard {
        Ok(ended) => {
            tracing::info!(%slot, ended, "the provider ended sessions");
            Ok(HttpResponse::Ok().finish())
        }
        Err(error @ (LoginError::ProviderUnknown | LoginError::Store(_))) => {
            Err(ApiError::from(error).for_a_program().at(slot))
        }
        Err(error) => {
            tracing::warn!(%slot, %error, "a logout by the provider was refused");
            // OIDC Back-Channel Logout 1.0, 2.8: the one refusal that is not problem+json.
            Ok(HttpResponse::BadRequest().json(json!({ "error": "invalid_request" })))
        }
    }
}
