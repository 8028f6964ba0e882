//! The life of our own signing keys: published before they sign, kept until their last token has expired.

use std::time::Duration;

use super::Broker;
use crate::audit::Event;
use crate::clock::Entropy;
use crate::keys::{KeyError, KeyState, StoredKey, generate};
use crate::pending_login::REPLICA_SKEW;

/// How long a key signs before the next one is made.
const KEY_LIFETIME: Duration = Duration::from_hours(90 * 24);

/// How long a key is published before it signs. Longer than verifiers may keep the key set (`max-age`), and than
/// replicas take to notice.
pub const KEY_NOTICE: Duration = Duration::from_mins(10);

/// How long another replica may go on signing with a key after it was retired.
const REPLICA_DELAY: Duration = Duration::from_mins(5);

/// How often keys are looked for that a token names and nobody knows, in seconds.
const LOOK_EVERY: i64 = 5;

impl Broker {
    /// Does what is due, then reads the keys again: seals old keys under the current secret key, makes the next signing
    /// key in good time, and lets it sign when it was published for [`KEY_NOTICE`]. Of several replicas one succeeds.
    ///
    /// # Errors
    /// When the store fails; the keys known so far stay.
    pub async fn tend_keys(&self) -> Result<(), KeyError> {
        let stored = self.config.store.list_keys().await?;
        self.reseal(&stored).await?;
        let alg = self.config.keys.ring().alg();
        let now = self.config.clock.now();
        let of = |state| stored.iter().find(|key| key.alg == alg && key.state == state);
        match (of(KeyState::Next), of(KeyState::Current)) {
            // A key that nobody here could sign with would leave the replicas without one at their next start.
            (Some(next), _) if next.created_at.plus(KEY_NOTICE) <= now => {
                match next.opens(&self.config.seals) {
                    Ok(()) => self.promote(next).await?,
                    Err(error) => tracing::error!(
                        %error,
                        "the next signing key is not used; `portico keys rotate` with the right secret key makes another"
                    ),
                }
            }
            (None, Some(current)) if current.created_at.plus(KEY_LIFETIME) <= now => {
                self.announce_key().await?;
            }
            _ => {}
        }
        self.reload_keys().await
    }

    /// Makes the key that will sign after [`KEY_NOTICE`], unless there is one already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn announce_key(&self) -> Result<(), KeyError> {
        let (alg, now) = (self.config.keys.ring().alg(), self.config.clock.now());
        let key = generate(alg, KeyState::Next, &self.config.seals, Entropy, now)?;
        self.config.store.add_key(&key).await?;
        Ok(())
    }

    async fn promote(&self, next: &StoredKey) -> Result<(), KeyError> {
        let kept = self.config.lifetimes.access_token + REPLICA_DELAY + REPLICA_SKEW;
        let event = self.event(Event::KeyRotated).because(next.kid.clone());
        if self.config.store.promote_key(&next.kid, event.time.plus(kept), &event).await? {
            event.announce();
        }
        Ok(())
    }

    /// Private halves that were sealed under a previous secret key are sealed under the current one, so that the previous
    /// one can be dropped some day.
    async fn reseal(&self, stored: &[StoredKey]) -> Result<(), KeyError> {
        for key in stored {
            if let Some(sealed) = key.sealed_again(&self.config.seals, Entropy) {
                self.config.store.reseal_key(&key.kid, &key.sealed, &sealed).await?;
            }
        }
        Ok(())
    }

    /// Reads the signing keys again.
    ///
    /// # Errors
    /// When the store fails; the keys known so far stay.
    pub async fn reload_keys(&self) -> Result<(), KeyError> {
        let (store, now) = (self.config.store.as_ref(), self.config.clock.now());
        self.config.keys.reload(store, &self.config.seals, Entropy, now).await
    }

    /// A token names a key that is not known: another replica may have made it a moment ago. Looks again, but not for
    /// every forged token; whoever comes while somebody looks waits for what they find.
    pub(super) async fn look_for_keys(&self) {
        let span = self.config.clock.now().unix().div_euclid(LOOK_EVERY);
        let look = async {
            if let Err(error) = self.reload_keys().await {
                tracing::warn!(error = %error, "the signing keys could not be read again");
            }
        };
        self.key_looks.get_with(span, look).await;
    }
}
