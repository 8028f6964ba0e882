//! Issuer drift: identities under an issuer or client id that the slot's settings no longer have.

use super::slots::EnabledSlot;
use crate::provider::{Issuer, ProviderKind};
use crate::slot::SlotId;
use crate::store::IdentityCount;

/// Identities of a slot that its settings no longer match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrphanedIdentities {
    /// The slot.
    pub slot: SlotId,
    /// Identities under another issuer, identity namespace or subject claim. Their owners get new accounts.
    pub by_issuer: u64,
    /// Identities that last logged in under another client id. If the provider issues subjects per
    /// client, their owners get new accounts.
    pub by_client: u64,
}

impl OrphanedIdentities {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.by_issuer + self.by_client > 0
    }

    /// Counts the identities of a slot that its settings no longer match. None are counted if its issuer
    /// is unknown.
    pub(super) fn count(slot: &EnabledSlot, identities: &[IdentityCount]) -> Self {
        let EnabledSlot { settings, client } = slot;
        let mut found = Self { slot: settings.id(), by_issuer: 0, by_client: 0 };
        let issuer = match &settings.kind {
            ProviderKind::OAuth2(oauth2) => Some(Issuer::new(oauth2.identity_namespace.clone())),
            ProviderKind::Oidc(_) => client.issuer(),
        };
        let Some(issuer) = issuer else { return found };
        let namespace = Issuer::new(settings.claims.namespace(issuer.as_str()));
        for group in identities.iter().filter(|group| group.slot == settings.id()) {
            if !namespace.is_named(&group.issuer, &settings.access.tenants) {
                found.by_issuer += group.count;
            } else if group.client_id != settings.client_id {
                found.by_client += group.count;
            }
        }
        found
    }
}
