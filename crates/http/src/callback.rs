//! What a callback brings: by a redirect in the query, or by a form in the body; never in both.

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use portico_core::error::LoginError;
use portico_core::pending_login::{SealedLogin, State};
use portico_core::provider::{Answer, AuthorizationResponse, ResponseMode};

use crate::cookies::RequestCookies;
use crate::error::{ApiError, Cause};
use crate::extract::{SlotPath, is_of_kind, shared};
use crate::query::once;

/// The longest values of a callback, in bytes (threats 10).
const LONGEST_CODE: usize = 8 * 1024;
const LONGEST_STATE: usize = 256;
const LONGEST_ISS: usize = 2 * 1024;
const LONGEST_ERROR: usize = 256;

/// The parameters of a callback, each at most once and of a sensible length.
pub(crate) struct CallbackParams {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
    /// Whether our own page posted them once more.
    reposted: bool,
    /// Whether they came as a form.
    posted: bool,
}

impl CallbackParams {
    fn parse(text: &str) -> Result<Self, &'static str> {
        Ok(Self {
            state: once(text, "state", LONGEST_STATE)?,
            code: once(text, "code", LONGEST_CODE)?.map(code).transpose()?,
            error: once(text, "error", LONGEST_ERROR)?,
            iss: once(text, "iss", LONGEST_ISS)?,
            reposted: once(text, "portico_repost", 1)?.as_deref() == Some("1"),
            posted: false,
        })
    }

    /// The parameters of a posted form (OAuth 2.0 Form Post Response Mode 2).
    fn of_form(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        if !is_of_kind(headers, "application/x-www-form-urlencoded") {
            return Err(Cause::UnsupportedMediaType.into());
        }
        let refused = LoginError::BadRequest("the form is not UTF-8");
        let text = std::str::from_utf8(body).map_err(|_| refused)?;
        Ok(Self { posted: true, ..Self::parse(text).map_err(LoginError::BadRequest)? })
    }

    /// The way that a slot's answers come; any other is refused before anything is looked at.
    fn check_method(request: &HttpRequest) -> Result<(), ApiError> {
        let SlotPath(id) = SlotPath::of(request)?;
        let mut slots = shared(request)?.broker().slots().map(|(slot, _)| slot);
        let mode = slots.find(|slot| slot.id() == id).map_or(ResponseMode::Query, |slot| slot.response_mode);
        let own = match mode {
            ResponseMode::Query => Method::GET,
            ResponseMode::FormPost => Method::POST,
        };
        if request.method() == own {
            return Ok(());
        }
        Err(ApiError::from(Cause::MethodNotAllowed).with(header::ALLOW, own.as_str()))
    }

    /// Whether the form came from another site, which brings no cookie along, and must come once more from our own.
    pub(crate) fn needs_repost(&self, request_cookies: &RequestCookies) -> bool {
        self.posted && !self.reposted && self.state.is_some() && self.login(request_cookies).is_err()
    }

    /// What is posted once more.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("code", &self.code), ("state", &self.state), ("iss", &self.iss), ("error", &self.error)];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// The login of this browser that the callback belongs to. One answer for whatever is wrong (threats C01).
    pub(crate) fn login(&self, request_cookies: &RequestCookies) -> Result<(State, SealedLogin), LoginError> {
        let state = self.state.as_deref().and_then(State::parse);
        let state = state.ok_or(LoginError::StateInvalid("the callback has no state of ours"))?;
        let login = request_cookies.login_of(&state);
        let login = login
            .ok_or(LoginError::StateInvalid("this browser has no login of that state, or has it twice"))?;
        Ok((state, login))
    }

    /// What the provider answers. An error wins over a code beside it (threats H18).
    pub(crate) fn response(self) -> AuthorizationResponse {
        let code = self.code.filter(|code| !code.is_empty());
        let answer = match (self.error, code) {
            (Some(error), _) => Answer::Error(error),
            (None, Some(code)) => Answer::Code(code.into()),
            (None, None) => Answer::Nothing,
        };
        AuthorizationResponse { answer, iss: self.iss }
    }
}

/// A code is visible ASCII and blanks (RFC 6749 A.11); nothing else is passed on to a provider.
fn code(text: String) -> Result<String, &'static str> {
    if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        Ok(text)
    } else {
        Err("the code has other characters than a code can have")
    }
}

impl FromRequest for CallbackParams {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if let Err(refused) = Self::check_method(request) {
            return Box::pin(async { Err(refused.into()) });
        }
        if request.method() == Method::GET {
            let parsed = Self::parse(request.query_string()).map_err(LoginError::BadRequest);
            return Box::pin(async { Ok(parsed.map_err(ApiError::from)?) });
        }
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, payload);
        Box::pin(async move { Ok(Self::of_form(&headers, &body.await?)?) })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_callback_is_taken_apart_strictly() {
        let long = |name: &str, length: usize| format!("{name}={}", "x".repeat(length));
        for (query, passes) in [
            (String::new(), true),
            ("code=c&state=s&iss=i&session_state=x&session_state=y".to_owned(), true),
            ("state[]=x&state[]=y&state=s&body=error".to_owned(), true),
            (long("code", 8192), true),
            (long("state", 256), true),
            (long("iss", 2048), true),
            (long("code", 8193), false),
            (long("state", 257), false),
            (long("iss", 2049), false),
            (long("error", 257), false),
            ("code=c&code=c".to_owned(), false),
            ("state=s&%73tate=t".to_owned(), false),
            ("iss=&iss=i".to_owned(), false),
            ("error=e&error=f".to_owned(), false),
            ("code=%ff".to_owned(), false),
            ("code=%20!%7E".to_owned(), true),
            ("code=a%1F".to_owned(), false),
            ("code=a%00b".to_owned(), false),
            ("code=%C3%A9".to_owned(), false),
            ("code=a%7F".to_owned(), false),
        ] {
            assert_eq!(CallbackParams::parse(&query).is_ok(), passes, "{query}");
        }
    }

    #[test]
    fn an_error_wins_over_a_code() {
        let response = |query: &str| CallbackParams::parse(query).unwrap().response();
        assert!(matches!(response("code=c&error=e").answer, Answer::Error(error) if error == "e"));
        assert!(
            matches!(response("code=c&iss="), AuthorizationResponse { answer: Answer::Code(_), iss: Some(iss) } if iss.is_empty())
        );
        for neither in ["", "code=", "iss=i"] {
            assert!(matches!(response(neither).answer, Answer::Nothing), "{neither}");
        }
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn a_form_is_a_form_and_brings_no_more_than_a_query() {
        let parse = |kind: &str, body: &[u8]| {
            let request =
                TestRequest::default().insert_header((header::CONTENT_TYPE, kind)).to_http_request();
            CallbackParams::of_form(request.headers(), body)
        };
        let params = parse(
            "Application/X-WWW-Form-URLencoded; charset=utf-8",
            b"code=c&state=s&user=%7B%7D&id_token=x",
        );
        let params = params.unwrap_or_else(|_| panic!("a form"));
        assert_eq!(params.pairs().collect::<Vec<_>>(), [("code", "c"), ("state", "s")]);
        assert!(params.posted && !params.reposted);
        assert!(parse(FORM, b"state=s&portico_repost=1").is_ok_and(|params| params.reposted));
        assert!(parse(FORM, b"state=s&portico_repost=2").is_ok_and(|params| !params.reposted));
        for (kind, body) in [
            ("text/plain", &b"code=c"[..]),
            ("", b"code=c"),
            ("application/json", b"{}"),
            (FORM, b"code=c&code=c"),
            (FORM, b"portico_repost=1&portico_repost=1"),
            (FORM, b"portico_repost=10"),
            (FORM, b"code=\xff"),
        ] {
            assert!(parse(kind, body).is_err(), "{kind} {body:?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Whatever is written there: what passes says each thing once, and says the same when it is written down again.
        #[test]
        fn h19_what_passes_is_said_once_and_stays_what_it_is(
            text in proptest::prop_oneof![
                proptest::arbitrary::any::<String>(),
                "((state|code|error|iss|portico_repost|%73tate|x)?=?(%[0-9a-f]{2}|[ -~]){0,6}&?){0,6}",
            ],
        ) {
            let decoded: Vec<_> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
            let named = |name: &str| decoded.iter().filter(|(own, _)| own == name).count();
            let known = ["state", "code", "error", "iss", "portico_repost"];
            match CallbackParams::parse(&text) {
                Err(_) => {
                    let odd = decoded.iter().any(|(name, value)| {
                        let foreign = value.contains('\u{fffd}') || (name == "code" && value.contains(|c| !(' '..='~').contains(&c)));
                        known.contains(&name.as_str()) && (value.len() > 1 || foreign)
                    });
                    proptest::prop_assert!(odd || known.iter().any(|name| named(name) > 1), "refused for nothing");
                }
                Ok(params) => {
                    proptest::prop_assert!(known.iter().all(|name| named(name) <= 1));
                    let pairs: Vec<_> = params.pairs().map(|(name, value)| (name, value.to_owned())).collect();
                    let written = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
                    let again = CallbackParams::parse(&written).unwrap();
                    let pairs_again: Vec<_> = again.pairs().map(|(name, value)| (name, value.to_owned())).collect();
                    proptest::prop_assert_eq!(&pairs, &pairs_again);
                    let error = named("error") == 1;
                    proptest::prop_assert_eq!(matches!(params.response().answer, Answer::Error(_)), error);
                }
            }
        }
    }
}
