//! What a provider said of a person: the identity key, the e-mail, the name and the claims of the session.

use crate::slot::Protocol;

/// Who a person is at a provider: the one thing that finds an account. All three parts are compared as exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentityKey {
    /// The protocol spoken.
    pub protocol: Protocol,
    /// The issuer, or for OAuth 2.0 the identity namespace; followed by `#claim` when the subject is not `sub`.
    pub issuer: String,
    /// The provider's identifier of the person.
    pub subject: Subject,
}

/// A subject identifier: 1 to 255 bytes, not only blanks, no control characters (OIDC Core 2, 5.7).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject(String);

impl Subject {
    /// Accepts a usable subject and nothing else; never shortens or trims.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "" => Err("it is empty"),
            long if long.len() > 255 => Err("it is longer than 255 bytes"),
            blank if blank.trim().is_empty() => Err("it is blank"),
            odd if odd.chars().any(char::is_control) => Err("it has control characters"),
            fine => Ok(Self(fine.to_owned())),
        }
    }

    /// The exact text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An e-mail address as the provider gave it: at most 254 bytes, for display and hints, never for finding anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The address.
    pub address: String,
    /// What the same document said of it; `None` when it said nothing.
    pub verified: Option<bool>,
}

/// What the person is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedName {
    /// The text as it came.
    pub text: String,
    /// Whether it may find a local account to adopt: the first entry of `name_claim`, from a verified source.
    pub adoptable: bool,
}

/// What the provider said beyond identity; belongs to the session, replaced at every login.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct SessionClaims {
    /// Groups; `None` when the provider sent none at all, which is not the same as an empty list.
    pub groups: Option<Vec<String>>,
    /// The provider left groups out because there were too many (Entra ID).
    pub groups_overage: bool,
    /// Authentication methods (RFC 8176).
    pub amr: Option<Vec<String>>,
    /// Authentication context class (OIDC Core 2).
    pub acr: Option<String>,
    /// The provider's session id (OIDC Back-Channel Logout 1.0, 2.1).
    pub idp_sid: Option<String>,
    /// The subject, for the access rule.
    pub subject: Option<String>,
    /// The e-mail, for the access rule.
    pub email: Option<String>,
    /// Whether the provider called that e-mail verified.
    pub email_verified: bool,
    /// Entra ID's tenant, from the ID token.
    pub tid: Option<String>,
    /// Google's hosted domain, from the ID token.
    pub hd: Option<String>,
}

/// The documents have no usable subject; the text says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no usable subject: {0}")]
pub struct ClaimsError(pub &'static str);
