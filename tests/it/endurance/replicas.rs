//! Several processes with one PostgreSQL database, behind a proxy that distributes connections in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portico_core::clock::Clock;
use portico_demo_idp::{DemoIdp, IdpConfig};
use url::Url;

use crate::testkit::{Answer, Backend, Browser, Database, Program, Relay, Request, Service, slot_variables};

const SLOT: &str = "oidc/provider1";

/// Logins that start per second.
const RATE: u64 = 50;

/// Replicas behind one proxy, with their provider and their database.
struct Fleet {
    idp: DemoIdp,
    proxy: Relay,
    database: Database,
}

impl Fleet {
    async fn new() -> Self {
        let proxy = Relay::to(&[]);
        let idp = DemoIdp::start(IdpConfig::demo(&format!("http://{}", proxy.at))).unwrap();
        Self { idp, proxy, database: Backend::Postgres.fresh().await }
    }

    fn program(&self) -> Program {
        Program::configured()
            .set("PORTICO_PUBLIC_URL", &format!("http://{}", self.proxy.at))
            .set("PORTICO_STORAGE_URL", &self.database.url)
            .set_all(slot_variables(&self.idp, &[SLOT.to_owned()]))
    }

    fn lead_to(&self, services: &[&Service]) {
        let addresses: Vec<_> = services.iter().map(|service| service.listens_at()).collect();
        self.proxy.lead_to(&addresses);
    }

    /// A browser that opens a connection per request, so that each request reaches the next replica.
    fn browser(&self) -> Browser {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only([])
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        let public = Url::parse(&format!("http://{}", self.proxy.at)).unwrap();
        Browser::new(http, public, self.proxy.at, Clock::System)
    }
}

/// The number of logins by result.
#[derive(Default)]
struct Tally {
    done: AtomicUsize,
    /// The connection was cut; the login was started again.
    cut: AtomicUsize,
    failed: AtomicUsize,
}

/// A login and a session request.
///
/// # Errors
///
/// A connection was cut.
async fn log_in(mut browser: Browser) -> Result<Answer, reqwest::Error> {
    let start = browser.url(&format!("/auth/{SLOT}/login"));
    let started = browser.try_send(Request::navigation(start)).await?;
    if started.status != 303 {
        return Ok(started);
    }
    let callback = browser.choose(&started.location(), "ada-1").await;
    let done = browser.try_send(Request::navigation(callback)).await?;
    if done.status != 303 {
        return Ok(done);
    }
    browser.try_send(Request::script("GET", browser.url("/auth/session"))).await
}

/// Logs in with up to three attempts; an attempt is repeated only if its connection was cut.
async fn log_in_with_retries(browser: Browser, tally: Arc<Tally>) {
    for _ in 0..3 {
        match log_in(browser.clone()).await {
            Ok(answer) if answer.status == 200 => {
                tally.done.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Ok(answer) => {
                tally.failed.fetch_add(1, Ordering::SeqCst);
                eprintln!("a login failed: {answer:?}");
                return;
            }
            Err(_) => tally.cut.fetch_add(1, Ordering::SeqCst),
        };
    }
    tally.failed.fetch_add(1, Ordering::SeqCst);
}

/// Starts `RATE` logins per second until `stop` is set, and waits for their ends.
async fn start_logins(browser: Browser, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    let mut tick = tokio::time::interval(Duration::from_millis(1000 / RATE));
    let mut logins = Vec::new();
    while !stop.load(Ordering::SeqCst) && logins.len() < 3000 {
        tick.tick().await;
        logins.push(tokio::spawn(log_in_with_retries(browser.clone(), Arc::clone(&tally))));
    }
    for login in logins {
        login.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_rolling_restart_under_load_fails_no_login() {
    if !Backend::Postgres.is_here("endurance::replicas::rolling_restart") {
        return;
    }
    let fleet = Fleet::new().await;
    let (one, two) = (fleet.program().serve().await, fleet.program().serve().await);
    fleet.lead_to(&[&one, &two]);
    let tally = Arc::new(Tally::default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut before = fleet.browser();
    before.log_in(SLOT, "bruno-2").await;

    let load = tokio::spawn(start_logins(fleet.browser(), Arc::clone(&tally), Arc::clone(&stop)));
    let mut fresh = Vec::new();
    for old in [one, two] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let program = tokio::task::spawn_blocking(|| old.stop()).await.unwrap();
        fresh.push(program.serve().await);
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::SeqCst);
    load.await.unwrap();
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    let (done, cut, failed) = (count(&tally.done), count(&tally.cut), count(&tally.failed));
    eprintln!("{done} logins during two restarts, {cut} connections cut, {failed} failed");
    assert_eq!(failed, 0, "{done} done, {cut} cut");
    assert!(done > 100, "{done} logins");
    assert_eq!(fleet.database.count("accounts", "1 = 1").await, 2);
    assert!(before.is_signed_in().await, "a session from before the restart stays valid");
    before.post("/auth/refresh").await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn replicas_that_start_at_once_migrate_once_and_share_one_key() {
    if !Backend::Postgres.is_here("endurance::replicas::migrate") {
        return;
    }
    let fleet = Fleet::new().await;
    let starting = (0..3).map(|_| tokio::spawn(fleet.program().serve())).collect::<Vec<_>>();
    let mut services = Vec::new();
    for service in starting {
        services.push(service.await.unwrap());
    }
    let keys = fleet.database.texts("SELECT kid FROM signing_keys").await;
    assert_eq!(keys.len(), 1);
    let applied = fleet.database.texts("SELECT version::text FROM _sqlx_migrations").await;
    let distinct: std::collections::BTreeSet<_> = applied.iter().collect();
    assert!(!applied.is_empty() && applied.len() == distinct.len(), "{applied:?}");
    // A login that starts on one replica completes on another.
    for (start, finish) in [(0, 1), (1, 2), (2, 0)] {
        let mut browser = fleet.browser().at(services[start].listens_at());
        let callback = browser.reach_callback(SLOT, "ada-1").await;
        let mut browser = browser.at(services[finish].listens_at());
        browser.callback(&callback).await.is(303);
        let mut browser = browser.at(services[start].listens_at());
        browser.callback(&callback).await.refused(400, "login_state_invalid");
        assert!(browser.is_signed_in().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn one_callback_at_two_replicas_is_consumed_once() {
    if !Backend::Postgres.is_here("endurance::replicas::consumed_once") {
        return;
    }
    let fleet = Fleet::new().await;
    let (one, two) = (fleet.program().serve().await, fleet.program().serve().await);
    for _ in 0..20 {
        let mut browser = fleet.browser().at(one.listens_at());
        let callback = browser.reach_callback(SLOT, "ada-1").await;
        let asked = fleet.idp.oidc("provider1").unwrap().counters().token;
        let copies = (0..6).map(|copy| {
            let at = if copy % 2 == 0 { one.listens_at() } else { two.listens_at() };
            let (mut browser, callback) = (browser.clone().at(at), callback.clone());
            tokio::spawn(async move { browser.callback(&callback).await.status })
        });
        let mut statuses = Vec::new();
        for copy in copies.collect::<Vec<_>>() {
            statuses.push(copy.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 400, 400, 400, 400, 400]);
        assert_eq!(fleet.idp.oidc("provider1").unwrap().counters().token - asked, 1);
    }
}
