//! The life of the signing keys: published before they sign, retained until their last token has expired.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use moka::future::Cache;

use super::config::BrokerConfig;
use crate::audit::Event;
use crate::clock::Entropy;
use crate::keys::{KeyError, KeyRing, KeyState, StoredKey, TokenAlg, generate};
use crate::pending_login::REPLICA_SKEW;

/// How long a key signs before the next one is generated.
const KEY_LIFETIME: Duration = Duration::from_hours(90 * 24);

/// How long a key is published before it signs. Longer than verifiers may cache the key set (`max-age`), and than
/// replicas take to read it.
pub const KEY_NOTICE: Duration = Duration::from_mins(10);

/// How long another replica may continue to sign with a key after it was retired.
const REPLICA_DELAY: Duration = Duration::from_mins(5);

/// How often the keys are read again because a token names an unknown one, in seconds.
const UNKNOWN_KEY_INTERVAL: i64 = 5;

/// The signing keys in use, read from the store and maintained there.
pub struct KeyService {
    config: Arc<BrokerConfig>,
    ring: RwLock<Arc<KeyRing>>,
    /// Readings for tokens that name an unknown key, by interval.
    unknown_key_readings: Cache<i64, ()>,
}

impl KeyService {
    /// Reads the keys; generates the first key of this algorithm if there is none.
    pub(super) async fn load(config: Arc<BrokerConfig>, alg: TokenAlg) -> Result<Self, KeyError> {
        let (ring, _) = read(&config, alg).await?;
        Ok(Self { config, ring: RwLock::new(Arc::new(ring)), unknown_key_readings: Cache::new(2) })
    }

    /// The keys as they were last read.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The published keys as a JWK set (RFC 7517 5).
    pub fn jwks(&self) -> serde_json::Value {
        self.ring().jwks()
    }

    /// Does what is due, then reads the keys again: seals old keys under the current secret key, generates the next
    /// signing key in time, and lets it sign once it was published for [`KEY_NOTICE`]. Of several replicas one succeeds.
    ///
    /// # Errors
    /// If the store fails. The keys read before stay in use.
    pub async fn maintain(&self) -> Result<(), KeyError> {
        let stored = self.config.store.list_keys().await?;
        self.reseal(&stored).await?;
        let alg = self.ring().alg();
        let now = self.config.now();
        let of = |state| stored.iter().find(|key| key.alg == alg && key.state == state);
        match (of(KeyState::Next), of(KeyState::Current)) {
            (Some(next), _) if next.created_at.plus(KEY_NOTICE) <= now => self.promote(next).await?,
            (None, Some(current)) if current.created_at.plus(KEY_LIFETIME) <= now => {
                self.announce().await?;
            }
            _ => {}
        }
        self.reload().await
    }

    /// Generates the key that signs after [`KEY_NOTICE`], unless there is one already.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn announce(&self) -> Result<(), KeyError> {
        let BrokerConfig { seals, store, .. } = &*self.config;
        let key = generate(self.ring().alg(), KeyState::Next, seals, Entropy, self.config.now())?;
        store.add_key(&key).await?;
        Ok(())
    }

    /// Lets the next key sign. A key that does not open here is not promoted: the replicas would have no signing key at
    /// their next start.
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

    /// Seals private keys under the current secret key if they are sealed under a previous one, so that the previous one
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

    /// Reads the keys again, so that keys of other replicas become known. If the signing key is gone from the store,
    /// generates another one.
    ///
    /// # Errors
    /// If the store fails or the current key does not open. The keys read before stay in use.
    pub async fn reload(&self) -> Result<(), KeyError> {
        let (ring, generated) = read(&self.config, self.ring().alg()).await?;
        if generated {
            tracing::error!("the signing key is gone from the store; another one signs from now on");
        }
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    /// Reads the keys again because a token names an unknown one, which another replica may have generated. Forged
    /// tokens cause at most one reading per interval; concurrent requests share it.
    pub(super) async fn reload_for_unknown_key(&self) {
        let interval = self.config.now().unix().div_euclid(UNKNOWN_KEY_INTERVAL);
        let reload = async {
            if let Err(error) = self.reload().await {
                tracing::warn!(error = %error, "the signing keys could not be read again");
            }
        };
        self.unknown_key_readings.get_with(interval, reload).await;
    }
}

/// The keys in the store, and whether the signing key had to be generated. If several replicas try at once, the store
/// lets one succeed, and all read the same key.
async fn read(config: &BrokerConfig, alg: TokenAlg) -> Result<(KeyRing, bool), KeyError> {
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
