//! Who sends a request and what kind of response it can use, decided from the connection and the headers
//! alone.
//!
//! It does not tell who is signed in.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use portico_core::session::Caller;
use portico_core::text::printable;
use tracing_actix_web::RequestId;

use crate::client::{Client, Proxies};
use crate::error::ApiError;
use crate::headers::accepts;
use crate::state::Front;

/// Who sends a request and what kind of response it can use. Built once per request.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext(Rc<Context>);

#[derive(Debug)]
struct Context {
    caller: Caller,
    client: Client,
    kind: RequestKind,
    is_prefetch: bool,
}

/// What the headers say about the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestKind {
    /// Not a navigation: a script, or a client that accepts JSON only.
    Api,
    /// Presumably a navigation; the headers do not say whether the client shows pages.
    Unknown,
    /// A navigation of a browser, which shows pages.
    Browser,
}

impl RequestContext {
    /// The context of a request, from its extensions if it is built already.
    pub(crate) fn get(request: &HttpRequest) -> Self {
        if let Some(known) = request.extensions().get::<Self>() {
            return known.clone();
        }
        let context = Self::new(request);
        request.extensions_mut().insert(context.clone());
        context
    }

    pub(crate) fn new(request: &HttpRequest) -> Self {
        let headers = request.headers();
        let none = Proxies::default();
        let front = request.app_data::<Data<Front>>();
        let client = front.map_or(&none, |front| &front.proxies).client(request);
        let request_id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
        let caller = Caller {
            ip: client.address.map(|address| address.to_string()),
            user_agent: text(headers.get(header::USER_AGENT)).map(printable),
            request_id,
        };
        let kind = RequestKind::from_headers(headers);
        Self(Rc::new(Context { caller, client, kind, is_prefetch: is_prefetch(headers) }))
    }

    /// Who sends the request, for audit events.
    pub(crate) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The client's address.
    pub(crate) fn client(&self) -> Client {
        self.0.client
    }

    /// The identifier of the request, in the response and in the log.
    pub(crate) fn request_id(&self) -> &str {
        &self.0.caller.request_id
    }

    /// Whether the request is a navigation: every request whose headers do not deny it.
    pub(crate) fn navigates(&self) -> bool {
        self.0.kind != RequestKind::Api
    }

    /// Whether the client shows pages.
    pub(crate) fn reads_pages(&self) -> bool {
        self.0.kind == RequestKind::Browser
    }

    /// Whether a browser prefetches a page that the user may never open (threats M19).
    pub(crate) fn is_prefetch(&self) -> bool {
        self.0.is_prefetch
    }
}

impl RequestKind {
    /// A request is no navigation if `Sec-Fetch-Mode` is not `navigate`, or if `Accept` names JSON and not
    /// HTML.
    fn from_headers(headers: &HeaderMap) -> Self {
        let mode = text(headers.get("sec-fetch-mode"));
        let html = accepts(headers, "text/html");
        let scripted = mode.is_some_and(|mode| mode != "navigate");
        if scripted || (accepts(headers, "application/json") && !html) {
            return Self::Api;
        }
        if html || mode.is_some() { Self::Browser } else { Self::Unknown }
    }
}

impl FromRequest for RequestContext {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::get(request)))
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.map(|value| value.to_str().unwrap_or("(not ASCII)"))
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    let names = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    let mut values =
        names.into_iter().flat_map(|name| headers.get_all(name)).filter_map(|value| value.to_str().ok());
    values.any(|value| {
        ["prefetch", "preview", "prerender"].iter().any(|word| value.to_ascii_lowercase().contains(word))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn context(headers: &[(&str, &str)]) -> RequestContext {
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        RequestContext::new(&request.to_http_request())
    }

    #[test]
    fn a_navigation_is_every_request_that_does_not_say_otherwise() {
        const CHROME: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let cases: &[(&[(&str, &str)], RequestKind)] = &[
            (&[], RequestKind::Unknown),
            (&[("accept", "*/*")], RequestKind::Unknown),
            (&[("accept", "")], RequestKind::Unknown),
            (&[("accept", "application/jsonp")], RequestKind::Unknown),
            (&[("accept", CHROME)], RequestKind::Browser),
            (&[("accept", CHROME), ("sec-fetch-mode", "navigate")], RequestKind::Browser),
            (&[("sec-fetch-mode", "navigate")], RequestKind::Browser),
            (&[("accept", "text/html, application/json")], RequestKind::Browser),
            (&[("accept", "application/json"), ("accept", "Text/HTML;q=0.1")], RequestKind::Browser),
            (&[("accept", "application/json")], RequestKind::Api),
            (&[("accept", "text/plain, Application/JSON;q=0.5, */*")], RequestKind::Api),
            (&[("accept", "application/json"), ("sec-fetch-mode", "navigate")], RequestKind::Api),
            (&[("sec-fetch-mode", "cors")], RequestKind::Api),
            (&[("accept", CHROME), ("sec-fetch-mode", "no-cors")], RequestKind::Api),
            (&[("sec-fetch-mode", "Navigate")], RequestKind::Api),
            (&[("sec-fetch-mode", "")], RequestKind::Api),
        ];
        for (headers, kind) in cases {
            assert_eq!(context(headers).0.kind, *kind, "{headers:?}");
        }
    }

    #[test]
    fn a_look_ahead_is_recognised() {
        for (name, value, expected) in [
            ("sec-purpose", "prefetch", true),
            ("sec-purpose", "prefetch;prerender", true),
            ("sec-purpose", "prefetch;anonymous-client-ip", true),
            ("purpose", "Prefetch", true),
            ("x-moz", "prefetch", true),
            ("x-purpose", "preview", true),
            ("sec-purpose", "", false),
            ("sec-fetch-mode", "navigate", false),
        ] {
            assert_eq!(context(&[(name, value)]).is_prefetch(), expected, "{name}: {value}");
        }
    }

    #[test]
    fn the_caller_is_the_connection_and_not_what_headers_say() {
        let forwarded = TestRequest::default()
            .peer_addr("[::ffff:192.0.2.7]:1234".parse().unwrap())
            .insert_header(("x-forwarded-for", "203.0.113.9"))
            .insert_header(("forwarded", "for=203.0.113.9"))
            .insert_header(("user-agent", "x".repeat(1000)));
        let context = RequestContext::new(&forwarded.to_http_request());
        assert_eq!(context.caller().ip.as_deref(), Some("192.0.2.7"));
        assert_eq!(context.caller().user_agent.as_ref().map(String::len), Some(200));
    }
}
