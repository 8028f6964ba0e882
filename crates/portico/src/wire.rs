//! Assembles clients, store, broker and listeners from the settings.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use portico_core::clock::Clock;
use portico_core::error::error_chain;
use portico_core::flow::{Broker, BrokerConfig, EnabledSlot, EnabledSlots};
use portico_core::provider::{ProtocolClient, ProviderKind, Slot};
use portico_core::seal::Seals;
use portico_core::slot::SlotId;
use portico_core::store::Store;
use portico_http::proxy_probe::ProxyProbe;
use portico_http::{Live, Metrics, Surface};
use portico_oauth2::OAuth2Client;
use portico_oidc::OidcClient;
use portico_outbound::Outbound;
use portico_storage::Storage;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::failure::Failure;
use crate::output::print_err;
use crate::settings::Settings;

/// Time limit for running requests at shutdown, in seconds.
const DRAIN_SECONDS: u64 = 30;

/// Time between two checks for signing keys of other replicas.
const KEYS_EVERY: Duration = Duration::from_secs(30);

/// Time between two cleanups of expired rows.
const SWEEP_EVERY: Duration = Duration::from_mins(15);

/// The runtime for provider calls, database connections and background tasks. HTTP workers have their own.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let failed = |error| Failure::Failed(format!("cannot start the runtime: {error}"));
    Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)
}

/// Opens the store, runs a command with it, and closes it.
pub(crate) fn with_store<T>(
    settings: &Settings,
    command: impl AsyncFnOnce(&dyn Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    runtime()?.block_on(async {
        let storage = Storage::open(&settings.storage_url).await?;
        // The notice shows a mistyped storage.url: the database would be new.
        if let applied @ 1.. = prepare(&storage, settings.auto_migrate).await? {
            print_err(&format!(
                "the database of storage.url was new or older: {applied} migration(s) were applied"
            ));
        }
        let done = command(storage.store().as_ref()).await;
        storage.close().await;
        done
    })
}

/// Migrates the database. Returns the number of applied migrations.
pub(crate) fn migrate(settings: &Settings) -> Result<usize, Failure> {
    runtime()?.block_on(async {
        let storage = Storage::open(&settings.storage_url).await?;
        let applied = storage.migrate().await?;
        storage.close().await;
        Ok(applied)
    })
}

/// Migrates the database, or fails if migrations are pending and `auto_migrate` is off. Returns their number.
pub(crate) async fn prepare(storage: &Storage, auto_migrate: bool) -> Result<usize, Failure> {
    if auto_migrate {
        return Ok(storage.migrate().await?);
    }
    match storage.pending().await? {
        0 => Ok(0),
        pending => Err(Failure::Store(format!(
            "the database lacks {pending} migration(s) and storage.auto_migrate is off; run `portico migrate`"
        ))),
    }
}

/// The secret keys of the settings, ready to seal and open.
pub(crate) fn seals(settings: &Settings) -> Seals {
    Seals::new(settings.secret_key.expose(), &settings.secret_key_previous_bytes())
}

/// Creates the broker of these settings. Provider calls run on `outbound`; `keep` returns a client to reuse.
///
/// # Errors
/// A client cannot be created, or the store has no usable signing key.
pub(crate) async fn assemble(
    settings: &Settings,
    store: Arc<dyn Store>,
    clock: Clock,
    outbound: &Handle,
    keep: impl Fn(SlotId) -> Option<Arc<dyn ProtocolClient>>,
) -> Result<Arc<Broker>, Failure> {
    let seals = seals(settings);
    let slot = |slot: &Slot| {
        let client = keep(slot.id()).map_or_else(|| client(slot, outbound), Ok)?;
        Ok(EnabledSlot { settings: Arc::new(slot.clone()), client })
    };
    let slots = settings.slots.iter().map(slot).collect::<Result<_, Failure>>()?;
    let config = BrokerConfig {
        public_url: settings.public_url.clone(),
        slots: EnabledSlots::new(slots),
        store,
        seals,
        clock,
        lifetimes: settings.lifetimes,
        policy: settings.name_policy.clone(),
        roles: settings.roles.clone(),
        default_group: settings.default_group.clone(),
        audience: settings.token_audience.clone(),
        post_logout_redirect: settings.post_logout_redirect_url.clone(),
        return_origins: settings.return_origins.clone(),
        audit_retention: settings.audit_retention,
    };
    Ok(Arc::new(Broker::load(config, settings.signing_alg).await?))
}

/// Creates the client of a slot.
pub(crate) fn client(slot: &Slot, outbound: &Handle) -> Result<Arc<dyn ProtocolClient>, Failure> {
    let http = Outbound::new(&slot.transport, outbound.clone())
        .map_err(|error| Failure::Failed(format!("{}: {}", slot.id(), error_chain(&error))))?
        .with_slot(slot.id());
    Ok(match slot.kind {
        ProviderKind::Oidc(_) => Arc::new(OidcClient::new(slot.clone(), http)),
        ProviderKind::OAuth2(_) => Arc::new(OAuth2Client::new(slot.clone(), http)),
    })
}

/// The settings of the HTTP surface.
pub(crate) fn surface(settings: &Settings, clock: &Clock) -> Surface {
    Surface {
        error_url: settings.error_url.clone(),
        cors: settings.cors_origins.clone(),
        trusted_proxies: settings.trusted_proxies.clone(),
        rate_limit: settings.rate_limit,
        proxy_probe: Some(ProxyProbe::new(seals(settings), settings.public_url.clone(), clock.clone())),
    }
}

/// The running listeners.
pub struct Listeners {
    public: Server,
    operator: Server,
}

impl Listeners {
    /// Starts both listeners. `metrics` renders the metrics; `more` adds services to the public listener.
    ///
    /// # Errors
    /// A listener cannot be used.
    pub fn start(
        live: &Arc<Live>,
        (public, operator): (TcpListener, TcpListener),
        metrics: &Metrics,
        more: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let for_public = Arc::clone(live);
        let public_app = move || App::new().configure(&more).configure(portico_http::configure(&for_public));
        let for_operator = Arc::clone(live);
        let metrics = Arc::clone(metrics);
        let operator_app =
            move || App::new().configure(portico_http::configure_operator(&for_operator, &metrics));
        Ok(Self {
            public: HttpServer::new(public_app).shutdown_timeout(DRAIN_SECONDS).listen(public)?.run(),
            operator: HttpServer::new(operator_app).workers(1).disable_signals().listen(operator)?.run(),
        })
    }

    /// The handle that stops the public listener. The operator's listener stops after it.
    pub fn handle(&self) -> ServerHandle {
        self.public.handle()
    }

    /// Runs until a stop signal or [`Listeners::handle`] stops it. Running requests finish first.
    ///
    /// # Errors
    /// A listener fails.
    pub async fn run(self) -> std::io::Result<()> {
        let operator = self.operator.handle();
        let background = actix_web::rt::spawn(self.operator);
        let done = self.public.await;
        operator.stop(false).await;
        let _ = background.await;
        done
    }
}

/// Rotates signing keys, loads those of other replicas and deletes expired rows, until the runtime ends.
pub(crate) async fn upkeep(live: Arc<Live>) {
    let mut keys = tokio::time::interval(KEYS_EVERY);
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = keys.tick() => {
                if let Err(error) = live.now().broker().keys().maintain().await {
                    tracing::warn!(error = error_chain(&error), "signing-key maintenance failed");
                }
            }
            _ = sweep.tick() => match live.now().broker().sweep().await {
                Ok(rows) => tracing::debug!(rows, "expired rows deleted"),
                Err(error) => tracing::warn!(error = error_chain(&error), "cleanup of expired rows failed"),
            },
        }
    }
}
