//! Around every request: a span with its identifier, limits on its size and time, and the headers that every answer has.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpResponse};
use futures_util::FutureExt as _;
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::Front;
use crate::cors::Grant;
use crate::error::{ApiError, Cause, Part};
use crate::meter;
use crate::request_context::RequestContext;

/// The longest address, in bytes (threats 10).
const LONGEST_URL: usize = 16 * 1024;

/// The most that all headers together may have, in bytes: room for every cookie of ours and as much again of others'.
const LONGEST_HEADERS: usize = 32 * 1024;

/// Longer than the slowest honest login: each of its calls to the provider has a deadline of its own.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What an answer may do in a browser that says nothing of its own about it.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The span of a request. It names the pattern of the path: never the path itself, never the query (threats H09, M21).
pub(crate) struct RootSpan;

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let request_id = request.extensions().get::<RequestId>().copied().map(tracing::field::display);
        let method = request.method().as_str().get(..8).unwrap_or(request.method().as_str());
        let route = Route::of(request);
        // The level of the worst that can happen inside, so that no filter keeps an event and drops its request's identifier.
        let span = tracing::error_span!(
            "request",
            request_id,
            method,
            route = &*route.0,
            otel.kind = "server",
            "http.response.status_code" = tracing::field::Empty
        );
        // W3C Trace Context: what the proxy began goes on here. Without a collector nobody reads the header.
        let parent = global::get_text_map_propagator(|format| format.extract(&Headers(request.headers())));
        let _ = span.set_parent(parent);
        request.extensions_mut().insert(route);
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        if let Ok(response) = outcome {
            span.record("http.response.status_code", response.status().as_u16());
        }
    }
}

/// The pattern of a request's path. To find it is work, which is done once.
#[derive(Clone)]
struct Route(Rc<str>);

impl Route {
    fn of(request: &ServiceRequest) -> Self {
        let known = request.extensions().get::<Self>().cloned();
        known.unwrap_or_else(|| Self(request.match_pattern().as_deref().unwrap_or("(none)").into()))
    }
}

/// The headers of a request, in the form that trace contexts are read from.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// Lets a request through, and turns whatever becomes of it into an answer fit to be seen.
pub(crate) async fn answer<B: MessageBody + 'static>(
    front: Data<Front>,
    context: RequestContext,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let route = Route::of(&request);
    let method = request.method().clone();
    meter::cookies(request.headers().get_all(header::COOKIE).map(HeaderValue::len).sum());
    let answer = answered(&front, &context, request, next).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    meter::answered(&route.0, &method, status.as_u16(), started.elapsed());
    answer
}

async fn answered<B: MessageBody + 'static>(
    front: &Front,
    context: &RequestContext,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let grant = granted(front, &request);
    if let Some(part) = oversized(&request) {
        let answer = ApiError::from(Cause::TooLarge(part)).answer(front, context);
        return Ok(request.into_response(dressed(answer, context, &grant)));
    }
    let failure = match bounded(LONGEST_WAIT, next.call(request)).await {
        Ok(Ok(response)) => {
            let (request, response) = response.into_parts();
            // Only where nothing of ours takes OPTIONS: `/auth/verify` does, and what it says lets requests pass (threats C16).
            let taken = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            let preflight = if taken { None } else { grant.preflight(request.method(), request.headers()) };
            let response = match (preflight, response.error()) {
                (Some(preflight), _) => preflight,
                (None, Some(error)) => refused(error, front, context),
                (None, None) => response.map_into_boxed_body(),
            };
            return Ok(ServiceResponse::new(request, dressed(response, context, &grant)));
        }
        Ok(Err(error)) => refused(&error, front, context),
        Err(cause) => ApiError::from(cause).answer(front, context),
    };
    // The request is gone; an error that carries its answer needs none.
    Err(InternalError::from_response("the request failed", dressed(failure, context, &grant)).into())
}

/// What the request's origin may do with the answer.
fn granted(front: &Front, request: &ServiceRequest) -> Grant {
    let path = request.path().strip_prefix(front.public_url.base_path()).unwrap_or_default();
    Grant::of(request.headers(), path, &front.cors, &front.returns)
}

fn oversized(request: &ServiceRequest) -> Option<Part> {
    let url = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    if url > LONGEST_URL {
        return Some(Part::Url);
    }
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    (headers > LONGEST_HEADERS).then_some(Part::Headers)
}

/// Gives up after a while, and lets a panic end one request only.
async fn bounded<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Cause> {
    match AssertUnwindSafe(tokio::time::timeout(limit, work)).catch_unwind().await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(Cause::Overdue),
        Err(_) => Err(Cause::Internal("a handler panicked")),
    }
}

fn refused(error: &actix_web::Error, front: &Front, context: &RequestContext) -> HttpResponse {
    match error.as_error::<ApiError>() {
        Some(own) => own.answer(front, context),
        None => ApiError::foreign(error.as_response_error().status_code()).answer(front, context),
    }
}

/// The headers that every answer has (threats 1). What a handler decided stays.
fn dressed(mut response: HttpResponse, context: &RequestContext, grant: &Grant) -> HttpResponse {
    tracing::debug!(status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    let unless_there = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    unless_there(headers, header::CACHE_CONTROL, "no-store");
    unless_there(headers, header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    grant.add_to(headers);
    if let Ok(id) = HeaderValue::from_str(context.request_id()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

#[cfg(test)]
mod tests;
