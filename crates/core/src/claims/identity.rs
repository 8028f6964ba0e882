//! The parts of [`Claims`](super::Claims): identity key, e-mail, name and claims of the session.

use crate::slot::Protocol;

/// The key of a person at a provider. Only this key finds an account (except by the deprecated name
/// fallback). All three parts are compared as exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentityKey {
    /// The slot's protocol.
    pub protocol: Protocol,
    /// The issuer, or for OAuth 2.0 the identity namespace; followed by `#claim` if the subject is not `sub`.
    pub issuer: String,
    /// The provider's identifier of the person.
    pub subject: Subject,
}

/// A subject identifier: 1 to 255 bytes, not blank, without control characters (OIDC Core 2, 5.7).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject(String);

impl Subject {
    /// Accepts a usable subject unchanged.
    ///
    /// # Errors
    /// A fixed text that says why it is not usable.
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

/// An e-mail address as the provider sent it, at most 254 bytes. For display only; it never finds an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The address.
    pub address: String,
    /// Whether the same document calls it verified; `None` if the document does not say.
    pub verified: Option<bool>,
}

/// The name of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedName {
    /// The text as the provider sent it.
    pub text: String,
    /// Whether it may find a local account to adopt: it is the first entry of `name_claim`, from a
    /// verified document.
    pub adoptable: bool,
}

/// The claims that belong to a session. Every login has its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct SessionClaims {
    /// Groups; `None` if the provider sent no groups claim, which differs from an empty list.
    pub groups: Option<Vec<String>>,
    /// Whether the provider omitted the groups because there are too many (Entra ID).
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
    /// Whether the provider calls that e-mail verified.
    pub email_verified: bool,
    /// Entra ID's tenant, from the ID token.
    pub tid: Option<String>,
    /// Google's hosted domain, from the ID token.
    pub hd: Option<String>,
}

/// The documents have no usable subject. The text says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no usable subject: {0}")]
pub struct ClaimsError(pub &'static str);
