//! The port to an identity provider: [`ProtocolClient`], with its arguments and results.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use super::fingerprint::ProviderFingerprint;
use super::inspection::Finding;
use super::issuer::Issuer;
use super::logout::LogoutToken;
use crate::claims::Claims;
use crate::clock::Timestamp;
use crate::error::UpstreamError;

/// The parameters of an authorization request that differ from login to login.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationParams<'a> {
    /// Portico's callback for the slot (RFC 6749 3.1.2).
    pub redirect_uri: &'a Url,
    /// The opaque identifier of the login (RFC 6749 4.1.1).
    pub state: &'a str,
    /// PKCE verifier and nonce of the login.
    pub login_secrets: &'a LoginSecrets,
    /// Whether the provider asks the person to authenticate; has precedence over the slot's own parameters.
    pub prompt: Prompt,
}

/// The `prompt` of an authorization request (OIDC Core 3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// As the slot's settings say.
    AsConfigured,
    /// `prompt=login`: the provider asks the person to authenticate again.
    Login,
    /// `prompt=none`: the provider shows no page.
    None,
}

/// The secrets of a login that its callback needs again.
pub struct LoginSecrets {
    verifier: SecretString,
    nonce: SecretString,
}

impl LoginSecrets {
    /// The secrets of one login.
    pub fn new(verifier: SecretString, nonce: SecretString) -> Self {
        Self { verifier, nonce }
    }

    /// The PKCE code verifier (RFC 7636 4.1).
    pub fn verifier(&self) -> &SecretString {
        &self.verifier
    }

    /// The nonce (OIDC Core 3.1.2.1).
    pub fn nonce(&self) -> &SecretString {
        &self.nonce
    }
}

impl fmt::Debug for LoginSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginSecrets([REDACTED])")
    }
}

/// The redirect of the browser to the provider.
#[derive(Debug, Clone)]
pub struct AuthorizationRedirect {
    /// The complete authorization request (RFC 6749 4.1.1).
    pub location: Url,
    /// The fingerprint of the provider at that time.
    pub fingerprint: ProviderFingerprint,
}

/// The authorization response that the browser brings from the provider (RFC 6749 4.1.2).
#[derive(Debug)]
pub struct AuthorizationResponse {
    /// The code or the error.
    pub answer: Answer,
    /// The `iss` parameter (RFC 9207 2), if there is one.
    pub iss: Option<String>,
}

/// The content of an authorization response (RFC 6749 4.1.2).
#[derive(Debug)]
pub enum Answer {
    /// An authorization code.
    Code(SecretString),
    /// The provider's error code; for the log only.
    Error(String),
    /// Neither of the two; no provider sends this.
    Nothing,
}

/// The arguments of a code exchange (RFC 6749 4.1.3).
#[derive(Debug)]
pub struct CodeExchange {
    /// Portico's callback, the same as in the authorization request (RFC 6749 4.1.3).
    pub redirect_uri: Url,
    /// PKCE verifier and nonce of the login.
    pub login_secrets: LoginSecrets,
    /// The fingerprint of the provider when the login started.
    pub fingerprint: ProviderFingerprint,
    /// The authorization response.
    pub response: AuthorizationResponse,
    /// The current time.
    pub now: Timestamp,
}

/// Whether a slot's provider can be used at present. A worse state is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// The last calls succeeded, or none was made yet.
    Ok,
    /// Logins work with cached metadata; the last attempt to fetch it failed.
    Degraded,
    /// A login would fail, judging by the last calls.
    Down,
}

/// The client of an identity provider. There is one per enabled slot.
#[async_trait]
pub trait ProtocolClient: Send + Sync + 'static {
    /// Builds the authorization request (RFC 6749 4.1.1, OIDC Core 3.1.2.1). Fetches the provider's
    /// metadata first if it is not known.
    ///
    /// # Errors
    /// If the metadata is needed and cannot be fetched or used.
    async fn authorization_redirect(
        &self,
        params: AuthorizationParams<'_>,
    ) -> Result<AuthorizationRedirect, UpstreamError>;

    /// Checks the authorization response, exchanges the code and verifies the result. The order of the
    /// steps is: the provider's fingerprint, `iss` (RFC 9207), the error if there is one, the exchange,
    /// the tokens, userinfo.
    ///
    /// # Errors
    /// For the first step that fails.
    async fn exchange_code(&self, exchange: CodeExchange) -> Result<Claims, UpstreamError>;

    /// The URL at which the browser ends the session at the provider (OIDC RP-Initiated Logout 1.0).
    /// `None` if the provider has no such endpoint or its metadata is not known yet; makes no network
    /// call. `hint` is the ID token of the login.
    fn end_session(&self, post_logout_redirect: Option<&Url>, hint: Option<&SecretString>) -> Option<Url>;

    /// Verifies a logout token (OIDC Back-Channel Logout 1.0, 2.6). `None` if the slot does not support
    /// back-channel logout: in OAuth 2.0, and if signatures are not checked.
    ///
    /// # Errors
    /// If the token is not valid, or the provider's keys cannot be fetched.
    async fn verify_logout_token(
        &self,
        _token: &SecretString,
        _now: Timestamp,
    ) -> Result<Option<LogoutToken>, UpstreamError> {
        Ok(None)
    }

    /// Whether the provider can be used, without a network call.
    fn health(&self) -> Health;

    /// The fingerprint of the provider's issuer and endpoints. `None` if they are not known yet.
    fn fingerprint(&self) -> Option<ProviderFingerprint>;

    /// Checks what can be checked without a login, in less than five seconds.
    async fn inspect(&self, params: AuthorizationParams<'_>, now: Timestamp) -> Vec<Finding>;

    /// Fetches the provider's metadata if it is not known yet. A failure is ignored.
    async fn load_metadata(&self) {}

    /// The issuer under which identities are stored. `None` if it is not known yet, and in OAuth 2.0.
    fn issuer(&self) -> Option<Issuer> {
        None
    }
}
