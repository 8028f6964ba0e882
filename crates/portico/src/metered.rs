//! Measures the store: duration and errors of each method, and a trace span for each call.

use std::sync::Arc;
use std::time::Instant;

use portico_core::error::StoreError;
use portico_core::store::{Store, StoreLayer, layered};
use tracing::Instrument as _;

/// Methods whose public name is not their name in the code: the method, and its public name.
const PUBLIC_NAMES: [(&str, &str); 4] = [
    ("backchannel_logout", "hear_logout"),
    ("commit_login", "settle"),
    ("create_break_glass", "add_link"),
    ("redeem_break_glass", "use_link"),
];

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
        let operation = operation(method);
        let result = call.instrument(tracing::error_span!("store", operation)).await;
        metrics::histogram!("portico_store_seconds", "operation" => operation).record(started.elapsed());
        if result.is_err() {
            metrics::counter!("portico_store_errors_total", "operation" => operation).increment(1);
        }
        result
    }
}

/// The public name of a store method: the value of `operation` in metrics and spans.
///
/// Alerts and dashboards of operators select by these values, so they do not change. A renamed method gets an
/// entry in `PUBLIC_NAMES` with its first name.
fn operation(method: &'static str) -> &'static str {
    PUBLIC_NAMES.iter().find(|(name, _)| *name == method).map_or(method, |(_, public)| *public)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portico_core::store::METHODS;

    use super::{PUBLIC_NAMES, operation};

    #[test]
    fn renamed_methods_keep_their_public_name() {
        assert_eq!(operation("commit_login"), "settle");
        assert_eq!(operation("ping"), "ping");
        assert!(PUBLIC_NAMES.iter().all(|(method, _)| METHODS.contains(method)), "{PUBLIC_NAMES:?}");
        let public: BTreeSet<_> = METHODS.iter().map(|method| operation(method)).collect();
        assert_eq!(public.len(), METHODS.len(), "each method has its own public name");
    }
}
