//! What the settings of the moment make: a broker behind a surface, in a form that other settings can replace while it serves.

use std::sync::Arc;

use portico_core::clock::Clock;
use portico_core::flow::Broker;
use portico_core::provider::ProtocolClient;
use portico_core::slot::SlotId;
use portico_core::store::Store;
use portico_http::{Live, Portico};
use tokio::runtime::Handle;

use crate::cli::Failure;
use crate::settings::{Loaded, SettingChange, changes};
use crate::wire::{assemble, surface};

/// Settings of all slots whose meaning is part of each slot.
const OF_EVERY_SLOT: [&str; 2] = ["security.sso_account_name_fallback", "security.roles"];

/// The running service and the settings it runs with.
pub struct Service {
    loaded: Arc<Loaded>,
    /// What the process began with: some of it counts until it ends.
    started: Arc<Loaded>,
    store: Arc<dyn Store>,
    clock: Clock,
    outbound: Handle,
    live: Arc<Live>,
}

impl Service {
    /// Makes what these settings say. `outbound` is where calls to providers run.
    ///
    /// # Errors
    /// When a client cannot be made, or the store has no usable signing key.
    pub async fn begin(
        loaded: Loaded,
        store: Arc<dyn Store>,
        clock: Clock,
        outbound: Handle,
    ) -> Result<Self, Failure> {
        let settings = &loaded.settings;
        let broker = assemble(settings, Arc::clone(&store), clock.clone(), &outbound, |_| None).await?;
        let live = Live::new(Portico::new(broker, surface(settings, &clock)));
        let loaded = Arc::new(loaded);
        Ok(Self { started: Arc::clone(&loaded), loaded, store, clock, outbound, live })
    }

    /// What serves, now and after each change.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The settings in use.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Goes over to other settings. Requests under way finish with the old ones; logins under way finish if their slot
    /// and what names its provider are still the same. A slot that did not change keeps what it knows of its provider.
    /// Answers what is different now, and what the process began otherwise with and keeps until it ends.
    ///
    /// # Errors
    /// As [`Service::begin`], and when the public URL is another one; the old settings stay.
    pub async fn change_to(&mut self, new: Loaded) -> Result<Vec<SettingChange>, Failure> {
        let mut changed = changes(&self.loaded, &new);
        if self.loaded.settings.public_url != new.settings.public_url {
            let what = "main.public_url is settled at the start, and everything else leans on it: restart to change it";
            return Err(Failure::Configuration(what.to_owned()));
        }
        let any = !changed.is_empty();
        changed.retain(|change| !change.at_start);
        changed.extend(changes(&self.started, &new).into_iter().filter(|change| change.at_start));
        if any {
            let now = self.live.now();
            let keep = |slot| keep(now.broker(), &changed, slot);
            let (store, clock) = (Arc::clone(&self.store), self.clock.clone());
            let surface = surface(&new.settings, &clock);
            let broker = assemble(&new.settings, store, clock, &self.outbound, keep).await?;
            self.live.replace(Portico::after(&now, broker, surface));
            self.loaded = Arc::new(new);
        }
        Ok(changed)
    }
}

/// The client of a slot that none of the changes touches.
fn keep(broker: &Broker, changes: &[SettingChange], slot: SlotId) -> Option<Arc<dyn ProtocolClient>> {
    let touched =
        |change: &SettingChange| change.slot == Some(slot) || OF_EVERY_SLOT.contains(&change.path.as_str());
    if changes.iter().any(touched) {
        None
    } else {
        broker.slots().find(slot).map(|slot| Arc::clone(&slot.client))
    }
}
