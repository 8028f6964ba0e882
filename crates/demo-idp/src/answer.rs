//! Delivery of an endpoint's response: delayed, redirected, replaced, oversized or slow.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;

/// The maximum time a response waits for a closed gate.
const MAX_GATE_WAIT: Duration = Duration::from_mins(1);
/// The size of an "endless" body in bytes: 1 GiB.
const ENDLESS_BYTES: u64 = 1 << 30;
const CHUNK_BYTES: usize = 16 * 1024;

/// Delivery of one endpoint's response. The default sends the usual response immediately.
///
/// The endpoint waits for `gate`, sleeps for `delay`, and then sends the first of `redirect`, `body` and the
/// usual response. `status`, `content_type` and `headers` change a response that is not a redirect.
///
/// With `redirect` or `body` the request is counted but not processed: a code stays unused.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Requests wait until this gate opens.
    pub gate: Option<Gate>,
    /// The delay before the response.
    pub delay: Option<Duration>,
    /// A status and a `Location` that replace the response.
    pub redirect: Option<(u16, String)>,
    /// A body that replaces the usual one.
    pub body: Option<Body>,
    /// A status that replaces the usual one.
    pub status: Option<u16>,
    /// A `Content-Type` that replaces the usual one.
    pub content_type: Option<String>,
    /// Additional headers. Headers with an invalid name or value are omitted.
    pub headers: Vec<(String, String)>,
}

/// A body that replaces the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// This many spaces, in chunks and without `Content-Length`.
    Spaces(u64),
    /// Spaces until the client closes the connection, at most 1 GiB.
    Endless,
    /// These bytes one at a time, with a pause before each.
    Drip {
        /// The bytes.
        bytes: Vec<u8>,
        /// The pause.
        every: Duration,
    },
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Bytes(value.to_string().into_bytes())
    }
}

/// A gate at which requests wait until a test opens it. Clones share one gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<GateState>);

#[derive(Debug)]
struct GateState {
    open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(GateState { open: watch::Sender::new(false), arrived: watch::Sender::new(0) }))
    }

    /// The number of requests that have arrived at the gate.
    pub fn arrived(&self) -> usize {
        *self.0.arrived.borrow()
    }

    /// Waits until `count` requests have arrived; false if `limit` expires first.
    pub async fn wait_for_arrivals(&self, count: usize, limit: Duration) -> bool {
        let mut arrived = self.0.arrived.subscribe();
        let reached = arrived.wait_for(|arrived| *arrived >= count);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }

    /// Opens the gate for waiting and later requests.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    async fn pass(&self) {
        let mut open = self.0.open.subscribe();
        self.0.arrived.send_modify(|arrived| *arrived += 1);
        let _ = tokio::time::timeout(MAX_GATE_WAIT, open.wait_for(|open| *open)).await;
    }
}

/// The usual response of an endpoint.
pub(crate) struct IdpResponse {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
}

impl IdpResponse {
    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        Self::text(status, "application/json", value.to_string())
    }

    pub(crate) fn text(status: StatusCode, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into_bytes() }
    }

    /// Adds `Cache-Control: no-store` (RFC 6749, 5.1).
    pub(crate) fn no_store(self) -> Self {
        self.with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Answer {
    /// Sends the response of `usual`, or what these knobs put in its place.
    pub(crate) async fn respond(&self, usual: impl FnOnce() -> IdpResponse) -> HttpResponse {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        if let Some((status, location)) = &self.redirect {
            let mut builder = HttpResponse::build(status_code(*status));
            return builder.insert_header((LOCATION, location.as_str())).finish();
        }
        if let Some(body) = &self.body {
            let mut builder = self.builder(StatusCode::OK, "application/json");
            return replacement(&mut builder, body.clone());
        }
        let response = usual();
        let mut builder = self.builder(response.status, response.content_type);
        for header in response.headers {
            builder.insert_header(header);
        }
        builder.body(response.body)
    }

    fn builder(&self, status: StatusCode, content_type: &str) -> HttpResponseBuilder {
        let mut builder = HttpResponse::build(self.status.map_or(status, status_code));
        let content_type = self.content_type.as_deref().unwrap_or(content_type);
        let first = std::iter::once((CONTENT_TYPE.as_str(), content_type));
        let extra = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in first.chain(extra) {
            let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                builder.append_header((name, value));
            }
        }
        builder
    }
}

fn status_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn replacement(builder: &mut HttpResponseBuilder, body: Body) -> HttpResponse {
    match body {
        Body::Bytes(bytes) => builder.body(bytes),
        Body::Spaces(count) => spaces(builder, count),
        Body::Endless => spaces(builder, ENDLESS_BYTES),
        Body::Drip { bytes, every } => {
            let bytes = stream::unfold(bytes.into_iter(), move |mut rest| async move {
                tokio::time::sleep(every).await;
                let byte = rest.next()?;
                Some((Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[byte])), rest))
            });
            builder.streaming(bytes)
        }
    }
}

fn spaces(builder: &mut HttpResponseBuilder, count: u64) -> HttpResponse {
    let chunk = Bytes::from(vec![b' '; CHUNK_BYTES]);
    let chunks = stream::unfold(count, move |left| {
        let size = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let part = chunk.slice(..size);
        let next = (size > 0).then(|| (Ok::<_, std::io::Error>(part), left - size as u64));
        async move { next }
    });
    builder.streaming(chunks)
}
