//! The HTTP client of one slot.
//!
//! The client follows no redirect, because a redirect could carry a code or a secret to a host that is not
//! configured. One deadline covers the whole exchange, body included, and the size of a body is limited. The
//! client does not ask for compression and does not decompress, so the limit applies to the bytes received.
//! Plain http is for loopback hosts, or for slots whose settings allow it. The client ignores the proxy
//! variables of the environment: the settings read the environment once, and an unrelated variable must not
//! decide where client secrets are sent.
//!
//! Calls run on the runtime given to [`Outbound::new`]. Each HTTP worker has a single-threaded runtime, and a
//! connection is driven by the runtime that opened it. On the runtime of a busy worker it would delay all
//! calls.
//!
//! Bodies are not logged and are not part of an error.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portico_core::error::UpstreamError;
use portico_core::provider::{Health, Transport};
use portico_core::slot::SlotId;
use portico_core::text::printable;
use reqwest::{Certificate, Client, Response};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tracing::Instrument as _;
use url::{Host, Url};

use crate::breaker::Breaker;
use crate::certificate::certificate_fault;
use crate::endpoint::Endpoint;
use crate::json;
use crate::message::{ProviderRequest, ProviderResponse};

/// Time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time limit for a whole call: the wait for a turn, the request and the response.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The most concurrent calls of one slot. Further calls wait within their own deadline.
const MAX_RUNNING: usize = 32;

/// The most waiting calls of one slot. Further calls fail at once.
const MAX_WAITING: usize = 128;

/// The client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The additional root certificates are not PEM.
    #[error("the ca_bundle is not a list of PEM certificates")]
    Roots(#[source] reqwest::Error),
    /// The additional root certificates are PEM, and have no certificate.
    #[error("the ca_bundle has no certificate in it")]
    NoRoots,
    /// The system's certificates or the TLS library cannot be used.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// The HTTP client of one slot. Clones share the connections, the limits and the circuit breaker.
#[derive(Debug, Clone)]
pub struct Outbound {
    http: Client,
    runtime: Handle,
    gate: Arc<Gate>,
    insecure_http: bool,
    /// The label `slot` in metrics.
    slot: Arc<str>,
}

/// The limits on calls, and the circuit breaker.
#[derive(Debug)]
struct Gate {
    /// Permits for all calls, running and waiting.
    admitted: Semaphore,
    /// Permits for running calls.
    running: Semaphore,
    breaker: Breaker,
}

impl Outbound {
    /// Creates the client. Its calls run on `runtime`, which must have several threads and outlive the
    /// client.
    ///
    /// # Errors
    /// The additional root certificates or the TLS library cannot be used.
    pub fn new(transport: &Transport, runtime: Handle) -> Result<Self, OutboundError> {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("portico/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(extra_roots(transport)?)
            .build()
            .map_err(OutboundError::Client)?;
        let gate = Gate {
            admitted: Semaphore::new(MAX_RUNNING + MAX_WAITING),
            running: Semaphore::new(MAX_RUNNING),
            breaker: Breaker::default(),
        };
        let insecure_http = transport.allow_insecure_http;
        Ok(Self { http, runtime, gate: Arc::new(gate), insecure_http, slot: "none".into() })
    }

    /// The client with this slot as label in metrics.
    #[must_use]
    pub fn with_slot(self, slot: SlotId) -> Self {
        Self { slot: slot.to_string().into(), ..self }
    }

    /// Whether the client sends requests to this URL. The URL must be https, or plain http if the host is
    /// loopback or the settings allow it. It must not have a user name or password, which would be sent as
    /// credentials.
    pub fn allows(&self, url: &Url) -> bool {
        let secure = match url.scheme() {
            "https" => true,
            "http" => self.insecure_http || has_loopback_host(url),
            _ => false,
        };
        secure && url.has_host() && url.username().is_empty() && url.password().is_none()
    }

    /// Fetches a JSON document.
    ///
    /// # Errors
    /// There is no response, the status is not 200, or the body is not one well-formed object.
    pub async fn document(&self, endpoint: Endpoint, url: &Url) -> Result<Map<String, Value>, UpstreamError> {
        let response = self.send(endpoint, ProviderRequest::get(url.clone()).accept_json()).await?;
        let document = match response.status {
            200 => json::object(&response.body).map_err(|error| error.to_string()),
            status => Err(format!("status {status}")),
        };
        // The query is left out, because it may have an API key.
        document.map_err(|problem| {
            let origin = url.origin().ascii_serialization();
            endpoint.bad_response(format_args!("{problem}, at {origin}{}", url.path()))
        })
    }

    /// Sends one request. If the caller drops the future, the call is cancelled.
    ///
    /// # Errors The URL is not allowed, too many calls wait, the circuit breaker is open, or there is no
    /// complete response of the allowed size within ten seconds.
    #[expect(clippy::disallowed_methods, reason = "measures the duration of the call")]
    pub async fn send(
        &self,
        endpoint: Endpoint,
        request: ProviderRequest,
    ) -> Result<ProviderResponse, UpstreamError> {
        if !self.allows(request.url()) {
            let problem =
                format!("{}: only https is used, and plain http on loopback hosts", endpoint.name());
            return Err(UpstreamError::Metadata(problem));
        }
        let (http, gate) = (self.http.clone(), Arc::clone(&self.gate));
        let started = Instant::now();
        let exchange = async move {
            let sent = http.execute(request.into_request()).await;
            read_response(endpoint, sent.map_err(|error| transport_error(endpoint, error))?).await
        };
        let span = tracing::error_span!(
            "provider",
            slot = &*self.slot,
            endpoint = endpoint.label(),
            otel.kind = "client"
        );
        let mut call = JoinSet::new();
        call.spawn_on(async move { gate.pass(endpoint, exchange).await }.instrument(span), &self.runtime);
        let response = match call.join_next().await {
            Some(Ok(response)) => response,
            Some(Err(_)) | None => Err(endpoint.bad_response("the call was cut off")),
        };
        count(&self.slot, endpoint, &response, started.elapsed());
        response
    }

    /// The health of the provider according to the recent calls.
    pub fn health(&self) -> Health {
        self.gate.breaker.health()
    }
}

impl Gate {
    /// Runs a call when it is its turn, within one deadline for the wait and the exchange.
    ///
    /// # Errors
    /// Of the exchange, and if too many calls wait, the deadline passes, or the circuit breaker is open.
    #[expect(
        clippy::disallowed_methods,
        reason = "measures the duration of the call and of the open breaker"
    )]
    async fn pass(
        &self,
        endpoint: Endpoint,
        exchange: impl Future<Output = Result<ProviderResponse, UpstreamError>>,
    ) -> Result<ProviderResponse, UpstreamError> {
        let deadline = tokio::time::Instant::now() + CALL_TIMEOUT;
        let late = |_| UpstreamError::Timeout { endpoint: endpoint.name() };
        let overloaded = |_| UpstreamError::Overloaded { endpoint: endpoint.name() };
        let _admitted = self.admitted.try_acquire().map_err(overloaded)?;
        let _running = timeout_at(deadline, self.running.acquire()).await.map_err(late)?;
        let Some(call) = self.breaker.admit(Instant::now()) else {
            let problem = "several calls in a row failed, and the circuit breaker is open".to_owned();
            return Err(UpstreamError::Unreachable { endpoint: endpoint.name(), problem, certificate: None });
        };
        let response = timeout_at(deadline, exchange).await.map_err(late).flatten();
        match &response {
            Ok(ProviderResponse { status: 500.., .. }) if !endpoint.has_same_request_for_all() => {
                call.inconclusive();
            }
            Ok(ProviderResponse { status: 500.., .. })
            | Err(UpstreamError::Unreachable { .. } | UpstreamError::Timeout { .. }) => {
                call.failed(Instant::now());
            }
            Ok(_) | Err(_) => call.answered(),
        }
        response
    }
}

/// The additional root certificates of a slot.
fn extra_roots(transport: &Transport) -> Result<Vec<Certificate>, OutboundError> {
    let Some(pem) = &transport.extra_roots else { return Ok(Vec::new()) };
    let roots = Certificate::from_pem_bundle(pem).map_err(OutboundError::Roots)?;
    if roots.is_empty() { Err(OutboundError::NoRoots) } else { Ok(roots) }
}

/// Counts a call by its outcome and records its duration.
fn count(
    slot: &str,
    endpoint: Endpoint,
    response: &Result<ProviderResponse, UpstreamError>,
    duration: Duration,
) {
    let outcome = match response {
        Ok(ProviderResponse { status: 500.., .. }) => "failed",
        Ok(ProviderResponse { status: 400.., .. }) => "refused",
        Ok(_) => "ok",
        Err(UpstreamError::Unreachable { .. }) => "unreachable",
        Err(UpstreamError::Timeout { .. }) => "timeout",
        Err(UpstreamError::Overloaded { .. }) => "overloaded",
        Err(_) => "bad",
    };
    let (slot, endpoint) = (slot.to_owned(), endpoint.label());
    metrics::counter!(
        "portico_provider_requests_total",
        "slot" => slot.clone(),
        "endpoint" => endpoint,
        "outcome" => outcome
    )
    .increment(1);
    metrics::histogram!("portico_provider_request_seconds", "slot" => slot, "endpoint" => endpoint)
        .record(duration);
}

/// Whether the host is `localhost` or any address of 127.0.0.0/8 or `::1`. The settings are stricter:
/// `portico_core::public_url::is_loopback` accepts one address of each family.
fn has_loopback_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Reads the body, up to the size that the endpoint allows.
async fn read_response(
    endpoint: Endpoint,
    mut received: Response,
) -> Result<ProviderResponse, UpstreamError> {
    let mut response = ProviderResponse::from_head(&received);
    let largest = endpoint.max_body();
    while let Some(chunk) = received.chunk().await.map_err(|error| transport_error(endpoint, error))? {
        if response.body.len() + chunk.len() > largest {
            return Err(endpoint.bad_response(format_args!("the answer is larger than {largest} bytes")));
        }
        response.body.extend_from_slice(&chunk);
    }
    Ok(response)
}

fn transport_error(endpoint: Endpoint, error: reqwest::Error) -> UpstreamError {
    let (connecting, late) = (error.is_connect(), error.is_timeout());
    let error = error.without_url();
    let problem = causes(&error);
    if connecting {
        let certificate = certificate_fault(&error);
        return UpstreamError::Unreachable { endpoint: endpoint.name(), problem, certificate };
    }
    if late {
        return UpstreamError::Timeout { endpoint: endpoint.name() };
    }
    endpoint.bad_response(problem)
}

/// The causes of an error in one line; the error itself if it has no cause.
fn causes(error: &dyn Error) -> String {
    let mut messages = Vec::new();
    let mut cause = error.source();
    while let Some(current) = cause {
        messages.push(current.to_string());
        cause = current.source();
    }
    if messages.is_empty() { printable(&error.to_string()) } else { printable(&messages.join(": ")) }
}

#[cfg(test)]
mod tests;
