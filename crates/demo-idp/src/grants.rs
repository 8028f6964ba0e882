//! Codes and access tokens: what they stand for, and that a code works once.

use std::sync::{Arc, Mutex};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use uuid::Uuid;

use crate::bounded::{Bounded, CAPACITY};
use crate::config::Person;
use crate::keys::base64url;
use crate::realm::locked;

/// Seconds an authorization code lives.
pub(crate) const CODE_LIFETIME: i64 = 60;
/// Seconds an access token lives.
pub(crate) const TOKEN_LIFETIME: i64 = 300;

/// Who agreed to what, when. Codes and access tokens both stand for one.
#[derive(Clone)]
pub(crate) struct Consent {
    pub(crate) client_id: String,
    pub(crate) person: Arc<Person>,
    pub(crate) scope: Scope,
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: i64,
    pub(crate) sid: String,
}

/// The granted scope, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scope(Vec<String>);

impl Scope {
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.split_ascii_whitespace().map(str::to_owned).collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    pub(crate) fn words(&self) -> &[String] {
        &self.0
    }

    pub(crate) fn text(&self) -> String {
        self.0.join(" ")
    }
}

/// What a code is bound to besides the consent.
pub(crate) struct Binding {
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
}

struct Code {
    consent: Consent,
    binding: Binding,
    expires: i64,
    spent: Spent,
}

enum Spent {
    No,
    Refused,
    For { access_token: String },
}

struct Access {
    consent: Consent,
    expires: i64,
}

/// A request to turn a code into a token.
pub(crate) struct Redemption<'a> {
    pub(crate) code: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) redirect_uri: Option<&'a str>,
    pub(crate) verifier: Option<&'a str>,
}

/// Why a code was not accepted; the client only learns `invalid_grant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeRefused {
    Unknown,
    Expired,
    OtherClient,
    Replayed,
    OtherRedirectUri,
    WrongVerifier,
}

/// The open codes and access tokens of a realm.
pub(crate) struct Grants {
    codes: Mutex<Bounded<Code>>,
    tokens: Mutex<Bounded<Access>>,
}

impl Default for Grants {
    fn default() -> Self {
        Self { codes: Mutex::new(Bounded::new(CAPACITY)), tokens: Mutex::new(Bounded::new(CAPACITY)) }
    }
}

impl Grants {
    /// A new code, good until 60 seconds after `now`.
    pub(crate) fn issue_code(&self, consent: Consent, binding: Binding, now: i64) -> String {
        let name = random_name("code");
        let expires = now.saturating_add(CODE_LIFETIME);
        locked(&self.codes).insert(name.clone(), Code { consent, binding, expires, spent: Spent::No });
        name
    }

    /// Spends a code for an access token, good until 300 seconds after `now`.
    ///
    /// A code presented again takes back the token it was spent for (RFC 6749, 4.1.2). An attempt by its own client spends it even
    /// when the attempt is refused; one by another client does not.
    pub(crate) fn redeem(&self, ask: &Redemption<'_>, now: i64) -> Result<(String, Consent), CodeRefused> {
        let mut codes = locked(&self.codes);
        let code = codes.find_mut(ask.code).ok_or(CodeRefused::Unknown)?;
        if code.consent.client_id != ask.client_id {
            return Err(CodeRefused::OtherClient);
        }
        match std::mem::replace(&mut code.spent, Spent::Refused) {
            Spent::No => {}
            Spent::Refused => return Err(CodeRefused::Replayed),
            Spent::For { access_token } => {
                locked(&self.tokens).remove(&access_token);
                return Err(CodeRefused::Replayed);
            }
        }
        if now >= code.expires {
            return Err(CodeRefused::Expired);
        }
        if ask.redirect_uri != Some(code.binding.redirect_uri.as_str()) {
            return Err(CodeRefused::OtherRedirectUri);
        }
        if !verifier_fits(code.binding.challenge.as_deref(), ask.verifier) {
            return Err(CodeRefused::WrongVerifier);
        }
        let access_token = random_name("access");
        code.spent = Spent::For { access_token: access_token.clone() };
        let consent = code.consent.clone();
        let access = Access { consent: consent.clone(), expires: now.saturating_add(TOKEN_LIFETIME) };
        locked(&self.tokens).insert(access_token.clone(), access);
        Ok((access_token, consent))
    }

    /// What an access token stands for, if it is good at `now`.
    pub(crate) fn find_access(&self, access_token: &str, now: i64) -> Option<Consent> {
        let tokens = locked(&self.tokens);
        tokens.find(access_token).filter(|access| now < access.expires).map(|access| access.consent.clone())
    }
}

/// RFC 7636, 4.6, S256 only. A verifier for a code that never had a challenge is refused (RFC 9700, 2.1.1).
fn verifier_fits(challenge: Option<&str>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
            is_pkce_text(verifier)
                && verify_slices_are_equal(base64url(hash.as_ref()).as_bytes(), challenge.as_bytes()).is_ok()
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// RFC 7636, 4.1 and 4.2: 43 to 128 unreserved letters.
pub(crate) fn is_pkce_text(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn random_name(kind: &str) -> String {
    format!("{kind}-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn issue(grants: &Grants, challenge: Option<&str>) -> String {
        let consent = Consent {
            client_id: "ours".into(),
            person: Arc::new(Person::new("1", "A")),
            scope: Scope::parse("openid"),
            nonce: None,
            auth_time: 0,
            sid: "s".into(),
        };
        let binding = Binding { redirect_uri: "http://x/cb".into(), challenge: challenge.map(str::to_owned) };
        grants.issue_code(consent, binding, 1000)
    }

    fn ask(code: &str) -> Redemption<'_> {
        Redemption { code, client_id: "ours", redirect_uri: Some("http://x/cb"), verifier: Some(VERIFIER) }
    }

    fn refusal(change: impl FnOnce(&mut Redemption<'_>), challenge: Option<&str>, now: i64) -> CodeRefused {
        let grants = Grants::default();
        let code = issue(&grants, challenge);
        let mut request = ask(&code);
        change(&mut request);
        grants.redeem(&request, now).err().unwrap()
    }

    #[test]
    fn one_fault_at_a_time_is_refused() {
        let s256 = Some(CHALLENGE);
        assert_eq!(refusal(|ask| ask.code = "code-of-nobody", s256, 1000), CodeRefused::Unknown);
        assert_eq!(refusal(|ask| ask.client_id = "theirs", s256, 1000), CodeRefused::OtherClient);
        assert_eq!(refusal(|ask| ask.redirect_uri = None, s256, 1000), CodeRefused::OtherRedirectUri);
        let slash = refusal(|ask| ask.redirect_uri = Some("http://x/cb/"), s256, 1000);
        assert_eq!(slash, CodeRefused::OtherRedirectUri);
        assert_eq!(refusal(|ask| ask.verifier = None, s256, 1000), CodeRefused::WrongVerifier);
        assert_eq!(refusal(|ask| ask.verifier = Some(CHALLENGE), s256, 1000), CodeRefused::WrongVerifier);
        assert_eq!(refusal(|_| (), None, 1000), CodeRefused::WrongVerifier);
        assert_eq!(refusal(|_| (), s256, 1060), CodeRefused::Expired);
    }

    #[test]
    fn the_twins_pass() {
        let grants = Grants::default();
        let code = issue(&grants, Some(CHALLENGE));
        assert!(grants.redeem(&ask(&code), 1059).is_ok());
        let plain = issue(&grants, None);
        assert!(grants.redeem(&Redemption { verifier: None, ..ask(&plain) }, 1000).is_ok());
    }

    #[test]
    fn a_replay_is_refused_and_takes_the_token_back() {
        let grants = Grants::default();
        let code = issue(&grants, Some(CHALLENGE));
        let (token, _) = grants.redeem(&ask(&code), 1000).unwrap();
        assert!(grants.find_access(&token, 1299).is_some());
        assert!(grants.find_access(&token, 1300).is_none());
        assert_eq!(grants.redeem(&ask(&code), 1000).err(), Some(CodeRefused::Replayed));
        assert!(grants.find_access(&token, 1000).is_none());
    }

    #[test]
    fn a_stranger_cannot_burn_a_code_but_its_client_can() {
        let grants = Grants::default();
        let code = issue(&grants, Some(CHALLENGE));
        let stranger = Redemption { client_id: "theirs", ..ask(&code) };
        assert_eq!(grants.redeem(&stranger, 1000).err(), Some(CodeRefused::OtherClient));
        let wrong = Redemption { verifier: Some(CHALLENGE), ..ask(&code) };
        assert_eq!(grants.redeem(&wrong, 1000).err(), Some(CodeRefused::WrongVerifier));
        assert_eq!(grants.redeem(&ask(&code), 1000).err(), Some(CodeRefused::Replayed));
    }
}
