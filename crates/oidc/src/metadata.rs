//! The discovery document: checked by the rules of Portico, then stored in the types of `openidconnect`.

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, EndSessionUrl, LogoutProviderMetadata, UserInfoUrl};
use portico_core::error::UpstreamError;
use portico_core::provider::{Issuer, OidcSettings, ProviderFingerprint, SigningAlg};
use portico_core::text::printable;
use portico_oauth2::AuthMethod;
use portico_outbound::Outbound;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

/// The provider metadata of `openidconnect`, with the members of RP-Initiated Logout and [`FurtherMembers`].
pub(crate) type ProviderMetadata = openidconnect::ProviderMetadata<
    LogoutProviderMetadata<FurtherMembers>,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// The members that other specifications add.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct FurtherMembers {
    /// Whether every authorization response has an `iss` (RFC 9207 3).
    authorization_response_iss_parameter_supported: bool,
    /// The supported methods of PKCE (RFC 8414 2).
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl AdditionalProviderMetadata for FurtherMembers {}

/// Why a discovery document is refused.
#[derive(Debug)]
pub(crate) enum MetadataError {
    /// The issuer is missing, or the slot does not accept it.
    Issuer(String),
    /// Another member is missing or malformed.
    Member(String),
}

impl From<MetadataError> for UpstreamError {
    fn from(error: MetadataError) -> Self {
        let (MetadataError::Issuer(problem) | MetadataError::Member(problem)) = error;
        Self::Metadata(problem)
    }
}

/// A discovery document that passed its checks (OIDC Discovery 4.3).
pub(crate) struct Metadata {
    /// The issuer of stored identities: that of the settings, or else that of the document. An issuer of the
    /// settings may be any text, which the type of `openidconnect` cannot hold.
    pub(crate) issuer: Issuer,
    /// The token endpoint, which is optional in the type of `openidconnect`.
    pub(crate) token: Url,
    /// The accepted algorithms of ID tokens; never empty.
    pub(crate) algs: Vec<SigningAlg>,
    provider: ProviderMetadata,
}

impl Metadata {
    /// The metadata in the type of `openidconnect`.
    pub(crate) fn provider(&self) -> &ProviderMetadata {
        &self.provider
    }

    /// The authorization endpoint.
    pub(crate) fn authorization(&self) -> &Url {
        self.provider.authorization_endpoint().url()
    }

    /// The userinfo endpoint, if there is one.
    pub(crate) fn userinfo(&self) -> Option<&Url> {
        self.provider.userinfo_endpoint().map(UserInfoUrl::url)
    }

    /// The end-session endpoint, if there is one (OIDC RP-Initiated Logout 1.0, 2.1).
    pub(crate) fn end_session(&self) -> Option<&EndSessionUrl> {
        self.provider.additional_metadata().end_session_endpoint.as_ref()
    }

    /// The URL of the key set.
    pub(crate) fn jwks(&self) -> &Url {
        self.provider.jwks_uri().url()
    }

    /// Whether every authorization response has an `iss` (RFC 9207 3).
    pub(crate) fn promises_iss(&self) -> bool {
        self.further().authorization_response_iss_parameter_supported
    }

    /// The supported methods of PKCE, if the document names them.
    pub(crate) fn code_challenge_methods(&self) -> Option<&[String]> {
        self.further().code_challenge_methods_supported.as_deref()
    }

    fn further(&self) -> &FurtherMembers {
        &self.provider.additional_metadata().additional_metadata
    }

    /// The methods of client authentication at the token endpoint, if the document names them.
    pub(crate) fn auth_methods(&self) -> Option<&[CoreClientAuthMethod]> {
        self.provider.token_endpoint_auth_methods_supported().map(Vec::as_slice)
    }

    /// The method of a slot whose `token_endpoint_auth_method` is `auto`.
    pub(crate) fn auth(&self) -> AuthMethod {
        use CoreClientAuthMethod::{ClientSecretBasic, ClientSecretPost};
        match self.auth_methods() {
            Some(methods) if !methods.contains(&ClientSecretBasic) && methods.contains(&ClientSecretPost) => {
                AuthMethod::Post
            }
            _ => AuthMethod::Basic,
        }
    }

    /// The fingerprint of the issuer and the endpoints.
    pub(crate) fn fingerprint(&self) -> ProviderFingerprint {
        let userinfo = self.userinfo().map_or("", Url::as_str);
        let [authorization, token, jwks] = [self.authorization(), &self.token, self.jwks()].map(Url::as_str);
        ProviderFingerprint::new(&[self.issuer.as_str(), authorization, token, userinfo, jwks])
    }

    /// Checks a document by the slot's settings and takes the members that Portico uses. An issuer template
    /// is only for slots that list the allowed tenants.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn from_document(
        document: &Map<String, Value>,
        settings: &OidcSettings,
        tenants: &[String],
        http: &Outbound,
    ) -> Result<Self, MetadataError> {
        let document = Document { members: document, http };
        let userinfo = match &settings.userinfo_url {
            Some(own) => Some(own.clone()),
            None if document.has("userinfo_endpoint") => Some(document.endpoint("userinfo_endpoint")?),
            None => None,
        };
        let issuer = document.issuer(settings)?;
        if issuer.is_template() && tenants.is_empty() {
            let problem =
                format!("the issuer {issuer} stands for many tenants, and allowed_tenants names none");
            return Err(MetadataError::Issuer(problem));
        }
        let issuer_url = Url::parse(issuer.as_str()).is_ok().then_some(issuer.as_str());
        let used = document.used(
            issuer_url.unwrap_or(settings.discovery_url.as_str()),
            userinfo.as_ref(),
            settings,
        )?;
        let token = document.endpoint("token_endpoint")?;
        let algs = document.algs(settings)?;
        let provider = ProviderMetadata::deserialize(used)
            .map_err(|error| MetadataError::Member(format!("it cannot be used: {error}")))?;
        Ok(Self { issuer, token, algs, provider })
    }
}

/// A document before its checks.
struct Document<'a> {
    members: &'a Map<String, Value>,
    http: &'a Outbound,
}

impl Document<'_> {
    /// The members that Portico uses, each of them checked. `issuer` must be a URL, because
    /// `ProviderMetadata` requires it.
    fn used(
        &self,
        issuer: &str,
        userinfo: Option<&Url>,
        settings: &OidcSettings,
    ) -> Result<Value, MetadataError> {
        let names = |algs: Vec<SigningAlg>| algs.iter().map(|alg| alg.as_str()).collect::<Vec<_>>();
        Ok(json!({
            "issuer": issuer,
            "authorization_endpoint": self.endpoint("authorization_endpoint")?,
            "token_endpoint": self.endpoint("token_endpoint")?,
            "userinfo_endpoint": userinfo,
            // Optional: a malformed one is left out (threat H17).
            "end_session_endpoint": self.endpoint("end_session_endpoint").ok(),
            "jwks_uri": self.endpoint("jwks_uri")?,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": names(self.algs(settings)?),
            "token_endpoint_auth_methods_supported": self.list("token_endpoint_auth_methods_supported"),
            "code_challenge_methods_supported": self.list("code_challenge_methods_supported"),
            "authorization_response_iss_parameter_supported": self.promises_iss()?,
        }))
    }

    /// Whether the member is present and not `null`.
    fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| !value.is_null())
    }

    /// A required text.
    fn text(&self, name: &str) -> Result<&str, MetadataError> {
        let text = self.members.get(name).and_then(Value::as_str);
        text.ok_or_else(|| MetadataError::Member(missing(name)))
    }

    /// A required URL that the outbound client accepts, without a fragment.
    fn endpoint(&self, name: &str) -> Result<Url, MetadataError> {
        let url =
            Url::parse(self.text(name)?).ok().filter(|url| self.http.allows(url) && url.fragment().is_none());
        url.ok_or_else(|| MetadataError::Member(format!("{name} is not an https address")))
    }

    /// The issuer (OIDC Discovery 4.3). An issuer of the settings is compared byte for byte. Without it, the
    /// issuer must have the origin of the document's URL, so that no provider claims the issuer of another
    /// one.
    fn issuer(&self, settings: &OidcSettings) -> Result<Issuer, MetadataError> {
        let text = self.members.get("issuer").and_then(Value::as_str);
        let found = text.ok_or_else(|| MetadataError::Issuer(missing("issuer")))?;
        if let Some(pinned) = &settings.issuer {
            let mut known = std::iter::once(pinned).chain(&settings.issuer_aliases);
            return if known.any(|issuer| issuer.as_str() == found) {
                Ok(pinned.clone())
            } else {
                Err(MetadataError::Issuer(format!(
                    "issuer: expected {pinned}, received {}",
                    printable(found)
                )))
            };
        }
        let url = Url::parse(found).ok().filter(|url| url.query().is_none() && url.fragment().is_none());
        match url {
            Some(url) if self.http.allows(&url) && url.origin() == settings.discovery_url.origin() => {
                Ok(Issuer::new(found))
            }
            _ => Err(MetadataError::Issuer(format!(
                "issuer: expected one at {}, received {}",
                settings.discovery_url.origin().ascii_serialization(),
                printable(found)
            ))),
        }
    }

    /// The texts of a list; `None` if there is no such list.
    fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.members.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// The algorithms of the settings, or else the asymmetric ones that the document offers.
    fn algs(&self, settings: &OidcSettings) -> Result<Vec<SigningAlg>, MetadataError> {
        if let Some(allowed) = &settings.allowed_algs {
            return Ok(allowed.clone());
        }
        let Some(offered) = self.list("id_token_signing_alg_values_supported") else {
            return Ok(SigningAlg::ALL.to_vec());
        };
        let both: Vec<_> =
            SigningAlg::ALL.into_iter().filter(|alg| offered.contains(&alg.as_str())).collect();
        if both.is_empty() {
            let problem = "id_token_signing_alg_values_supported offers no algorithm that Portico accepts";
            return Err(MetadataError::Member(problem.to_owned()));
        }
        Ok(both)
    }

    /// Whether every authorization response has an `iss`; `false` by default.
    fn promises_iss(&self) -> Result<bool, MetadataError> {
        let name = "authorization_response_iss_parameter_supported";
        match self.members.get(name) {
            None => Ok(false),
            Some(value) => {
                value.as_bool().ok_or_else(|| MetadataError::Member(format!("{name} is not a boolean")))
            }
        }
    }
}

fn missing(name: &str) -> String {
    format!("{name} is missing or no text")
}
