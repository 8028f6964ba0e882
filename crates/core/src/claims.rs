//! What a provider says of a person, read once and made trustworthy or refused.

mod documents;

use secrecy::SecretString;
use serde_json::{Map, Value};

use self::documents::{Documents, email_in, is_address, is_fit, text_at};
use crate::error::UpstreamError;
use crate::provider::{Issuer, Slot};
use crate::slot::{Protocol, SlotId};

/// Where in a document a claim stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimPath {
    /// A top-level name, taken literally: dots, slashes and colons mean nothing.
    Name(String),
    /// A JSON Pointer (RFC 6901), beginning with `/`.
    Pointer(String),
}

impl ClaimPath {
    /// A pointer when the text starts with `/`, otherwise a name. Empty text names nothing.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" => None,
            pointer if pointer.starts_with('/') => Some(Self::Pointer(pointer.to_owned())),
            name => Some(Self::Name(name.to_owned())),
        }
    }

    /// The setting's text.
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
    fn top_level(&self) -> Option<String> {
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

/// Which claims of a slot's provider mean what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimMap {
    /// The subject; `sub` unless the operator says otherwise.
    pub subject: ClaimPath,
    /// The name: the first non-empty of these.
    pub name: Vec<ClaimPath>,
    /// The e-mail: the first non-empty of these.
    pub email: Vec<ClaimPath>,
    /// Whether the e-mail is verified.
    pub email_verified: ClaimPath,
    /// The groups.
    pub groups: ClaimPath,
    /// How one string holds several groups.
    pub groups_separator: GroupsSeparator,
    /// Whether anything is configured that needs groups.
    pub groups_wanted: bool,
}

impl ClaimMap {
    /// Whether people are told apart by `sub`, as OpenID Connect has it.
    pub fn is_by_sub(&self) -> bool {
        matches!(&self.subject, ClaimPath::Name(name) if name == "sub")
    }

    /// What stands for the issuer in the identity keys of these claims.
    pub fn namespace(&self, issuer: &str) -> String {
        if self.is_by_sub() { issuer.to_owned() } else { format!("{issuer}#{}", self.subject.as_str()) }
    }
}

/// How one string holds several groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupsSeparator {
    /// Not at all: one string is one group.
    None,
    /// With commas between.
    Comma,
    /// With blanks between.
    Space,
}

impl GroupsSeparator {
    fn split(self, text: &str) -> Vec<&str> {
        match self {
            Self::None => vec![text],
            Self::Comma => text.split(',').map(str::trim).collect(),
            Self::Space => text.split_ascii_whitespace().collect(),
        }
    }
}

/// Documents that passed their checks. Whoever builds one vouches for them.
#[derive(Debug)]
pub enum Evidence {
    /// OpenID Connect: a checked ID token, and userinfo whose `sub` was compared with it.
    Oidc {
        /// The issuer in whose name the identity is stored: the pinned or discovered one, never an alias.
        issuer: Issuer,
        /// The ID token's claims.
        id_token: Map<String, Value>,
        /// Whether the token's signature was verified.
        signed: bool,
        /// Userinfo, when read.
        userinfo: Option<Map<String, Value>>,
    },
    /// OAuth 2.0: userinfo fetched with the access token of this login.
    OAuth2 {
        /// Stands in for an issuer.
        namespace: String,
        /// The userinfo document.
        userinfo: Map<String, Value>,
    },
}

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

/// A person as a provider vouches for them. Made only from [`Evidence`].
#[derive(Debug, Clone)]
pub struct Claims {
    slot: SlotId,
    client_id: String,
    identity: IdentityKey,
    name: Option<ClaimedName>,
    preferred_username: Option<String>,
    email: Option<Email>,
    session_claims: SessionClaims,
    groups_unknown: bool,
    id_token: Option<SecretString>,
}

impl Claims {
    /// Reads checked documents as the slot's settings say.
    ///
    /// # Errors
    /// [`UpstreamError::ClaimsIncomplete`] when there is no usable subject.
    pub fn read(slot: &Slot, evidence: &Evidence) -> Result<Self, UpstreamError> {
        let documents = Documents::new(evidence);
        let map = &slot.claims;
        let source = match evidence {
            Evidence::Oidc { issuer, .. } => issuer.as_str(),
            Evidence::OAuth2 { namespace, .. } => namespace,
        };
        let issuer = map.namespace(source);
        let subject = documents.subject(&map.subject)?;
        let email = documents.email(map);
        Ok(Self {
            slot: slot.id(),
            client_id: slot.client_id.clone(),
            name: documents.name(map),
            preferred_username: documents.text(&ClaimPath::Name("preferred_username".to_owned())),
            session_claims: documents.session_claims(map, &subject, email.as_ref()),
            identity: IdentityKey { protocol: slot.id().protocol, issuer, subject },
            email,
            groups_unknown: false,
            id_token: None,
        })
    }

    /// With the address that the provider, asked for it, called the person's primary and verified one.
    #[must_use]
    pub fn with_email(mut self, address: String) -> Self {
        if is_address(&address) {
            self.session_claims.email = Some(address.clone());
            self.session_claims.email_verified = true;
            self.email = Some(Email { address, verified: Some(true) });
        }
        self
    }

    /// With the groups that were looked up, in place of whatever the documents say; `None` when nobody could tell.
    #[must_use]
    pub fn with_groups(mut self, groups: Option<Vec<String>>) -> Self {
        self.session_claims.groups = groups.filter(|groups| is_fit(groups));
        self.groups_unknown = self.session_claims.groups.is_none();
        self
    }

    /// With the ID token itself, where the provider has a use for it at logout.
    #[must_use]
    pub fn with_id_token(self, id_token: SecretString) -> Self {
        Self { id_token: Some(id_token), ..self }
    }

    /// The ID token, where it is kept.
    pub fn id_token(&self) -> Option<&SecretString> {
        self.id_token.as_ref()
    }

    /// The slot the person came through.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// Our client identifier at the provider at this login; recorded, not part of the key.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The identity.
    pub fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// The name, if the provider gave one.
    pub fn name(&self) -> Option<&ClaimedName> {
        self.name.as_ref()
    }

    /// `preferred_username` (OIDC Core 5.1), for display only.
    pub fn preferred_username(&self) -> Option<&str> {
        self.preferred_username.as_deref()
    }

    /// The e-mail, if the provider gave one.
    pub fn email(&self) -> Option<&Email> {
        self.email.as_ref()
    }

    /// Whether the person may have groups that nobody could tell: not the same as having been sent none.
    pub fn groups_unknown(&self) -> bool {
        self.groups_unknown || self.session_claims.groups_overage
    }

    /// What belongs to the session.
    pub fn session_claims(&self) -> &SessionClaims {
        &self.session_claims
    }
}

/// Whether the ID token lacks a claim that the slot's settings name, so that userinfo must be asked.
pub fn userinfo_needed(slot: &Slot, id_token: &Map<String, Value>) -> bool {
    let map = &slot.claims;
    let lacks = |paths: &[ClaimPath]| paths.iter().all(|path| text_at(path, id_token).is_none());
    lacks(&map.name)
        || lacks(&map.email)
        || (map.groups_wanted && map.groups.find(id_token).is_none())
        || rule_needs_userinfo(slot, id_token)
}

/// Whether the access rule asks for a claim that the ID token lacks and userinfo may have: without userinfo nobody knows
/// whether the person may come in (section 2.5 of the contract).
pub fn rule_needs_userinfo(slot: &Slot, id_token: &Map<String, Value>) -> bool {
    let (map, rule) = (&slot.claims, &slot.access);
    let groups = || map.groups.find(id_token).is_some();
    let marked_email = || email_in(map, id_token).is_some_and(|email| email.verified.is_some());
    (!rule.groups.is_empty() && !groups()) || (!rule.email_domains.is_empty() && !marked_email())
}

#[cfg(test)]
pub(crate) mod tests;
