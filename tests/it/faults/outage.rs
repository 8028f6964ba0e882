//! PostgreSQL becomes unreachable and reachable again during logins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{SLOT, assert_whole, postgres_behind_relay, program};
use crate::testkit::{Backend, Browser};

/// Logs in until `stop` is set, and counts the logins that succeed and that are refused.
async fn log_in_repeatedly(browser: Browser, person: &str, stop: Arc<AtomicBool>) -> (usize, usize) {
    let (mut done, mut refused) = (0, 0);
    for _ in 0..5000 {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let answer = browser.clone().try_to_log_in(SLOT, person).await;
        if answer.status == 303 {
            done += 1;
        } else {
            answer.refused(503, "unavailable");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            refused += 1;
        }
    }
    (done, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_are_refused_while_postgresql_is_away_and_go_on_when_it_is_back() {
    if !Backend::Postgres.is_here("faults::outage::postgresql") {
        return;
    }
    let (database, relay, url) = postgres_behind_relay().await;
    let (program, _idp) = program(|program| program.set("PORTICO_STORAGE_URL", url.as_str()));
    let service = program.serve().await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = ["ada-1", "bruno-2", "chidi-3", "ada-1"]
        .map(|person| tokio::spawn(log_in_repeatedly(service.browser(), person, Arc::clone(&stop))))
        .into();
    tokio::time::sleep(Duration::from_millis(600)).await;
    relay.cut();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    relay.mend();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let back = service.browser().log_in(SLOT, "ada-1").await;
    assert_eq!(back["account"]["name"], "Ada Example");
    stop.store(true, Ordering::SeqCst);
    let (mut done, mut refused) = (0, 0);
    for worker in workers {
        let (own_done, own_refused) = worker.await.unwrap();
        (done, refused) = (done + own_done, refused + own_refused);
    }
    assert!(done > 4 && refused > 0, "{done} logins, {refused} refused");
    assert_whole(&database).await;
}
