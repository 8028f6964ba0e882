//! Metrics of requests. Labels come from fixed sets: enabled slots, existing routes, error codes
//! (threats M10).

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use portico_core::error::{Code, LoginError, SessionError};
use portico_core::flow::{Broker, Tokens};
use portico_core::provider::Health;
use portico_core::slot::SlotId;

/// Renders all metrics in the text format of Prometheus.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Counts a step of a login, and whether it failed.
pub(crate) fn login<T>(slot: SlotId, step: &'static str, result: &Result<T, LoginError>) {
    let outcome = outcome(result.as_ref().err().map(LoginError::code));
    let labels = [("slot", slot.to_string()), ("step", step.to_owned()), ("outcome", outcome.to_owned())];
    metrics::counter!("portico_logins_total", &labels).increment(1);
}

/// Counts a refresh of a session.
pub(crate) fn refresh(result: &Result<Tokens, SessionError>) {
    let outcome = outcome(result.as_ref().err().map(SessionError::code));
    metrics::counter!("portico_refreshes_total", "outcome" => outcome).increment(1);
}

fn outcome(refused: Option<Code>) -> &'static str {
    refused.map_or("ok", Code::as_str)
}

/// Counts a response.
pub(crate) fn response(route: &str, method: &Method, status: u16, took: Duration) {
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

/// Counts a request that exceeded its rate limit.
pub(crate) fn rate_limited(kind: &'static str) {
    metrics::counter!("portico_rate_limited_total", "kind" => kind).increment(1);
}

/// Measures an issued access token.
#[expect(clippy::cast_precision_loss, reason = "a token has a few thousand bytes")]
pub(crate) fn access_token(bytes: usize) {
    metrics::histogram!("portico_access_token_bytes").record(bytes as f64);
}

/// Measures the cookies of a request.
#[expect(clippy::cast_precision_loss, reason = "headers have some thousand bytes")]
pub(crate) fn cookies(bytes: usize) {
    metrics::histogram!("portico_request_cookie_bytes").record(bytes as f64);
}

/// Sets the current state of each provider.
pub(crate) fn providers(broker: &Broker) {
    for id in broker.slots().iter().map(|slot| slot.settings.id()) {
        let up = broker.slots().health(id) != Health::Down;
        metrics::gauge!("portico_provider_up", "slot" => id.to_string()).set(u8::from(up));
    }
}
