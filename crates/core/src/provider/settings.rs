//! The settings of an enabled slot: what Portico knows of its identity provider before asking it.

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

    /// Reads checked documents of this slot's provider.
    ///
    /// # Errors
    /// [`ClaimsError`] if there is no usable subject.
    pub fn claims_from(&self, evidence: &Evidence) -> Result<Claims, ClaimsError> {
        let source = ClaimSource { slot: self.id(), client_id: &self.client_id, map: &self.claims };
        Claims::from_evidence(&source, evidence)
    }

    /// Whether the ID token lacks a claim that the settings name, so that userinfo must be asked.
    pub fn needs_userinfo(&self, id_token: &Map<String, Value>) -> bool {
        self.claims.is_incomplete(id_token) || self.access_rule_needs_userinfo(id_token)
    }

    /// Whether the access rule checks a claim that the ID token lacks and userinfo may have: without userinfo the rule
    /// cannot be decided (section 2.5 of the contract).
    pub fn access_rule_needs_userinfo(&self, id_token: &Map<String, Value>) -> bool {
        let (map, rule) = (&self.claims, &self.access);
        (!rule.groups.is_empty() && map.groups.find(id_token).is_none())
            || (!rule.email_domains.is_empty() && !map.has_judged_email(id_token))
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
