//! What handlers ask for in their signatures. Whoever has one of these need not check again what it stands for.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use portico_core::error::{LoginError, SessionError};
use portico_core::flow::SignedIn;
use portico_core::public_url::PublicUrl;
use portico_core::return_to::{LoginParams, WebOrigin};
use portico_core::session::RefreshToken;
use portico_core::slot::SlotId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::Portico;
use crate::cookies::RequestCookies;
use crate::csrf::{self, one};
use crate::error::{ApiError, Cause};
use crate::query::once;

/// Longer than any `return_to` that is accepted.
const LONGEST_RETURN_TO: usize = 16 * 1024;

/// Longer than any challenge or method that is accepted.
const LONGEST_CHALLENGE: usize = 256;

/// An enabled slot, named in the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotPath(pub(crate) SlotId);

/// What the start of a login asks for: a `return_to` that leads nowhere but to an allowed origin, and perhaps a hand-off.
#[derive(Debug)]
pub(crate) struct LoginQuery {
    /// As it was written; none means `/`.
    pub(crate) return_to: Option<String>,
    /// The frontend's challenge.
    pub(crate) code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    /// Where it leads.
    pub(crate) url: Url,
}

/// A person who is signed in, and on an unsafe method by cookie also meant it (RFC 9110 9.2.1).
pub(crate) struct Owner {
    /// Who it is.
    pub(crate) signed_in: SignedIn,
    /// Whether it was the cookies that said so.
    pub(crate) by_cookie: bool,
}

/// The body of an exchange of a hand-off code.
#[derive(Deserialize)]
pub(crate) struct HandOffBody {
    pub(crate) code: String,
    pub(crate) code_verifier: String,
}

/// What a request is judged by. Where there is an `Authorization` header, that alone.
pub(crate) enum Credentials {
    /// The token of the header, if it is one.
    Header(Option<String>),
    /// The cookies.
    Cookies(RequestCookies),
}

/// The body of a refresh.
#[derive(Debug)]
pub(crate) enum RefreshBody {
    /// None: the cookie is meant.
    Empty,
    /// A program's own token.
    Token(RefreshToken),
}

impl SlotPath {
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let portico = shared(request)?;
        let part = |name| request.match_info().get(name).unwrap_or_default();
        // Threats M21, M35: exact names, and only of this protocol.
        let named = format!("{}/{}", part("protocol"), part("slot")).parse::<SlotId>().ok();
        let enabled = named.filter(|id| portico.broker().slots().any(|(slot, _)| slot.id() == *id));
        enabled.map(Self).ok_or_else(|| LoginError::ProviderUnknown.into())
    }
}

impl LoginQuery {
    fn parse(query: &str, public: &PublicUrl, others: &[WebOrigin]) -> Result<Self, &'static str> {
        let return_to = once(query, "return_to", LONGEST_RETURN_TO)?;
        let code_challenge = once(query, "code_challenge", LONGEST_CHALLENGE)?;
        let code_challenge_method = once(query, "code_challenge_method", LONGEST_CHALLENGE)?;
        let login_params = LoginParams {
            return_to: return_to.as_deref(),
            code_challenge: code_challenge.as_deref(),
            code_challenge_method: code_challenge_method.as_deref(),
        };
        let url = login_params.check(public, others)?.0.url(public)?;
        Ok(Self { return_to, code_challenge, code_challenge_method, url })
    }

    pub(crate) fn as_params(&self) -> LoginParams<'_> {
        LoginParams {
            return_to: self.return_to.as_deref(),
            code_challenge: self.code_challenge.as_deref(),
            code_challenge_method: self.code_challenge_method.as_deref(),
        }
    }

    /// The parameters that ask for the same again.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("return_to", &self.return_to),
            ("code_challenge", &self.code_challenge),
            ("code_challenge_method", &self.code_challenge_method),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

impl Owner {
    async fn of(request: HttpRequest, credentials: Credentials) -> Result<Self, ApiError> {
        let portico = shared(&request)?;
        let signed_in = portico.broker().signed_in(credentials.access()?).await?;
        let by_cookie = match &credentials {
            Credentials::Header(_) => false,
            Credentials::Cookies(request_cookies) => {
                if !request.method().is_safe() {
                    let session = signed_in.entry.session.id;
                    csrf::check(portico, &request, request_cookies.csrf.as_deref(), session)?;
                }
                true
            }
        };
        Ok(Self { signed_in, by_cookie })
    }
}

impl Credentials {
    /// The access token to believe or not.
    pub(crate) fn access(&self) -> Result<&str, SessionError> {
        match self {
            Self::Header(token) => {
                token.as_deref().ok_or(SessionError::Invalid("the Authorization header is no bearer token"))
            }
            Self::Cookies(request_cookies) => {
                request_cookies.access.as_deref().ok_or(SessionError::Invalid("there is no access token"))
            }
        }
    }

    /// The value of the CSRF cookie, where cookies count.
    pub(crate) fn csrf(&self) -> Option<&str> {
        match self {
            Self::Header(_) => None,
            Self::Cookies(request_cookies) => request_cookies.csrf.as_deref(),
        }
    }
}

impl RefreshBody {
    fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Fields {
            refresh_token: String,
        }
        if body.is_empty() {
            return Ok(Self::Empty);
        }
        let fields: Fields = json(headers, body)?;
        let token = RefreshToken::parse(&fields.refresh_token);
        Ok(Self::Token(token.ok_or(SessionError::Invalid("the body's refresh token cannot be one of ours"))?))
    }
}

impl FromRequest for SlotPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl FromRequest for LoginQuery {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(shared(request).and_then(|portico| {
            let front = &portico.front;
            let parsed = Self::parse(request.query_string(), &front.public_url, &front.returns);
            parsed.map_err(|why| LoginError::BadRequest(why).into())
        }))
    }
}

impl FromRequest for Owner {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let credentials = Credentials::from_request(request, payload).into_inner();
        let request = request.clone();
        Box::pin(async move { Self::of(request, credentials?).await })
    }
}

impl FromRequest for HandOffBody {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, payload);
        Box::pin(async move { Ok(json(&headers, &body.await?).map_err(ApiError::from)?) })
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

impl FromRequest for RefreshBody {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, payload);
        Box::pin(async move { Ok(Self::parse(&headers, &body.await?)?) })
    }
}

/// A body that says it is JSON, and is.
fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Cause> {
    if !is_of_kind(headers, "application/json") {
        return Err(Cause::UnsupportedMediaType);
    }
    serde_json::from_slice(body).map_err(|_| Cause::BadRequest("the body is not as it should be"))
}

/// Whether a body says that it is of this media type.
pub(crate) fn is_of_kind(headers: &HeaderMap, kind: &str) -> bool {
    let own = one(headers, &header::CONTENT_TYPE).and_then(|own| own.split(';').next());
    own.is_some_and(|own| own.trim().eq_ignore_ascii_case(kind))
}

/// What all handlers share.
pub(crate) fn shared(request: &HttpRequest) -> Result<&Portico, ApiError> {
    let data = request.app_data::<Data<Portico>>();
    data.map(Data::get_ref).ok_or_else(|| Cause::Internal("the application is not configured").into())
}

/// RFC 6750 2.1: one header, the scheme in any case, one token.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = one(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    let fits = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
    fits.then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::error::code_of;

    #[test]
    fn a_return_to_stays_at_home() {
        let public = PublicUrl::parse("https://app.example.com/sso").unwrap();
        let parse = |query: &str| {
            LoginQuery::parse(query, &public, &[])
                .map(|login_params| (login_params.return_to, login_params.url.to_string()))
        };
        assert_eq!(parse("x=y"), Ok((None, "https://app.example.com/".to_owned())));
        let good = (Some("/a/../b?c".to_owned()), "https://app.example.com/b?c".to_owned());
        assert_eq!(parse("return_to=%2Fa/../b%3Fc"), Ok(good));
        for bad in [
            "return_to=",
            "return_to=%2F%2Fevil",
            "return_to=/%ff",
            "return_to=/&return_to=/",
            "return_to=https://evil/",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

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

    #[test]
    fn the_body_of_a_refresh_is_json_with_a_token() {
        let token = "x".repeat(43);
        let json = format!(r#"{{"refresh_token":"{token}","more":1}}"#);
        let parse = |kind: &str, body: &str| {
            let request =
                TestRequest::default().insert_header((header::CONTENT_TYPE, kind)).to_http_request();
            RefreshBody::parse(request.headers(), body.as_bytes())
        };
        assert!(matches!(parse("text/plain", ""), Ok(RefreshBody::Empty)));
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(
                matches!(parse(kind, &json), Ok(RefreshBody::Token(own)) if own.reveal() == token),
                "{kind}"
            );
        }
        for kind in ["", "text/plain", "text/json", "application/jsonp", "application/x-www-form-urlencoded"]
        {
            assert_eq!(code_of(&parse(kind, &json).unwrap_err()), "unsupported_media_type", "{kind}");
        }
        for (body, code) in [
            ("{", "bad_request"),
            ("[]", "bad_request"),
            ("null", "bad_request"),
            (r#"{"refresh_token":7}"#, "bad_request"),
            (r#"{"token":"x"}"#, "bad_request"),
            (r#"{"refresh_token":""}"#, "session_invalid"),
            (r#"{"refresh_token":"x"}"#, "session_invalid"),
        ] {
            assert_eq!(code_of(&parse("application/json", body).unwrap_err()), code, "{body}");
        }
    }
}
