//! How an endpoint delivers what it has to say: late, elsewhere, too much of it, or not at all.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;

/// The longest an answer is held back by a gate that nobody opens.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The end of "endless": 1 GiB.
const ENDLESS: u64 = 1 << 30;
const CHUNK: usize = 16 * 1024;

/// Delivery of one endpoint's answer. The default delivers honestly and at once.
///
/// Order: wait for `gate`, sleep for `delay`, then `redirect`, else `body`, else the usual answer; then `status`, `content_type`
/// and `headers` are laid over it. With `redirect` or `body` the request is counted but not processed (a code stays unspent).
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Requests wait here until it opens.
    pub gate: Option<Gate>,
    /// Time to pass before anything is said.
    pub delay: Option<Duration>,
    /// A status and a `Location` instead of an answer.
    pub redirect: Option<(u16, String)>,
    /// Another body.
    pub body: Option<Body>,
    /// Another status.
    pub status: Option<u16>,
    /// Another `Content-Type`.
    pub content_type: Option<String>,
    /// More headers; those with a name or value HTTP does not allow are left out.
    pub headers: Vec<(String, String)>,
}

/// A body that replaces the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// This many spaces, in chunks without a length announced.
    Spaces(u64),
    /// Spaces until the other side has had enough (or 1 GiB).
    Endless,
    /// These bytes one by one, with a pause before each.
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

/// A gate where requests wait until a test lets them through. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<GateState>);

#[derive(Debug)]
struct GateState {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(GateState { open: watch::Sender::new(false), waiting: watch::Sender::new(0) }))
    }

    /// How many requests have arrived at the gate so far.
    pub fn arrived(&self) -> usize {
        *self.0.waiting.borrow()
    }

    /// Waits until `count` requests have arrived; false after `limit`.
    pub async fn wait_for_arrivals(&self, count: usize, limit: Duration) -> bool {
        let mut waiting = self.0.waiting.subscribe();
        let reached = waiting.wait_for(|arrived| *arrived >= count);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }

    /// Opens the gate, for those who wait and for all who come later.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    async fn pass(&self) {
        let mut open = self.0.open.subscribe();
        self.0.waiting.send_modify(|arrived| *arrived += 1);
        let _ = tokio::time::timeout(LONGEST_WAIT, open.wait_for(|open| *open)).await;
    }
}

/// What an endpoint usually answers.
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

    /// Marks the answer as one no cache may keep (RFC 6749, 5.1).
    pub(crate) fn not_stored(self) -> Self {
        self.with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Answer {
    /// Delivers `usual` by these knobs.
    pub(crate) async fn deliver(&self, usual: impl FnOnce() -> IdpResponse) -> HttpResponse {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        if let Some((status, location)) = &self.redirect {
            let mut builder = HttpResponse::build(status_of(*status));
            return builder.insert_header((LOCATION, location.as_str())).finish();
        }
        if let Some(body) = &self.body {
            let mut builder = self.builder(StatusCode::OK, "application/json");
            return send(&mut builder, body.clone());
        }
        let response = usual();
        let mut builder = self.builder(response.status, response.content_type);
        for header in response.headers {
            builder.insert_header(header);
        }
        builder.body(response.body)
    }

    fn builder(&self, status: StatusCode, content_type: &str) -> HttpResponseBuilder {
        let mut builder = HttpResponse::build(self.status.map_or(status, status_of));
        let wanted = self.content_type.as_deref().unwrap_or(content_type);
        let typed = std::iter::once((CONTENT_TYPE.as_str(), wanted));
        let more = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in typed.chain(more) {
            let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                builder.append_header((name, value));
            }
        }
        builder
    }
}

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn send(builder: &mut HttpResponseBuilder, body: Body) -> HttpResponse {
    match body {
        Body::Bytes(bytes) => builder.body(bytes),
        Body::Spaces(count) => spaces(builder, count),
        Body::Endless => spaces(builder, ENDLESS),
        Body::Drip { bytes, every } => {
            let drops = stream::unfold(bytes.into_iter(), move |mut rest| async move {
                tokio::time::sleep(every).await;
                let drop = rest.next()?;
                Some((Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[drop])), rest))
            });
            builder.streaming(drops)
        }
    }
}

fn spaces(builder: &mut HttpResponseBuilder, count: u64) -> HttpResponse {
    let chunk = Bytes::from(vec![b' '; CHUNK]);
    let chunks = stream::unfold(count, move |left| {
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let part = chunk.slice(..size);
        let next = (size > 0).then(|| (Ok::<_, std::io::Error>(part), left - size as u64));
        async move { next }
    });
    builder.streaming(chunks)
}
