//! The signing keys: loaded from the store and rotated there. A key is published before it signs, and
//! stays published until its last token has expired.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use moka::future::Cache;

use super::config::BrokerConfig;
use crate::audit::Event;
use crate::clock::Entropy;
use crate::keys::{KeyError, KeyRing, KeyState, StoredKey, TokenAlg, generate};
use crate::pending_login::REPLICA_SKEW;

/// How long a key signs before its successor is generated.
const KEY_LIFETIME: Duration = Duration::from_hours(90 * 24);

/// How long a key is published before it signs: longer than verifiers may cache the key set (`max-age`),
/// and longer than replicas take to read it.
pub const KEY_NOTICE: Duration = Duration::from_mins(10);

/// How long another replica may continue to sign with a retired key.
const REPLICA_DELAY: Duration = Duration::from_mins(5);

/// The minimum interval between two reads of the keys that unknown key identifiers cause, in seconds.
const UNKNOWN_KEY_INTERVAL: i64 = 5;

/// The signing keys in use, read from the store and maintained there.
pub struct KeyService {
    config: Arc<BrokerConfig>,
    ring: RwLock<Arc<KeyRing>>,
    /// Reads that unknown key identifiers caused, by interval.
    unknown_key_reads: Cache<i64, ()>,
}

impl KeyService {
    /// Reads the keys, and generates a signing key of this algorithm if there is none.
    pub(super) async fn load(config: Arc<BrokerConfig>, alg: TokenAlg) -> Result<Self, KeyError> {
        let (ring, _) = load_or_generate(&config, alg).await?;
        Ok(Self { config, ring: RwLock::new(Arc::new(ring)), unknown_key_reads: Cache::new(2) })
    }

    /// The keys as they were last read.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The published keys as a JWK set (RFC 7517 5).
    pub fn jwks(&self) -> serde_json::Value {
        self.ring().jwks()
    }

    /// Runs the maintenance that is due, then reads the keys again.
    ///
    /// Private keys are sealed again under the current secret key. After 90 days the next signing key is
    /// generated, and after [`KEY_NOTICE`] it becomes the current one. If several replicas run this at
    /// once, one of them succeeds.
    ///
    /// # Errors
    /// If the store fails, or a key cannot be generated or opened. The keys read before stay in use.
    pub async fn maintain(&self) -> Result<(), KeyError> {
        let stored = self.config.store.list_keys().await?;
        self.reseal(&stored).await?;
        let alg = self.ring().alg();
        let now = self.config.now();
        let find = |state| stored.iter().find(|key| key.alg == alg && key.state == state);
        match (find(KeyState::Next), find(KeyState::Current)) {
            (Some(next), _) if next.created_at.plus(KEY_NOTICE) <= now => self.promote(next).await?,
            (None, Some(current)) if current.created_at.plus(KEY_LIFETIME) <= now => {
                self.announce().await?;
            }
            _ => {}
        }
        self.reload().await
    }

    /// Generates the next signing key and publishes it, unless there is one already. It signs after
    /// [`KEY_NOTICE`].
    ///
    /// # Errors
    /// If the store fails or the key cannot be generated.
    pub async fn announce(&self) -> Result<(), KeyError> {
        let BrokerConfig { seals, store, .. } = &*self.config;
        let key = generate(self.ring().alg(), KeyState::Next, seals, Entropy, self.config.now())?;
        store.add_key(&key).await?;
        Ok(())
    }

    /// Makes the next key the current one. A key that does not open is not promoted, because the
    /// replicas would have no signing key at their next start.
    async fn promote(&self, next: &StoredKey) -> Result<(), KeyError> {
        if let Err(error) = next.opens(&self.config.seals) {
            tracing::error!(
                %error,
                "the next signing key is not used; run `portico keys rotate` with the right secret key"
            );
            return Ok(());
        }
        let published = self.config.lifetimes.access_token + REPLICA_DELAY + REPLICA_SKEW;
        let event = self.config.event(Event::KeyRotated).because(next.kid.clone());
        let retires_at = event.time.plus(published);
        if self.config.store.promote_key(&next.kid, retires_at, &event).await? {
            event.announce();
        }
        Ok(())
    }

    /// Seals private keys again that are sealed under a previous secret key, so that the previous one
    /// can be removed from the settings.
    async fn reseal(&self, stored: &[StoredKey]) -> Result<(), KeyError> {
        let BrokerConfig { seals, store, .. } = &*self.config;
        for key in stored {
            if let Some(sealed) = key.sealed_again(seals, Entropy) {
                store.reseal_key(&key.kid, &key.sealed, &sealed).await?;
            }
        }
        Ok(())
    }

    /// Reads the keys again, which finds the keys of other replicas. If the store has no signing key any
    /// more, another one is generated.
    ///
    /// # Errors
    /// If the store fails or the current key does not open. The keys read before stay in use.
    pub async fn reload(&self) -> Result<(), KeyError> {
        let (ring, generated) = load_or_generate(&self.config, self.ring().alg()).await?;
        if generated {
            tracing::error!("the signing key is gone from the store; another one was generated");
        }
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    /// Reads the keys again because a token names an unknown key, which another replica may have
    /// generated. At most one read per [`UNKNOWN_KEY_INTERVAL`] runs, however many forged tokens arrive;
    /// concurrent requests share it.
    pub(super) async fn reload_for_unknown_key(&self) {
        let interval = self.config.now().unix().div_euclid(UNKNOWN_KEY_INTERVAL);
        let reload = async {
            if let Err(error) = self.reload().await {
                tracing::warn!(error = %error, "the signing keys could not be read again");
            }
        };
        self.unknown_key_reads.get_with(interval, reload).await;
    }
}

/// Reads the keys, and generates the signing key if the store has none; the second value says whether it
/// did. If several replicas generate one at once, the store accepts one, and all of them read it.
async fn load_or_generate(config: &BrokerConfig, alg: TokenAlg) -> Result<(KeyRing, bool), KeyError> {
    let BrokerConfig { store, seals, .. } = config;
    let now = config.now();
    if let Some(ring) = KeyRing::new(alg, &store.list_keys().await?, seals, now)? {
        return Ok((ring, false));
    }
    store.add_key(&generate(alg, KeyState::Current, seals, Entropy, now)?).await?;
    let ring = KeyRing::new(alg, &store.list_keys().await?, seals, now)?.ok_or_else(|| KeyError::Broken {
        kid: "(new)".to_owned(),
        problem: "the store has no current key after one was added".to_owned(),
    })?;
    Ok((ring, true))
}
