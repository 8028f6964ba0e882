//! The enabled slots, each with the client of its provider.

use std::collections::HashMap;
use std::sync::Arc;

use crate::claims::SessionClaims;
use crate::error::{LoginError, UpstreamError};
use crate::provider::{Health, ProtocolClient, Slot};
use crate::slot::SlotId;

/// An enabled slot and the client of its provider.
#[derive(Clone)]
pub struct EnabledSlot {
    /// The slot's settings.
    pub settings: Arc<Slot>,
    /// The client of its provider.
    pub client: Arc<dyn ProtocolClient>,
}

/// All enabled slots, in the order of their buttons.
pub struct EnabledSlots {
    slots: Vec<EnabledSlot>,
    slot_index: HashMap<SlotId, usize>,
}

impl EnabledSlots {
    /// The slots, given in the order of their buttons.
    pub fn new(slots: Vec<EnabledSlot>) -> Self {
        let slot_index = slots.iter().enumerate().map(|(index, slot)| (slot.settings.id(), index)).collect();
        Self { slots, slot_index }
    }

    /// The slots in the order of their buttons.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &EnabledSlot> {
        self.slots.iter()
    }

    /// The slot of this identifier, if it is enabled.
    pub fn find(&self, id: SlotId) -> Option<&EnabledSlot> {
        self.slots.get(*self.slot_index.get(&id)?)
    }

    /// The slot of this identifier.
    ///
    /// # Errors
    /// [`LoginError::ProviderUnknown`] if it is not enabled.
    pub(super) fn get(&self, id: SlotId) -> Result<&EnabledSlot, LoginError> {
        self.find(id).ok_or(LoginError::ProviderUnknown)
    }

    /// Whether logins through a slot work at present. A slot that is not enabled is [`Health::Down`].
    pub fn health(&self, id: SlotId) -> Health {
        match self.find(id) {
            Some(slot) if self.check_issuer_conflict(slot).is_ok() => slot.client.health(),
            _ => Health::Down,
        }
    }

    /// Whether a slot is still enabled and its access rule still admits a person with these claims.
    pub(super) fn admits(&self, id: SlotId, claims: &SessionClaims) -> bool {
        self.find(id).is_some_and(|slot| slot.settings.access.check(claims).is_ok())
    }

    /// Checks that no earlier slot has the same issuer under another `discovery_url`. One issuer must
    /// mean one provider, because identities are stored under the issuer. The later slot of a conflict
    /// is down.
    ///
    /// # Errors
    /// [`UpstreamError::Metadata`] if there is such a slot.
    pub(super) fn check_issuer_conflict(&self, slot: &EnabledSlot) -> Result<(), LoginError> {
        let Some(issuer) = slot.client.issuer() else { return Ok(()) };
        for other in self.before(slot) {
            let same_issuer = other.client.issuer().as_ref() == Some(&issuer);
            if same_issuer && other.settings.discovery_url() != slot.settings.discovery_url() {
                let problem = format!(
                    "the issuer {issuer} is that of {} already, under another discovery_url",
                    other.settings.id()
                );
                return Err(UpstreamError::Metadata(problem).into());
            }
        }
        Ok(())
    }

    /// Loads the metadata of earlier slots that could conflict with this one and whose issuer is not
    /// known yet. Only slots of the same origin can: an issuer that is not pinned has the origin of its
    /// discovery document. A provider that does not answer causes no conflict.
    pub(super) async fn load_issuers_of_same_origin(&self, slot: &EnabledSlot) {
        let Some(own) = slot.settings.discovery_url() else { return };
        for other in self.before(slot) {
            let url = other.settings.discovery_url();
            let same_origin = url.is_some_and(|url| url != own && url.origin() == own.origin());
            if same_origin && other.client.issuer().is_none() {
                other.client.load_metadata().await;
            }
        }
    }

    /// The slots whose buttons stand before this one's.
    fn before(&self, slot: &EnabledSlot) -> impl Iterator<Item = &EnabledSlot> {
        let id = slot.settings.id();
        self.slots.iter().take_while(move |other| other.settings.id() != id)
    }
}
