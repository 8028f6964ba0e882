//! Traces for the collector in `OTEL_EXPORTER_OTLP_ENDPOINT`: requests, provider calls and store operations.
//!
//! The exporter sends only spans of Portico with their initial fields: no events, no queries, no claims. If
//! the collector is unreachable, spans are dropped and the service is not affected.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use portico_core::error::error_chain;
use portico_outbound::otlp_http::OtlpHttp;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use crate::failure::Failure;

/// Time limit for the export of the last spans at shutdown.
const FLUSH: Duration = Duration::from_secs(2);

/// The exporter of spans.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Exports spans to this collector, by OTLP over HTTP. Calls run on `runtime`.
    ///
    /// # Errors
    /// The HTTP client or the exporter cannot be created.
    pub(crate) fn new(endpoint: &Url, runtime: Handle) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::Failed(format!("cannot export traces: {}", error_chain(error)))
        };
        let collector = Collector { delivery: OtlpHttp::new().map_err(|error| failed(&error))?, runtime };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
            .build()
            .map_err(|error| failed(&error))?;
        global::set_text_map_propagator(TraceContextPropagator::new());
        let resource = Resource::builder().with_service_name("portico").build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// The layer that records spans.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("portico"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("portico")))
    }

    /// Exports the remaining spans.
    pub(crate) fn shutdown(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH) {
            tracing::warn!(error = error_chain(&error), "export of the last spans failed");
        }
    }
}

/// The OTLP client as the `HttpClient` of the exporter.
#[derive(Debug)]
struct Collector {
    delivery: OtlpHttp,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        let (kind, url) = (kind.unwrap_or("application/x-protobuf").to_owned(), parts.uri.to_string());
        let delivery = self.delivery.clone();
        let (status, body) =
            self.runtime.spawn(async move { delivery.post(&url, &kind, body.to_vec()).await }).await??;
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status.try_into()?;
        Ok(response)
    }
}
