//! The kinds of endpoints that Portico calls, with the limits of each.

use std::fmt;

use portico_core::error::UpstreamError;

/// The kind of the called endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The discovery document (OIDC Discovery 4).
    Discovery,
    /// The key set (RFC 7517 5).
    KeySet,
    /// The authorization endpoint (RFC 6749 3.1). Browsers use it; Portico calls it for `portico check` only.
    Authorization,
    /// The token endpoint (RFC 6749 3.2).
    Token,
    /// The userinfo endpoint (OIDC Core 5.3).
    Userinfo,
    /// The list of a user's e-mail addresses, in the format of GitHub.
    Emails,
    /// The look-up of a user's groups, in the format of Google Cloud Identity.
    Groups,
}

impl Endpoint {
    /// The name in errors and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery document",
            Self::KeySet => "key set",
            Self::Authorization => "authorization endpoint",
            Self::Token => "token endpoint",
            Self::Userinfo => "userinfo endpoint",
            Self::Emails => "list of e-mail addresses",
            Self::Groups => "group look-up",
        }
    }

    /// The value of the label `endpoint` in metrics and of the field `endpoint` in spans.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::KeySet => "jwks",
            Self::Authorization => "authorization",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
            Self::Emails => "emails",
            Self::Groups => "groups",
        }
    }

    /// Whether every login sends the same request. Requests to the other endpoints have a user's code or
    /// token.
    pub(crate) const fn has_same_request_for_all(self) -> bool {
        match self {
            Self::Discovery | Self::KeySet | Self::Authorization => true,
            Self::Token | Self::Userinfo | Self::Emails | Self::Groups => false,
        }
    }

    /// The largest accepted body, in bytes.
    pub(crate) const fn max_body(self) -> usize {
        match self {
            Self::Discovery | Self::Emails => 256 << 10,
            Self::KeySet | Self::Token => 512 << 10,
            Self::Userinfo | Self::Groups | Self::Authorization => 1 << 20,
        }
    }

    /// The error for a response of this endpoint that Portico cannot use.
    pub fn bad_response(self, problem: impl fmt::Display) -> UpstreamError {
        UpstreamError::BadResponse { endpoint: self.name(), problem: problem.to_string() }
    }
}
