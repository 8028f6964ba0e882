//! The running service: a broker and an HTTP surface, replaced as a whole when the settings change.

use std::sync::Arc;

use portico_core::clock::Clock;
use portico_core::flow::Broker;
use portico_core::provider::ProtocolClient;
use portico_core::slot::SlotId;
use portico_core::store::Store;
use portico_http::{Live, Portico};
use tokio::runtime::Handle;

use crate::failure::Failure;
use crate::settings::{Loaded, SettingChange, changes};
use crate::wire::{assemble, surface};

/// The running service and the settings it runs with.
pub struct Service {
    loaded: Arc<Loaded>,
    /// The settings of the start. Restart-only settings keep these values.
    started: Arc<Loaded>,
    store: Arc<dyn Store>,
    clock: Clock,
    outbound: Handle,
    live: Arc<Live>,
}

impl Service {
    /// Assembles the service. Calls to providers run on `outbound`.
    ///
    /// # Errors
    /// A provider client cannot be created, or the store has no usable signing key.
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

    /// The broker and the surface in use, now and after each reload.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The settings in use.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Replaces the settings. Running requests finish with the old settings. A pending login finishes if its
    /// slot and the settings that identify its provider are unchanged. An unchanged slot keeps its client.
    /// Returns the changes since the last reload, and the restart-only settings that differ from the start.
    ///
    /// # Errors
    /// As [`Service::begin`], and if the public URL changes. The old settings stay in use.
    pub async fn change_to(&mut self, new: Loaded) -> Result<Vec<SettingChange>, Failure> {
        let mut changed = changes(&self.loaded, &new);
        if self.loaded.settings.public_url != new.settings.public_url {
            let message = "main.public_url cannot change while the service runs; restart to change it";
            return Err(Failure::Configuration(message.to_owned()));
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

/// The client of a slot, if none of the changes affects the slot.
fn keep(broker: &Broker, changes: &[SettingChange], slot: SlotId) -> Option<Arc<dyn ProtocolClient>> {
    if changes.iter().any(|change| change.affects(slot)) {
        None
    } else {
        broker.slots().find(slot).map(|slot| Arc::clone(&slot.client))
    }
}
