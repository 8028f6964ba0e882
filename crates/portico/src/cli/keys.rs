//! `portico keys`: the keys that sign our tokens.

use clap::{Args, Subcommand};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::{Clock, Entropy};
use portico_core::flow::KEY_NOTICE;
use portico_core::keys::{KeyState, StoredKey, generate};
use portico_core::seal::Seals;
use portico_core::store::KeyStore;
use serde_json::{Value, json};

use super::{Failure, Page, print_out};
use crate::settings::{Loaded, Settings};
use crate::wire;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// List signing keys, oldest first
    List(List),
    /// Make the next signing key: published within half a minute, signing ten minutes later
    Rotate(Rotate),
    /// Forget a key at once, because it was stolen or no secret key opens it any more: what it signed is refused within half a minute
    Discard(Discard),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    page: Page<String>,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// Answer in JSON: the key
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Discard {
    /// The key's identifier
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Discard it although it is good, or signs at present
    #[arg(long)]
    yes: bool,
    /// Answer in JSON: the key as it was
    #[arg(long)]
    json: bool,
}

impl Keys {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        wire::with_store(&loaded.settings, async |store| match self {
            Self::List(list) => list.run(store).await,
            Self::Rotate(rotate) => rotate.run(store, &loaded.settings).await,
            Self::Discard(discard) => discard.run(store, &wire::seals(&loaded.settings)).await,
        })
    }
}

impl List {
    async fn run(self, store: &dyn KeyStore) -> Result<(), Failure> {
        let all = store.list_keys().await?;
        let skipped = self.page.after.as_ref().and_then(|after| all.iter().position(|key| key.kid == *after));
        let from = skipped.map_or(0, |position| position + 1);
        let limit = usize::try_from(self.page.limit).unwrap_or(usize::MAX);
        let keys: Vec<_> = all.into_iter().skip(from).take(limit).collect();
        self.page.print_out(&keys, key_json, key_line, |key| key.kid.clone());
        Ok(())
    }
}

impl Rotate {
    async fn run(self, store: &dyn KeyStore, settings: &Settings) -> Result<(), Failure> {
        let seals = wire::seals(settings);
        let next = next_key(store, settings, &seals).await?;
        if self.json {
            print_out(&key_json(&next).to_string());
            return Ok(());
        }
        let signs = portico_http::rfc3339(next.created_at.plus(KEY_NOTICE));
        print_out(&format!(
            "{}  is published within half a minute and signs from {signs} on, once a service runs.",
            next.kid
        ));
        Ok(())
    }
}

impl Discard {
    async fn run(self, store: &dyn KeyStore, seals: &Seals) -> Result<(), Failure> {
        let kid = &self.kid;
        let keys = store.list_keys().await?;
        let unknown = || Failure::Failed(format!("there is no signing key {kid}"));
        let key = keys.into_iter().find(|key| key.kid == *kid).ok_or_else(unknown)?;
        let doubt = match (key.opens(seals), key.state) {
            _ if self.yes => None,
            (Ok(()), _) => Some(
                "is good. `portico keys rotate` replaces it without haste; if it was stolen, say it again with --yes",
            ),
            (Err(_), KeyState::Current) => Some(
                "signs at present. Under a wrong security.secret_key every key looks lost: make sure that this one is the service's, \
                 and that the lost one is nowhere; then say it again with --yes",
            ),
            (Err(_), KeyState::Next | KeyState::Retired) => None,
        };
        if let Some(doubt) = doubt {
            return Err(Failure::Failed(format!("signing key {kid} {doubt}")));
        }
        if !discard(store, &key).await? {
            return Err(unknown());
        }
        if self.json {
            print_out(&key_json(&key).to_string());
        } else {
            print_out(&format!(
                "{kid}  is gone; a service without a current key makes one within half a minute, or when it starts."
            ));
        }
        Ok(())
    }
}

async fn discard(store: &dyn KeyStore, key: &StoredKey) -> Result<bool, Failure> {
    let event = AuditEvent::new(Event::KeyRotated, Clock::System.now());
    Ok(store.discard_key(&key.kid, &key.sealed, &event.because(format!("discarded:{}", key.kid))).await?)
}

/// The key on its way, made now unless there was one already. Nobody who cannot open a current key, of whatever algorithm,
/// makes or discards one: with another secret key than the service's, everything looks lost and whatever is made is useless.
async fn next_key(store: &dyn KeyStore, settings: &Settings, seals: &Seals) -> Result<StoredKey, Failure> {
    let keys = store.list_keys().await?;
    let of = |state| keys.iter().filter(move |key| key.state == state);
    for current in of(KeyState::Current) {
        current.opens(seals)?;
    }
    for next in of(KeyState::Next).filter(|key| key.alg == settings.signing_alg) {
        if next.opens(seals).is_err() {
            discard(store, next).await?;
        }
    }
    store
        .add_key(&generate(settings.signing_alg, KeyState::Next, seals, Entropy, Clock::System.now())?)
        .await?;
    let keys = store.list_keys().await?;
    let next = keys.into_iter().find(|key| key.alg == settings.signing_alg && key.state == KeyState::Next);
    next.ok_or_else(|| {
        Failure::Failed("the next key began to sign meanwhile; say it again for another".to_owned())
    })
}

fn key_line(key: &StoredKey) -> String {
    format!(
        "{}  {}  {:8}  {}",
        key.kid,
        key.alg.as_str(),
        key.state.as_str(),
        portico_http::rfc3339(key.created_at)
    )
}

fn key_json(key: &StoredKey) -> Value {
    json!({
        "kid": key.kid,
        "alg": key.alg.as_str(),
        "state": key.state.as_str(),
        "created_at": portico_http::rfc3339(key.created_at),
        "retires_at": key.retires_at.map(portico_http::rfc3339),
    })
}
