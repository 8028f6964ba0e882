//! A store layer that records which methods were called and how the calls ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use portico_core::error::StoreError;
use portico_core::store::{METHODS, Store, StoreLayer, layered};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Unavailable,
    Corrupt,
}

/// The outcomes of each method since the last assertion.
#[derive(Debug, Default)]
pub struct Calls(Mutex<BTreeMap<&'static str, Vec<Outcome>>>);

/// Wraps a store, so that its calls are recorded.
pub fn recorded(store: Arc<dyn Store>) -> (Arc<dyn Store>, Arc<Calls>) {
    let calls = Arc::new(Calls::default());
    (layered(store, Arc::clone(&calls)), calls)
}

impl Calls {
    /// Asserts that every method of the store was called and that every call had this outcome.
    #[track_caller]
    pub fn assert_every_method(&self, outcome: Outcome) {
        let calls = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for method in METHODS {
            let outcomes = calls.get(method).unwrap_or_else(|| panic!("{method} is not called here: add it"));
            assert!(outcomes.iter().all(|found| *found == outcome), "{method}: {outcomes:?}");
        }
    }
}

impl StoreLayer for Calls {
    async fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let result = call.await;
        let outcome = match &result {
            Ok(_) => Outcome::Done,
            Err(StoreError::Unavailable(_)) => Outcome::Unavailable,
            Err(StoreError::Corrupt { .. }) => Outcome::Corrupt,
        };
        self.0.lock().unwrap().entry(method).or_default().push(outcome);
        result
    }
}
