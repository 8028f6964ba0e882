//! `portico keys`: the keys that sign access tokens.

use clap::{Args, Subcommand};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::{Clock, Entropy};
use portico_core::flow::KEY_NOTICE;
use portico_core::keys::{KeyState, StoredKey, generate};
use portico_core::seal::Seals;
use portico_core::store::KeyStore;
use serde_json::{Value, json};

use super::page::Page;
use crate::failure::Failure;
use crate::output::print_out;
use crate::settings::{Loaded, Settings};
use crate::wire;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// List signing keys, oldest first
    List(List),
    /// Create the next signing key: published within 30 seconds, used for signatures ten minutes later
    Rotate(Rotate),
    /// Delete a stolen or unopenable key: its signatures are refused within 30 seconds
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
    /// Identifier of the key (kid)
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Discard the key even if it is usable or signs currently
    #[arg(long)]
    yes: bool,
    /// Answer in JSON: the discarded key
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
            "{}  is published within 30 seconds and signs from {signs} on, while a service runs.",
            next.kid
        ));
        Ok(())
    }
}

impl Discard {
    async fn run(self, store: &dyn KeyStore, seals: &Seals) -> Result<(), Failure> {
        let kid = &self.kid;
        let keys = store.list_keys().await?;
        let unknown = || Failure::Failed(format!("no signing key {kid}"));
        let key = keys.into_iter().find(|key| key.kid == *kid).ok_or_else(unknown)?;
        if let Some(objection) = objection(&key, seals).filter(|_| !self.yes) {
            return Err(Failure::Failed(format!("signing key {kid} {objection}")));
        }
        if !discard(store, &key).await? {
            return Err(unknown());
        }
        if self.json {
            print_out(&key_json(&key).to_string());
        } else {
            print_out(&format!(
                "{kid}  is discarded; a service without a current key creates one within 30 seconds or at \
                 its start."
            ));
        }
        Ok(())
    }
}

/// Why a key is discarded only with `--yes`.
fn objection(key: &StoredKey, seals: &Seals) -> Option<&'static str> {
    match (key.opens(seals), key.state) {
        (Ok(()), _) => {
            Some("is usable; `portico keys rotate` replaces it; if it was stolen, re-run with --yes")
        }
        (Err(_), KeyState::Current) => Some(
            "signs currently; with a wrong security.secret_key no key opens: check that this \
             security.secret_key is the one of the service and that the older one is lost, then re-run with \
             --yes",
        ),
        (Err(_), KeyState::Next | KeyState::Retired) => None,
    }
}

async fn discard(store: &dyn KeyStore, key: &StoredKey) -> Result<bool, Failure> {
    let event = AuditEvent::new(Event::KeyRotated, Clock::System.now());
    Ok(store.discard_key(&key.kid, &key.sealed, &event.because(format!("discarded:{}", key.kid))).await?)
}

/// The next key; created unless there is one. The secret key must open all current keys, of any algorithm. A
/// wrong secret key opens none of them, and the service could not open a key created with it.
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
    let generated = generate(settings.signing_alg, KeyState::Next, seals, Entropy, Clock::System.now())?;
    store.add_key(&generated).await?;
    let keys = store.list_keys().await?;
    let next = keys.into_iter().find(|key| key.alg == settings.signing_alg && key.state == KeyState::Next);
    next.ok_or_else(|| {
        Failure::Failed("the next key became the current key meanwhile; re-run for another one".to_owned())
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
