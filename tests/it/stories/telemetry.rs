//! The metrics, and the limit of their series for requests from outside.

use std::collections::BTreeSet;

use portico_demo_idp::{Client, ClientAuth, DemoIdp, IdpConfig};

use crate::testkit::{Backend, Database, Program, Request, Service, on_both_databases, slot_variables};

on_both_databases!(
    a_login_leaves_its_numbers,
    a_refused_secret_shows_at_the_first_login,
    m10_strangers_make_no_new_series,
);

async fn serve(backend: Backend) -> (Service, DemoIdp, Database) {
    let database = backend.fresh().await;
    let program = Program::configured().set("PORTICO_STORAGE_URL", &database.url);
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let slots = ["oidc/provider1", "oauth2/provider1"].map(str::to_owned);
    (program.set_all(slot_variables(&idp, &slots)).serve().await, idp, database)
}

/// The value of the only series with this name and these labels.
#[track_caller]
fn value(metrics: &str, series: &str) -> f64 {
    let found: Vec<_> = metrics
        .lines()
        .filter(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))
        .collect();
    assert_eq!(found.len(), 1, "{series} in:\n{metrics}");
    found[0].rsplit(' ').next().unwrap().parse().unwrap()
}

fn series(metrics: &str) -> BTreeSet<String> {
    metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

async fn a_login_leaves_its_numbers(backend: Backend) {
    let (service, idp, _database) = serve(backend).await;
    log_in_and_fail(&service, &idp).await;
    let metrics = service.metrics().await;
    assert_login_metrics(&metrics);
    assert_provider_store_and_cache_metrics(&metrics);
    assert!(
        metrics.contains("# HELP portico_logins_total ")
            && metrics.contains("# TYPE portico_http_request_seconds histogram")
    );
    assert!(!metrics.contains("ada-1") && !metrics.contains("code="), "{metrics}");
}

/// Two successful logins with a refresh, one failed login, and one login that is started but not completed.
async fn log_in_and_fail(service: &Service, idp: &DemoIdp) {
    let mut browser = service.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    browser.post("/auth/refresh").await.is(200);
    for _ in 0..2 {
        browser.who().await;
    }
    service.browser().try_to_log_in("oauth2/provider1", "ada-1").await.is(303);
    idp.oidc("provider1").unwrap().knobs(|knobs| {
        knobs.id_token.claims.set("nonce", "wrong");
    });
    service.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(401, "idp_token_invalid");
    let abandoned = service.browser().start("oidc/provider1").await;
    assert!(abandoned.as_str().starts_with("http"));
}

fn assert_login_metrics(metrics: &str) {
    let login = |slot: &str, step: &str, outcome: &str| {
        value(metrics, &format!(r#"portico_logins_total{{slot="{slot}",step="{step}",outcome="{outcome}"}}"#))
    };
    let started = login("oidc/provider1", "start", "ok");
    let ended =
        login("oidc/provider1", "callback", "ok") + login("oidc/provider1", "callback", "idp_token_invalid");
    assert!(started - ended > 0.9, "one login was not completed: {started} {ended}");
    assert!((login("oidc/provider1", "callback", "ok") - 1.0).abs() < 0.1);
    assert!((value(metrics, r#"portico_refreshes_total{outcome="ok"}"#) - 1.0).abs() < 0.1);
}

fn assert_provider_store_and_cache_metrics(metrics: &str) {
    assert!(
        value(
            metrics,
            r#"portico_provider_requests_total{slot="oidc/provider1",endpoint="token",outcome="ok"}"#
        ) > 1.9
    );
    assert!((value(metrics, r#"portico_provider_up{slot="oidc/provider1"}"#) - 1.0).abs() < 0.1);
    assert!(value(metrics, r#"portico_clock_skew_seconds{slot="oidc/provider1"}"#).abs() < 30.0);
    assert!(value(metrics, r#"portico_store_seconds_count{operation="settle"}"#) > 1.9);
    assert!(value(metrics, "portico_access_token_bytes_count") > 1.9);
    let lookups = |cache: &str, outcome: &str| {
        value(metrics, &format!(r#"portico_cache_lookups_total{{cache="{cache}",outcome="{outcome}"}}"#))
    };
    for cache in ["discovery", "jwks", "sessions", "access_tokens"] {
        assert!(lookups(cache, "hit") > 0.9 && lookups(cache, "miss") > 0.9, "{cache}");
    }
}

async fn a_refused_secret_shows_at_the_first_login(backend: Backend) {
    let (service, idp, _database) = serve(backend).await;
    let valid = r#"portico_idp_credentials_valid{slot="oidc/provider1"}"#;
    service.browser().log_in("oidc/provider1", "ada-1").await;
    assert!(value(&service.metrics().await, valid) > 0.9);
    let realm = idp.oidc("provider1").unwrap();
    let client = (*realm.first_client().unwrap()).clone();
    realm.put_client(Client { auth: ClientAuth::basic("another secret"), ..client.clone() });
    service.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(401, "code_rejected");
    assert!(value(&service.metrics().await, valid) < 0.1);
    realm.put_client(client);
    service.browser().log_in("oidc/provider1", "ada-1").await;
    assert!(value(&service.metrics().await, valid) > 0.9);
}

async fn m10_strangers_make_no_new_series(backend: Backend) {
    let (service, _idp, _database) = serve(backend).await;
    let flood = |round: usize| {
        let service = &service;
        async move {
            let mut browser = service.browser();
            let odd = format!("hostile{round}");
            for path in [
                format!("/auth/oidc/{odd}/login"),
                format!("/auth/{odd}/provider1/login"),
                format!("/{odd}/{odd}"),
                format!("/auth/oidc/provider1/callback?state={odd}&code={odd}&error={odd}"),
                format!("/auth/sessions/{odd}"),
                format!("/auth/verify/{odd}"),
                format!("/auth/oidc/provider1/login?return_to=https://{odd}.example"),
            ] {
                for method in ["GET", "POST", "BREW"] {
                    let url = browser.url(&path);
                    browser
                        .send(Request::new(method, url).header("user-agent", &odd).header("origin", &odd))
                        .await;
                }
            }
            browser.visit(&browser.url(&format!("/auth/?{odd}"))).await;
        }
    };
    flood(0).await;
    let before = series(&service.metrics().await);
    for round in 1..20 {
        flood(round).await;
    }
    let after = series(&service.metrics().await);
    assert!(!after.iter().any(|series| series.contains("hostile")), "{after:#?}");
    // Periodic maintenance may have added series of the store, the providers and the caches.
    let own = ["portico_store_", "portico_provider_", "portico_idp_", "portico_cache_"];
    let new: Vec<_> =
        after.difference(&before).filter(|series| !own.iter().any(|name| series.starts_with(name))).collect();
    assert!(new.is_empty(), "{new:#?}");
    assert!(after.len() < 700, "{} series", after.len());
}
