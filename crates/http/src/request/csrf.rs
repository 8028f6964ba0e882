//! CSRF: a request by cookie must prove that a page of the application sent it.

use actix_web::http::header::{self, HeaderMap, HeaderName};
use portico_core::return_to::WebOrigin;
use portico_core::seal::same;
use portico_core::session::SessionId;

use crate::error::{ApiError, Cause};
use crate::headers::one;
use crate::state::Portico;

/// The header that repeats the cookie's value, in requests and in responses.
pub(crate) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// Checks both proofs: the origin is Portico's or an allowed one, and the sender can read the session's CSRF
/// cookie.
pub(crate) fn check(
    portico: &Portico,
    headers: &HeaderMap,
    cookie: Option<&str>,
    session: SessionId,
) -> Result<(), ApiError> {
    let refused = |why| Err(Cause::Csrf(why).into());
    let (broker, front) = (portico.broker(), portico.front());
    if !is_own_origin(headers, &front.public_url.origin(), &front.cors) {
        return refused(
            "neither Origin nor Sec-Fetch-Site says that the request comes from an allowed origin",
        );
    }
    let (Some(cookie), Some(header)) = (cookie, one(headers, &CSRF_HEADER)) else {
        return refused("the X-CSRF-Token header or its cookie is missing, or occurs twice");
    };
    if !same(cookie.as_bytes(), header.as_bytes()) {
        return refused("the X-CSRF-Token header is not the cookie");
    }
    // An attacker who can set a cookie can make both equal; but the value is bound to the session.
    if !broker.sessions().csrf_belongs_to(cookie, session) {
        return refused("the X-CSRF-Token value is of another session");
    }
    Ok(())
}

/// Checks the first proof only, for a request that begins a session: it comes from a page of Portico.
pub(crate) fn check_origin(portico: &Portico, headers: &HeaderMap) -> Result<(), ApiError> {
    if is_own_origin(headers, &portico.front().public_url.origin(), &[]) {
        return Ok(());
    }
    Err(Cause::Csrf("neither Origin nor Sec-Fetch-Site says that the request comes from a page of Portico")
        .into())
}

/// `Origin` decides if it is present; otherwise `Sec-Fetch-Site`.
fn is_own_origin(headers: &HeaderMap, own: &str, allowed: &[WebOrigin]) -> bool {
    if headers.contains_key(header::ORIGIN) {
        return one(headers, &header::ORIGIN)
            .is_some_and(|origin| origin == own || allowed.iter().any(|other| other.as_str() == origin));
    }
    one(headers, &HeaderName::from_static("sec-fetch-site")) == Some("same-origin")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_origin_decides_where_there_is_one() {
        const OWN: &str = "https://app.example.com";
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[("origin", OWN)], true),
            (&[("origin", "https://spa.example.com")], true),
            (&[("origin", "https://spa.example.com:8443")], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", OWN), ("sec-fetch-site", "same-origin")], true),
            (&[], false),
            (&[("origin", "")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://app.example.com/")], false),
            (&[("origin", "http://app.example.com")], false),
            (&[("origin", "https://app.example.com:444")], false),
            (&[("origin", "https://app.example.com.evil.example")], false),
            (&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], false),
            (&[("origin", OWN), ("origin", "https://evil.example")], false),
            (&[("origin", OWN), ("origin", OWN)], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[("referer", "https://app.example.com/")], false),
        ];
        let allowed = [WebOrigin::parse("https://spa.example.com").unwrap()];
        for (headers, expected) in cases {
            let mut request = TestRequest::default();
            for (name, value) in *headers {
                request = request.append_header((*name, *value));
            }
            let own = is_own_origin(request.to_http_request().headers(), OWN, &allowed);
            assert_eq!(own, *expected, "{headers:?}");
        }
    }
}
