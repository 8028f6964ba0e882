//! What the documents of a login say, and which of them is believed in what. Knows no slot and decides nothing about
//! anybody.

use serde_json::{Map, Value};

use super::identity::{ClaimedName, ClaimsError, Email, SessionClaims, Subject};
use super::mapping::{ClaimMap, ClaimPath, GroupsSeparator, email_in, is_true, text_at};
use crate::provider::issuer::Issuer;

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

/// Claims that only the ID token may supply, whatever userinfo says.
const ID_TOKEN_ONLY: [&str; 13] =
    ["iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "sub", "auth_time", "acr", "amr", "tid", "hd"];

/// The documents of one login, the more trustworthy first.
pub(super) struct Documents<'a> {
    first: &'a Map<String, Value>,
    second: Option<&'a Map<String, Value>>,
    /// Whether names in them come from a verified source.
    verified: bool,
    oidc: bool,
}

impl<'a> Documents<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        match evidence {
            Evidence::Oidc { id_token, signed, userinfo, .. } => {
                Self { first: id_token, second: userinfo.as_ref(), verified: *signed, oidc: true }
            }
            Evidence::OAuth2 { userinfo, .. } => {
                Self { first: userinfo, second: None, verified: true, oidc: false }
            }
        }
    }

    fn find(&self, path: &ClaimPath) -> Option<&'a Value> {
        path.find(self.first)
            .or_else(|| self.second.filter(|_| may_come_from_userinfo(path)).and_then(|d| path.find(d)))
    }

    pub(super) fn text(&self, path: &ClaimPath) -> Option<String> {
        [Some(self.first), self.second.filter(|_| may_come_from_userinfo(path))]
            .into_iter()
            .flatten()
            .find_map(|document| text_at(path, document))
    }

    /// OIDC Core 5.3.2, 5.7: the ID token's `sub`, or for OAuth 2.0 the userinfo's, where whole numbers count too.
    pub(super) fn subject(&self, path: &ClaimPath) -> Result<Subject, ClaimsError> {
        let refuse = ClaimsError;
        match path.find(self.first) {
            None => Err(refuse("it is missing")),
            Some(Value::String(text)) => Subject::parse(text).map_err(refuse),
            Some(Value::Number(number)) if !self.oidc => {
                let digits = number.to_string();
                let whole = digits.strip_prefix('-').unwrap_or(&digits).bytes().all(|b| b.is_ascii_digit());
                if !whole || digits == "0" || digits == "-0" {
                    return Err(refuse("it is not a non-zero whole number"));
                }
                Subject::parse(&digits).map_err(refuse)
            }
            Some(_) => Err(refuse("it has the wrong type")),
        }
    }

    pub(super) fn name(&self, map: &ClaimMap) -> Option<ClaimedName> {
        map.name.iter().enumerate().find_map(|(index, path)| {
            self.text(path).map(|text| ClaimedName { text, adoptable: index == 0 && self.verified })
        })
    }

    /// The first document's address. Its mark always comes from a document with that very address.
    pub(super) fn email(&self, map: &ClaimMap) -> Option<Email> {
        let mut found = [Some(self.first), self.second]
            .into_iter()
            .flatten()
            .filter_map(|document| email_in(map, document));
        let first = found.next()?;
        match first.verified {
            Some(_) => Some(first),
            None => found.find(|other| other.address == first.address).or(Some(first)),
        }
    }

    pub(super) fn session_claims(
        &self,
        map: &ClaimMap,
        subject: &Subject,
        email: Option<&Email>,
    ) -> SessionClaims {
        let only_id_token = |name: &str| self.oidc.then(|| self.first.get(name)).flatten();
        let short = |name: &str| {
            only_id_token(name).and_then(Value::as_str).filter(|text| text.len() <= 255).map(str::to_owned)
        };
        let groups = self.find(&map.groups).and_then(|value| groups_in(value, map.groups_separator));
        SessionClaims {
            groups_overage: groups.is_none() && self.has_overage(&map.groups),
            groups,
            amr: only_id_token("amr")
                .and_then(|value| groups_in(value, GroupsSeparator::None))
                .filter(|methods| is_short(methods)),
            acr: short("acr").filter(|acr| acr.len() <= 128),
            idp_sid: short("sid"),
            subject: Some(subject.as_str().to_owned()),
            email: email.map(|email| email.address.clone()),
            email_verified: email.is_some_and(|email| email.verified == Some(true)),
            tid: short("tid"),
            hd: short("hd"),
        }
    }

    /// Entra ID's markers that groups were too many to send.
    fn has_overage(&self, groups: &ClaimPath) -> bool {
        let claim_names = self.first.get("_claim_names").and_then(Value::as_object);
        let named =
            groups.top_level().is_some_and(|name| claim_names.is_some_and(|names| names.contains_key(&name)));
        named || self.first.get("hasgroups").is_some_and(is_true)
    }
}

/// Security claims come from the ID token or not at all.
fn may_come_from_userinfo(path: &ClaimPath) -> bool {
    path.top_level().is_some_and(|name| !ID_TOKEN_ONLY.contains(&name.as_str()))
}

/// Short enough for a token that must fit a cookie.
fn is_short(methods: &[String]) -> bool {
    methods.len() <= 16 && methods.iter().all(|method| method.len() <= 32)
}

/// The shapes that groups come in: one string (perhaps of several, separated), a list of strings, a list of objects with
/// a `name`, or the keys of a map. At most 1000 of 256 bytes; anything else is not a list of groups.
fn groups_in(value: &Value, separator: GroupsSeparator) -> Option<Vec<String>> {
    let named = |entry: &'_ Value| -> Option<String> {
        entry.as_str().or_else(|| entry.get("name")?.as_str()).map(str::to_owned)
    };
    let groups: Vec<String> = match value {
        Value::String(one) => {
            separator.split(one).into_iter().filter(|group| !group.is_empty()).map(str::to_owned).collect()
        }
        Value::Array(many) => many.iter().map(named).collect::<Option<_>>()?,
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    is_fit(&groups).then_some(groups)
}

/// Whether these can be all the groups of a person.
pub(super) fn is_fit(groups: &[String]) -> bool {
    groups.len() <= 1000 && groups.iter().all(|group| !group.is_empty() && group.len() <= 256)
}
