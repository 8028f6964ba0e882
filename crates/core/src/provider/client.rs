//! The port through which an identity provider is spoken to in its protocol.

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

/// What a login sends along to the provider, made anew for each login.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationParams<'a> {
    /// Our callback for this slot (RFC 6749 3.1.2).
    pub redirect_uri: &'a Url,
    /// The opaque handle of this login (RFC 6749 4.1.1).
    pub state: &'a str,
    /// Verifier and nonce of this login.
    pub login_secrets: &'a LoginSecrets,
    /// Whether the person must prove anew who they are, whatever the slot's own parameters say.
    pub prompt: Prompt,
}

/// Whether the provider may let a person in whom it still knows (OIDC Core 3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// As the slot's settings say.
    AsConfigured,
    /// `prompt=login`.
    Login,
    /// `prompt=none`: nobody is asked anything.
    Nobody,
}

/// What must be remembered between the start of a login and its callback.
pub struct LoginSecrets {
    verifier: SecretString,
    nonce: SecretString,
}

impl LoginSecrets {
    /// Puts the two together.
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
        f.write_str("Memory([REDACTED])")
    }
}

/// Where to send the browser, and what the provider looked like when it was sent.
#[derive(Debug, Clone)]
pub struct AuthorizationRedirect {
    /// The complete authorization request.
    pub location: Url,
    /// The provider as the login saw it.
    pub fingerprint: ProviderFingerprint,
}

/// What the browser brought back from the provider.
#[derive(Debug)]
pub struct AuthorizationResponse {
    /// The code or the refusal.
    pub answer: Answer,
    /// RFC 9207's `iss`, when it came.
    pub iss: Option<String>,
}

/// The two kinds of authorization response (RFC 6749 4.1.2).
#[derive(Debug)]
pub enum Answer {
    /// An authorization code.
    Code(SecretString),
    /// An error code, in the provider's own word; for the log only.
    Error(String),
    /// Neither of the two, which no provider sends.
    Nothing,
}

/// Everything needed to finish a login at the provider.
#[derive(Debug)]
pub struct CodeExchange {
    /// Our callback, exactly as at the start (RFC 6749 4.1.3).
    pub redirect_uri: Url,
    /// Verifier and nonce of this login.
    pub login_secrets: LoginSecrets,
    /// The provider as the login saw it at the start.
    pub fingerprint: ProviderFingerprint,
    /// What came back.
    pub response: AuthorizationResponse,
    /// Now.
    pub now: Timestamp,
}

/// Whether a slot's provider can be used at the moment; the worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As far as we know.
    Ok,
    /// It works from what we remember; the last look failed.
    Degraded,
    /// A login would fail, as far as the last calls tell.
    Down,
}

/// A provider, spoken to in its protocol. One object per enabled slot.
#[async_trait]
pub trait ProtocolClient: Send + Sync + 'static {
    /// Builds the authorization request (RFC 6749 4.1.1, OIDC Core 3.1.2.1).
    async fn authorization_redirect(
        &self,
        params: AuthorizationParams<'_>,
    ) -> Result<AuthorizationRedirect, UpstreamError>;

    /// Checks the reply, exchanges the code, verifies what comes back: in this order, the provider as it was at the
    /// start, RFC 9207 `iss`, the error if any, the exchange, the tokens, userinfo.
    async fn exchange_code(&self, exchange: CodeExchange) -> Result<Claims, UpstreamError>;

    /// Where to send the browser to end the session at the provider (OIDC RP-Initiated Logout 1.0), when it has such
    /// an endpoint and is known already; never waits for the network. `hint` is the ID token of the login.
    fn end_session(&self, post_logout_redirect: Option<&Url>, hint: Option<&SecretString>) -> Option<Url>;

    /// Verifies what the provider says of sessions that ended there (OIDC Back-Channel Logout 1.0, 2.6). `None` where
    /// nobody may say so: in OAuth 2.0, and where signatures are not checked.
    async fn verify_logout_token(
        &self,
        _token: &SecretString,
        _now: Timestamp,
    ) -> Result<Option<LogoutToken>, UpstreamError> {
        Ok(None)
    }

    /// What is known of the provider without asking it.
    fn health(&self) -> Health;

    /// The mark of issuer and endpoints as they are known now; nothing before they are.
    fn fingerprint(&self) -> Option<ProviderFingerprint>;

    /// Looks at everything that can be looked at without a person. Spends nothing and takes less than five seconds.
    async fn inspect(&self, params: AuthorizationParams<'_>, now: Timestamp) -> Vec<Finding>;

    /// Learns what a provider says of itself, where that is not known yet.
    async fn load_metadata(&self) {}

    /// The issuer in whose name identities are stored, when it is known already; OAuth 2.0 has none.
    fn issuer(&self) -> Option<Issuer> {
        None
    }
}
