//! Who is asking: a person's browser on its way somewhere, or a program that wants an answer.
//!
//! Decided from the request's headers alone; says nothing about who is signed in.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use portico_core::session::Caller;
use portico_core::text::printable;
use tracing_actix_web::RequestId;

use crate::Front;
use crate::client::Proxies;
use crate::error::ApiError;

/// Who sent a request, and what they can do with an answer.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    caller: Caller,
    kind: RequestKind,
    is_prefetch: bool,
}

/// What a request says of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestKind {
    /// Not a navigation: a script, or a client that wants JSON.
    Api,
    /// A navigation as far as one can tell, of a client that does not say what it shows.
    Unknown,
    /// A navigation of a browser that shows pages.
    Browser,
}

impl RequestContext {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let headers = request.headers();
        let own = Proxies::default();
        let front = request.app_data::<Data<Front>>();
        let client = front.map_or(&own, |front| &front.proxies).client(request);
        let request_id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
        let caller = Caller {
            ip: client.address.map(|address| address.to_string()),
            user_agent: text(headers.get(header::USER_AGENT)).map(printable),
            request_id,
        };
        Self { caller, kind: RequestKind::of(headers), is_prefetch: is_prefetch(headers) }
    }

    /// Who sent the request, for the record.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The identifier of the request, in the answer and in the log.
    pub(crate) fn request_id(&self) -> &str {
        &self.caller.request_id
    }

    /// Whether the request is a navigation: every one that does not say otherwise.
    pub(crate) fn navigates(&self) -> bool {
        self.kind != RequestKind::Api
    }

    /// Whether the answer is shown to a person.
    pub(crate) fn reads_pages(&self) -> bool {
        self.kind == RequestKind::Browser
    }

    /// Whether a browser only prepares for a press that may never come (threats M19).
    pub(crate) fn is_prefetch(&self) -> bool {
        self.is_prefetch
    }
}

impl RequestKind {
    /// A request is non-navigational when `Sec-Fetch-Mode` is another than `navigate`, or `Accept` names JSON and not HTML.
    fn of(headers: &HeaderMap) -> Self {
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
        ready(Ok(Self::of(request)))
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.map(|value| value.to_str().unwrap_or("(not ASCII)"))
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT).filter_map(|line| line.to_str().ok());
    let mut kinds = lines.flat_map(|line| line.split(',')).filter_map(|range| range.split(';').next());
    kinds.any(|own| own.trim().eq_ignore_ascii_case(kind))
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
        RequestContext::of(&request.to_http_request())
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
            assert_eq!(context(headers).kind, *kind, "{headers:?}");
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
        let context = RequestContext::of(&forwarded.to_http_request());
        assert_eq!(context.caller().ip.as_deref(), Some("192.0.2.7"));
        assert_eq!(context.caller().user_agent.as_ref().map(String::len), Some(200));
    }
}
