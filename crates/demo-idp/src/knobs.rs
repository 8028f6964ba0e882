//! Knobs: the settings of a realm that a test changes at run time.
//!
//! With the default knobs the provider follows the specifications. A knob changes only the behaviour it
//! documents.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use crate::answer::{Answer, Body, Gate};
pub use crate::clock::ClockKnobs;
use crate::keys::SigningAlgorithm;

/// All knobs of one realm.
#[derive(Debug, Clone, Default)]
pub struct Knobs {
    /// The realm's clock, used for token claims and for the expiry of codes and tokens.
    pub clock: ClockKnobs,
    /// The discovery document.
    pub discovery: DocumentKnobs,
    /// The JWKS.
    pub jwks: JwksKnobs,
    /// The authorization endpoint and the authorization response.
    pub authorize: AuthorizeKnobs,
    /// The token endpoint.
    pub token: TokenKnobs,
    /// The ID token.
    pub id_token: IdTokenKnobs,
    /// Logout tokens.
    pub logout_token: LogoutTokenKnobs,
    /// The userinfo endpoint.
    pub userinfo: UserinfoKnobs,
    /// The list of e-mail addresses in GitHub's format, on OAuth 2.0 realms.
    pub emails: EmailsKnobs,
    /// The group look-up in Google Cloud Identity's format.
    pub groups: GroupsKnobs,
}

/// Changes to the members of a JSON object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<String, Option<Value>>);

impl Overrides {
    /// Sets the member to this value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.0.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes the member.
    pub fn remove(&mut self, name: impl Into<String>) -> &mut Self {
        self.0.insert(name.into(), None);
        self
    }

    /// The value that the member is set to, if any.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)?.as_ref()
    }

    /// Discards all changes.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn apply(&self, members: &mut Map<String, Value>) {
        for (name, change) in &self.0 {
            match change {
                Some(value) => members.insert(name.clone(), value.clone()),
                None => members.remove(name),
            };
        }
    }
}

/// Knobs of the discovery document.
#[derive(Debug, Clone, Default)]
pub struct DocumentKnobs {
    /// Changes to the members.
    pub fields: Overrides,
    /// The delivery of the document.
    pub answer: Answer,
}

/// Knobs of the JWKS.
#[derive(Debug, Clone, Default)]
pub struct JwksKnobs {
    /// A document that replaces the real one.
    pub replace: Option<Value>,
    /// Additional keys, listed before the real ones.
    pub extra_keys: Vec<Value>,
    /// The delivery of the document.
    pub answer: Answer,
}

/// The person who logs in at the authorization endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AutoLogin {
    /// The login page asks for the person.
    #[default]
    ShowLogin,
    /// The person with this `sub`, without a login page. An unknown `sub` leads to `access_denied`.
    As(String),
    /// A new person at each login, without a login page.
    NewPersonEachTime,
}

/// The `state` parameter of the authorization response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StateKnob {
    /// The value of the request.
    #[default]
    Echo,
    /// No parameter.
    Drop,
    /// Another value.
    Replace(String),
}

/// The `iss` parameter of the authorization response (RFC 9207).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IssKnob {
    /// The issuer on OIDC realms, no parameter on OAuth 2.0 realms.
    #[default]
    Correct,
    /// No parameter.
    Omit,
    /// This value.
    Send(String),
}

/// Knobs of the authorization endpoint.
#[derive(Debug, Clone, Default)]
pub struct AuthorizeKnobs {
    /// The person who logs in.
    pub auto_login: AutoLogin,
    /// An error (`access_denied`, …) in place of the code.
    pub error: Option<String>,
    /// A code that replaces the issued one.
    pub code: Option<String>,
    /// The `state` parameter of the response.
    pub state: StateKnob,
    /// The `iss` parameter of the response.
    pub iss: IssKnob,
    /// Additional parameters at the end of the response. A name may repeat an earlier one.
    pub extra: Vec<(String, String)>,
}

/// An error response of the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenError {
    /// The HTTP status. Some real servers send errors with status 200.
    pub status: u16,
    /// The value of `error`.
    pub error: String,
}

/// The format of the token response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenFormat {
    /// `application/json`.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`, the format of GitHub without `Accept: application/json`.
    Form,
}

/// Knobs of the token endpoint.
#[derive(Debug, Clone, Default)]
pub struct TokenKnobs {
    /// Changes to the members of a successful response.
    pub fields: Overrides,
    /// The format of a successful response.
    pub format: TokenFormat,
    /// An error for each request. The code in the request stays unused.
    pub error: Option<TokenError>,
    /// The delivery of the response.
    pub answer: Answer,
}

/// The signature of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Signing {
    /// The published key signs.
    #[default]
    Right,
    /// The published RSA key signs with another RSA algorithm. With a key of another type, issuing the token
    /// fails.
    RightKeyAs(SigningAlgorithm),
    /// An unpublished key signs; the header has the `kid` of the published key.
    UnpublishedKey,
    /// An unpublished key signs; the header contains it as `jwk`.
    KeyInHeader,
    /// The key of another realm with the same protocol signs; the header has the `kid` of this realm's key.
    KeyOfRealm(String),
    /// No signature: `alg` is `none` and the last segment is empty.
    None,
    /// The last segment is empty, but `alg` is the algorithm of the published key.
    EmptySignature,
    /// The signature consists of zero bytes and has the correct length.
    ZeroSignature,
    /// The signature belongs to another message.
    GarbageSignature,
    /// HS256 with the PEM text of the public key as the secret.
    HmacWithPublicPem,
    /// HS256 with the DER bytes of the public key as the secret.
    HmacWithPublicDer,
    /// HS256 with the client secret, or with an empty secret for a public client.
    HmacWithClientSecret,
    /// HS256 with an empty secret.
    HmacWithEmptyKey,
}

/// Knobs of the ID token.
#[derive(Debug, Clone, Default)]
pub struct IdTokenKnobs {
    /// Changes to the claims.
    pub claims: Overrides,
    /// Changes to the header, applied after `signing`.
    pub header: Overrides,
    /// The signature.
    pub signing: Signing,
    /// A text that replaces the token.
    pub raw: Option<String>,
    /// Omits `id_token` from the response.
    pub omit: bool,
    /// Sends the claims of the person (name, e-mail, …) only at the userinfo endpoint.
    pub profile_only_at_userinfo: bool,
    /// Issues an ID token on OAuth 2.0 realms too, if the scope contains `openid`.
    pub in_oauth2: bool,
}

/// Knobs of logout tokens.
#[derive(Debug, Clone, Default)]
pub struct LogoutTokenKnobs {
    /// Changes to the claims.
    pub claims: Overrides,
    /// Changes to the header, applied after `signing`.
    pub header: Overrides,
    /// The signature.
    pub signing: Signing,
}

/// Knobs of the userinfo endpoint.
#[derive(Debug, Clone, Default)]
pub struct UserinfoKnobs {
    /// Changes to the members.
    pub fields: Overrides,
    /// Sends `application/jwt`: the same members with `iss` and `aud`, signed like the ID token.
    pub as_jwt: bool,
    /// Refuses GET with status 405.
    pub only_post: bool,
    /// The delivery of the response.
    pub answer: Answer,
}

/// Knobs of the list of e-mail addresses.
#[derive(Debug, Clone, Default)]
pub struct EmailsKnobs {
    /// A list that replaces the person's single address.
    pub replace: Option<Value>,
    /// The delivery of the list.
    pub answer: Answer,
}

/// Knobs of the group look-up.
#[derive(Debug, Clone, Default)]
pub struct GroupsKnobs {
    /// The maximum number of groups per page; `None` puts all groups on one page.
    pub page: Option<usize>,
    /// A document that replaces each page.
    pub replace: Option<Value>,
    /// The delivery of the pages.
    pub answer: Answer,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn overrides_set_any_type_and_remove() {
        let mut overrides = Overrides::default();
        overrides.set("exp", "soon").set("aud", json!([1, null])).remove("nonce");
        let mut claims = Map::new();
        claims.insert("exp".into(), json!(1));
        claims.insert("nonce".into(), json!("n"));
        overrides.apply(&mut claims);
        assert_eq!(Value::Object(claims), json!({ "exp": "soon", "aud": [1, null] }));
    }
}
