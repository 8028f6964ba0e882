//! The login: its buttons, its start, its callback.

use actix_web::HttpResponse;
use actix_web::cookie::Cookie;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Json};
use portico_core::error::LoginError;
use portico_core::flow::{Callback, Finished, PresentedTokens};
use portico_core::provider::{Health, Prompt, Slot};
use serde::Serialize;

use crate::callback::CallbackParams;
use crate::cookies::RequestCookies;
use crate::error::{ApiError, Cause};
use crate::extract::{LoginQuery, SlotPath};
use crate::limits::{CallbackLimit, StartLimit, Within};
use crate::request_context::RequestContext;
use crate::session::{TokenAnswer, set_session_cookies};
use crate::{Portico, meter, pages, routes};

/// The list of login buttons.
#[derive(Serialize)]
pub(crate) struct Providers {
    enabled: bool,
    providers: Vec<Provider>,
}

#[derive(Serialize)]
struct Provider {
    protocol: &'static str,
    slot: &'static str,
    name: String,
    display_label: String,
    icon: String,
    login_url: String,
    status: &'static str,
}

/// `GET /auth/providers`
pub(crate) async fn providers(portico: Data<Portico>) -> Json<Providers> {
    let broker = portico.broker();
    let provider = |slot: &Slot| Provider {
        protocol: slot.id().protocol.as_str(),
        slot: slot.name.as_str(),
        name: slot.id().to_string(),
        display_label: slot.button.label.clone(),
        icon: slot.button.icon.clone(),
        login_url: routes::login_url(broker.public_url(), slot.id()).into(),
        status: status(broker.health(slot.id())),
    };
    let providers: Vec<_> = broker.slots().map(|(slot, _)| provider(slot)).collect();
    Json(Providers { enabled: !providers.is_empty(), providers })
}

const fn status(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Degraded => "degraded",
        Health::Down => "down",
    }
}

/// `GET /auth/{protocol}/{slot}/login`
pub(crate) async fn start(
    _: Within<StartLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    SlotPath(slot): SlotPath,
    login_params: LoginQuery,
    request_cookies: RequestCookies,
) -> Result<HttpResponse, ApiError> {
    if context.is_prefetch() {
        return Ok(HttpResponse::NoContent().finish());
    }
    if !context.navigates() {
        let login_url = routes::login_url(portico.broker().public_url(), slot);
        return Err(ApiError::from(Cause::NotANavigation { login_url }).at(slot));
    }
    let prompt = if request_cookies.signed_out { Prompt::Login } else { Prompt::AsConfigured };
    let started = portico.broker().begin(slot, &login_params.as_params(), prompt).await;
    meter::login(slot, "start", &started);
    let started = started.map_err(|error| ApiError::from(error).at(slot))?;
    let cookies = &portico.front.cookies;
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((header::LOCATION, started.location.as_str())).cookie(cookies.login(started.cookie));
    for oldest in request_cookies.evicted() {
        answer.cookie(cookies.login_gone(&oldest));
    }
    Ok(answer.finish())
}

/// `GET /auth/{protocol}/{slot}/callback`; `POST` for the slots whose provider posts its answer.
pub(crate) async fn finish(
    _: Within<CallbackLimit>,
    portico: Data<Portico>,
    context: RequestContext,
    SlotPath(slot): SlotPath,
    params: CallbackParams,
    request_cookies: RequestCookies,
) -> Result<HttpResponse, ApiError> {
    if context.is_prefetch() {
        return Ok(HttpResponse::NoContent().finish());
    }
    if params.needs_repost(&request_cookies) {
        return Ok(pages::repost(&portico, slot, &params));
    }
    let refused = |error: LoginError| ApiError::from(error).at(slot);
    let (state, cookie) = params.login(&request_cookies).map_err(refused)?;
    // However it ends, this login is over.
    let signed_out = request_cookies.signed_out;
    let gone = portico.front.cookies.login_gone(&cookie.tag);
    let finished = async {
        let response = params.response();
        let browser = PresentedTokens { access: request_cookies.access, refresh: request_cookies.refresh };
        let caller = context.caller().clone();
        portico.broker().finish(Callback { slot, state, cookie, response, browser, caller }).await
    };
    let finished = finished.await;
    meter::login(slot, "callback", &finished);
    let finished = finished.map_err(|error| refused(error).with(header::SET_COOKIE, gone.to_string()))?;
    let mut gone = vec![gone];
    gone.extend(signed_out.then(|| portico.front.cookies.signed_out_gone()));
    Ok(login_response(&portico, &context, &finished, gone))
}

/// A navigation goes on to where it wanted; a script that relayed the callback gets what it needs to do the same.
fn login_response(
    portico: &Portico,
    context: &RequestContext,
    finished: &Finished,
    gone: Vec<Cookie<'_>>,
) -> HttpResponse {
    let (Finished::SignedIn { return_to, .. }
    | Finished::HandedOff { return_to }
    | Finished::Linked { return_to }) = finished;
    let status = if context.navigates() { StatusCode::SEE_OTHER } else { StatusCode::OK };
    let mut answer = HttpResponse::build(status);
    if let Finished::SignedIn { tokens, .. } = finished {
        answer = set_session_cookies(answer, portico, tokens);
    }
    for cookie in gone {
        answer.cookie(cookie);
    }
    if context.navigates() {
        return answer.insert_header((header::LOCATION, return_to.as_str())).finish();
    }
    match finished {
        Finished::SignedIn { tokens, .. } => answer.json(TokenAnswer::of(tokens).leading_to(return_to)),
        Finished::HandedOff { .. } | Finished::Linked { .. } => {
            answer.json(Onward { return_to: return_to.as_str() })
        }
    }
}

/// Where a script that relayed a callback goes on to, with nothing for itself.
#[derive(Serialize)]
struct Onward<'a> {
    return_to: &'a str,
}
