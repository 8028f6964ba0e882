//! The parameters of a callback: in the query of a redirect, or in the body of a form; never in both.

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use portico_core::error::LoginError;
use portico_core::pending_login::{ReturnedLogin, State};
use portico_core::provider::{Answer, AuthorizationResponse, ResponseMode, Slot};

use crate::error::{ApiError, Cause};
use crate::headers::is_of_kind;
use crate::request::cookies::RequestCookies;
use crate::request::query::once;
use crate::request::slot::RequestedSlot;

/// The longest values of a callback, in bytes (threats 10).
const LONGEST_CODE: usize = 8 * 1024;
const LONGEST_STATE: usize = 256;
const LONGEST_ISS: usize = 2 * 1024;
const LONGEST_ERROR: usize = 256;

/// A callback: the slot of its path and the parameters, by the method that the slot takes.
pub(crate) struct CallbackRequest {
    pub(crate) slot: RequestedSlot,
    pub(crate) params: CallbackParams,
}

/// The parameters of a callback, each at most once and of limited length.
pub(crate) struct CallbackParams {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
    /// Whether the repost page sent them.
    reposted: bool,
    /// Whether they came as a form.
    posted: bool,
}

/// The method by which a slot's provider sends the browser to the callback.
pub(crate) const fn callback_method(slot: &Slot) -> Method {
    match slot.response_mode {
        ResponseMode::Query => Method::GET,
        ResponseMode::FormPost => Method::POST,
    }
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
    fn parse_form(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        if !is_of_kind(headers, "application/x-www-form-urlencoded") {
            return Err(Cause::UnsupportedMediaType.into());
        }
        let refused = LoginError::BadRequest("the form is not UTF-8");
        let text = std::str::from_utf8(body).map_err(|_| refused)?;
        Ok(Self { posted: true, ..Self::parse(text).map_err(LoginError::BadRequest)? })
    }

    /// Whether the form may come from another site, where the browser does not send the login's cookie. Then
    /// it must be posted again from Portico's own site.
    pub(crate) fn may_be_reposted(&self) -> bool {
        self.posted && !self.reposted && self.state.is_some()
    }

    /// The parameters that are posted again.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("code", &self.code), ("state", &self.state), ("iss", &self.iss), ("error", &self.error)];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// This browser's login that the callback belongs to. All failures have the same code (threats C01).
    pub(crate) fn login(&self, cookies: &RequestCookies) -> Result<ReturnedLogin, LoginError> {
        let state = self.state.as_deref().and_then(State::parse);
        let state = state.ok_or(LoginError::StateInvalid("the callback has no valid state"))?;
        cookies.login_of(state).ok_or(LoginError::StateInvalid(
            "the browser sent no cookie of a login with this state, or sent it twice",
        ))
    }

    /// The provider's response. An error takes precedence over a code (threats H18).
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

/// A code is visible ASCII and spaces (RFC 6749 A.11); no other text is sent to a provider.
fn code(text: String) -> Result<String, &'static str> {
    if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        Ok(text)
    } else {
        Err("the code has characters that no code can have")
    }
}

impl FromRequest for CallbackRequest {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let slot = match RequestedSlot::find(request) {
            Ok(slot) => slot,
            Err(unknown) => return Box::pin(async { Err(unknown.into()) }),
        };
        let method = callback_method(&slot);
        if request.method() != method {
            return Box::pin(async move { Err(ApiError::method_not_allowed(method.as_str()).into()) });
        }
        if method == Method::GET {
            let parsed = CallbackParams::parse(request.query_string()).map_err(LoginError::BadRequest);
            return Box::pin(async { Ok(Self { slot, params: parsed.map_err(ApiError::from)? }) });
        }
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, payload);
        Box::pin(
            async move { Ok(Self { slot, params: CallbackParams::parse_form(&headers, &body.await?)? }) },
        )
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header;
    use actix_web::test::TestRequest;
    use proptest::prelude::ProptestConfig;

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
        assert!(matches!(
            response("code=c&iss="),
            AuthorizationResponse { answer: Answer::Code(_), iss: Some(iss) } if iss.is_empty()
        ));
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
            CallbackParams::parse_form(request.headers(), body)
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
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Accepted parameters occur once each, and are the same after they are written and parsed again.
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
                        let foreign = value.contains('\u{fffd}')
                            || (name == "code" && value.contains(|c| !(' '..='~').contains(&c)));
                        known.contains(&name.as_str()) && (value.len() > 1 || foreign)
                    });
                    let doubled = known.iter().any(|name| named(name) > 1);
                    proptest::prop_assert!(odd || doubled, "refused without a reason");
                }
                Ok(params) => {
                    proptest::prop_assert!(known.iter().all(|name| named(name) <= 1));
                    let owned = |params: &CallbackParams| {
                        params.pairs().map(|(name, value)| (name, value.to_owned())).collect::<Vec<_>>()
                    };
                    let pairs = owned(&params);
                    let mut written = url::form_urlencoded::Serializer::new(String::new());
                    let again = CallbackParams::parse(&written.extend_pairs(&pairs).finish()).unwrap();
                    let pairs_again = owned(&again);
                    proptest::prop_assert_eq!(&pairs, &pairs_again);
                    let error = named("error") == 1;
                    proptest::prop_assert_eq!(matches!(params.response().answer, Answer::Error(_)), error);
                }
            }
        }
    }
}
