//! Measures the store: duration and errors of each method, and a trace span for each call.

use std::sync::Arc;
use std::time::Instant;

use portico_core::error::StoreError;
use portico_core::store::{Store, StoreLayer, layered};
use tracing::Instrument as _;

/// The layer that measures.
pub(crate) struct Metered;

impl Metered {
    pub(crate) fn wrap(store: Arc<dyn Store>) -> Arc<dyn Store> {
        layered(store, Self)
    }
}

impl StoreLayer for Metered {
    #[expect(clippy::disallowed_methods, reason = "measures the duration of the store operation")]
    async fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let result = call.instrument(tracing::error_span!("store", operation = method)).await;
        metrics::histogram!("portico_store_seconds", "operation" => method).record(started.elapsed());
        if result.is_err() {
            metrics::counter!("portico_store_errors_total", "operation" => method).increment(1);
        }
        result
    }
}
