//! A running instance of the application: threads, store and listeners.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use portico::service::Service;
use portico::settings::{Loaded, SettingChange, Sources};
use portico::wire::Listeners;
use portico_core::clock::Clock;
use portico_core::flow::Broker;
use portico_storage::Storage;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;

use super::{ErrorLog, Faulty};

pub struct Running {
    pub store: Arc<Faulty>,
    service: Arc<Mutex<Service>>,
    /// The address of the operator's listener.
    pub operator: SocketAddr,
    storage: Option<Storage>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    others: Option<Runtime>,
}

fn load(variables: &BTreeMap<String, String>) -> Loaded {
    Loaded::load(&Sources::from_variables(variables.clone()))
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

impl Running {
    /// Starts in this process the same parts as `portico serve`: settings, store, broker, listeners.
    pub async fn start(
        variables: &BTreeMap<String, String>,
        clock: Clock,
        public: TcpListener,
        errors: &ErrorLog,
    ) -> Self {
        let loaded = load(variables);
        let others = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let outbound = others.handle().clone();
        let log = errors.clone();
        let opened = others.spawn(async move {
            log.include_current();
            let storage = Storage::open_for_serving(&loaded.settings.storage_url).await.unwrap();
            storage.migrate().await.unwrap();
            let store = Faulty::new(storage.store());
            let service = Service::begin(loaded, store.store(), clock, outbound).await.unwrap();
            (storage, store, service)
        });
        let (storage, store, service) = opened.await.unwrap();
        let operator = TcpListener::bind("127.0.0.1:0").unwrap();
        let operator_at = operator.local_addr().unwrap();
        let served = Arc::clone(service.live());
        let (started, begun) = tokio::sync::oneshot::channel();
        let log = errors.clone();
        let thread = std::thread::spawn(move || {
            let metrics: portico_http::Metrics = Arc::new(String::new);
            actix_web::rt::System::new().block_on(async {
                log.include_current();
                let listeners = Listeners::start(&served, (public, operator), &metrics, |_| {}).unwrap();
                started.send(listeners.handle()).ok().unwrap();
                listeners.run().await.unwrap();
            });
        });
        let handle = begun.await.unwrap();
        Self {
            store,
            service: Arc::new(Mutex::new(service)),
            operator: operator_at,
            storage: Some(storage),
            handle,
            thread: Some(thread),
            others: Some(others),
        }
    }

    /// Reloads the settings as after a SIGHUP. Returns the changed settings, or why the old ones stay in use.
    pub async fn reload(&self, variables: &BTreeMap<String, String>) -> Result<Vec<SettingChange>, String> {
        let new = load(variables);
        let service = Arc::clone(&self.service);
        let changed = async move { service.lock().await.change_to(new).await };
        let others = self.others.as_ref().unwrap();
        others.spawn(changed).await.unwrap().map_err(|failure| failure.to_string())
    }

    async fn broker(&self) -> Arc<Broker> {
        Arc::clone(self.service.lock().await.live().now().broker())
    }

    /// Runs the periodic maintenance of the signing keys immediately.
    pub async fn tend_keys(&self) {
        self.broker().await.keys().maintain().await.unwrap();
    }

    /// The slots whose provider changed, with the number of affected identities by issuer and by client id.
    pub async fn estranged(&self) -> Vec<(String, u64, u64)> {
        let found = self.broker().await.orphaned_identities().await.unwrap();
        found.iter().map(|one| (one.slot.to_string(), one.by_issuer, one.by_client)).collect()
    }

    /// Runs the cleanup of expired rows immediately.
    pub async fn sweep(&self) {
        self.broker().await.sweep().await.unwrap();
    }

    /// Rotates the signing keys, as the command `keys rotate` does.
    pub async fn rotate_keys(&self) {
        self.broker().await.keys().announce().await.unwrap();
    }

    /// Stops the instance and waits until all its database connections are closed.
    pub async fn stop(mut self) {
        self.handle.stop(false).await;
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
        self.storage.take().unwrap().close().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The call itself sends the command; the returned future is not needed.
        drop(self.handle.stop(false));
        if let Some(others) = self.others.take() {
            others.shutdown_background();
        }
    }
}
