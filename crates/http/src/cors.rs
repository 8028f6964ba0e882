//! CORS: which other origins may read responses (Fetch, 3.2). The operator lists exact origins, never a
//! wildcard.

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use portico_core::return_to::WebOrigin;

use crate::headers::one;

/// The endpoints that frontends with a hand-off call, without cookies.
const FOR_RETURN_ORIGINS: [&str; 3] = ["/auth/token", "/auth/refresh", "/auth/session"];

/// What the origin of a request may do with the response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CorsGrant {
    origin: Option<HeaderValue>,
    credentials: bool,
}

impl CorsGrant {
    /// Decides by the origin and the path, which is relative to the public URL.
    pub(crate) fn new(headers: &HeaderMap, path: &str, cors: &[WebOrigin], returns: &[WebOrigin]) -> Self {
        let Some(origin) = one(headers, &ORIGIN).filter(|_| path.starts_with("/auth/")) else {
            return Self::default();
        };
        let is_in = |list: &[WebOrigin]| list.iter().any(|own| own.as_str() == origin);
        let credentials = is_in(cors);
        let allowed = credentials || (FOR_RETURN_ORIGINS.contains(&path) && is_in(returns));
        let origin = HeaderValue::from_str(origin).ok().filter(|_| allowed);
        Self { origin, credentials }
    }

    /// The response to a preflight request of an allowed origin.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<HttpResponse> {
        let is_preflight = *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        (is_preflight && self.origin.is_some()).then(|| {
            HttpResponse::NoContent()
                .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"))
                .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, x-csrf-token"))
                .insert_header((ACCESS_CONTROL_MAX_AGE, "600"))
                .finish()
        })
    }

    /// Adds the CORS headers to a response. Every response varies by origin, also one that grants nothing.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = &self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-csrf-token, x-request-id"));
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn origins(list: &[&str]) -> Vec<WebOrigin> {
        list.iter().map(|origin| WebOrigin::parse(origin).unwrap()).collect()
    }

    fn grant(origin: &str, path: &str) -> CorsGrant {
        let request = TestRequest::default().insert_header((ORIGIN, origin)).to_http_request();
        let (cors, returns) = (origins(&["https://a.example"]), origins(&["https://b.example"]));
        CorsGrant::new(request.headers(), path, &cors, &returns)
    }

    #[test]
    fn origins_are_exact() {
        let all = grant("https://a.example", "/auth/sessions");
        assert!(all.credentials && all.origin.is_some());
        for (path, granted) in [
            ("/auth/token", true),
            ("/auth/refresh", true),
            ("/auth/session", true),
            ("/auth/sessions", false),
        ] {
            let own = grant("https://b.example", path);
            assert_eq!((own.origin.is_some(), own.credentials), (granted, false), "{path}");
        }
        for other in [
            "https://a.example.evil",
            "https://A.example",
            "http://a.example",
            "https://a.example:443",
            "null",
            "",
            "https://a.example/",
        ] {
            assert_eq!(grant(other, "/auth/session"), CorsGrant::default(), "{other}");
        }
        assert_eq!(grant("https://a.example", "/.well-known/jwks.json"), CorsGrant::default());
    }

    #[test]
    fn only_an_allowed_origin_gets_an_answer_before() {
        let asks =
            TestRequest::default().insert_header((ACCESS_CONTROL_REQUEST_METHOD, "POST")).to_http_request();
        let all = grant("https://a.example", "/auth/refresh");
        assert!(all.preflight(&Method::OPTIONS, asks.headers()).is_some());
        assert!(all.preflight(&Method::POST, asks.headers()).is_none());
        assert!(
            grant("https://c.example", "/auth/refresh").preflight(&Method::OPTIONS, asks.headers()).is_none()
        );
    }
}
