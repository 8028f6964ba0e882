//! What the operator's machinery asks: is the process alive, can it serve, how does it fare.
//!
//! Readiness knows the store and not the providers: taking every replica away would bring no provider back.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::{Metrics, Portico, meter};

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /livez`: 200 while the process lives.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 while the store answers, 503 otherwise.
pub(crate) async fn readyz(portico: Data<Portico>) -> HttpResponse {
    match tokio::time::timeout(PATIENCE, portico.broker().store().ping()).await {
        Ok(Ok(())) => HttpResponse::Ok().body("ok\n"),
        Ok(Err(error)) => not_ready(&error.to_string()),
        Err(_) => not_ready("the store does not answer"),
    }
}

/// `GET /metrics`: all metrics, in the text format of Prometheus.
pub(crate) async fn metrics(portico: Data<Portico>, metrics: Data<Metrics>) -> HttpResponse {
    meter::providers(portico.broker());
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics())
}

fn not_ready(error: &str) -> HttpResponse {
    tracing::warn!(error, "not ready");
    HttpResponse::ServiceUnavailable().body("the store does not answer\n")
}
