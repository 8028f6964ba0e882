//! What is counted of requests. Labels come from fixed sets alone: slots that are enabled, routes that exist, codes of ours (threats M10).

use std::time::Duration;

use actix_web::http::Method;
use portico_core::error::{Code, LoginError, SessionError};
use portico_core::flow::{Broker, Tokens};
use portico_core::provider::Health;
use portico_core::slot::SlotId;

/// A login got as far as this step, or was refused there.
pub(crate) fn login<T>(slot: SlotId, step: &'static str, result: &Result<T, LoginError>) {
    let outcome = outcome(result.as_ref().err().map(LoginError::code));
    metrics::counter!("portico_logins_total", "slot" => slot.to_string(), "step" => step, "outcome" => outcome).increment(1);
}

/// A session was asked to go on.
pub(crate) fn refresh(result: &Result<Tokens, SessionError>) {
    let outcome = outcome(result.as_ref().err().map(SessionError::code));
    metrics::counter!("portico_refreshes_total", "outcome" => outcome).increment(1);
}

fn outcome(refused: Option<Code>) -> &'static str {
    refused.map_or("ok", Code::as_str)
}

/// A request was answered.
pub(crate) fn answered(route: &str, method: &Method, status: u16, took: Duration) {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let method = if known.contains(method) { method.as_str().to_owned() } else { "other".to_owned() };
    let labels = [("route", route.to_owned()), ("method", method), ("status", status.to_string())];
    metrics::counter!("portico_http_requests_total", &labels).increment(1);
    metrics::histogram!("portico_http_request_seconds", "route" => route.to_owned()).record(took);
}

/// A request was one too many.
pub(crate) fn limited(kind: &'static str) {
    metrics::counter!("portico_rate_limited_total", "kind" => kind).increment(1);
}

/// An access token was given out.
#[expect(clippy::cast_precision_loss, reason = "a token has a few thousand bytes")]
pub(crate) fn token(bytes: usize) {
    metrics::histogram!("portico_access_token_bytes").record(bytes as f64);
}

/// A browser sent so many bytes of cookies.
#[expect(clippy::cast_precision_loss, reason = "headers have some thousand bytes")]
pub(crate) fn cookies(bytes: usize) {
    metrics::histogram!("portico_request_cookie_bytes").record(bytes as f64);
}

/// How the providers are, at the moment of asking.
pub(crate) fn providers(broker: &Broker) {
    for (slot, _) in broker.slots() {
        let up = broker.health(slot.id()) != Health::Down;
        metrics::gauge!("portico_provider_up", "slot" => slot.id().to_string()).set(u8::from(up));
    }
}
