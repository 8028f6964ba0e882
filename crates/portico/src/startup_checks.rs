//! Checks at the start and after each reload. They only log: none of them keeps the service from running.

use portico_core::error::error_chain;
use portico_core::flow::{Broker, OrphanedIdentities};
use portico_core::provider::Prompt;
use portico_core::return_to::ReturnTo;
use portico_http::Portico;

use crate::service::Service;

/// Logs how many accounts the deprecated name fallback can still affect.
pub(crate) async fn check_name_fallback(service: &Service) {
    let settings = &service.loaded().settings;
    if !settings.slots.iter().any(|slot| slot.name_fallback) {
        return;
    }
    match service.live().now().broker().count_adoptable().await {
        Ok(adoptable) => tracing::warn!(
            adoptable,
            "account name fallback is on and deprecated: a first login may adopt a local account of the same \
             name; set security.sso_account_name_fallback to false after the last such login"
        ),
        Err(error) => tracing::warn!(error = error_chain(&error), "count of adoptable accounts failed"),
    }
}

/// Calls each provider once, so that its status is known before the first login. Logs providers that are
/// down, unknown icons and identities that no longer match.
pub(crate) async fn check_providers(live: &Portico) {
    for icon in live.unknown_icons() {
        tracing::warn!(icon, "unknown Material Design icon; the button shows mdi:account-key");
    }
    let broker = live.broker();
    for slot in broker.slots().iter().map(|slot| slot.settings.id()) {
        let begun = broker.login().begin(slot, &ReturnTo::root(), None, Prompt::AsConfigured).await;
        if let Err(error) = begun {
            tracing::warn!(%slot, error = error_chain(&error), "provider is down");
        }
    }
    check_orphaned_identities(broker).await;
}

/// Logs the identities that no longer match because the settings of their slot changed (threats C05, C13).
async fn check_orphaned_identities(broker: &Broker) {
    let found = broker.orphaned_identities().await.unwrap_or_else(|error| {
        tracing::warn!(error = error_chain(&error), "count of orphaned identities failed");
        Vec::new()
    });
    for OrphanedIdentities { slot, by_issuer, by_client } in found {
        if by_issuer > 0 {
            tracing::warn!(
                %slot,
                people = by_issuer,
                "issuer, identity namespace or subject claim changed; existing identities no longer match \
                 and their next login creates a new account"
            );
        }
        if by_client > 0 {
            tracing::warn!(
                %slot,
                people = by_client,
                "client id changed; if the provider's subjects depend on the client, existing identities no \
                 longer match and their next login creates a new account"
            );
        }
    }
}
