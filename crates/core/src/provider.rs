//! What a slot knows of its identity provider, and the port through which the provider is spoken to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use crate::admission::AccessRule;
use crate::claims::{ClaimMap, Claims};
use crate::clock::Timestamp;
use crate::error::UpstreamError;
use crate::inspect::Finding;
use crate::logout::LogoutToken;
use crate::slot::{Protocol, SlotId, SlotName};

pub use crate::client_auth::{ClientAuth, ClientKey, Secrets};
pub use crate::issuer::Issuer;

/// An enabled slot with all its settings, checked.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Its place within the protocol.
    pub name: SlotName,
    /// What the login button shows.
    pub button: Button,
    /// Our identifier at the provider (RFC 6749 2.2).
    pub client_id: String,
    /// How we prove to the token endpoint who we are.
    pub auth: ClientAuth,
    /// Whether PKCE is used (RFC 7636).
    pub pkce: Pkce,
    /// The scopes asked for, in order (RFC 6749 3.3).
    pub scopes: Vec<String>,
    /// Sent as `audience` on the authorization request.
    pub audience: Option<String>,
    /// Static parameters of the authorization request; never a name Portico sets itself.
    pub extra_params: BTreeMap<String, String>,
    /// Which claims mean what.
    pub claims: ClaimMap,
    /// Who may come in.
    pub access: AccessRule,
    /// How the provider's answer travels back.
    pub response_mode: ResponseMode,
    /// How userinfo is asked for.
    pub userinfo_method: UserinfoMethod,
    /// Where groups are looked up with the login's access token, in the form of Google Cloud Identity.
    pub groups_url: Option<Url>,
    /// How far the provider's clock may be from ours.
    pub clock_skew: Duration,
    /// How the provider is reached.
    pub transport: Transport,
    /// Whether a first login here may adopt a local account by name (deprecated).
    pub name_fallback: bool,
    /// What only one of the protocols has.
    pub kind: ProviderKind,
}

impl Slot {
    /// The slot's full name.
    pub fn id(&self) -> SlotId {
        let protocol = match self.kind {
            ProviderKind::Oidc(_) => Protocol::Oidc,
            ProviderKind::OAuth2(_) => Protocol::OAuth2,
        };
        SlotId { protocol, name: self.name }
    }

    /// The discovery document's address, in OIDC.
    pub fn discovery_url(&self) -> Option<&Url> {
        match &self.kind {
            ProviderKind::Oidc(oidc) => Some(&oidc.discovery_url),
            ProviderKind::OAuth2(_) => None,
        }
    }

    /// A mark of the client id and of everything configured that names the provider. A login begun under one mark is
    /// not finished under another.
    pub fn fingerprint(&self) -> ProviderFingerprint {
        let issuer = |issuer: &Option<Issuer>| issuer.as_ref().map(ToString::to_string).unwrap_or_default();
        match &self.kind {
            ProviderKind::Oidc(oidc) => {
                let userinfo = oidc.userinfo_url.as_ref().map_or("", Url::as_str);
                ProviderFingerprint::of(&[
                    &self.client_id,
                    oidc.discovery_url.as_str(),
                    &issuer(&oidc.issuer),
                    userinfo,
                ])
            }
            ProviderKind::OAuth2(oauth2) => ProviderFingerprint::of(&[
                &self.client_id,
                oauth2.authorization_url.as_str(),
                oauth2.token_url.as_str(),
                oauth2.userinfo_url.as_str(),
                oauth2.emails_url.as_ref().map_or("", Url::as_str),
                &issuer(&oauth2.issuer),
                &oauth2.identity_namespace,
            ]),
        }
    }
}

/// The face of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// Text on the button.
    pub label: String,
    /// Material Design icon name, such as `mdi:google`.
    pub icon: String,
}

/// The part of a slot that depends on its protocol.
#[derive(Debug, Clone)]
pub enum ProviderKind {
    /// OpenID Connect.
    Oidc(OidcSettings),
    /// OAuth 2.0.
    OAuth2(OAuth2Settings),
}

/// What an OpenID Connect slot has of its own.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The complete address of the discovery document, fetched as it stands.
    pub discovery_url: Url,
    /// The pinned issuer, if any.
    pub issuer: Option<Issuer>,
    /// Further literals accepted in place of the pinned issuer.
    pub issuer_aliases: Vec<Issuer>,
    /// Whether ID-token signatures are checked.
    pub signature: SignatureCheck,
    /// The operator's list of algorithms; none = what discovery says, within [`SigningAlg::ALL`].
    pub allowed_algs: Option<Vec<SigningAlg>>,
    /// How strict the nonce is.
    pub nonce: NonceMode,
    /// When userinfo is read.
    pub userinfo: UserinfoUse,
    /// Overrides discovery's userinfo endpoint.
    pub userinfo_url: Option<Url>,
}

/// What an OAuth 2.0 slot has of its own.
#[derive(Debug, Clone)]
pub struct OAuth2Settings {
    /// The authorization endpoint.
    pub authorization_url: Url,
    /// The token endpoint.
    pub token_url: Url,
    /// The userinfo endpoint.
    pub userinfo_url: Url,
    /// Where the person's e-mail addresses are listed, in GitHub's form.
    pub emails_url: Option<Url>,
    /// For the check of RFC 9207 only.
    pub issuer: Option<Issuer>,
    /// Stands in for an issuer in the identity key.
    pub identity_namespace: String,
}

/// Proof Key for Code Exchange (RFC 7636).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkce {
    /// Always sent, method S256.
    S256,
    /// The operator switched it off.
    OffByOperator,
}

/// How an authorization response travels (OAuth 2.0 Multiple Response Type Encoding Practices 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of a redirect.
    Query,
    /// In the body of a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// Whether ID-token signatures are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureCheck {
    /// Signature, algorithm, audience and issuer are verified.
    Verify,
    /// `id_token_verify_signature = false`: those four, and only those, are skipped.
    SkippedByOperator,
}

/// How strict the nonce of an ID token is (OIDC Core 3.1.3.7 (11)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceMode {
    /// It must be there and be ours.
    Required,
    /// It may be missing; when there it must be ours.
    IfPresent,
    /// It is not sent; a non-empty one in the token is foreign and refused.
    Never,
}

/// When an OpenID Connect slot reads userinfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserinfoUse {
    /// On every login; a failure fails the login.
    Always,
    /// When a configured claim is missing from the ID token; a failure leaves its claims absent.
    IfNeeded,
    /// Not at all.
    Never,
}

/// How userinfo is asked for (OIDC Core 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserinfoMethod {
    /// HTTP GET.
    Get,
    /// HTTP POST.
    Post,
}

/// How a provider is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    /// Further root certificates, PEM.
    pub extra_roots: Option<Arc<[u8]>>,
    /// Whether plain http is accepted on hosts other than loopback.
    pub allow_insecure_http: bool,
}

/// A signature algorithm that an ID token may have (RFC 7518 3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's own")]
pub enum SigningAlg {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl SigningAlg {
    /// Every algorithm that is ever accepted: asymmetric ones only.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The `alg` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of that exact name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == text)
    }
}

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

/// A mark of the resolved issuer and endpoints. A login finishes only at the provider it started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderFingerprint(pub [u8; 8]);

impl ProviderFingerprint {
    /// Marks these texts; each is counted with its length, so two lists never run together.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut mark = [0; 8];
        for (to, from) in mark.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        Self(mark)
    }
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
