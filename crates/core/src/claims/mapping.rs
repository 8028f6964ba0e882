//! Which claim has which meaning, and where it is in a document.

use serde_json::{Map, Value};

use super::identity::Email;

/// The location of a claim in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimPath {
    /// A top-level name, taken literally: dots, slashes and colons have no meaning.
    Name(String),
    /// A JSON Pointer (RFC 6901), beginning with `/`.
    Pointer(String),
}

impl ClaimPath {
    /// Parses a setting: a pointer if it starts with `/`, otherwise a name. `None` if it is empty.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" => None,
            pointer if pointer.starts_with('/') => Some(Self::Pointer(pointer.to_owned())),
            name => Some(Self::Name(name.to_owned())),
        }
    }

    /// The text of the setting.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Name(text) | Self::Pointer(text) => text,
        }
    }

    /// The claim's value, unless it is missing or null.
    pub fn find<'a>(&self, document: &'a Map<String, Value>) -> Option<&'a Value> {
        let found = match self {
            Self::Name(name) => document.get(name),
            Self::Pointer(pointer) => {
                let (first, rest) = split_pointer(pointer)?;
                document.get(&first).and_then(|value| value.pointer(rest))
            }
        };
        found.filter(|value| !value.is_null())
    }

    /// The name of the top-level claim that holds the value.
    pub(super) fn top_level(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name.clone()),
            Self::Pointer(pointer) => split_pointer(pointer).map(|(first, _)| first),
        }
    }
}

/// The first token of a pointer, unescaped, and what remains.
fn split_pointer(pointer: &str) -> Option<(String, &str)> {
    let tokens = pointer.strip_prefix('/')?;
    let end = tokens.find('/').unwrap_or(tokens.len());
    let (first, rest) = tokens.split_at_checked(end)?;
    Some((first.replace("~1", "/").replace("~0", "~"), rest))
}

/// The claim mapping of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimMap {
    /// The subject; `sub` unless configured otherwise.
    pub subject: ClaimPath,
    /// The name: the first of these that is not blank.
    pub name: Vec<ClaimPath>,
    /// The e-mail: the first of these that is not blank.
    pub email: Vec<ClaimPath>,
    /// Whether the e-mail is verified.
    pub email_verified: ClaimPath,
    /// The groups.
    pub groups: ClaimPath,
    /// How one string holds several groups.
    pub groups_separator: GroupsSeparator,
    /// Whether any setting needs groups.
    pub groups_wanted: bool,
}

impl ClaimMap {
    /// Whether a document lacks a name, an e-mail, or groups that are needed.
    pub(crate) fn is_incomplete(&self, document: &Map<String, Value>) -> bool {
        let lacks = |paths: &[ClaimPath]| paths.iter().all(|path| text_at(path, document).is_none());
        lacks(&self.name)
            || lacks(&self.email)
            || (self.groups_wanted && self.groups.find(document).is_none())
    }

    /// Whether a document has an e-mail address and says whether it is verified.
    pub(crate) fn has_judged_email(&self, document: &Map<String, Value>) -> bool {
        email_in(self, document).is_some_and(|email| email.verified.is_some())
    }

    /// Whether the subject is `sub`, as in OpenID Connect.
    pub fn is_by_sub(&self) -> bool {
        matches!(&self.subject, ClaimPath::Name(name) if name == "sub")
    }

    /// The issuer as it is written in identity keys: followed by `#claim` if the subject is not `sub`.
    pub fn namespace(&self, issuer: &str) -> String {
        if self.is_by_sub() { issuer.to_owned() } else { format!("{issuer}#{}", self.subject.as_str()) }
    }
}

/// How one string holds several groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupsSeparator {
    /// One string is one group.
    None,
    /// Separated by commas.
    Comma,
    /// Separated by blanks.
    Space,
}

impl GroupsSeparator {
    pub(super) fn split(self, text: &str) -> Vec<&str> {
        match self {
            Self::None => vec![text],
            Self::Comma => text.split(',').map(str::trim).collect(),
            Self::Space => text.split_ascii_whitespace().collect(),
        }
    }
}

/// The text of a claim, unless it is missing, blank or no string.
pub(super) fn text_at(path: &ClaimPath, document: &Map<String, Value>) -> Option<String> {
    let text = path.find(document)?.as_str()?;
    (!text.trim().is_empty()).then(|| text.to_owned())
}

/// The e-mail address of a document, and whether the same document calls it verified.
pub(super) fn email_in(map: &ClaimMap, document: &Map<String, Value>) -> Option<Email> {
    let address = map.email.iter().find_map(|path| text_at(path, document))?;
    let verified = map.email_verified.find(document).map(is_true);
    is_address(&address).then_some(Email { address, verified })
}

/// Whether a text is usable as an e-mail address: 1 to 254 bytes without blanks and control characters.
pub(super) fn is_address(text: &str) -> bool {
    !text.is_empty() && text.len() <= 254 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// True only for `true` and `"true"`.
pub(super) fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}
