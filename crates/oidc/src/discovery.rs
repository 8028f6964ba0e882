//! What a provider says about itself: its discovery document, checked, and its keys.
//!
//! Both are kept outside of anything that verifies, because keys rotate. The document's age is measured by a clock that
//! nobody sets, because a login's start brings no time; the keys' age is judged at the time of the login they verify.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use portico_core::clock::Timestamp;
use portico_core::error::UpstreamError;
use portico_core::provider::{Health, Issuer, OidcSettings, ProviderFingerprint, SigningAlg, Slot};
use portico_core::slot::SlotId;
use portico_core::text::printable;
use portico_oauth2::{AuthMethod, Endpoint, Outbound};
use serde_json::{Map, Value};
use url::Url;

use crate::document_cache::{DocumentCache, Freshness};
use crate::keys::KeySet;

/// A discovery document that passed its checks (OIDC Discovery 4.3).
pub(crate) struct Metadata {
    /// The issuer in whose name identities are stored: the pinned or the discovered one.
    pub(crate) issuer: Issuer,
    pub(crate) authorization: Url,
    pub(crate) token: Url,
    pub(crate) userinfo: Option<Url>,
    pub(crate) end_session: Option<Url>,
    jwks: Url,
    /// What `auto` means for the client's authentication.
    pub(crate) auth: AuthMethod,
    /// The algorithms an ID token may have; never empty.
    pub(crate) algs: Vec<SigningAlg>,
    /// Whether the provider promises `iss` in its replies (RFC 9207 3).
    pub(crate) promises_iss: bool,
}

impl Metadata {
    /// Where the keys are published.
    pub(crate) fn jwks(&self) -> &Url {
        &self.jwks
    }

    /// A mark of the issuer and the endpoints.
    pub(crate) fn fingerprint(&self) -> ProviderFingerprint {
        let userinfo = self.userinfo.as_ref().map_or("", Url::as_str);
        let [authorization, token, jwks] = [&self.authorization, &self.token, &self.jwks].map(Url::as_str);
        ProviderFingerprint::of(&[self.issuer.as_str(), authorization, token, userinfo, jwks])
    }

    /// Checks a document as the slot's settings say. An issuer of many tenants is for slots that say which may come in.
    ///
    /// # Errors
    /// [`UpstreamError::Metadata`] with the first fault.
    pub(crate) fn read(
        document: &Map<String, Value>,
        settings: &OidcSettings,
        tenants: &[String],
        http: &Outbound,
    ) -> Result<Self, UpstreamError> {
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
            return Err(UpstreamError::Metadata(problem));
        }
        Ok(Self {
            issuer,
            authorization: document.endpoint("authorization_endpoint")?,
            token: document.endpoint("token_endpoint")?,
            userinfo,
            // Only a convenience: a bad one is as good as none (H17).
            end_session: document.endpoint("end_session_endpoint").ok(),
            jwks: document.endpoint("jwks_uri")?,
            auth: document.auth(),
            algs: document.algs(settings)?,
            promises_iss: document.promises_iss()?,
        })
    }
}

/// The document while it is read.
struct Document<'a> {
    members: &'a Map<String, Value>,
    http: &'a Outbound,
}

impl Document<'_> {
    fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<&str, UpstreamError> {
        let text = self.members.get(name).and_then(Value::as_str);
        text.ok_or_else(|| UpstreamError::Metadata(format!("{name} is missing or no text")))
    }

    fn endpoint(&self, name: &str) -> Result<Url, UpstreamError> {
        let url =
            Url::parse(self.text(name)?).ok().filter(|url| self.http.allows(url) && url.fragment().is_none());
        url.ok_or_else(|| UpstreamError::Metadata(format!("{name} is not an https address")))
    }

    /// OIDC Discovery 4.3: a pinned issuer is compared byte for byte. Any other must have the origin of the document's
    /// address, so that no provider speaks for another one.
    fn issuer(&self, settings: &OidcSettings) -> Result<Issuer, UpstreamError> {
        let found = self.text("issuer")?;
        if let Some(pinned) = &settings.issuer {
            let mut known = std::iter::once(pinned).chain(&settings.issuer_aliases);
            return if known.any(|issuer| issuer.as_str() == found) {
                Ok(pinned.clone())
            } else {
                Err(UpstreamError::Metadata(format!(
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
            _ => Err(UpstreamError::Metadata(format!(
                "issuer: expected one at {}, received {}",
                settings.discovery_url.origin().ascii_serialization(),
                printable(found)
            ))),
        }
    }

    /// The texts of a list; `None` when there is no such list.
    fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.members.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    fn auth(&self) -> AuthMethod {
        match self.list("token_endpoint_auth_methods_supported") {
            Some(methods)
                if !methods.contains(&"client_secret_basic") && methods.contains(&"client_secret_post") =>
            {
                AuthMethod::Post
            }
            _ => AuthMethod::Basic,
        }
    }

    /// The operator's list, or else what the document offers of the asymmetric algorithms.
    fn algs(&self, settings: &OidcSettings) -> Result<Vec<SigningAlg>, UpstreamError> {
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
            return Err(UpstreamError::Metadata(problem.to_owned()));
        }
        Ok(both)
    }

    fn promises_iss(&self) -> Result<bool, UpstreamError> {
        let name = "authorization_response_iss_parameter_supported";
        match self.members.get(name) {
            None => Ok(false),
            Some(value) => {
                value.as_bool().ok_or_else(|| UpstreamError::Metadata(format!("{name} is not a boolean")))
            }
        }
    }
}

/// One slot's provider: what is known of it, and how to learn more.
pub(crate) struct Provider {
    slot: SlotId,
    settings: OidcSettings,
    tenants: Vec<String>,
    http: Outbound,
    born: Instant,
    metadata: DocumentCache<Metadata>,
    /// The issuer that was seen first; another one needs a restart, and with it somebody who looks.
    first: OnceLock<Issuer>,
    keys: Mutex<Option<KeysAt>>,
}

/// The keys of one address; those of another are other keys.
struct KeysAt {
    url: Url,
    cache: Arc<DocumentCache<KeySet>>,
}

impl Provider {
    pub(crate) fn new(slot: &Slot, settings: OidcSettings, http: Outbound) -> Self {
        Self {
            slot: slot.id(),
            settings,
            tenants: slot.access.tenants.clone(),
            http,
            born: Instant::now(),
            metadata: DocumentCache::new("discovery"),
            first: OnceLock::new(),
            keys: Mutex::new(None),
        }
    }

    /// The discovery document, fetched when it must be.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, UpstreamError> {
        let age = Timestamp::from_unix(0).plus(self.born.elapsed());
        let look = async {
            let document = self.http.document(Endpoint::Discovery, &self.settings.discovery_url).await;
            let read = document
                .and_then(|document| Metadata::read(&document, &self.settings, &self.tenants, &self.http));
            let read = read.and_then(|metadata| self.check_same(metadata));
            read.inspect_err(|error| self.warn(error))
        };
        self.metadata.get(age, Freshness::Any, look).await
    }

    /// An issuer never changes under a running slot: accounts are kept by it (threats C13).
    fn check_same(&self, metadata: Metadata) -> Result<Metadata, UpstreamError> {
        let first = self.first.get_or_init(|| metadata.issuer.clone());
        if *first == metadata.issuer {
            return Ok(metadata);
        }
        Err(UpstreamError::Metadata(format!(
            "the issuer was {first} and is {} now, so everybody would be a stranger; if that is meant, restart",
            metadata.issuer
        )))
    }

    /// The keys of the provider that this document describes.
    pub(crate) async fn keys(
        &self,
        metadata: &Metadata,
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<Arc<KeySet>, UpstreamError> {
        let look = async {
            let document = self.http.document(Endpoint::KeySet, &metadata.jwks).await;
            let read = document.and_then(|document| KeySet::read(&document));
            read.inspect_err(|error| self.warn(error))
        };
        self.keys_at(&metadata.jwks).get(now, freshness, look).await
    }

    fn keys_at(&self, url: &Url) -> Arc<DocumentCache<KeySet>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match &*keys {
            Some(known) if known.url == *url => Arc::clone(&known.cache),
            _ => {
                let cache = Arc::new(DocumentCache::new("jwks"));
                *keys = Some(KeysAt { url: url.clone(), cache: Arc::clone(&cache) });
                cache
            }
        }
    }

    fn warn(&self, error: &UpstreamError) {
        tracing::warn!(slot = %self.slot, %error, "the provider's metadata could not be renewed");
    }

    /// The document as last seen, without asking for it.
    pub(crate) fn known(&self) -> Option<Arc<Metadata>> {
        self.metadata.peek()
    }

    /// The worst of how the document, the keys and all calls were last found.
    pub(crate) fn health(&self) -> Health {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = keys.as_ref().map_or(Health::Ok, |known| known.cache.health());
        [self.metadata.health(), keys, self.http.health()].into_iter().max().unwrap_or(Health::Ok)
    }
}

#[cfg(test)]
mod tests;
