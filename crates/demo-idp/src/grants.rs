//! Authorization codes and access tokens: the consent they stand for, and single use of codes.

use std::sync::{Arc, Mutex};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;

use crate::bounded_map::{BoundedMap, CAPACITY};
use crate::config::Person;
use crate::keys::base64url;
use crate::random::random_id;
use crate::sync::lock;

/// Lifetime of an authorization code, in seconds.
pub(crate) const CODE_LIFETIME: i64 = 60;
/// Lifetime of an access token, in seconds.
pub(crate) const TOKEN_LIFETIME: i64 = 300;

/// The result of a login: the person, the client and the granted scope. Each code and access token has one.
#[derive(Clone)]
pub(crate) struct Consent {
    pub(crate) client_id: String,
    pub(crate) person: Arc<Person>,
    pub(crate) scope: Scope,
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: i64,
    pub(crate) sid: String,
}

/// The granted scope values, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scope(Vec<String>);

impl Scope {
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.split_ascii_whitespace().map(str::to_owned).collect())
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    pub(crate) fn values(&self) -> &[String] {
        &self.0
    }

    pub(crate) fn to_text(&self) -> String {
        self.0.join(" ")
    }
}

/// The redirect URI and the PKCE challenge that a code is bound to.
pub(crate) struct Binding {
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
}

struct Code {
    consent: Consent,
    binding: Binding,
    expires: i64,
    status: CodeStatus,
}

/// Whether a code can still be redeemed.
enum CodeStatus {
    Unused,
    /// A redemption by the client of the code failed.
    Invalidated,
    Redeemed {
        access_token: String,
    },
}

struct AccessToken {
    consent: Consent,
    expires: i64,
}

/// The parameters of a token request that redeems a code.
pub(crate) struct Redemption<'a> {
    pub(crate) code: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) redirect_uri: Option<&'a str>,
    pub(crate) verifier: Option<&'a str>,
}

/// The reason why a code is refused. The response to the client is always `invalid_grant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeRefused {
    Unknown,
    Expired,
    OtherClient,
    Replayed,
    OtherRedirectUri,
    WrongVerifier,
}

/// The codes and access tokens of a realm.
pub(crate) struct Grants {
    codes: Mutex<BoundedMap<Code>>,
    tokens: Mutex<BoundedMap<AccessToken>>,
}

impl Default for Grants {
    fn default() -> Self {
        Self { codes: Mutex::new(BoundedMap::new(CAPACITY)), tokens: Mutex::new(BoundedMap::new(CAPACITY)) }
    }
}

impl Grants {
    /// Issues a code that is valid for [`CODE_LIFETIME`] seconds from `now`.
    pub(crate) fn issue_code(&self, consent: Consent, binding: Binding, now: i64) -> String {
        let code = random_token("code");
        let expires = now.saturating_add(CODE_LIFETIME);
        let entry = Code { consent, binding, expires, status: CodeStatus::Unused };
        lock(&self.codes).insert(code.clone(), entry);
        code
    }

    /// Redeems a code for an access token that is valid for [`TOKEN_LIFETIME`] seconds from `now`.
    ///
    /// A second redemption of the same code fails and revokes the access token of the first (RFC 6749,
    /// 4.1.2). A failed attempt by the client of the code invalidates the code; an attempt by another client
    /// does not.
    pub(crate) fn redeem(
        &self,
        request: &Redemption<'_>,
        now: i64,
    ) -> Result<(String, Consent), CodeRefused> {
        let mut codes = lock(&self.codes);
        let code = codes.find_mut(request.code).ok_or(CodeRefused::Unknown)?;
        if code.consent.client_id != request.client_id {
            return Err(CodeRefused::OtherClient);
        }
        match std::mem::replace(&mut code.status, CodeStatus::Invalidated) {
            CodeStatus::Unused => {}
            CodeStatus::Invalidated => return Err(CodeRefused::Replayed),
            CodeStatus::Redeemed { access_token } => {
                lock(&self.tokens).remove(&access_token);
                return Err(CodeRefused::Replayed);
            }
        }
        if now >= code.expires {
            return Err(CodeRefused::Expired);
        }
        if request.redirect_uri != Some(code.binding.redirect_uri.as_str()) {
            return Err(CodeRefused::OtherRedirectUri);
        }
        if !verifier_matches(code.binding.challenge.as_deref(), request.verifier) {
            return Err(CodeRefused::WrongVerifier);
        }
        let access_token = random_token("access");
        code.status = CodeStatus::Redeemed { access_token: access_token.clone() };
        let consent = code.consent.clone();
        let access = AccessToken { consent: consent.clone(), expires: now.saturating_add(TOKEN_LIFETIME) };
        lock(&self.tokens).insert(access_token.clone(), access);
        Ok((access_token, consent))
    }

    /// The consent of an access token, if the token is valid at `now`.
    pub(crate) fn find_consent(&self, access_token: &str, now: i64) -> Option<Consent> {
        let tokens = lock(&self.tokens);
        tokens.find(access_token).filter(|token| now < token.expires).map(|token| token.consent.clone())
    }
}

/// Verifies the PKCE verifier by S256 (RFC 7636, 4.6). A verifier without a challenge is refused (RFC 9700,
/// 2.1.1).
fn verifier_matches(challenge: Option<&str>, verifier: Option<&str>) -> bool {
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

/// Whether the text has 43 to 128 unreserved characters (RFC 7636, 4.1 and 4.2).
pub(crate) fn is_pkce_text(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn random_token(kind: &str) -> String {
    format!("{kind}-{}{}", random_id().simple(), random_id().simple())
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

    fn redemption(code: &str) -> Redemption<'_> {
        Redemption { code, client_id: "ours", redirect_uri: Some("http://x/cb"), verifier: Some(VERIFIER) }
    }

    fn refusal(change: impl FnOnce(&mut Redemption<'_>), challenge: Option<&str>, now: i64) -> CodeRefused {
        let grants = Grants::default();
        let code = issue(&grants, challenge);
        let mut request = redemption(&code);
        change(&mut request);
        grants.redeem(&request, now).err().unwrap()
    }

    #[test]
    fn one_fault_at_a_time_is_refused() {
        let s256 = Some(CHALLENGE);
        assert_eq!(refusal(|request| request.code = "code-unknown", s256, 1000), CodeRefused::Unknown);
        assert_eq!(refusal(|request| request.client_id = "theirs", s256, 1000), CodeRefused::OtherClient);
        assert_eq!(refusal(|request| request.redirect_uri = None, s256, 1000), CodeRefused::OtherRedirectUri);
        let slash = refusal(|request| request.redirect_uri = Some("http://x/cb/"), s256, 1000);
        assert_eq!(slash, CodeRefused::OtherRedirectUri);
        assert_eq!(refusal(|request| request.verifier = None, s256, 1000), CodeRefused::WrongVerifier);
        assert_eq!(
            refusal(|request| request.verifier = Some(CHALLENGE), s256, 1000),
            CodeRefused::WrongVerifier
        );
        assert_eq!(refusal(|_| (), None, 1000), CodeRefused::WrongVerifier);
        assert_eq!(refusal(|_| (), s256, 1060), CodeRefused::Expired);
    }

    #[test]
    fn the_twins_pass() {
        let grants = Grants::default();
        let code = issue(&grants, Some(CHALLENGE));
        assert!(grants.redeem(&redemption(&code), 1059).is_ok());
        let plain = issue(&grants, None);
        assert!(grants.redeem(&Redemption { verifier: None, ..redemption(&plain) }, 1000).is_ok());
    }

    #[test]
    fn a_replay_is_refused_and_takes_the_token_back() {
        let grants = Grants::default();
        let code = issue(&grants, Some(CHALLENGE));
        let (token, _) = grants.redeem(&redemption(&code), 1000).unwrap();
        assert!(grants.find_consent(&token, 1299).is_some());
        assert!(grants.find_consent(&token, 1300).is_none());
        assert_eq!(grants.redeem(&redemption(&code), 1000).err(), Some(CodeRefused::Replayed));
        assert!(grants.find_consent(&token, 1000).is_none());
    }

    #[test]
    fn a_stranger_cannot_burn_a_code_but_its_client_can() {
        let grants = Grants::default();
        let code = issue(&grants, Some(CHALLENGE));
        let other_client = Redemption { client_id: "theirs", ..redemption(&code) };
        assert_eq!(grants.redeem(&other_client, 1000).err(), Some(CodeRefused::OtherClient));
        let wrong = Redemption { verifier: Some(CHALLENGE), ..redemption(&code) };
        assert_eq!(grants.redeem(&wrong, 1000).err(), Some(CodeRefused::WrongVerifier));
        assert_eq!(grants.redeem(&redemption(&code), 1000).err(), Some(CodeRefused::Replayed));
    }
}
