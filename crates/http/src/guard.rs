//! The middleware of every request: limits its size and time, catches panics, renders refusals, adds the
//! common headers.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use futures_util::FutureExt as _;

use crate::cors::CorsGrant;
use crate::error::{ApiError, Cause, Part};
use crate::request::context::RequestContext;
use crate::root_span::RoutePattern;
use crate::state::Front;
use crate::{metrics, render};

/// The longest URL, in bytes (threats 10).
const LONGEST_URL: usize = 16 * 1024;

/// The most bytes of all headers together: room for all of Portico's cookies and as much for the
/// application's.
const LONGEST_HEADERS: usize = 32 * 1024;

/// Longer than the slowest correct login, because each call to a provider has its own deadline.
const DEADLINE: Duration = Duration::from_mins(1);

/// The policy of responses that set none.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Guards a request, and measures it.
#[expect(clippy::disallowed_methods, reason = "measures the duration of the request")]
pub(crate) async fn guard<B: MessageBody + 'static>(
    front: Data<Front>,
    context: RequestContext,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let route = RoutePattern::find(&request);
    let method = request.method().clone();
    metrics::cookies(request.headers().get_all(header::COOKIE).map(HeaderValue::len).sum());
    let outcome = respond(&front, &context, request, next).await;
    let status = match &outcome {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    metrics::response(route.as_str(), &method, status.as_u16(), started.elapsed());
    outcome
}

async fn respond<B: MessageBody + 'static>(
    front: &Front,
    context: &RequestContext,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let cors = cors_grant(front, &request);
    if let Some(part) = oversized(&request) {
        let response = refuse(&Cause::TooLarge(part).into(), front, context);
        return Ok(request.into_response(with_headers(response, context, &cors)));
    }
    let failure = match bounded(DEADLINE, next.call(request)).await {
        Ok(Ok(response)) => {
            let (request, response) = response.into_parts();
            // A handler that accepts OPTIONS itself, such as `/auth/verify`, answers it (threats C16).
            let is_taken = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            let preflight = if is_taken { None } else { cors.preflight(request.method(), request.headers()) };
            let response = match (preflight, response.error()) {
                (Some(preflight), _) => preflight,
                (None, Some(error)) => refuse_error(error, front, context),
                (None, None) => response.map_into_boxed_body(),
            };
            return Ok(ServiceResponse::new(request, with_headers(response, context, &cors)));
        }
        Ok(Err(error)) => refuse_error(&error, front, context),
        Err(cause) => refuse(&cause.into(), front, context),
    };
    // The handler has consumed the request. An error with its own response needs no request.
    Err(InternalError::from_response("the request failed", with_headers(failure, context, &cors)).into())
}

/// What the origin of the request may do with the response.
fn cors_grant(front: &Front, request: &ServiceRequest) -> CorsGrant {
    let path = request.path().strip_prefix(front.public_url.base_path()).unwrap_or_default();
    CorsGrant::new(request.headers(), path, &front.cors, &front.return_origins)
}

fn oversized(request: &ServiceRequest) -> Option<Part> {
    let url = request.uri().path_and_query().map_or(0, |url| url.as_str().len());
    if url > LONGEST_URL {
        return Some(Part::Url);
    }
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    (headers > LONGEST_HEADERS).then_some(Part::Headers)
}

/// Runs a future with a time limit and catches its panics.
async fn bounded<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Cause> {
    match AssertUnwindSafe(tokio::time::timeout(limit, work)).catch_unwind().await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(Cause::Overdue),
        Err(_) => Err(Cause::Internal("a handler panicked")),
    }
}

fn refuse_error(error: &actix_web::Error, front: &Front, context: &RequestContext) -> HttpResponse {
    match error.as_error::<ApiError>() {
        Some(own) => refuse(own, front, context),
        None => refuse(&ApiError::from_actix(error.as_response_error().status_code()), front, context),
    }
}

/// Logs a refusal, once, and renders it.
fn refuse(error: &ApiError, front: &Front, context: &RequestContext) -> HttpResponse {
    error.log();
    render::refusal(error, front, context)
}

/// Adds the headers of every response (threats 1). `Cache-Control` and policy of a handler are kept.
fn with_headers(mut response: HttpResponse, context: &RequestContext, cors: &CorsGrant) -> HttpResponse {
    tracing::debug!(status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    let insert_default = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    insert_default(headers, header::CACHE_CONTROL, "no-store");
    insert_default(headers, header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    cors.add_to(headers);
    if let Ok(id) = HeaderValue::from_str(context.request_id()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

#[cfg(test)]
mod tests;
