//! RP-initiated logout and back-channel logout.

use std::time::Duration;

use openidconnect::{ClientId, EndSessionUrl, LogoutRequest, PostLogoutRedirectUrl};
use portico_core::claims::{IdentityKey, Subject};
use portico_core::clock::Timestamp;
use portico_core::error::Check;
use portico_core::provider::logout::{LogoutToken, Whose};
use portico_core::provider::{Issuer, Slot};
use portico_core::slot::Protocol;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use crate::verify::{UnverifiedToken, required, text, time, wrong_type};

/// The member of `events` that makes a JWT a logout token (OIDC Back-Channel Logout 1.0, 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The highest age of an accepted logout token. Providers send the token at once; its own `exp` may be later.
const MAX_AGE: Duration = Duration::from_mins(10);

/// The longest accepted `jti` and `sid`, in bytes.
const MAX_ID: usize = 255;

/// The URL of a logout request (OIDC RP-Initiated Logout 1.0, 2). `client_id` names the client, also without
/// a hint. The hint is appended as text: `set_id_token_hint` takes a parsed ID token, whose types refuse some
/// tokens that pass the checks of Portico.
pub(crate) fn end_session(
    endpoint: &EndSessionUrl,
    client_id: &str,
    post_logout_redirect: Option<&Url>,
    hint: Option<&SecretString>,
) -> Url {
    let mut request =
        LogoutRequest::from(endpoint.clone()).set_client_id(ClientId::new(client_id.to_owned()));
    if let Some(target) = post_logout_redirect {
        request = request.set_post_logout_redirect_uri(PostLogoutRedirectUrl::from_url(target.clone()));
    }
    let mut url = request.http_get_url();
    if let Some(hint) = hint {
        url.query_pairs_mut().append_pair("id_token_hint", hint.expose_secret());
    }
    url
}

impl UnverifiedToken<'_> {
    /// Checks that the token is a logout token and no other kind (OIDC Back-Channel Logout 1.0, 2.6 (4) to
    /// (7)).
    pub(crate) fn check_logout_kind(&self) -> Result<(), Check> {
        if let Some(typ) = text(self.header(), "typ")? {
            let known = ["jwt", "logout+jwt", "application/logout+jwt"];
            if !known.iter().any(|known| known.eq_ignore_ascii_case(typ)) {
                return Err(Check::failed("typ", "logout+jwt", typ));
            }
        }
        let event = match self.claims().get("events") {
            Some(Value::Object(events)) => events.get(LOGOUT_EVENT),
            Some(_) => return Err(wrong_type("events", "an object")),
            None => None,
        };
        match event {
            Some(Value::Object(_)) => {}
            Some(_) => return Err(wrong_type("events", "an object with an object")),
            None => return Err(Check::failed("events", "a logout", "something else")),
        }
        if self.claims().contains_key("nonce") {
            return Err(Check::failed("nonce", "none, as this is a logout", "one"));
        }
        Ok(())
    }

    /// The sessions that end, according to a token that passed the other checks.
    ///
    /// # Errors
    /// The token is too old, or its `jti`, `sid` or `sub` is missing or malformed.
    pub(crate) fn into_logout_token(
        self,
        issuer: &Issuer,
        slot: &Slot,
        now: Timestamp,
    ) -> Result<LogoutToken, Check> {
        let issued_at = required("iat", time(self.claims(), "iat")?)?;
        let max_age = MAX_AGE + slot.clock_skew;
        if issued_at.plus(max_age) <= now {
            return Err(Check::failed("iat", "one of the last ten minutes", "an older one"));
        }
        let jti = required("jti", self.identifier("jti")?)?;
        let namespace = slot.claims.namespace(issuer.as_str());
        let whose = match (self.identifier("sid")?, text(self.claims(), "sub")?) {
            (Some(sid), _) => Whose::Session { issuer: namespace, sid: sid.to_owned() },
            (None, Some(_)) if !slot.claims.is_by_sub() => {
                return Err(Check::failed("sid", "one, because subject_claim is not sub", "nothing"));
            }
            (None, Some(sub)) => {
                let subject = Subject::parse(sub).map_err(|why| Check::failed("sub", "a usable one", why))?;
                Whose::Identity(IdentityKey { protocol: Protocol::Oidc, issuer: namespace, subject })
            }
            (None, None) => return Err(Check::failed("sub", "a sub or a sid", "neither")),
        };
        // Until then, the age check would accept the token again, with any clock skew that the slot allows.
        let forget_at = now.plus(max_age).plus(slot.clock_skew);
        Ok(LogoutToken { whose, once: LogoutToken::name(issuer.as_str(), jti), forget_at })
    }

    /// An identifier of 1 to 255 bytes.
    ///
    /// # Errors
    /// The claim has another type, another length, or a NUL character.
    fn identifier(&self, name: &'static str) -> Result<Option<&str>, Check> {
        let Some(own) = text(self.claims(), name)? else { return Ok(None) };
        if own.is_empty() || own.len() > MAX_ID || own.contains('\0') {
            return Err(Check::failed(name, "1 to 255 bytes", "something else"));
        }
        Ok(Some(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_named_and_the_way_back_and_the_hint_when_there_are_any() {
        let back = Url::parse("https://app.example/bye?a=b").unwrap();
        let hint: SecretString = "a.b.c".into();
        for (endpoint, back, hint, expected) in [
            ("https://idp.example/end", None, None, "https://idp.example/end?client_id=a+b"),
            ("https://idp.example/end?p=1", None, None, "https://idp.example/end?p=1&client_id=a+b"),
            (
                "https://idp.example/end",
                Some(&back),
                None,
                "https://idp.example/end?client_id=a+b&post_logout_redirect_uri=\
                 https%3A%2F%2Fapp.example%2Fbye%3Fa%3Db",
            ),
            (
                "https://idp.example/end",
                None,
                Some(&hint),
                "https://idp.example/end?client_id=a+b&id_token_hint=a.b.c",
            ),
        ] {
            let endpoint = EndSessionUrl::new(endpoint.to_owned()).unwrap();
            assert_eq!(end_session(&endpoint, "a b", back, hint).as_str(), expected);
        }
    }
}
