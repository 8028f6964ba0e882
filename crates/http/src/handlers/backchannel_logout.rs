//! Back-channel logout: a provider reports that a session ended there. The logout token authenticates the
//! request.

use actix_web::HttpResponse;
use actix_web::web::Data;
use portico_core::error::{FlowError, LoginError};
use serde_json::json;

use crate::error::ApiError;
use crate::request::bodies::LogoutForm;
use crate::request::context::RequestContext;
use crate::request::slot::RequestedSlot;
use crate::state::Portico;

/// `POST /auth/oidc/{slot}/backchannel-logout`. Also 200 if the session has ended already, or never existed.
pub(crate) async fn backchannel_logout(
    portico: Data<Portico>,
    context: RequestContext,
    slot: RequestedSlot,
    LogoutForm(form): LogoutForm,
) -> Result<HttpResponse, ApiError> {
    let slot = slot.id();
    let outcome = match &form {
        Ok(token) => portico.broker().backchannel_logout().receive(slot, token, context.caller()).await,
        Err(why) => Err(LoginError::BadRequest(why)),
    };
    match outcome {
        Ok(ended) => {
            tracing::info!(%slot, ended, "back-channel logout ended sessions");
            Ok(HttpResponse::Ok().finish())
        }
        Err(error @ (LoginError::ProviderUnknown | LoginError::Flow(FlowError::Store(_)))) => {
            Err(ApiError::from(error).api_only().at(slot))
        }
        Err(error) => {
            tracing::warn!(%slot, %error, "back-channel logout was refused");
            // OIDC Back-Channel Logout 1.0, 2.8: the only refusal that is not problem+json.
            Ok(HttpResponse::BadRequest().json(json!({ "error": "invalid_request" })))
        }
    }
}
