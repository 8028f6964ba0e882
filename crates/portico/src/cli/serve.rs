//! `portico serve`: runs the service.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use metrics_exporter_prometheus::PrometheusHandle;
use portico_core::clock::Clock;
use portico_http::{Live, Metrics};
use portico_storage::Storage;
use tokio::runtime::Runtime;

use crate::credentials;
use crate::failure::Failure;
use crate::log;
use crate::metered::Metered;
use crate::reload::Reload;
use crate::service::Service;
use crate::settings::{Loaded, Settings, Sources};
use crate::startup_checks::{check_name_fallback, check_providers};
use crate::telemetry;
use crate::traces::Traces;
use crate::wire::{Listeners, prepare, runtime, upkeep};

pub(super) fn serve(sources: Sources) -> Result<(), Failure> {
    let loaded = Loaded::load(&sources).map_err(Failure::Mistakes)?;
    let runtime = runtime()?;
    let traces = start_log(&loaded, &runtime)?;
    // The recorder needs up to 200 ms to calibrate its clock. Meanwhile the database is opened.
    let recorder = std::thread::spawn(telemetry::install);
    let (listen, admin_listen) = (loaded.settings.listen, loaded.settings.admin_listen);
    let listeners = (bind("server.listen", listen)?, bind("server.admin_listen", admin_listen)?);
    let storage = runtime.block_on(open_storage(&loaded.settings))?;
    let recorder = join(recorder)?;
    let live = runtime.block_on(async {
        let outbound = runtime.handle().clone();
        let service = Service::begin(loaded, Metered::wrap(storage.store()), Clock::System, outbound).await?;
        start_tasks(service, sources, recorder.clone()).await
    })?;
    let failed = |error: std::io::Error| Failure::Failed(format!("a listener failed: {error}"));
    actix_web::rt::System::new().block_on(async {
        let metrics: Metrics = Arc::new(move || recorder.render());
        let listeners = Listeners::start(&live, listeners, &metrics, |_| {}).map_err(failed)?;
        let now = live.now();
        tracing::info!(%listen, %admin_listen, public_url = now.broker().public_url().as_str(), "ready");
        drop(now);
        listeners.run().await.map_err(failed)
    })?;
    runtime.block_on(storage.close());
    tracing::info!("stopped");
    if let Some(traces) = traces {
        traces.shutdown();
    }
    Ok(())
}

/// Starts the log and the export of traces. Logs the warnings of the settings.
fn start_log(loaded: &Loaded, runtime: &Runtime) -> Result<Option<Traces>, Failure> {
    let settings = &loaded.settings;
    let traces = settings.otlp_endpoint.as_ref().map(|url| Traces::new(url, runtime.handle().clone()));
    let traces = traces.transpose()?;
    log::init(settings.log_format, &settings.log_filter, traces.as_ref())
        .map_err(|error| Failure::Configuration(format!("cannot start logging: {error}")))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(traces)
}

fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .map_err(|error| Failure::Failed(format!("{setting}: cannot listen on {address}: {error}")))
}

async fn open_storage(settings: &Settings) -> Result<Storage, Failure> {
    let storage = Storage::open_for_serving(&settings.storage_url).await?;
    prepare(&storage, settings.auto_migrate).await?;
    Ok(storage)
}

fn join(recorder: JoinHandle<Result<PrometheusHandle, Failure>>) -> Result<PrometheusHandle, Failure> {
    recorder.join().map_err(|_| Failure::Failed("cannot install the metrics recorder".to_owned()))?
}

/// Starts the background tasks of the service.
async fn start_tasks(
    service: Service,
    sources: Sources,
    recorder: PrometheusHandle,
) -> Result<Arc<Live>, Failure> {
    let live = Arc::clone(service.live());
    check_name_fallback(&service).await;
    let reload = Reload::new(service, sources)?;
    tokio::spawn(upkeep(Arc::clone(&live)));
    tokio::spawn(telemetry::run_upkeep(recorder));
    tokio::spawn(credentials::watch(Arc::clone(&live)));
    tokio::spawn(reload.watch());
    let now = live.now();
    tokio::spawn(async move { check_providers(&now).await });
    Ok(live)
}
