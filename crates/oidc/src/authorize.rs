//! The authorization request of an OpenID Connect slot (OIDC Core 3.1.2.1).

use openidconnect::core::{CoreAuthenticationFlow, CoreClient};
use openidconnect::{ClientId, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use portico_core::provider::{AuthorizationParams, Pkce, Slot};
use portico_oauth2::{authorization_request, further_parameters};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::metadata::Metadata;

/// The authorization request. Its parameters come from the settings, the metadata and this login only, not
/// from the request of the browser. Without a nonce it is a request of OAuth 2.0, because `CoreClient` always
/// sends a nonce.
pub(crate) fn authentication_request(
    slot: &Slot,
    metadata: &Metadata,
    params: &AuthorizationParams<'_>,
    nonce: Option<&SecretString>,
) -> Url {
    let Some(nonce) = nonce else {
        return authorization_request(slot, metadata.authorization(), params);
    };
    let (state, nonce) = (params.state.to_owned(), nonce.expose_secret().to_owned());
    // The scopes of the settings already have `openid`.
    let client = CoreClient::from_provider_metadata(
        metadata.provider().clone(),
        ClientId::new(slot.client_id.clone()),
        None,
    )
    .set_redirect_uri(RedirectUrl::from_url(params.redirect_uri.clone()))
    .disable_openid_scope();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let mut request = client
        .authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce))
        .add_scopes(slot.scopes.iter().cloned().map(Scope::new));
    if slot.pkce == Pkce::S256 {
        let verifier = PkceCodeVerifier::new(params.login_secrets.verifier().expose_secret().to_owned());
        request = request.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    }
    for (name, value) in further_parameters(slot, params) {
        request = request.add_extra_param(name, value);
    }
    let (url, ..) = request.url();
    url
}

#[cfg(test)]
mod tests {
    use portico_core::provider::{LoginSecrets, Prompt, ResponseMode};
    use portico_outbound::Outbound;
    use serde_json::json;
    use tokio::runtime::Handle;

    use super::*;
    use crate::fixtures;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn metadata(authorization: &str) -> Metadata {
        let document = json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": authorization,
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/jwks",
        });
        let settings = fixtures::settings("https://idp.example/.well-known/openid-configuration");
        let http = Outbound::new(&fixtures::slot(settings.clone()).transport, Handle::current()).unwrap();
        Metadata::from_document(document.as_object().unwrap(), &settings, &[], &http).unwrap()
    }

    /// The parameters of the request, in alphabetical order.
    fn parameters(slot: &Slot, authorization: &str, nonce: bool, prompt: Prompt) -> Vec<(String, String)> {
        let redirect_uri = Url::parse("https://portico.example/auth/oidc/provider1/callback").unwrap();
        let login_secrets = LoginSecrets::new(VERIFIER.into(), "the-nonce".into());
        let params = AuthorizationParams {
            redirect_uri: &redirect_uri,
            state: "the-state",
            login_secrets: &login_secrets,
            prompt,
        };
        let nonce = nonce.then(|| login_secrets.nonce());
        let url = authentication_request(slot, &metadata(authorization), &params, nonce);
        assert!(!url.as_str().contains(VERIFIER), "{url}");
        let mut all: Vec<_> = url.query_pairs().into_owned().collect();
        all.sort();
        all
    }

    #[tokio::test]
    async fn m30_q_x_20_the_request_of_a_login_has_exactly_these_parameters() {
        let endpoint = "https://idp.example/authorize";
        let always = [
            ("client_id", "portico"),
            ("redirect_uri", "https://portico.example/auth/oidc/provider1/callback"),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "the-state"),
        ];
        // The example of RFC 7636, appendix B.
        let pkce = [
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        let nonce = [("nonce", "the-nonce")];
        let plain = fixtures::slot(fixtures::settings(endpoint));
        let (mut without, mut more, mut form) = (plain.clone(), plain.clone(), plain.clone());
        without.pkce = Pkce::OffByOperator;
        more.audience = Some("https://api.example/?a=b&c".to_owned());
        more.extra_params.insert("prompt".to_owned(), "consent".to_owned());
        form.response_mode = ResponseMode::FormPost;
        let extra = |prompt| [("audience", "https://api.example/?a=b&c"), ("prompt", prompt)];
        let configured = Prompt::AsConfigured;
        for (slot, query, sent, prompt, further) in [
            (&plain, "", true, configured, [&pkce[..], &nonce].concat()),
            (&plain, "", false, configured, pkce.to_vec()),
            (&plain, "?p=1", true, configured, [&pkce[..], &nonce, &[("p", "1")]].concat()),
            (&without, "", true, configured, nonce.to_vec()),
            (&without, "", false, configured, Vec::new()),
            (&more, "", true, configured, [&pkce[..], &nonce, &extra("consent")].concat()),
            (&more, "", true, Prompt::Login, [&pkce[..], &nonce, &extra("login")].concat()),
            (&more, "", true, Prompt::None, [&pkce[..], &nonce, &extra("none")].concat()),
            (&form, "", true, configured, [&pkce[..], &nonce, &[("response_mode", "form_post")]].concat()),
        ] {
            let mut expected: Vec<_> = always.iter().chain(&further).collect();
            expected.sort();
            let received = parameters(slot, &format!("{endpoint}{query}"), sent, prompt);
            let received: Vec<_> =
                received.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(received, expected.into_iter().copied().collect::<Vec<_>>(), "{query} {sent}");
        }
    }
}
