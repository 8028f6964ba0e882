//! A running instance: its threads, its store, its listeners.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use portico::settings::{Loaded, Sources};
use portico::wire::{Listeners, assemble, surface};
use portico_core::clock::Clock;
use portico_http::Portico;
use portico_storage::Storage;
use tokio::runtime::{Builder, Runtime};

use super::Faulty;

pub struct Running {
    pub store: Arc<Faulty>,
    app: Arc<Portico>,
    /// Where the operator's listener is.
    pub operator: SocketAddr,
    storage: Option<Storage>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    others: Option<Runtime>,
}

impl Running {
    /// Does what `portico serve` does, in this process: settings, store, broker, listeners.
    pub async fn start(variables: &BTreeMap<String, String>, clock: Clock, public: TcpListener) -> Self {
        let loaded =
            Loaded::load(Sources::of(variables.clone())).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let settings = loaded.settings;
        let others = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let outbound = others.handle().clone();
        let opened = others.spawn(async move {
            let storage = Storage::open_for_serving(&settings.storage_url).await.unwrap();
            storage.migrate().await.unwrap();
            let store = Faulty::new(storage.store());
            let broker = assemble(&settings, Arc::clone(&store) as _, clock, &outbound).await.unwrap();
            (storage, store, Arc::new(Portico::new(broker, surface(&settings))))
        });
        let (storage, store, app) = opened.await.unwrap();
        let operator = TcpListener::bind("127.0.0.1:0").unwrap();
        let operator_at = operator.local_addr().unwrap();
        let served = Arc::clone(&app);
        let (started, begun) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let listeners = Listeners::start(&served, (public, operator), |_| {}).unwrap();
                started.send(listeners.handle()).ok().unwrap();
                listeners.run().await.unwrap();
            });
        });
        let handle = begun.await.unwrap();
        Self {
            store,
            app,
            operator: operator_at,
            storage: Some(storage),
            handle,
            thread: Some(thread),
            others: Some(others),
        }
    }

    /// What happens from time to time, at once: signing keys come and go.
    pub async fn tend_keys(&self) {
        self.app.broker().tend_keys().await.unwrap();
    }

    /// The slots that were pointed elsewhere, with how many people know it by issuer and by client id.
    pub async fn estranged(&self) -> Vec<(String, u64, u64)> {
        let found = self.app.broker().estranged().await.unwrap();
        found.iter().map(|one| (one.slot.to_string(), one.by_issuer, one.by_client)).collect()
    }

    /// What has ended is forgotten.
    pub async fn sweep(&self) {
        self.app.broker().sweep().await.unwrap();
    }

    /// The same as an operator's `keys rotate`.
    pub async fn rotate_keys(&self) {
        self.app.broker().announce_key().await.unwrap();
    }

    /// Stops and waits until everything has let go of the database.
    pub async fn stop(mut self) {
        self.handle.stop(false).await;
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
        self.storage.take().unwrap().close().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command is sent by the call itself; nobody waits for it.
        drop(self.handle.stop(false));
        if let Some(others) = self.others.take() {
            others.shutdown_background();
        }
    }
}
