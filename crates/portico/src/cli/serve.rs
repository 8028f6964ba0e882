//! `portico serve`: the service, from settings to the last request.

use std::net::TcpListener;
use std::sync::Arc;

use portico_core::clock::Clock;
use portico_core::flow::{Broker, OrphanedIdentities};
use portico_core::provider::Prompt;
use portico_core::return_to::ReturnTo;
use portico_http::{Metrics, Portico};
use portico_storage::Storage;

use super::{Failure, chain};
use crate::credentials;
use crate::log;
use crate::metered::Metered;
use crate::reload::Reload;
use crate::service::Service;
use crate::settings::{Loaded, Sources};
use crate::telemetry;
use crate::traces::Traces;
use crate::wire::{Listeners, prepare, runtime, upkeep};

pub(super) fn serve(sources: Sources) -> Result<(), Failure> {
    let loaded = Loaded::load(&sources).map_err(Failure::Mistakes)?;
    let settings = &loaded.settings;
    let others = runtime()?;
    let traces = settings.otlp_endpoint.as_ref().map(|url| Traces::to(url, others.handle().clone()));
    let traces = traces.transpose()?;
    log::start(settings.log_format, &settings.log_filter, traces.as_ref())
        .map_err(|error| Failure::Configuration(format!("logging could not be started: {error}")))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // It takes up to 200 ms to learn the pace of the processor's clock; the database is opened meanwhile.
    let collecting = std::thread::spawn(telemetry::collect);
    let (listen, admin_listen) = (settings.listen, settings.admin_listen);
    let listeners = (bound("server.listen", listen)?, bound("server.admin_listen", admin_listen)?);
    let storage = others.block_on(async {
        let storage = Storage::open_for_serving(&settings.storage_url).await?;
        prepare(&storage, settings.auto_migrate).await?;
        Ok::<_, Failure>(storage)
    })?;
    let numbers =
        collecting.join().map_err(|_| Failure::Failed("metrics cannot be collected".to_owned()))??;
    let live = others.block_on(async {
        let service =
            Service::begin(loaded, Metered::over(storage.store()), Clock::System, others.handle().clone())
                .await?;
        let live = Arc::clone(service.live());
        warn_of_adoption(&service).await;
        let reload = Reload::new(service, sources)?;
        tokio::spawn(upkeep(Arc::clone(&live)));
        tokio::spawn(telemetry::tend(numbers.clone()));
        tokio::spawn(credentials::watch(Arc::clone(&live)));
        tokio::spawn(reload.watch());
        let now = live.now();
        tokio::spawn(async move { look_at_providers(&now).await });
        Ok::<_, Failure>(live)
    })?;
    let failed = |error: std::io::Error| Failure::Failed(format!("a listener failed: {error}"));
    actix_web::rt::System::new().block_on(async {
        let metrics: Metrics = Arc::new(move || numbers.render());
        let listeners = Listeners::start(&live, listeners, &metrics, |_| {}).map_err(failed)?;
        let now = live.now();
        tracing::info!(%listen, %admin_listen, public_url = now.broker().public_url().as_str(), "ready");
        drop(now);
        listeners.run().await.map_err(failed)
    })?;
    others.block_on(storage.close());
    tracing::info!("stopped");
    if let Some(traces) = traces {
        traces.end();
    }
    Ok(())
}

fn bound(setting: &str, address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .map_err(|error| Failure::Failed(format!("{setting}: {address} cannot be listened on: {error}")))
}

/// The name fallback is deprecated: each start says whom it could still touch.
async fn warn_of_adoption(service: &Service) {
    let settings = &service.loaded().settings;
    if !settings.slots.iter().any(|slot| slot.name_fallback) {
        return;
    }
    match service.live().now().broker().count_adoptable().await {
        Ok(adoptable) => tracing::warn!(
            adoptable,
            "the account name fallback is on and deprecated: a first login may adopt a local account of the same name; \
             set security.sso_account_name_fallback to false once everybody has logged in"
        ),
        Err(error) => {
            tracing::warn!(error = chain(&error), "the accounts open to adoption could not be counted");
        }
    }
}

/// Asks each provider once, so that its state is known before the next person is, and says what is wrong with it and with its button.
pub(crate) async fn look_at_providers(live: &Portico) {
    for icon in live.unknown_icons() {
        tracing::warn!(icon, "no such Material Design icon; the button shows mdi:account-key");
    }
    let broker = live.broker();
    for slot in broker.slots().iter().map(|slot| slot.settings.id()) {
        let begun = broker.login().begin(slot, &ReturnTo::root(), None, Prompt::AsConfigured).await;
        if let Err(error) = begun {
            tracing::warn!(%slot, error = chain(&error), "this slot is down for now; the others are not affected");
        }
    }
    warn_of_estranged(broker).await;
}

/// A slot that was pointed elsewhere knows nobody (threats C05, C13): each start says whom it concerns.
async fn warn_of_estranged(broker: &Broker) {
    let found = broker.orphaned_identities().await.unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "the people of each slot could not be counted");
        Vec::new()
    });
    for OrphanedIdentities { slot, by_issuer, by_client } in found {
        if by_issuer > 0 {
            tracing::warn!(%slot, people = by_issuer, "this slot was pointed elsewhere: people who came through it under another issuer, identity namespace or subject claim get new accounts");
        }
        if by_client > 0 {
            tracing::warn!(%slot, people = by_client, "this slot has another client id than when people came through it: if the provider's subjects belong to one client, they get new accounts");
        }
    }
}
