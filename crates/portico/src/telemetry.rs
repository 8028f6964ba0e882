//! Metrics: the Prometheus recorder, the buckets of histograms and the description of each metric.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;
use portico_core::error::error_chain;

/// Buckets in seconds, from a cached response to the longest deadline.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Time between two moves of raw samples into buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Buckets in bytes, up to the limits of browsers and proxies.
const BYTES: [f64; 7] = [256.0, 512.0, 1024.0, 2048.0, 3584.0, 4096.0, 8192.0];

/// Installs the recorder of the process.
///
/// # Errors
/// Another recorder is installed already.
pub(crate) fn install() -> Result<PrometheusHandle, Failure> {
    let failed = |error: metrics_exporter_prometheus::BuildError| {
        Failure::Failed(format!("cannot install the metrics recorder: {}", error_chain(&error)))
    };
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(failed)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)
        .map_err(failed)?;
    let handle = builder.install_recorder().map_err(failed)?;
    describe();
    // `increase` misses the first event of a counter that does not start at 0.
    for outcome in ["applied", "refused"] {
        metrics::counter!("portico_reloads_total", "outcome" => outcome).absolute(0);
    }
    set_settings_refused(false);
    metrics::gauge!("portico_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    Ok(handle)
}

/// Moves raw samples into their buckets, which bounds their memory. Runs until the runtime ends.
pub(crate) async fn run_upkeep(recorder: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        recorder.run_upkeep();
    }
}

fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    counter!(
        "portico_logins_total",
        "Login steps (start, callback), by slot and outcome: ok, or the error code"
    );
    counter!("portico_refreshes_total", "Session refreshes, by outcome");
    counter!("portico_http_requests_total", "HTTP requests, by route, method and status");
    histogram!("portico_http_request_seconds", "Duration of HTTP requests, by route");
    counter!("portico_rate_limited_total", "Requests refused by the rate limit, by kind");
    histogram!("portico_access_token_bytes", "Sizes of issued access tokens");
    histogram!("portico_request_cookie_bytes", "Sizes of received Cookie headers");
    counter!("portico_provider_requests_total", "Calls to providers, by slot, endpoint and outcome");
    histogram!("portico_provider_request_seconds", "Duration of calls to providers, by slot and endpoint");
    gauge!("portico_provider_up", "1 if the provider of a slot is usable, 0 if it is down");
    gauge!(
        "portico_idp_credentials_valid",
        "1 if the provider accepted the client credentials at the last check or login, 0 if it refused them"
    );
    gauge!(
        "portico_clock_skew_seconds",
        "Lead of the provider's clock over the local clock in the last ID token"
    );
    histogram!("portico_store_seconds", "Duration of store operations, by operation");
    counter!("portico_store_errors_total", "Failed store operations, by operation");
    counter!(
        "portico_cache_lookups_total",
        "Cache lookups: discovery, jwks, sessions, access_tokens; by outcome: hit, miss"
    );
    counter!("portico_reloads_total", "Reloads of the settings, by outcome: applied, refused");
    gauge!(
        "portico_settings_refused",
        "1 while changed settings are refused and the old settings stay in use"
    );
    gauge!("portico_build_info", "Always 1; the version is a label");
}

/// Sets the gauge that is 1 while the changed settings on disk are refused.
pub(crate) fn set_settings_refused(refused: bool) {
    metrics::gauge!("portico_settings_refused").set(u8::from(refused));
}
