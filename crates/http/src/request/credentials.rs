//! Who a request acts for: the `Authorization` header or the session cookies.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use portico_core::error::SessionError;
use portico_core::flow::SignedIn;

use crate::error::ApiError;
use crate::headers::one;
use crate::request::cookies::RequestCookies;
use crate::request::csrf;
use crate::state::Portico;

/// The credentials of a request. If it has an `Authorization` header, only that counts.
pub(crate) enum Credentials {
    /// The bearer token of the header, if it is one.
    Header(Option<String>),
    /// The cookies.
    Cookies(RequestCookies),
}

/// A valid session. An unsafe method (RFC 9110 9.2.1) by cookie has passed the CSRF check, too.
pub(crate) struct Owner {
    /// The session and its account.
    pub(crate) signed_in: SignedIn,
    /// Whether the credentials are cookies.
    pub(crate) by_cookie: bool,
}

impl Credentials {
    /// The access token, not verified yet.
    pub(crate) fn access(&self) -> Result<&str, SessionError> {
        match self {
            Self::Header(token) => {
                token.as_deref().ok_or(SessionError::Invalid("the Authorization header is no bearer token"))
            }
            Self::Cookies(cookies) => {
                cookies.access.as_deref().ok_or(SessionError::Invalid("there is no access token"))
            }
        }
    }

    /// The value of the CSRF cookie, if cookies count.
    pub(crate) fn csrf(&self) -> Option<&str> {
        match self {
            Self::Header(_) => None,
            Self::Cookies(cookies) => cookies.csrf.as_deref(),
        }
    }
}

impl Owner {
    async fn verify(request: HttpRequest, credentials: Credentials) -> Result<Self, ApiError> {
        let portico = Portico::serving(&request)?;
        let signed_in = portico.broker().sessions().signed_in(credentials.access()?).await?;
        let by_cookie = match &credentials {
            Credentials::Header(_) => false,
            Credentials::Cookies(cookies) => {
                if !request.method().is_safe() {
                    let session = signed_in.entry.session.id;
                    csrf::check(portico, request.headers(), cookies.csrf.as_deref(), session)?;
                }
                true
            }
        };
        Ok(Self { signed_in, by_cookie })
    }
}

impl FromRequest for Credentials {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if request.headers().contains_key(header::AUTHORIZATION) {
            return ready(Ok(Self::Header(bearer(request.headers()))));
        }
        ready(RequestCookies::from_request(request, payload).into_inner().map(Self::Cookies))
    }
}

impl FromRequest for Owner {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let credentials = Credentials::from_request(request, payload).into_inner();
        let request = request.clone();
        Box::pin(async move { Self::verify(request, credentials?).await })
    }
}

/// RFC 6750 2.1: one header, the scheme in any case, one token.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = one(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    let valid = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
    valid.then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_bearer_token_is_one_word_in_one_header() {
        let cases: &[(&[&str], Option<&str>)] = &[
            (&["Bearer abc.def"], Some("abc.def")),
            (&["bEARER abc"], Some("abc")),
            (&[""], None),
            (&["Bearer"], None),
            (&["Bearer "], None),
            (&["Bearer a b"], None),
            (&["Bearer  a"], None),
            (&["Basic YTpi"], None),
            (&["abc"], None),
            (&["Bearer a", "Bearer a"], None),
        ];
        for (lines, expected) in cases {
            let mut request = TestRequest::default();
            for line in *lines {
                request = request.append_header((header::AUTHORIZATION, *line));
            }
            assert_eq!(bearer(request.to_http_request().headers()).as_deref(), *expected, "{lines:?}");
        }
    }
}
