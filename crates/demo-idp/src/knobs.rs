//! Knobs: everything about a realm that a test may bend while it runs.
//!
//! With all knobs at their default the provider is honest. A knob changes one thing and leaves the rest as it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use crate::answer::{Answer, Body, Gate};
pub use crate::clock::ClockKnobs;
use crate::keys::SigningAlgorithm;

/// All knobs of one realm.
#[derive(Debug, Clone, Default)]
pub struct Knobs {
    /// The realm's clock, used for tokens and for the life of codes.
    pub clock: ClockKnobs,
    /// The discovery document.
    pub discovery: DocumentKnobs,
    /// The key set.
    pub jwks: JwksKnobs,
    /// The authorization endpoint and its answer through the browser.
    pub authorize: AuthorizeKnobs,
    /// The token endpoint.
    pub token: TokenKnobs,
    /// The ID token.
    pub id_token: IdTokenKnobs,
    /// Logout tokens.
    pub logout_token: LogoutTokenKnobs,
    /// The userinfo endpoint.
    pub userinfo: UserinfoKnobs,
    /// The list of e-mail addresses (GitHub's form), on plain OAuth 2.0 realms.
    pub emails: EmailsKnobs,
    /// The look-up of groups (Google Cloud Identity's form).
    pub groups: GroupsKnobs,
}

/// Members of a JSON object to set to any value or to take away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(BTreeMap<String, Option<Value>>);

impl Overrides {
    /// Gives the member this value, whatever it was.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.0.insert(name.into(), Some(value.into()));
        self
    }

    /// Leaves the member out.
    pub fn remove(&mut self, name: impl Into<String>) -> &mut Self {
        self.0.insert(name.into(), None);
        self
    }

    /// The value that the member is given, if it is given one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)?.as_ref()
    }

    /// Forgets every change.
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

/// Knobs of a JSON document.
#[derive(Debug, Clone, Default)]
pub struct DocumentKnobs {
    /// Members to set or remove.
    pub fields: Overrides,
    /// How the document is delivered.
    pub answer: Answer,
}

/// Knobs of the key set.
#[derive(Debug, Clone, Default)]
pub struct JwksKnobs {
    /// Another document in place of the real one.
    pub replace: Option<Value>,
    /// Keys listed before the real ones, for sets with odd members.
    pub extra_keys: Vec<Value>,
    /// How the document is delivered.
    pub answer: Answer,
}

/// Who logs in when the browser arrives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AutoLogin {
    /// A page asks.
    #[default]
    ShowLogin,
    /// The person with this `sub`, at once. An unknown one is answered with `access_denied`.
    As(String),
    /// A person never seen before, made up for each login.
    NewPersonEachTime,
}

/// What happens to `state` on the way back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StateKnob {
    /// It comes back as it was sent.
    #[default]
    Echo,
    /// It is left out.
    Drop,
    /// This comes back instead.
    Replace(String),
}

/// What happens to `iss` (RFC 9207) on the way back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IssKnob {
    /// The issuer on OIDC realms, nothing on plain OAuth 2.0 ones.
    #[default]
    Honest,
    /// It is left out.
    Omit,
    /// This is sent.
    Send(String),
}

/// Knobs of the authorization endpoint.
#[derive(Debug, Clone, Default)]
pub struct AuthorizeKnobs {
    /// Who logs in without being asked.
    pub auto_login: AutoLogin,
    /// An error code (`access_denied`, …) sent back instead of a code.
    pub error: Option<String>,
    /// Another code in place of the one issued.
    pub code: Option<String>,
    /// The `state` sent back.
    pub state: StateKnob,
    /// The `iss` sent back.
    pub iss: IssKnob,
    /// More parameters sent back, after the others; a name may repeat one of theirs.
    pub extra: Vec<(String, String)>,
}

/// An OAuth error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenError {
    /// The HTTP status; 200 is a status some servers use.
    pub status: u16,
    /// The value of `error`.
    pub error: String,
}

/// How the token answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenFormat {
    /// `application/json`.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`, as GitHub does when it is not asked for JSON.
    Form,
}

/// Knobs of the token endpoint.
#[derive(Debug, Clone, Default)]
pub struct TokenKnobs {
    /// Members of a successful answer to set or remove.
    pub fields: Overrides,
    /// How the answer is written.
    pub format: TokenFormat,
    /// This error whatever the request says; a code sent along stays unspent.
    pub error: Option<TokenError>,
    /// How the answer is delivered.
    pub answer: Answer,
}

/// How an ID token is signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Signing {
    /// With the published key.
    #[default]
    Right,
    /// With the published RSA key but another algorithm of its family; the token endpoint fails on other keys.
    RightKeyAs(SigningAlgorithm),
    /// With a key nobody published, under the published key's `kid`.
    UnpublishedKey,
    /// With a key nobody published that the header brings along as `jwk`.
    KeyInHeader,
    /// With the key of another realm of the same protocol, under this realm's `kid`.
    KeyOfRealm(String),
    /// Not at all: `alg` is `none` and the last segment is empty.
    None,
    /// Not at all, but the header says nothing of it.
    EmptySignature,
    /// With zero bytes of the right length.
    ZeroSignature,
    /// With bytes of another message's signature.
    GarbageSignature,
    /// HS256 with the text of the public key in PEM as the secret.
    HmacWithPublicPem,
    /// HS256 with the public key in DER as the secret.
    HmacWithPublicDer,
    /// HS256 with the client's secret; with an empty one for public clients.
    HmacWithClientSecret,
    /// HS256 with an empty secret.
    HmacWithEmptyKey,
}

/// Knobs of the ID token.
#[derive(Debug, Clone, Default)]
pub struct IdTokenKnobs {
    /// Claims to set or remove.
    pub claims: Overrides,
    /// Header members to set or remove, after `signing` wrote its own.
    pub header: Overrides,
    /// How it is signed.
    pub signing: Signing,
    /// This text instead of a token.
    pub raw: Option<String>,
    /// No `id_token` in the answer at all.
    pub omit: bool,
    /// Claims of the person (name, e-mail, …) only at userinfo, not in the token.
    pub profile_only_at_userinfo: bool,
    /// An ID token from a plain OAuth 2.0 realm too, if the scope has `openid`.
    pub in_oauth2: bool,
}

/// Knobs of logout tokens.
#[derive(Debug, Clone, Default)]
pub struct LogoutTokenKnobs {
    /// Claims to set or remove.
    pub claims: Overrides,
    /// Header members to set or remove, after `signing` wrote its own.
    pub header: Overrides,
    /// How it is signed.
    pub signing: Signing,
}

/// Knobs of the userinfo endpoint.
#[derive(Debug, Clone, Default)]
pub struct UserinfoKnobs {
    /// Members to set or remove.
    pub fields: Overrides,
    /// `application/jwt`: the same members with `iss` and `aud`, signed as the ID token is.
    pub as_jwt: bool,
    /// GET is answered with 405.
    pub only_post: bool,
    /// How the answer is delivered.
    pub answer: Answer,
}

/// Knobs of the list of e-mail addresses.
#[derive(Debug, Clone, Default)]
pub struct EmailsKnobs {
    /// Another list in place of the person's one primary address.
    pub replace: Option<Value>,
    /// How the list is delivered.
    pub answer: Answer,
}

/// Knobs of the look-up of groups.
#[derive(Debug, Clone, Default)]
pub struct GroupsKnobs {
    /// How many groups a page has at most; all of them when unset.
    pub page: Option<usize>,
    /// Another document in place of each page.
    pub replace: Option<Value>,
    /// How the pages are delivered.
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
