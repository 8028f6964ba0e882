//! The findings about a slot that need no login.

use std::fmt;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckVerdict {
    /// The check passed.
    Ok,
    /// The check failed: logins fail, or will fail soon.
    Bad,
    /// Portico cannot find out.
    Unknown,
}

impl CheckVerdict {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check: `dns`, `tls`, `discovery`, `issuer`, `jwks`, `algorithms`, `pkce`,
    /// `auth_method`, `redirect_uri` or `client_secret`.
    pub check: &'static str,
    /// The result.
    pub verdict: CheckVerdict,
    /// A sentence for the operator that says what to do. Contains no secret.
    pub message: String,
}

impl Finding {
    /// A check that passed.
    pub fn ok(check: &'static str, message: impl fmt::Display) -> Self {
        Self { check, verdict: CheckVerdict::Ok, message: message.to_string() }
    }

    /// A check that failed.
    pub fn bad(check: &'static str, message: impl fmt::Display) -> Self {
        Self { check, verdict: CheckVerdict::Bad, message: message.to_string() }
    }

    /// A check without a result.
    pub fn unknown(check: &'static str, message: impl fmt::Display) -> Self {
        Self { check, verdict: CheckVerdict::Unknown, message: message.to_string() }
    }
}
