//! Requests to a provider and its responses.

use portico_core::error::UpstreamError;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
};
use reqwest::{Method, Request, Response};
use url::Url;

use crate::endpoint::Endpoint;

/// A header whose name or value HTTP does not allow. The error does not repeat the value, which may be a
/// secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header has characters that HTTP does not allow")]
pub struct UnsendableHeader;

/// A request to a provider. Its query, headers and body may have secrets.
pub struct ProviderRequest(Request);

impl ProviderRequest {
    /// A GET request.
    pub fn get(url: Url) -> Self {
        Self(Request::new(Method::GET, url))
    }

    /// A POST request with this body.
    pub fn post(url: Url, body: Vec<u8>) -> Self {
        let mut request = Request::new(Method::POST, url);
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        Self(request)
    }

    /// Asks for JSON (RFC 9110 12.5.1).
    #[must_use]
    pub fn accept_json(mut self) -> Self {
        self.0.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        self
    }

    /// Sets a header. HTTP libraries do not log the value of `Authorization`.
    ///
    /// # Errors
    /// The name or the value has characters that HTTP does not allow (RFC 9110 5.1, 5.5).
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, UnsendableHeader> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| UnsendableHeader)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| UnsendableHeader)?;
        value.set_sensitive(name == AUTHORIZATION);
        self.0.headers_mut().insert(name, value);
        Ok(self)
    }

    pub(crate) fn url(&self) -> &Url {
        self.0.url()
    }

    pub(crate) fn into_request(self) -> Request {
        self.0
    }
}

/// The response of an endpoint, of any status.
#[derive(Default)]
pub struct ProviderResponse {
    /// The status code.
    pub status: u16,
    /// The media type in lower case, without parameters; empty without `Content-Type`.
    pub media_type: String,
    /// The target of a redirect, which the client does not follow.
    pub location: Option<String>,
    /// The values of `Set-Cookie`, which the client does not store.
    pub set_cookies: Vec<String>,
    /// The body, which has at most the size that the endpoint allows.
    pub body: Vec<u8>,
}

impl ProviderResponse {
    /// Refuses every status except 200. A redirect is refused, too.
    ///
    /// # Errors
    /// [`UpstreamError::BadResponse`] with the status.
    pub fn expect_ok(&self, endpoint: Endpoint) -> Result<(), UpstreamError> {
        if self.status == 200 {
            return Ok(());
        }
        Err(endpoint.bad_response(format_args!("status {}", self.status)))
    }

    /// The response to these headers, with a body that is still empty.
    pub(crate) fn from_head(response: &Response) -> Self {
        let headers = response.headers();
        let cookies = headers.get_all(SET_COOKIE).iter();
        let media_type =
            text(headers, &CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
        Self {
            status: response.status().as_u16(),
            media_type: media_type.trim().to_ascii_lowercase(),
            location: text(headers, &LOCATION).map(str::to_owned),
            set_cookies: cookies.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect(),
            body: Vec::new(),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
