//! A store whose methods a test can make fail.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use portico_core::error::StoreError;
use portico_core::store::{Store, StoreLayer, layered};

/// The real store, with a switch for each method.
pub struct Faulty {
    store: Arc<dyn Store>,
    broken: Arc<Broken>,
}

/// The names of the methods that currently fail.
#[derive(Default)]
struct Broken(Mutex<Vec<&'static str>>);

impl Faulty {
    pub fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        let broken = Arc::new(Broken::default());
        Arc::new(Self { store: layered(inner, Arc::clone(&broken)), broken })
    }

    /// The store in the form that the application uses.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Makes this method fail as if the disk were unavailable.
    pub fn break_method(&self, method: &'static str) {
        assert!(portico_core::store::METHODS.contains(&method), "the store has no method {method}");
        self.broken.0.lock().unwrap().push(method);
    }

    /// Makes all methods work again.
    pub fn heal(&self) {
        self.broken.0.lock().unwrap().clear();
    }
}

impl Deref for Faulty {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl StoreLayer for Broken {
    async fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if self.0.lock().unwrap().contains(&method) {
            return Err(StoreError::Unavailable("broken by a test".into()));
        }
        call.await
    }
}
