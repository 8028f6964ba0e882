//! The verified documents of a login, and which of them may supply which claim.

use serde_json::{Map, Value};

use super::identity::{ClaimedName, ClaimsError, Email, SessionClaims, Subject};
use super::mapping::{ClaimMap, ClaimPath, GroupsSeparator, email_in, is_true, text_at};
use crate::provider::issuer::Issuer;

/// Documents that passed their checks. The protocol client that builds a value is responsible for these
/// checks.
#[derive(Debug)]
pub enum Evidence {
    /// OpenID Connect: a verified ID token, and userinfo with the same `sub` (OIDC Core 5.3.2).
    Oidc {
        /// The issuer under which the identity is stored: the pinned or discovered one, never an alias.
        issuer: Issuer,
        /// The ID token's claims.
        id_token: Map<String, Value>,
        /// Whether the token's signature was verified.
        signed: bool,
        /// Userinfo, if it was fetched.
        userinfo: Option<Map<String, Value>>,
    },
    /// OAuth 2.0: userinfo fetched with the access token of this login.
    OAuth2 {
        /// The identity namespace, used in place of an issuer.
        namespace: String,
        /// The userinfo document.
        userinfo: Map<String, Value>,
    },
}

/// Claims that only the ID token may supply. Userinfo is ignored for them.
const ID_TOKEN_ONLY: [&str; 13] =
    ["iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "sub", "auth_time", "acr", "amr", "tid", "hd"];

/// The documents of one login: the ID token before userinfo.
pub(super) struct Documents<'a> {
    first: &'a Map<String, Value>,
    second: Option<&'a Map<String, Value>>,
    /// Whether names in them may find a local account.
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

    /// The value of a claim, from the first document that may supply it and has it.
    fn find(&self, path: &ClaimPath) -> Option<&'a Value> {
        path.find(self.first)
            .or_else(|| self.second.filter(|_| may_come_from_userinfo(path)).and_then(|d| path.find(d)))
    }

    /// The text of a claim, from the first document that may supply it and has a non-blank text.
    pub(super) fn text(&self, path: &ClaimPath) -> Option<String> {
        [Some(self.first), self.second.filter(|_| may_come_from_userinfo(path))]
            .into_iter()
            .flatten()
            .find_map(|document| text_at(path, document))
    }

    /// The subject: from the ID token (OIDC Core 2), or for OAuth 2.0 from userinfo, where it may be a
    /// whole number.
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

    /// The first non-blank name of the mapping.
    pub(super) fn name(&self, map: &ClaimMap) -> Option<ClaimedName> {
        map.name.iter().enumerate().find_map(|(index, path)| {
            self.text(path).map(|text| ClaimedName { text, adoptable: index == 0 && self.verified })
        })
    }

    /// The e-mail of the first document that has one. Whether it is verified always comes from a
    /// document with the same address.
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

    /// The claims of the session. Those of [`ID_TOKEN_ONLY`] come from the ID token only.
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

    /// Whether the document has one of Entra ID's markers for omitted groups: `_claim_names` or `hasgroups`.
    fn has_overage(&self, groups: &ClaimPath) -> bool {
        let claim_names = self.first.get("_claim_names").and_then(Value::as_object);
        let named =
            groups.top_level().is_some_and(|name| claim_names.is_some_and(|names| names.contains_key(&name)));
        named || self.first.get("hasgroups").is_some_and(is_true)
    }
}

/// Whether userinfo may supply a claim: any that is not in [`ID_TOKEN_ONLY`].
fn may_come_from_userinfo(path: &ClaimPath) -> bool {
    path.top_level().is_some_and(|name| !ID_TOKEN_ONLY.contains(&name.as_str()))
}

/// Whether authentication methods are short enough for an access token, which must fit into a cookie.
fn is_short(methods: &[String]) -> bool {
    methods.len() <= 16 && methods.iter().all(|method| method.len() <= 32)
}

/// The groups in a value: one string (split by the separator), a list of strings, a list of objects with
/// a `name`, or the keys of an object. `None` if the value has another form or fails [`are_usable`].
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
    are_usable(&groups).then_some(groups)
}

/// Whether a list of groups is within the limits: at most 1000, each of 1 to 256 bytes.
pub(super) fn are_usable(groups: &[String]) -> bool {
    groups.len() <= 1000 && groups.iter().all(|group| !group.is_empty() && group.len() <= 256)
}
