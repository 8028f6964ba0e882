//! The discovery document and the key set of a provider, fetched and cached.
//!
//! The age of the document is measured by a monotonic clock, because [`Provider::metadata`] gets no time. The
//! age of the keys is measured by the time that the login passes.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use portico_core::clock::Timestamp;
use portico_core::error::UpstreamError;
use portico_core::provider::{Health, Issuer, OidcSettings, Slot};
use portico_core::slot::SlotId;
use portico_outbound::{Endpoint, Outbound};
use url::Url;

use crate::document_cache::{DocumentCache, Freshness};
use crate::keys::KeySet;
use crate::metadata::Metadata;

/// The provider of one slot.
pub(crate) struct Provider {
    slot: SlotId,
    settings: OidcSettings,
    tenants: Vec<String>,
    http: Outbound,
    /// The start of the monotonic clock.
    started: Instant,
    metadata: DocumentCache<Metadata>,
    /// The first seen issuer. The operator accepts another one by a restart.
    first: OnceLock<Issuer>,
    keys: Mutex<Option<KeysAt>>,
}

/// The cached key set of one URL.
struct KeysAt {
    url: Url,
    cache: Arc<DocumentCache<KeySet>>,
}

impl Provider {
    /// A provider whose document is not fetched yet.
    #[expect(clippy::disallowed_methods, reason = "measures the age of the cached document")]
    pub(crate) fn new(slot: &Slot, settings: OidcSettings, http: Outbound) -> Self {
        Self {
            slot: slot.id(),
            settings,
            tenants: slot.access.tenants.clone(),
            http,
            started: Instant::now(),
            metadata: DocumentCache::new("discovery"),
            first: OnceLock::new(),
            keys: Mutex::new(None),
        }
    }

    /// The discovery document, cached or fetched.
    ///
    /// # Errors
    /// There is no trusted copy and the fetch fails, or the document is refused.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, UpstreamError> {
        let age = Timestamp::from_unix(0).plus(self.started.elapsed());
        let fetch = async {
            let document = self.http.document(Endpoint::Discovery, &self.settings.discovery_url).await;
            let read = document.and_then(|document| {
                Ok(Metadata::from_document(&document, &self.settings, &self.tenants, &self.http)?)
            });
            let read = read.and_then(|metadata| self.check_same(metadata));
            read.inspect_err(|error| self.warn(error))
        };
        self.metadata.get(age, Freshness::Any, fetch).await
    }

    /// Refuses another issuer than the first one. Identities are stored with the issuer (threat C13).
    ///
    /// # Errors
    /// The issuer changed while the slot runs.
    fn check_same(&self, metadata: Metadata) -> Result<Metadata, UpstreamError> {
        let first = self.first.get_or_init(|| metadata.issuer.clone());
        if *first == metadata.issuer {
            return Ok(metadata);
        }
        Err(UpstreamError::Metadata(format!(
            "issuer changed: it was {first} and is {} now; existing identities would no longer match; \
             restart to accept it",
            metadata.issuer
        )))
    }

    /// The key set that this document names, cached or fetched.
    ///
    /// # Errors
    /// There is no trusted copy and the fetch fails, or no key is usable.
    pub(crate) async fn keys(
        &self,
        metadata: &Metadata,
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<Arc<KeySet>, UpstreamError> {
        let fetch = async {
            let document = self.http.document(Endpoint::KeySet, metadata.jwks()).await;
            let read = document.and_then(|document| KeySet::from_document(&document));
            read.inspect_err(|error| self.warn(error))
        };
        self.keys_at(metadata.jwks()).get(now, freshness, fetch).await
    }

    /// The cache of the key set at this URL. A new URL starts a new cache.
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
        tracing::warn!(slot = %self.slot, %error, "provider metadata could not be renewed");
    }

    /// The last copy of the document, without a fetch.
    pub(crate) fn known(&self) -> Option<Arc<Metadata>> {
        self.metadata.peek()
    }

    /// The worst health among the document, the keys and the recent calls.
    pub(crate) fn health(&self) -> Health {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = keys.as_ref().map_or(Health::Ok, |known| known.cache.health());
        [self.metadata.health(), keys, self.http.health()].into_iter().max().unwrap_or(Health::Ok)
    }
}

#[cfg(test)]
mod tests;
