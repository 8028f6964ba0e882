//! Slots that were pointed elsewhere: whom they knew before and do not know any more.

use super::Broker;
use crate::error::StoreError;
use crate::provider::{Issuer, ProtocolClient, ProviderKind, Slot};
use crate::slot::SlotId;
use crate::store::IdentityCount;

/// People who last came through a slot under other names than it knows them by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrphanedIdentities {
    /// The slot.
    pub slot: SlotId,
    /// How many are known under another issuer, identity namespace or subject claim: they will get new accounts.
    pub by_issuer: u64,
    /// How many came while the slot had another client id: where subjects belong to one client, they will get new accounts.
    pub by_client: u64,
}

impl Broker {
    /// The slots that were pointed elsewhere since people came through them, as far as their issuers are known.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn orphaned_identities(&self) -> Result<Vec<OrphanedIdentities>, StoreError> {
        let known = self.store().count_identities().await?;
        let slots = self.slots().map(|(slot, client)| of_slot(slot, client, &known));
        Ok(slots.filter(|found| found.by_issuer + found.by_client > 0).collect())
    }
}

fn of_slot(slot: &Slot, client: &dyn ProtocolClient, known: &[IdentityCount]) -> OrphanedIdentities {
    let mut found = OrphanedIdentities { slot: slot.id(), by_issuer: 0, by_client: 0 };
    let issuer = match &slot.kind {
        ProviderKind::OAuth2(oauth2) => Some(Issuer::new(oauth2.identity_namespace.clone())),
        ProviderKind::Oidc(_) => client.issuer(),
    };
    let Some(issuer) = issuer else { return found };
    let namespace = Issuer::new(slot.claims.namespace(issuer.as_str()));
    for group in known.iter().filter(|group| group.slot == slot.id()) {
        if !namespace.is_named(&group.issuer, &slot.access.tenants) {
            found.by_issuer += group.count;
        } else if group.client_id != slot.client_id {
            found.by_client += group.count;
        }
    }
    found
}
