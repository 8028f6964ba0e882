//! The one HTTP client: every call of Portico to a provider goes through here.
//!
//! It follows no redirect, because a redirect would carry a code or a secret to a place nobody configured. It has one
//! deadline over the whole exchange, body included, and a limit on what it reads. It asks for no compression and
//! understands none, so what arrives is what is counted. Plain http is for loopback hosts, or where the operator
//! allowed it. Proxies named in the environment are not used: the environment is read once, by the settings, and a
//! variable meant for something else must not decide where client secrets travel.
//!
//! Calls run on the runtime given at the start. The HTTP workers have single-threaded runtimes of their own, and a
//! connection is driven by the runtime that opened it: one busy worker would hold up the calls of all others.
//!
//! Bodies are never logged and never part of an error.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portico_core::error::UpstreamError;
use portico_core::provider::{Health, Transport};
use portico_core::slot::SlotId;
use portico_core::text::printable;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use reqwest::{Certificate, Client, Method, Request, Response};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tracing::Instrument as _;
use url::{Host, Url};

use crate::breaker::Breaker;
use crate::certificate::certificate_fault;
use crate::json;

/// How long the opening of a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a whole exchange may take, from the first byte sent to the last one read.
const TOTAL: Duration = Duration::from_secs(10);

/// How many calls of one slot may be under way; further ones wait within their own deadline.
const AT_ONCE: usize = 32;

/// How many may wait; further ones are refused at once.
const MOST_WAITING: usize = 128;

/// The endpoints that are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The discovery document (OIDC Discovery 4).
    Discovery,
    /// The key set (RFC 7517 5).
    KeySet,
    /// The authorization endpoint (RFC 6749 3.1); browsers go there, and we only to see whether it knows us.
    Authorization,
    /// The token endpoint (RFC 6749 3.2).
    Token,
    /// The userinfo endpoint (OIDC Core 5.3).
    Userinfo,
    /// The list of a person's e-mail addresses, in GitHub's form.
    Emails,
    /// The look-up of a person's groups, in the form of Google Cloud Identity.
    Groups,
}

impl Endpoint {
    /// Its name in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery document",
            Self::KeySet => "key set",
            Self::Authorization => "authorization endpoint",
            Self::Token => "token endpoint",
            Self::Userinfo => "userinfo endpoint",
            Self::Emails => "list of e-mail addresses",
            Self::Groups => "group look-up",
        }
    }

    /// Its name in metrics.
    const fn word(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::KeySet => "jwks",
            Self::Authorization => "authorization",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
            Self::Emails => "emails",
            Self::Groups => "groups",
        }
    }

    /// Whether everybody's logins send it the same; to the others go a person's code or token.
    const fn is_asked_the_same(self) -> bool {
        match self {
            Self::Discovery | Self::KeySet | Self::Authorization => true,
            Self::Token | Self::Userinfo | Self::Emails | Self::Groups => false,
        }
    }

    /// The largest body that is read, in bytes.
    const fn largest(self) -> usize {
        match self {
            Self::Discovery | Self::Emails => 256 << 10,
            Self::KeySet | Self::Token => 512 << 10,
            Self::Userinfo | Self::Groups | Self::Authorization => 1 << 20,
        }
    }

    /// An answer of this endpoint that is none.
    pub fn bad(self, problem: impl fmt::Display) -> UpstreamError {
        UpstreamError::BadResponse { endpoint: self.name(), problem: problem.to_string() }
    }
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The further root certificates are not PEM.
    #[error("the ca_bundle is not a list of PEM certificates")]
    Roots(#[source] reqwest::Error),
    /// They are PEM, and there is none among them.
    #[error("the ca_bundle has no certificate in it")]
    NoRoots,
    /// The system's certificates or the TLS library cannot be used.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}

/// The HTTP client of one slot.
#[derive(Debug, Clone)]
pub struct Outbound {
    http: Client,
    runtime: Handle,
    gate: Arc<Gate>,
    insecure_http: bool,
    /// The slot's name, for what is counted.
    slot: Arc<str>,
}

/// How many calls are let through, and whether any are.
#[derive(Debug)]
struct Gate {
    places: Semaphore,
    turns: Semaphore,
    breaker: Breaker,
}

/// What an endpoint answered, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The media type in lower case, without parameters.
    pub(crate) media_type: String,
    /// Where a redirect leads; never followed.
    pub(crate) location: Option<String>,
    /// The lines of `Set-Cookie`; never kept.
    pub(crate) set_cookies: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Outbound {
    /// Makes the client. Its calls run on `runtime`, which must have several threads and outlive the client's use.
    ///
    /// # Errors
    /// When the slot's certificates cannot be used.
    pub fn new(transport: &Transport, runtime: Handle) -> Result<Self, OutboundError> {
        let roots = match &transport.extra_roots {
            None => Vec::new(),
            Some(pem) => match Certificate::from_pem_bundle(pem).map_err(OutboundError::Roots)? {
                none if none.is_empty() => return Err(OutboundError::NoRoots),
                some => some,
            },
        };
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .user_agent(concat!("portico/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(roots)
            .build()
            .map_err(OutboundError::Client)?;
        let gate = Gate {
            places: Semaphore::new(AT_ONCE + MOST_WAITING),
            turns: Semaphore::new(AT_ONCE),
            breaker: Breaker::default(),
        };
        let insecure_http = transport.allow_insecure_http;
        Ok(Self { http, runtime, gate: Arc::new(gate), insecure_http, slot: "none".into() })
    }

    /// The same, counted as this slot's.
    #[must_use]
    pub fn of(self, slot: SlotId) -> Self {
        Self { slot: slot.to_string().into(), ..self }
    }

    /// Whether a provider's address may be used: https, or plain http on a loopback host or where the operator allowed
    /// it; never one with a user name in it, which would be sent as credentials.
    pub fn allows(&self, url: &Url) -> bool {
        let secure = match url.scheme() {
            "https" => true,
            "http" => self.insecure_http || is_loopback(url),
            _ => false,
        };
        secure && url.has_host() && url.username().is_empty() && url.password().is_none()
    }

    /// Fetches a JSON document.
    ///
    /// # Errors
    /// When there is no answer, another status than 200, or a body that is not one well-formed object.
    pub async fn document(&self, endpoint: Endpoint, url: &Url) -> Result<Map<String, Value>, UpstreamError> {
        let mut request = Request::new(Method::GET, url.clone());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.send(endpoint, request).await?;
        let document = match answer.status {
            200 => json::object(&answer.body).map_err(|error| error.to_string()),
            status => Err(format!("status {status}")),
        };
        // Its query may have a key in it.
        document.map_err(|problem| {
            endpoint.bad(format_args!("{problem}, at {}{}", url.origin().ascii_serialization(), url.path()))
        })
    }

    /// Sends one request. When the caller goes away, the call ends too.
    pub(crate) async fn send(&self, endpoint: Endpoint, request: Request) -> Result<Answer, UpstreamError> {
        if !self.allows(request.url()) {
            let problem =
                format!("{}: only https is used, and plain http on loopback hosts", endpoint.name());
            return Err(UpstreamError::Metadata(problem));
        }
        let (http, gate, slot) = (self.http.clone(), Arc::clone(&self.gate), Arc::clone(&self.slot));
        let started = Instant::now();
        let exchange = async move {
            let response = http.execute(request).await.map_err(|error| failure(endpoint, error))?;
            read(endpoint, response).await
        };
        let mut call = JoinSet::new();
        let span = tracing::error_span!(
            "provider",
            slot = &*self.slot,
            endpoint = endpoint.word(),
            otel.kind = "client"
        );
        call.spawn_on(async move { gate.pass(endpoint, exchange).await }.instrument(span), &self.runtime);
        let answer = match call.join_next().await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) | None => Err(endpoint.bad("the call was cut off")),
        };
        count(&slot, endpoint, &answer, started.elapsed());
        answer
    }

    /// How the provider fared lately, as far as calls tell.
    pub fn health(&self) -> Health {
        self.gate.breaker.health()
    }
}

impl Gate {
    /// Makes a call in its turn, within one deadline over waiting and exchange, unless too many wait or the provider rests.
    async fn pass(
        &self,
        endpoint: Endpoint,
        exchange: impl Future<Output = Result<Answer, UpstreamError>>,
    ) -> Result<Answer, UpstreamError> {
        let deadline = tokio::time::Instant::now() + TOTAL;
        let late = |_| UpstreamError::Timeout { endpoint: endpoint.name() };
        let crowded = |_| UpstreamError::Overloaded { endpoint: endpoint.name() };
        let _place = self.places.try_acquire().map_err(crowded)?;
        let _turn = timeout_at(deadline, self.turns.acquire()).await.map_err(late)?;
        let Some(call) = self.breaker.admit(Instant::now()) else {
            let problem = "it failed several times in a row and is given a rest".to_owned();
            return Err(UpstreamError::Unreachable { endpoint: endpoint.name(), problem, certificate: None });
        };
        let answer = timeout_at(deadline, exchange).await.map_err(late).and_then(|answer| answer);
        match &answer {
            Ok(Answer { status: 500.., .. }) if !endpoint.is_asked_the_same() => call.inconclusive(),
            Ok(Answer { status: 500.., .. })
            | Err(UpstreamError::Unreachable { .. } | UpstreamError::Timeout { .. }) => {
                call.failed(Instant::now());
            }
            Ok(_) | Err(_) => call.answered(),
        }
        answer
    }
}

impl Answer {
    /// Refuses every status but 200; a redirect is one of them.
    pub(crate) fn expect_ok(&self, endpoint: Endpoint) -> Result<(), UpstreamError> {
        if self.status == 200 { Ok(()) } else { Err(endpoint.bad(format_args!("status {}", self.status))) }
    }
}

/// What became of a call, in one word, and how long it took.
fn count(slot: &str, endpoint: Endpoint, answer: &Result<Answer, UpstreamError>, took: Duration) {
    let outcome = match answer {
        Ok(Answer { status: 500.., .. }) => "failed",
        Ok(Answer { status: 400.., .. }) => "refused",
        Ok(_) => "ok",
        Err(UpstreamError::Unreachable { .. }) => "unreachable",
        Err(UpstreamError::Timeout { .. }) => "timeout",
        Err(UpstreamError::Overloaded { .. }) => "overloaded",
        Err(_) => "bad",
    };
    let (slot, endpoint) = (slot.to_owned(), endpoint.word());
    metrics::counter!("portico_provider_requests_total", "slot" => slot.clone(), "endpoint" => endpoint, "outcome" => outcome)
        .increment(1);
    metrics::histogram!("portico_provider_request_seconds", "slot" => slot, "endpoint" => endpoint)
        .record(took);
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

async fn read(endpoint: Endpoint, mut response: Response) -> Result<Answer, UpstreamError> {
    let status = response.status().as_u16();
    let typed =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = typed.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let set_cookies = response.headers().get_all(SET_COOKIE).iter();
    let set_cookies = set_cookies.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(endpoint, error))? {
        if body.len() + chunk.len() > endpoint.largest() {
            return Err(endpoint.bad(format_args!("the answer is larger than {} bytes", endpoint.largest())));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, media_type, location, set_cookies, body })
}

fn failure(endpoint: Endpoint, error: reqwest::Error) -> UpstreamError {
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
    endpoint.bad(problem)
}

/// What lies behind an error, on one line.
fn causes(error: &dyn Error) -> String {
    let mut told = Vec::new();
    let mut cause = error.source();
    while let Some(behind) = cause {
        told.push(behind.to_string());
        cause = behind.source();
    }
    if told.is_empty() { printable(&error.to_string()) } else { printable(&told.join(": ")) }
}

#[cfg(test)]
mod tests;
