//! The settings of an enabled slot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::client_auth::ClientAuth;
use super::fingerprint::ProviderFingerprint;
use super::issuer::Issuer;
use crate::admission::AccessRule;
use crate::claims::{ClaimMap, ClaimSource, Claims, ClaimsError, Evidence};
use crate::slot::{Protocol, SlotId, SlotName};

/// The settings of an enabled slot, validated.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The slot's name within its protocol.
    pub name: SlotName,
    /// The login button.
    pub button: Button,
    /// Portico's client identifier at the provider (RFC 6749 2.2).
    pub client_id: String,
    /// Client authentication at the token endpoint.
    pub auth: ClientAuth,
    /// Whether PKCE is used (RFC 7636).
    pub pkce: Pkce,
    /// The requested scopes, in order (RFC 6749 3.3).
    pub scopes: Vec<String>,
    /// The `audience` parameter of the authorization request.
    pub audience: Option<String>,
    /// Static parameters of the authorization request. None has a name that Portico sets itself.
    pub extra_params: BTreeMap<String, String>,
    /// The claim mapping.
    pub claims: ClaimMap,
    /// The access rule.
    pub access: AccessRule,
    /// How the provider returns the authorization response.
    pub response_mode: ResponseMode,
    /// How userinfo is requested.
    pub userinfo_method: UserinfoMethod,
    /// Where groups are looked up with the login's access token, in Google Cloud Identity's format.
    pub groups_url: Option<Url>,
    /// The maximum difference between the provider's clock and Portico's.
    pub clock_skew: Duration,
    /// How Portico connects to the provider.
    pub transport: Transport,
    /// Whether a first login may adopt a local account by name (deprecated).
    pub name_fallback: bool,
    /// The settings that depend on the protocol.
    pub kind: ProviderKind,
}

impl Slot {
    /// The slot's identifier.
    pub fn id(&self) -> SlotId {
        let protocol = match self.kind {
            ProviderKind::Oidc(_) => Protocol::Oidc,
            ProviderKind::OAuth2(_) => Protocol::OAuth2,
        };
        SlotId { protocol, name: self.name }
    }

    /// The URL of the discovery document. `None` for OAuth 2.0.
    pub fn discovery_url(&self) -> Option<&Url> {
        match &self.kind {
            ProviderKind::Oidc(oidc) => Some(&oidc.discovery_url),
            ProviderKind::OAuth2(_) => None,
        }
    }

    /// Reads verified documents of this slot's provider.
    ///
    /// # Errors
    /// [`ClaimsError`] if there is no usable subject.
    pub fn claims_from(&self, evidence: &Evidence) -> Result<Claims, ClaimsError> {
        let source = ClaimSource { slot: self.id(), client_id: &self.client_id, map: &self.claims };
        Claims::from_evidence(&source, evidence)
    }

    /// Whether the ID token lacks a claim that the settings name, so that userinfo is needed.
    pub fn needs_userinfo(&self, id_token: &Map<String, Value>) -> bool {
        self.claims.is_incomplete(id_token) || self.access_rule_needs_userinfo(id_token)
    }

    /// Whether the access rule checks a claim that the ID token lacks and userinfo may have. Without
    /// userinfo, the rule cannot be evaluated (section 2.5 of the contract).
    pub fn access_rule_needs_userinfo(&self, id_token: &Map<String, Value>) -> bool {
        let (map, rule) = (&self.claims, &self.access);
        (!rule.groups.is_empty() && map.groups.find(id_token).is_none())
            || (!rule.email_domains.is_empty() && !map.has_judged_email(id_token))
    }

    /// The fingerprint of the client id and of all settings that name the provider. A login that started
    /// under one fingerprint does not finish under another.
    pub fn fingerprint(&self) -> ProviderFingerprint {
        let issuer = |issuer: &Option<Issuer>| issuer.as_ref().map(ToString::to_string).unwrap_or_default();
        match &self.kind {
            ProviderKind::Oidc(oidc) => {
                let userinfo = oidc.userinfo_url.as_ref().map_or("", Url::as_str);
                ProviderFingerprint::new(&[
                    &self.client_id,
                    oidc.discovery_url.as_str(),
                    &issuer(&oidc.issuer),
                    userinfo,
                ])
            }
            ProviderKind::OAuth2(oauth2) => ProviderFingerprint::new(&[
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

/// The login button of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// Text on the button.
    pub label: String,
    /// Material Design icon name, such as `mdi:google`.
    pub icon: String,
}

/// The settings of a slot that depend on its protocol.
#[derive(Debug, Clone)]
pub enum ProviderKind {
    /// OpenID Connect.
    Oidc(OidcSettings),
    /// OAuth 2.0.
    OAuth2(OAuth2Settings),
}

/// The settings of OpenID Connect slots only.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The complete URL of the discovery document (OIDC Discovery 1.0, 4).
    pub discovery_url: Url,
    /// The pinned issuer, if any.
    pub issuer: Option<Issuer>,
    /// Further issuers that are accepted in ID tokens; compared as exact text.
    pub issuer_aliases: Vec<Issuer>,
    /// Whether ID-token signatures are checked.
    pub signature: SignatureCheck,
    /// The allowed signature algorithms. `None` allows those of the provider's metadata that are in
    /// [`SigningAlg::ALL`].
    pub allowed_algs: Option<Vec<SigningAlg>>,
    /// How the nonce is checked.
    pub nonce: NonceMode,
    /// When userinfo is requested.
    pub userinfo: UserinfoUse,
    /// The userinfo endpoint, in place of the one in the provider's metadata.
    pub userinfo_url: Option<Url>,
}

/// The settings of OAuth 2.0 slots only.
#[derive(Debug, Clone)]
pub struct OAuth2Settings {
    /// The authorization endpoint.
    pub authorization_url: Url,
    /// The token endpoint.
    pub token_url: Url,
    /// The userinfo endpoint.
    pub userinfo_url: Url,
    /// Where the person's e-mail addresses are listed, in GitHub's format.
    pub emails_url: Option<Url>,
    /// The issuer, for the check of `iss` in authorization responses only (RFC 9207).
    pub issuer: Option<Issuer>,
    /// Used in place of an issuer in identity keys.
    pub identity_namespace: String,
}

/// Proof Key for Code Exchange (RFC 7636).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkce {
    /// Always used, with method S256.
    S256,
    /// Disabled by a setting.
    OffByOperator,
}

/// How an authorization response is returned (OAuth 2.0 Multiple Response Type Encoding Practices 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of a redirect.
    Query,
    /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// Whether ID-token signatures are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureCheck {
    /// Signature, algorithm, audience and issuer are verified.
    Verify,
    /// `id_token_verify_signature = false`: these four checks are skipped, and no others.
    SkippedByOperator,
}

/// How the nonce of an ID token is checked (OIDC Core 3.1.3.7 (11)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceMode {
    /// The token must have the nonce of the login.
    Required,
    /// The token may have no nonce; if it has one, it must be that of the login.
    IfPresent,
    /// Portico sends no nonce, and refuses a token with a non-empty one.
    Never,
}

/// When an OpenID Connect slot requests userinfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserinfoUse {
    /// At each login; if the request fails, the login fails.
    Always,
    /// If the ID token lacks a configured claim; if the request fails, the claim stays absent.
    IfNeeded,
    /// Never.
    Never,
}

/// How userinfo is requested (OIDC Core 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserinfoMethod {
    /// HTTP GET.
    Get,
    /// HTTP POST.
    Post,
}

/// How Portico connects to a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    /// Additional root certificates in PEM.
    pub extra_roots: Option<Arc<[u8]>>,
    /// Whether http is accepted for hosts other than loopback.
    pub allow_insecure_http: bool,
}

/// A signature algorithm of ID tokens (RFC 7518 3.1, RFC 8037 3.1).
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
    /// All accepted algorithms. All are asymmetric.
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

    /// The algorithm with this exact name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == text)
    }
}
