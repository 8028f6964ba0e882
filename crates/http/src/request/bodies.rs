//! The bodies of requests: JSON objects and forms.

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use portico_core::error::SessionError;
use portico_core::session::RefreshToken;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Cause};
use crate::headers::is_of_kind;
use crate::request::query::once;

const FORM: &str = "application/x-www-form-urlencoded";

/// Longer than any break-glass code.
const LONGEST_CODE: usize = 256;

/// Longer than any logout token that is accepted; the body has a limit of its own.
const LONGEST_TOKEN: usize = 64 * 1024;

/// The body that exchanges a hand-off code.
#[derive(Deserialize)]
pub(crate) struct HandOffBody {
    pub(crate) code: String,
    pub(crate) code_verifier: String,
}

/// The body of a refresh.
#[derive(Debug)]
pub(crate) enum RefreshBody {
    /// Empty: the cookie counts.
    Empty,
    /// The refresh token of a client without cookies.
    Token(RefreshToken),
}

/// The form of the break-glass page: the code.
pub(crate) struct BreakGlassForm(pub(crate) SecretString);

/// The form of a back-channel logout (OIDC Back-Channel Logout 1.0, 2.5): the logout token, or what is wrong.
pub(crate) struct LogoutForm(pub(crate) Result<SecretString, &'static str>);

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
        Ok(Self::Token(token.ok_or(SessionError::Invalid("the body's refresh token is malformed"))?))
    }
}

impl BreakGlassForm {
    fn parse(body: &[u8]) -> Result<Self, Cause> {
        let code = form_value(body, "code", LONGEST_CODE).map_err(Cause::BadRequest)?;
        code.map(Self).ok_or(Cause::BadRequest("there is no code"))
    }
}

impl LogoutForm {
    fn parse(body: &[u8]) -> Result<SecretString, &'static str> {
        form_value(body, "logout_token", LONGEST_TOKEN)?.ok_or("there is no logout_token")
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

impl FromRequest for RefreshBody {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, payload);
        Box::pin(async move { Ok(Self::parse(&headers, &body.await?)?) })
    }
}

impl FromRequest for BreakGlassForm {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_form = is_of_kind(request.headers(), FORM);
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            let body = body.await?;
            let parsed = if is_form { Self::parse(&body) } else { Err(Cause::UnsupportedMediaType) };
            Ok(parsed.map_err(ApiError::from)?)
        })
    }
}

impl FromRequest for LogoutForm {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_form = is_of_kind(request.headers(), FORM);
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            let body = body.await?;
            Ok(Self(if is_form { Self::parse(&body) } else { Err("the body is no form") }))
        })
    }
}

/// A body whose type is JSON, and that is valid JSON.
fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Cause> {
    if !is_of_kind(headers, "application/json") {
        return Err(Cause::UnsupportedMediaType);
    }
    serde_json::from_slice(body).map_err(|_| Cause::BadRequest("the body is not the expected JSON"))
}

/// The value of a field of a form.
fn form_value(body: &[u8], name: &str, longest: usize) -> Result<Option<SecretString>, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the form is not UTF-8")?;
    Ok(once(text, name, longest)?.map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header;
    use actix_web::test::TestRequest;

    use super::*;
    use crate::error::code_of;

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
