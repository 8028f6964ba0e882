//! The operator's endpoints: liveness, readiness and metrics.
//!
//! Readiness depends on the store and not on the providers: taking replicas out of service does not repair a
//! provider.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::metrics::{self, Metrics};
use crate::state::Portico;

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /livez`: 200 while the process runs.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 while the store answers, 503 otherwise.
pub(crate) async fn readyz(portico: Data<Portico>) -> HttpResponse {
    match tokio::time::timeout(PATIENCE, portico.broker().check_store()).await {
        Ok(Ok(())) => HttpResponse::Ok().body("ok\n"),
        Ok(Err(error)) => not_ready(&error.to_string()),
        Err(_) => not_ready("the store does not answer"),
    }
}

/// `GET /metrics`: all metrics, in the text format of Prometheus.
pub(crate) async fn metrics(portico: Data<Portico>, metrics: Data<Metrics>) -> HttpResponse {
    metrics::providers(portico.broker());
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics())
}

fn not_ready(error: &str) -> HttpResponse {
    tracing::warn!(error, "not ready");
    HttpResponse::ServiceUnavailable().body("the store does not answer\n")
}
