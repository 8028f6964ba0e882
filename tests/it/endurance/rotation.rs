//! Signing keys rotate under load, and no valid token is refused.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

use crate::testkit::{Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(no_valid_token_is_refused_while_signing_keys_rotate);

/// The maximum age of a verifier's key set per `Cache-Control`, in seconds.
const MAX_AGE: i64 = 60;

/// A backend that verifies tokens itself and caches the key set for the full `MAX_AGE`.
struct Verifier {
    keys: HashMap<String, DecodingKey>,
    fetched_at: i64,
}

impl Verifier {
    /// Whether the cached key set has the token's key, and the signature is valid.
    async fn accepts(&mut self, browser: &mut Browser, token: &str, now: i64) -> bool {
        if now - self.fetched_at > MAX_AGE {
            let answer = browser.fetch("/.well-known/jwks.json").await;
            assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
            let set: JwkSet = serde_json::from_value(answer.is(200).json()).unwrap();
            let keys = set
                .keys
                .iter()
                .map(|key| (key.common.key_id.clone().unwrap(), DecodingKey::from_jwk(key).unwrap()));
            (self.keys, self.fetched_at) = (keys.collect(), now);
        }
        let header = decode_header(token).unwrap();
        let Some(key) = self.keys.get(&header.kid.unwrap()) else { return false };
        let mut validation = Validation::new(header.alg);
        validation.validate_aud = false;
        validation.validate_exp = false;
        decode::<serde_json::Value>(token, key, &validation).is_ok()
    }
}

/// Refreshes a session until `stop` is set, and verifies each access token in all three ways.
///
/// The token is verified by the application, by the replica (if there is one), and by a [`Verifier`].
async fn work(app: Arc<TestApp>, at: Option<SocketAddr>, stop: Arc<AtomicBool>, checked: Arc<AtomicUsize>) {
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let mut verifier = Verifier { keys: HashMap::new(), fetched_at: 0 };
    while !stop.load(Ordering::SeqCst) {
        let token = browser.post("/auth/refresh").await.is(200).json()["access_token"].clone();
        let token = token.as_str().unwrap();
        let url = browser.url("/auth/verify");
        let verify = Request::new("GET", url).header("authorization", &format!("Bearer {token}"));
        browser.send(verify.clone()).await.is(200);
        if let Some(at) = at {
            browser.clone().at(at).send(verify).await.is(200);
        }
        assert!(
            verifier.accepts(&mut browser, token, app.now()).await,
            "the cached key set verifies the token"
        );
        checked.fetch_add(1, Ordering::SeqCst);
    }
}

async fn no_valid_token_is_refused_while_signing_keys_rotate(backend: Backend) {
    let app = Arc::new(TestApp::on(backend).slots(&["oidc/provider1"]).start().await);
    let (replica, at) = app.replica_if_possible().await;
    let stop = Arc::new(AtomicBool::new(false));
    let checked = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(work(Arc::clone(&app), at, Arc::clone(&stop), Arc::clone(&checked))))
        .collect();
    let verified_more = async |count: usize| {
        let goal = checked.load(Ordering::SeqCst) + count;
        for _ in 0..3000 {
            if checked.load(Ordering::SeqCst) >= goal
                || workers.iter().any(tokio::task::JoinHandle::is_finished)
            {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the load makes no progress");
    };
    for _ in 0..3 {
        verified_more(20).await;
        app.running().rotate_keys().await;
        // Eleven minutes pass in steps of one minute. Only the first process runs key maintenance.
        for _ in 0..11 {
            app.running().tend_keys().await;
            app.advance(60);
            verified_more(8).await;
        }
        app.running().tend_keys().await;
    }
    verified_more(20).await;
    stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(app.audited("key_rotated").await, 3);
    drop(replica);
}
