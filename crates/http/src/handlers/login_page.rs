//! The page with the login buttons.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use portico_core::error::{FlowError, SessionError};
use portico_core::flow::Tokens;
use portico_core::provider::{Health, Slot};

use crate::error::{ApiError, Cause};
use crate::handlers::session::refresh_session;
use crate::limits::RateLimitKind;
use crate::pages::{self, Button};
use crate::request::context::RequestContext;
use crate::request::cookies::RequestCookies;
use crate::request::credentials::Credentials;
use crate::request::login_params::LoginQuery;
use crate::session_response::set_session_cookies;
use crate::state::Portico;
use crate::urls;

/// `GET /auth/`: the login buttons. If the browser's session can still be refreshed and the query names a
/// `return_to`, the browser is redirected there immediately.
pub(crate) async fn login_page(
    portico: Data<Portico>,
    context: RequestContext,
    params: LoginQuery,
    credentials: Credentials,
) -> Result<HttpResponse, ApiError> {
    let public = portico.broker().public_url();
    if let Some(tokens) = resume(&portico, &context, &params, &credentials).await? {
        let return_to = params.return_to.url(public).map_err(Cause::Internal)?;
        return Ok(set_session_cookies(HttpResponse::SeeOther(), &portico, &tokens)
            .insert_header((header::LOCATION, return_to.as_str()))
            .finish());
    }
    let slots = portico.broker().slots().iter().map(|slot| &*slot.settings);
    Ok(pages::login(public, slots.map(|slot| button(&portico, slot, &params)).collect()))
}

/// Refreshes the browser's session, if it has one that can be refreshed.
async fn resume(
    portico: &Portico,
    context: &RequestContext,
    params: &LoginQuery,
    credentials: &Credentials,
) -> Result<Option<Tokens>, ApiError> {
    let Credentials::Cookies(RequestCookies { refresh: Some(refresh), csrf, .. }) = credentials else {
        return Ok(None);
    };
    let leads_on = params.has_return_to() && params.challenge.is_none();
    if !leads_on || !context.navigates() || context.is_prefetch() {
        return Ok(None);
    }
    portico.front().limits.take(RateLimitKind::Refresh, context.client())?;
    // The name of the refresh cookie has no prefix that prevents other hosts from setting it. The CSRF cookie
    // has one, and its value belongs to one session (threats H02).
    let broker = portico.broker();
    let Some(session) = broker.sessions().session_of_refresh(refresh).await? else { return Ok(None) };
    if !csrf.as_deref().is_some_and(|csrf| broker.sessions().csrf_belongs_to(csrf, session)) {
        return Ok(None);
    }
    match refresh_session(broker, refresh, context).await {
        Ok(tokens) => Ok(Some(tokens)),
        Err(SessionError::Invalid(_) | SessionError::Flow(FlowError::AccountDisabled(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn button<'a>(portico: &'a Portico, slot: &'a Slot, params: &LoginQuery) -> Button<'a> {
    let mut address = urls::login_url(portico.broker().public_url(), slot.id());
    for (name, value) in params.pairs() {
        address.query_pairs_mut().append_pair(name, value);
    }
    Button {
        address: address.into(),
        icon: portico.icons().path(&slot.button.icon),
        label: &slot.button.label,
        down: portico.broker().slots().health(slot.id()) == Health::Down,
    }
}
