//! What a provider says about itself, fetched: its discovery document and its keys.
//!
//! Both are kept outside of anything that verifies, because keys rotate. The document's age is measured by a clock that
//! nobody sets, because a login's start brings no time; the keys' age is judged at the time of the login they verify.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use portico_core::clock::Timestamp;
use portico_core::error::UpstreamError;
use portico_core::provider::{Health, Issuer, OidcSettings, Slot};
use portico_core::slot::SlotId;
use portico_oauth2::{Endpoint, Outbound};
use url::Url;

use crate::document_cache::{DocumentCache, Freshness};
use crate::keys::KeySet;
use crate::metadata::Metadata;

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
            let read = document.and_then(|document| {
                Ok(Metadata::read(&document, &self.settings, &self.tenants, &self.http)?)
            });
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
            let document = self.http.document(Endpoint::KeySet, metadata.jwks()).await;
            let read = document.and_then(|document| KeySet::read(&document));
            read.inspect_err(|error| self.warn(error))
        };
        self.keys_at(metadata.jwks()).get(now, freshness, look).await
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
