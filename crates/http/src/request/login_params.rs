//! The parameters that begin a login: in the query of its start, of a link, and of the login page.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use portico_core::error::LoginError;
use portico_core::public_url::PublicUrl;
use portico_core::return_to::{LoginParams, ReturnTo, WebOrigin};
use portico_core::session::Challenge;

use crate::error::ApiError;
use crate::request::query::once;
use crate::state::Portico;

/// Longer than any `return_to` that is accepted.
const LONGEST_RETURN_TO: usize = 16 * 1024;

/// Longer than any challenge or method that is accepted.
const LONGEST_CHALLENGE: usize = 256;

/// The parameters of a login: where it leads, always to an allowed origin, and whether it ends with a
/// hand-off.
#[derive(Debug)]
pub(crate) struct LoginQuery {
    /// Where the login leads.
    pub(crate) return_to: ReturnTo,
    /// The frontend's challenge, if it asks for a hand-off.
    pub(crate) challenge: Option<Challenge>,
    written: Written,
}

/// The parameters as they are written in the query.
#[derive(Debug)]
struct Written {
    return_to: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

impl LoginQuery {
    fn parse(query: &str, public: &PublicUrl, origins: &[WebOrigin]) -> Result<Self, &'static str> {
        let written = Written {
            return_to: once(query, "return_to", LONGEST_RETURN_TO)?,
            code_challenge: once(query, "code_challenge", LONGEST_CHALLENGE)?,
            code_challenge_method: once(query, "code_challenge_method", LONGEST_CHALLENGE)?,
        };
        let params = LoginParams {
            return_to: written.return_to.as_deref(),
            code_challenge: written.code_challenge.as_deref(),
            code_challenge_method: written.code_challenge_method.as_deref(),
        };
        let (return_to, challenge) = params.parse(public, origins)?;
        Ok(Self { return_to, challenge, written })
    }

    /// Whether the query names a `return_to`.
    pub(crate) fn has_return_to(&self) -> bool {
        self.written.return_to.is_some()
    }

    /// The parameters as they are written, for a link that repeats them.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("return_to", &self.written.return_to),
            ("code_challenge", &self.written.code_challenge),
            ("code_challenge_method", &self.written.code_challenge_method),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

impl FromRequest for LoginQuery {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Portico::serving(request).and_then(|portico| {
            let front = portico.front();
            let parsed = Self::parse(request.query_string(), &front.public_url, &front.return_origins);
            parsed.map_err(|why| LoginError::BadRequest(why).into())
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_to_stays_at_home() {
        let public = PublicUrl::parse("https://app.example.com/sso").unwrap();
        let parse = |query: &str| {
            LoginQuery::parse(query, &public, &[]).map(|login_query| {
                let url = login_query.return_to.url(&public).unwrap();
                (login_query.written.return_to, url.to_string())
            })
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
}
