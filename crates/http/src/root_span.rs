//! The tracing span around a request.

use std::rc::Rc;

use actix_web::HttpMessage as _;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Builds the span of a request. It names the pattern of the path, never the path or the query (threats H09,
/// M21).
pub(crate) struct RootSpan;

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let request_id = request.extensions().get::<RequestId>().copied().map(tracing::field::display);
        let method = request.method().as_str().get(..8).unwrap_or(request.method().as_str());
        let route = RoutePattern::find(request);
        // The highest level, so that no filter keeps an event inside and drops its request's identifier.
        let span = tracing::error_span!(
            "request",
            request_id,
            method,
            route = route.as_str(),
            otel.kind = "server",
            "http.response.status_code" = tracing::field::Empty
        );
        // W3C Trace Context: the trace of the proxy continues. Without a collector the header is not read.
        let parent =
            global::get_text_map_propagator(|format| format.extract(&TraceHeaders(request.headers())));
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

/// The pattern of a request's path, matched once per request.
#[derive(Clone)]
pub(crate) struct RoutePattern(Rc<str>);

impl RoutePattern {
    /// The pattern, from the request's extensions if the span is built already.
    pub(crate) fn find(request: &ServiceRequest) -> Self {
        let known = request.extensions().get::<Self>().cloned();
        known.unwrap_or_else(|| Self(request.match_pattern().as_deref().unwrap_or("(none)").into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The headers of a request, as the propagator of trace contexts reads them.
struct TraceHeaders<'a>(&'a HeaderMap);

impl Extractor for TraceHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
