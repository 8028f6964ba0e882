//! Traffic of a realm: the number of calls and the last request of each endpoint.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpRequest;

use crate::sync::lock;

/// An endpoint of a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `/jwks`.
    Jwks,
    /// `GET /authorize`: the browser starts a login.
    Authorize,
    /// `POST /authorize`: the browser submits the login page.
    Choice,
    /// `/token`.
    Token,
    /// `/userinfo`.
    Userinfo,
    /// `/emails`.
    Emails,
    /// `/groups`.
    Groups,
    /// `/end_session`.
    EndSession,
}

/// The number of calls of each endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Calls of the discovery document.
    pub discovery: u64,
    /// Calls of the JWKS.
    pub jwks: u64,
    /// Logins started at the authorization endpoint.
    pub authorize: u64,
    /// Submissions of the login page.
    pub choice: u64,
    /// Calls of the token endpoint.
    pub token: u64,
    /// Calls of the userinfo endpoint.
    pub userinfo: u64,
    /// Calls of the list of e-mail addresses.
    pub emails: u64,
    /// Calls of the group look-up.
    pub groups: u64,
    /// Calls of the logout endpoint.
    pub end_session: u64,
}

/// A request as the provider received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedRequest {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The raw query, without `?`.
    pub query: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl CapturedRequest {
    fn new(request: &HttpRequest, body: &[u8]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = request.headers().iter();
        Self {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            query: request.query_string().to_owned(),
            headers: headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: body.to_vec(),
        }
    }

    /// The value of the first header with this name; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body, decoded as a form.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The query, decoded as pairs.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }
}

/// The traffic of one endpoint.
#[derive(Default)]
struct EndpointTraffic {
    calls: AtomicU64,
    last: Mutex<Option<CapturedRequest>>,
}

/// The traffic of one realm.
#[derive(Default)]
pub(crate) struct Traffic {
    discovery: EndpointTraffic,
    jwks: EndpointTraffic,
    authorize: EndpointTraffic,
    choice: EndpointTraffic,
    token: EndpointTraffic,
    userinfo: EndpointTraffic,
    emails: EndpointTraffic,
    groups: EndpointTraffic,
    end_session: EndpointTraffic,
}

impl Traffic {
    pub(crate) fn record(&self, endpoint: Endpoint, request: &HttpRequest, body: &[u8]) {
        let traffic = self.endpoint(endpoint);
        *lock(&traffic.last) = Some(CapturedRequest::new(request, body));
        traffic.calls.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn last(&self, endpoint: Endpoint) -> Option<CapturedRequest> {
        lock(&self.endpoint(endpoint).last).clone()
    }

    pub(crate) fn calls(&self, endpoint: Endpoint) -> u64 {
        self.endpoint(endpoint).calls.load(Ordering::SeqCst)
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            discovery: self.calls(Endpoint::Discovery),
            jwks: self.calls(Endpoint::Jwks),
            authorize: self.calls(Endpoint::Authorize),
            choice: self.calls(Endpoint::Choice),
            token: self.calls(Endpoint::Token),
            userinfo: self.calls(Endpoint::Userinfo),
            emails: self.calls(Endpoint::Emails),
            groups: self.calls(Endpoint::Groups),
            end_session: self.calls(Endpoint::EndSession),
        }
    }

    fn endpoint(&self, endpoint: Endpoint) -> &EndpointTraffic {
        match endpoint {
            Endpoint::Discovery => &self.discovery,
            Endpoint::Jwks => &self.jwks,
            Endpoint::Authorize => &self.authorize,
            Endpoint::Choice => &self.choice,
            Endpoint::Token => &self.token,
            Endpoint::Userinfo => &self.userinfo,
            Endpoint::Emails => &self.emails,
            Endpoint::Groups => &self.groups,
            Endpoint::EndSession => &self.end_session,
        }
    }
}
