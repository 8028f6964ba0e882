//! The login: its start and its callback.

use actix_web::HttpResponse;
use actix_web::cookie::Cookie;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Data;
use portico_core::error::LoginError;
use portico_core::flow::{Callback, Finished, LoginStarted};
use portico_core::provider::Prompt;
use serde::Serialize;
use url::Url;

use crate::error::{ApiError, Cause};
use crate::request::callback::{CallbackParams, CallbackRequest, callback_method};
use crate::request::context::RequestContext;
use crate::request::cookies::RequestCookies;
use crate::request::login_params::LoginQuery;
use crate::request::rate_limit::{CallbackLimit, StartLimit, Within};
use crate::request::slot::RequestedSlot;
use crate::session_response::{TokenResponse, set_session_cookies};
use crate::state::Portico;
use crate::{metrics, pages, urls};

/// The JSON for a client that relays a callback of a hand-off or a link, which have no tokens for it.
#[derive(Serialize)]
struct ReturnToResponse<'a> {
    return_to: &'a str,
}

/// `GET /auth/{protocol}/{slot}/login`
pub(crate) async fn start_login(
    _: Within<StartLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    slot: RequestedSlot,
    params: LoginQuery,
    cookies: RequestCookies,
) -> Result<HttpResponse, ApiError> {
    if context.is_prefetch() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let slot = slot.id();
    if !context.navigates() {
        let login_url = urls::login_url(portico.broker().public_url(), slot);
        return Err(ApiError::from(Cause::NotANavigation { login_url }).at(slot));
    }
    let prompt = if cookies.signed_out { Prompt::Login } else { Prompt::AsConfigured };
    let started = portico.broker().login().begin(slot, &params.return_to, params.challenge, prompt).await;
    metrics::login(slot, "start", &started);
    let LoginStarted { location, cookie } = started.map_err(|error| ApiError::from(error).at(slot))?;
    let rules = &portico.front().cookies;
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, location.as_str())).cookie(rules.login(cookie));
    for evicted in cookies.evicted() {
        response.cookie(rules.delete_login(&evicted));
    }
    Ok(response.finish())
}

/// `GET /auth/{protocol}/{slot}/callback`; `POST` for the slots whose provider posts its response.
pub(crate) async fn complete_login(
    _: Within<CallbackLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    CallbackRequest { slot, params }: CallbackRequest,
    cookies: RequestCookies,
) -> Result<HttpResponse, ApiError> {
    if context.is_prefetch() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let slot = slot.id();
    let login = params.login(&cookies);
    if login.is_err() && params.may_be_reposted() {
        return Ok(repost(&portico, &portico.broker().public_url().callback(slot), &params));
    }
    let refused = |error: LoginError| ApiError::from(error).at(slot);
    let login = login.map_err(refused)?;
    // Every outcome ends this login.
    let mut deleted = vec![portico.front().cookies.delete_login(login.tag())];
    let signed_out = cookies.signed_out;
    let finished = {
        let (browser, caller) = (cookies.into_tokens(), context.caller().clone());
        let callback = Callback { slot, login, response: params.response(), browser, caller };
        portico.broker().login().finish(callback).await
    };
    metrics::login(slot, "callback", &finished);
    let finished = finished.map_err(|error| {
        deleted
            .iter()
            .fold(refused(error), |error, cookie| error.with(header::SET_COOKIE, cookie.to_string()))
    })?;
    deleted.extend(signed_out.then(|| portico.front().cookies.delete_signed_out()));
    Ok(login_response(&portico, &context, &finished, deleted))
}

/// Any other method of a callback: 405 with the method that the slot takes.
pub(crate) async fn refuse_method(slot: Option<RequestedSlot>) -> Result<HttpResponse, ApiError> {
    let allowed = slot.map_or(Method::GET, |slot| callback_method(&slot));
    Err(ApiError::method_not_allowed(allowed.as_str()))
}

/// The page that posts the callback again. Nothing is verified or spent yet.
fn repost(portico: &Portico, callback: &Url, params: &CallbackParams) -> HttpResponse {
    let front = portico.front();
    let return_origins = front.return_origins.iter().map(|origin| origin.as_str().to_owned());
    let error_url = front.error_url.iter().map(|url| url.origin().ascii_serialization());
    pages::repost(callback, params.pairs().collect(), return_origins.chain(error_url))
}

/// Redirects a navigation to its `return_to`. A client that relays a callback gets the same as JSON.
fn login_response(
    portico: &Portico,
    context: &RequestContext,
    finished: &Finished,
    deleted: Vec<Cookie<'_>>,
) -> HttpResponse {
    let (Finished::SignedIn { return_to, .. }
    | Finished::HandedOff { return_to }
    | Finished::Linked { return_to }) = finished;
    let status = if context.navigates() { StatusCode::SEE_OTHER } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    if let Finished::SignedIn { tokens, .. } = finished {
        response = set_session_cookies(response, portico, tokens);
    }
    for cookie in deleted {
        response.cookie(cookie);
    }
    if context.navigates() {
        return response.insert_header((header::LOCATION, return_to.as_str())).finish();
    }
    match finished {
        Finished::SignedIn { tokens, .. } => {
            response.json(TokenResponse::new(tokens).with_return_to(return_to))
        }
        Finished::HandedOff { .. } | Finished::Linked { .. } => {
            response.json(ReturnToResponse { return_to: return_to.as_str() })
        }
    }
}
