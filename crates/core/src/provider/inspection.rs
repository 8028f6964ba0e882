//! What can be said of a slot without anybody logging in.

use std::fmt;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckVerdict {
    /// It is as it must be.
    Ok,
    /// It is not, and people cannot log in or soon cannot.
    Bad,
    /// It cannot be told from here.
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

/// One check and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name: `dns`, `tls`, `discovery`, `issuer`, `jwks`, `algorithms`, `pkce`, `auth_method`, `redirect_uri`, `client_secret`.
    pub check: &'static str,
    /// What it found.
    pub verdict: CheckVerdict,
    /// A sentence for the operator, with what to do; nothing secret.
    pub message: String,
}

impl Finding {
    /// It is as it must be.
    pub fn ok(check: &'static str, message: impl fmt::Display) -> Self {
        Self { check, verdict: CheckVerdict::Ok, message: message.to_string() }
    }

    /// It is not.
    pub fn bad(check: &'static str, message: impl fmt::Display) -> Self {
        Self { check, verdict: CheckVerdict::Bad, message: message.to_string() }
    }

    /// It cannot be told.
    pub fn unknown(check: &'static str, message: impl fmt::Display) -> Self {
        Self { check, verdict: CheckVerdict::Unknown, message: message.to_string() }
    }
}
