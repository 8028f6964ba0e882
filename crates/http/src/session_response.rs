//! Tokens in responses: as JSON, and as cookies.

use actix_web::HttpResponseBuilder;
use portico_core::flow::Tokens;
use serde::Serialize;
use url::Url;

use crate::metrics;
use crate::state::Portico;

/// The JSON of a login or a refresh (RFC 6749 5.1).
#[derive(Serialize)]
pub(crate) struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_to: Option<&'a str>,
}

impl<'a> TokenResponse<'a> {
    pub(crate) fn new(tokens: &'a Tokens) -> Self {
        Self {
            access_token: &tokens.access,
            token_type: "Bearer",
            expires_in: tokens.expires_in,
            refresh_token: None,
            return_to: None,
        }
    }

    /// Adds the URL where the client continues.
    pub(crate) fn with_return_to(self, return_to: &'a Url) -> Self {
        Self { return_to: Some(return_to.as_str()), ..self }
    }

    /// Adds the refresh token, for clients that use no cookies.
    pub(crate) fn with_refresh_token(self, tokens: &'a Tokens) -> Self {
        Self { refresh_token: Some(tokens.refresh.reveal()), ..self }
    }
}

/// Adds a session's cookies to a response.
pub(crate) fn set_session_cookies(
    mut response: HttpResponseBuilder,
    portico: &Portico,
    tokens: &Tokens,
) -> HttpResponseBuilder {
    metrics::access_token(tokens.access.len());
    let csrf = portico.broker().sessions().csrf(tokens.entry.session.id);
    for cookie in portico.front().cookies.session(tokens, csrf) {
        response.cookie(cookie);
    }
    response
}
