//! The two messages that the browser carries: the authorization request and the authorization response.
//!
//! `portico-oidc` builds the authorization request of an OpenID Connect slot, with the same further
//! parameters.

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use portico_core::error::UpstreamError;
use portico_core::provider::{
    Answer, AuthorizationParams, AuthorizationResponse, Issuer, Pkce, Prompt, ResponseMode, Slot,
};
use portico_core::text::printable;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// The authorization request (RFC 6749 4.1.1, RFC 7636 4.3). Its parameters come from the settings and from
/// this login only, not from the request of the browser.
pub fn authorization_request(slot: &Slot, endpoint: &Url, params: &AuthorizationParams<'_>) -> Url {
    let client = BasicClient::new(ClientId::new(slot.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(endpoint.clone()))
        .set_redirect_uri(RedirectUrl::from_url(params.redirect_uri.clone()));
    let mut request = client
        .authorize_url(|| CsrfToken::new(params.state.to_owned()))
        .add_scopes(slot.scopes.iter().cloned().map(Scope::new));
    if slot.pkce == Pkce::S256 {
        let verifier = PkceCodeVerifier::new(params.login_secrets.verifier().expose_secret().to_owned());
        request = request.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    }
    for (name, value) in further_parameters(slot, params) {
        request = request.add_extra_param(name, value);
    }
    let (url, _) = request.url();
    url
}

/// The parameters of an authorization request that both protocols share and that neither library adds.
pub fn further_parameters<'a>(slot: &'a Slot, params: &AuthorizationParams<'_>) -> Vec<(&'a str, &'a str)> {
    let mode = (slot.response_mode == ResponseMode::FormPost).then_some(("response_mode", "form_post"));
    let audience = slot.audience.as_deref().map(|audience| ("audience", audience));
    let prompt = match params.prompt {
        Prompt::AsConfigured => None,
        Prompt::Login => Some(("prompt", "login")),
        Prompt::None => Some(("prompt", "none")),
    };
    let configured = slot.extra_params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let configured = configured.filter(|(name, _)| prompt.is_none() || *name != "prompt");
    mode.into_iter().chain(audience).chain(configured).chain(prompt).collect()
}

/// The accepted values of `iss` in an authorization response (RFC 9207 2.4).
#[derive(Debug, Clone, Copy)]
pub struct IssRule<'a> {
    /// The slot's issuer. Without it, `iss` is ignored.
    pub issuer: Option<&'a Issuer>,
    /// Further values that the settings accept.
    pub aliases: &'a [Issuer],
    /// The tenants that may replace the placeholder of an issuer template.
    pub tenants: &'a [String],
    /// Whether the provider's metadata promises `iss` in every response.
    pub promised: bool,
}

impl IssRule<'_> {
    fn check(&self, received: Option<&str>) -> Result<(), UpstreamError> {
        let Some(issuer) = self.issuer else { return Ok(()) };
        let passes = match received {
            Some(iss) => {
                std::iter::once(issuer).chain(self.aliases).any(|known| known.is_named(iss, self.tenants))
            }
            None => !self.promised,
        };
        if passes {
            return Ok(());
        }
        Err(UpstreamError::Mixup { expected: issuer.to_string(), received: received.map(printable) })
    }
}

/// Takes the code out of an authorization response. `iss` is checked first, so that an error of another
/// provider has no effect.
///
/// # Errors
/// `iss` is not that of the slot, or the provider answered with an error (RFC 6749 4.1.2.1).
pub fn take_code(response: AuthorizationResponse, rule: IssRule<'_>) -> Result<SecretString, UpstreamError> {
    rule.check(response.iss.as_deref())?;
    let error = match response.answer {
        Answer::Code(code) => return Ok(code),
        Answer::Error(error) => printable(&error),
        Answer::Nothing => {
            let problem = "neither a code nor an error".to_owned();
            return Err(UpstreamError::BadResponse { endpoint: "authorization response", problem });
        }
    };
    match error.as_str() {
        "server_error" | "temporarily_unavailable" => Err(UpstreamError::ProviderTrouble { error }),
        _ => Err(UpstreamError::Denied { error }),
    }
}

#[cfg(test)]
mod tests {
    use portico_core::error::Code;
    use portico_core::provider::LoginSecrets;

    use super::*;
    use crate::fixtures;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn pairs(slot: &Slot, endpoint: &str, prompt: Prompt) -> Vec<(String, String)> {
        let redirect_uri = Url::parse("https://portico.example/auth/oauth2/provider1/callback").unwrap();
        let login_secrets = LoginSecrets::new(VERIFIER.into(), "the-nonce".into());
        let params = AuthorizationParams {
            redirect_uri: &redirect_uri,
            state: "the-state",
            login_secrets: &login_secrets,
            prompt,
        };
        let url = authorization_request(slot, &Url::parse(endpoint).unwrap(), &params);
        assert!(!url.as_str().contains(VERIFIER), "{url}");
        url.query_pairs().into_owned().collect()
    }

    fn sorted(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut all: Vec<_> = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        all.sort();
        all
    }

    #[test]
    fn m30_q_x_20_the_request_has_exactly_these_parameters() {
        let always = [
            ("client_id", "portico"),
            ("redirect_uri", "https://portico.example/auth/oauth2/provider1/callback"),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("state", "the-state"),
        ];
        // The example of RFC 7636, appendix B.
        let pkce = [
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        let plain = fixtures::slot();
        let mut without = fixtures::slot();
        without.pkce = Pkce::OffByOperator;
        let mut more = fixtures::slot();
        more.audience = Some("https://api.example/?a=b&c".to_owned());
        more.extra_params.insert("prompt".to_owned(), "login".to_owned());
        let mut form = fixtures::slot();
        form.response_mode = ResponseMode::FormPost;
        let form_post = [("response_mode", "form_post")];
        let extra = [("audience", "https://api.example/?a=b&c"), ("prompt", "login")];
        for (slot, endpoint, expected) in [
            (&plain, "https://idp.example/authorize", [&always[..], &pkce].concat()),
            (&plain, "https://idp.example/authorize?p=1", [&always[..], &pkce, &[("p", "1")]].concat()),
            (&without, "https://idp.example/authorize", always.to_vec()),
            (&more, "https://idp.example/authorize", [&always[..], &pkce, &extra].concat()),
            (&form, "https://idp.example/authorize", [&always[..], &pkce, &form_post].concat()),
        ] {
            let mut sent = pairs(slot, endpoint, Prompt::AsConfigured);
            sent.sort();
            assert_eq!(sent, sorted(&expected));
        }
    }

    #[test]
    fn m26_after_a_logout_the_person_is_asked_whatever_is_configured() {
        let prompts = |slot: &Slot, prompt: Prompt| -> Vec<String> {
            let all = pairs(slot, "https://idp.example/authorize", prompt);
            all.into_iter().filter(|(name, _)| name == "prompt").map(|(_, value)| value).collect()
        };
        let mut slot = fixtures::slot();
        assert_eq!(prompts(&slot, Prompt::AsConfigured), [""; 0]);
        assert_eq!(prompts(&slot, Prompt::Login), ["login"]);
        slot.extra_params.insert("prompt".to_owned(), "consent".to_owned());
        assert_eq!(prompts(&slot, Prompt::AsConfigured), ["consent"]);
        assert_eq!(prompts(&slot, Prompt::Login), ["login"]);
    }

    #[test]
    fn h18_c07_a_reply_is_judged_by_its_issuer_first_and_then_by_its_error() {
        let issuer = Issuer::new("https://idp.example");
        let aliases = [Issuer::new("idp.example")];
        let own = IssRule { issuer: Some(&issuer), aliases: &aliases, tenants: &[], promised: false };
        let promised = IssRule { promised: true, ..own };
        let none = IssRule { issuer: None, ..promised };
        let good = "https://idp.example";
        let tenants = ["72f988bf-86f1-41af-91ab-2d7cd011db47".to_owned()];
        let template = Issuer::new("https://login.example/{tenantid}/v2.0");
        let many = IssRule { issuer: Some(&template), aliases: &[], tenants: &tenants, promised: false };
        let of_tenant = "https://login.example/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";
        for (rule, iss, error, code) in [
            (many, Some(of_tenant), None, None),
            (many, Some("https://login.example/{tenantid}/v2.0"), None, Some(Code::LoginMixup)),
            (
                many,
                Some("https://login.example/11111111-2222-3333-4444-555555555555/v2.0"),
                None,
                Some(Code::LoginMixup),
            ),
            (own, Some(good), None, None),
            (own, Some("idp.example"), None, None),
            (own, None, None, None),
            (own, Some("https://idp.example/"), None, Some(Code::LoginMixup)),
            (own, Some("HTTPS://idp.example"), None, Some(Code::LoginMixup)),
            (own, Some(""), None, Some(Code::LoginMixup)),
            (promised, Some(good), None, None),
            (promised, None, None, Some(Code::LoginMixup)),
            (promised, None, Some("access_denied"), Some(Code::LoginMixup)),
            (promised, Some(good), Some("access_denied"), Some(Code::IdpDenied)),
            (none, None, None, None),
            (none, Some("https://evil.example"), None, None),
            (own, None, Some("login_required"), Some(Code::IdpDenied)),
            (own, None, Some("made up"), Some(Code::IdpDenied)),
            (own, None, Some("server_error"), Some(Code::IdpBadResponse)),
            (own, None, Some("temporarily_unavailable"), Some(Code::IdpBadResponse)),
        ] {
            let answer = error.map_or(Answer::Code("the-code".into()), |e| Answer::Error(e.to_owned()));
            let taken = take_code(AuthorizationResponse { answer, iss: iss.map(str::to_owned) }, rule);
            assert_eq!(taken.err().map(|error| error.code()), code, "{iss:?} {error:?} {rule:?}");
        }
    }
}
