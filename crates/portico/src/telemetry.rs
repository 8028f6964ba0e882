//! Numbers for operators: where they are collected, and how they are written down for Prometheus.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::cli::{Failure, chain};
use crate::reload;

/// Seconds, from a cached answer to the longest deadline.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Measurements wait for so long before they are put into their buckets.
const TEND_EVERY: Duration = Duration::from_secs(5);

/// Bytes, up to what browsers and proxies let through.
const BYTES: [f64; 7] = [256.0, 512.0, 1024.0, 2048.0, 3584.0, 4096.0, 8192.0];

/// Collects from now on.
///
/// # Errors
/// When something else collects already.
pub(crate) fn collect() -> Result<PrometheusHandle, Failure> {
    let failed = |error: metrics_exporter_prometheus::BuildError| {
        Failure::Failed(format!("metrics cannot be collected: {}", chain(&error)))
    };
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(failed)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)
        .map_err(failed)?;
    let handle = builder.install_recorder().map_err(failed)?;
    describe();
    // A counter that begins with its first event would hide it from `increase`.
    for outcome in ["applied", "refused"] {
        metrics::counter!("portico_reloads_total", "outcome" => outcome).absolute(0);
    }
    reload::refused(false);
    metrics::gauge!("portico_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    Ok(handle)
}

/// Puts away what was measured, so that it takes no more room than its buckets; until the runtime ends.
pub(crate) async fn tend(numbers: PrometheusHandle) {
    let mut ticks = tokio::time::interval(TEND_EVERY);
    loop {
        ticks.tick().await;
        numbers.run_upkeep();
    }
}

fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    counter!(
        "portico_logins_total",
        "Logins that reached a step (start, callback), by slot and outcome: ok, or the code of the refusal"
    );
    counter!("portico_refreshes_total", "Refreshes of sessions, by outcome");
    counter!("portico_http_requests_total", "Requests answered, by route, method and status");
    histogram!("portico_http_request_seconds", "How long answers took, by route");
    counter!("portico_rate_limited_total", "Requests refused because their client asked too often, by kind");
    histogram!("portico_access_token_bytes", "Sizes of access tokens given out");
    histogram!("portico_request_cookie_bytes", "Sizes of the Cookie headers that came");
    counter!("portico_provider_requests_total", "Calls to providers, by slot, endpoint and outcome");
    histogram!("portico_provider_request_seconds", "How long providers took, by slot and endpoint");
    gauge!("portico_provider_up", "1 while a slot's provider can be used, 0 while it is down");
    gauge!(
        "portico_idp_credentials_valid",
        "1 when the provider accepted our credentials at the last look or login, 0 when it refused them"
    );
    gauge!(
        "portico_clock_skew_seconds",
        "How far the provider's clock was ahead of ours in the last ID token"
    );
    histogram!("portico_store_seconds", "How long the store took, by operation");
    counter!("portico_store_errors_total", "Failures of the store, by operation");
    counter!(
        "portico_cache_lookups_total",
        "Looks into what is kept: discovery, jwks, sessions, access_tokens; by outcome: hit, miss"
    );
    counter!("portico_reloads_total", "Changes of the settings while serving, by outcome: applied, refused");
    gauge!("portico_settings_refused", "1 while changed settings have mistakes and the old ones stay in use");
    gauge!("portico_build_info", "Always 1; the version is a label");
}
