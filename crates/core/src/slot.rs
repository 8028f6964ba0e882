//! The six slots for identity providers, and their names.

use std::fmt;
use std::str::FromStr;

/// The protocol of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// OpenID Connect.
    Oidc,
    /// OAuth 2.0 with a userinfo endpoint.
    OAuth2,
}

impl Protocol {
    /// Both protocols, in the order of the login buttons.
    pub const ALL: [Self; 2] = [Self::Oidc, Self::OAuth2];

    /// The name used in URLs, TOML and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::OAuth2 => "oauth2",
        }
    }
}

impl FromStr for Protocol {
    type Err = UnknownSlot;

    fn from_str(text: &str) -> Result<Self, UnknownSlot> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text).ok_or(UnknownSlot)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a slot within its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotName {
    /// The first slot for any provider.
    Provider1,
    /// The second slot for any provider.
    Provider2,
    /// The slot for Google, whose endpoints need no settings.
    Google,
}

impl SlotName {
    /// All names, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Provider1, Self::Provider2, Self::Google];

    /// The name used in URLs, TOML and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider1 => "provider1",
            Self::Provider2 => "provider2",
            Self::Google => "google",
        }
    }
}

impl FromStr for SlotName {
    type Err = UnknownSlot;

    fn from_str(text: &str) -> Result<Self, UnknownSlot> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or(UnknownSlot)
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One of the six slots, written `oidc/provider1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// The protocol.
    pub protocol: Protocol,
    /// The name within the protocol.
    pub name: SlotName,
}

impl SlotId {
    /// All six slots, OpenID Connect first.
    pub fn all() -> impl Iterator<Item = Self> {
        Protocol::ALL.into_iter().flat_map(|protocol| SlotName::ALL.map(|name| Self { protocol, name }))
    }
}

impl FromStr for SlotId {
    type Err = UnknownSlot;

    fn from_str(text: &str) -> Result<Self, UnknownSlot> {
        let (protocol, name) = text.split_once('/').ok_or(UnknownSlot)?;
        Ok(Self { protocol: protocol.parse()?, name: name.parse()? })
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.name)
    }
}

/// The text names none of the six slots. Names are compared exactly: `Provider1` is not `provider1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such slot")]
pub struct UnknownSlot;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for id in SlotId::all() {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in [
            "",
            "oidc",
            "oidc/Provider1",
            "OIDC/provider1",
            "oidc/provider1/",
            "oidc/provider1\0",
            "saml/google",
        ] {
            assert_eq!(wrong.parse::<SlotId>(), Err(UnknownSlot), "{wrong:?}");
        }
    }
}
