//! Benchmark of complete logins against the demo identity provider, and of the session endpoints.
//!
//! `cargo bench -p portico-tests` builds everything in release mode and prints a table. The broker, the
//! provider and a bare handler for comparison run in separate processes. This process generates the load.
//! PostgreSQL is measured too if `PORTICO_TEST_POSTGRES_URL` names a database to which the benchmark may
//! write.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::unchecked_time_subtraction,
    unreachable_pub,
    reason = "a benchmark stops at the first unexpected value and prints to the terminal"
)]

mod load;
mod process;

use std::time::{Duration, Instant};

use load::{Figures, logins, requests};
use process::{Bare, Broker, Idp};

/// Logins before the first measurement.
const WARM_UP: usize = 200;
/// Logins of a measurement with several workers; a single worker does a quarter.
const LOGINS: usize = 4000;
/// Concurrent logins of the memory measurement.
const IN_FLIGHT: usize = 500;
/// Duration of each request measurement.
const LENGTH: Duration = Duration::from_secs(5);

fn main() {
    if std::env::args().any(|arg| arg == "--bare") {
        return process::serve_bare();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!("| what | store | result |\n|---|---|---|");
        measure("SQLite", "sqlite://bench.db").await;
        match std::env::var("PORTICO_TEST_POSTGRES_URL") {
            Ok(url) => measure("PostgreSQL", &url).await,
            Err(_) => println!("| logins | PostgreSQL | SKIPPED: PORTICO_TEST_POSTGRES_URL is not set |"),
        }
    });
}

async fn measure(store: &str, url: &str) {
    let idp = Idp::start();
    let broker = Broker::start(&idp, url).await;
    println!("| ready after start | {store} | {:.0} ms |", broker.ready_after.as_secs_f64() * 1000.0);
    println!("| memory when idle | {store} | {:.1} MB |", broker.memory_mb());
    logins(&broker, WARM_UP, 4, "oidc/provider1").await;
    for slot in ["oidc/provider1", "oauth2/provider1"] {
        for at_once in [1, 16] {
            measure_logins(store, slot, at_once, &broker, LOGINS / if at_once == 1 { 4 } else { 1 }).await;
        }
    }
    measure_logins(store, "oidc/provider1", IN_FLIGHT, &broker, LOGINS).await;
    println!(
        "| peak memory after {IN_FLIGHT} logins in flight | {store} | {:.1} MB |",
        broker.peak_memory_mb()
    );
    measure_requests(store, &broker).await;
}

async fn measure_logins(store: &str, slot: &'static str, at_once: usize, broker: &Broker, count: usize) {
    let cpu = broker.cpu();
    let started = Instant::now();
    let figures = logins(broker, count, at_once, slot).await;
    let wall = started.elapsed();
    let spent = (broker.cpu() - cpu).as_secs_f64() * 1000.0 / count as f64;
    println!(
        "| logins through {slot}, {at_once} at once | {store} | {}, {spent:.2} ms CPU of the broker each |",
        format_figures(&figures, count, wall)
    );
}

async fn measure_requests(store: &str, broker: &Broker) {
    let token = load::log_in(broker, "oidc/provider1").await.access;
    let bare = Bare::start();
    let before = bare.cpu();
    let (count, figures, wall) = requests(&bare.url(), &token, 32, LENGTH).await;
    print_requests(
        "bare actix-web handler",
        store,
        &format_figures(&figures, count, wall),
        bare.cpu() - before,
        count,
    );
    for path in ["/auth/session", "/auth/verify"] {
        let before = broker.cpu();
        let (count, figures, wall) = requests(&broker.url(path), &token, 32, LENGTH).await;
        let what = format!("GET {path} with a bearer JWT");
        print_requests(&what, store, &format_figures(&figures, count, wall), broker.cpu() - before, count);
    }
}

fn print_requests(what: &str, store: &str, figures: &str, cpu: Duration, count: usize) {
    println!(
        "| {what} | {store} | {figures}, {:.1} µs CPU of the server each |",
        cpu.as_secs_f64() * 1e6 / count as f64
    );
}

fn format_figures(figures: &Figures, count: usize, wall: Duration) -> String {
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let rate = count as f64 / wall.as_secs_f64();
    format!("{rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms", ms(figures.at(0.50)), ms(figures.at(0.99)))
}
