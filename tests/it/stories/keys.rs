//! Rotation of signing keys and of the secret key, without loss of sessions.

use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::{Entropy, Timestamp};
use portico_core::keys::{KeyState, TokenAlg, generate};
use portico_core::seal::Seals;
use serde_json::Value;

use crate::testkit::{Backend, Browser, Request, SECRET_KEY, TestApp, on_both_databases, on_postgres};

on_both_databases!(
    a_key_is_published_before_it_signs_and_after_its_last_token,
    a_key_is_rotated_unasked_after_ninety_days,
    the_secret_key_changes_in_two_steps_and_nobody_is_logged_out,
    a_next_key_that_nobody_here_opens_never_signs,
    a_signing_key_that_is_gone_is_replaced_at_once,
);

on_postgres!(a_replica_that_meets_an_unknown_key_looks_again);

const NEW_KEY: &str = "bmV4dC1zZWNyZXQta2V5LW9mLXRoZS10ZXN0cy0wMzA0";

async fn kids(app: &TestApp) -> Vec<String> {
    let keys = app.browser().fetch("/.well-known/jwks.json").await.is(200).json()["keys"].clone();
    keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid_of(token: &str) -> String {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

async fn refreshed(browser: &mut Browser) -> String {
    let answer = browser.post("/auth/refresh").await;
    answer.is(200).json()["access_token"].as_str().unwrap().to_owned()
}

async fn accepts(browser: &mut Browser, token: &str) -> bool {
    let request =
        Request::new("GET", browser.url("/auth/verify")).header("authorization", &format!("Bearer {token}"));
    browser.send(request).await.status == 200
}

async fn a_key_is_published_before_it_signs_and_after_its_last_token(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let first = kids(&app).await;
    assert_eq!(first.len(), 1);
    app.advance(1);
    app.running().rotate_keys().await;
    app.running().rotate_keys().await;
    app.running().tend_keys().await;
    let both = kids(&app).await;
    assert_eq!(
        (both.len(), &both[0]),
        (2, &first[0]),
        "two rotations create one key, which is published immediately"
    );
    app.advance(599);
    app.running().tend_keys().await;
    assert_eq!(kid_of(&refreshed(&mut browser).await), first[0], "the next key does not sign yet");
    app.advance(1);
    let old = refreshed(&mut browser).await;
    app.running().tend_keys().await;
    let new = refreshed(&mut browser).await;
    assert_eq!((kid_of(&old), kid_of(&new)), (first[0].clone(), both[1].clone()));
    assert_eq!(app.audited("key_rotated").await, 1);
    app.advance(899);
    app.running().tend_keys().await;
    assert!(
        accepts(&mut browser, &old).await && kids(&app).await.len() == 2,
        "the old key is published until the last token expires"
    );
    app.advance(3600);
    app.running().tend_keys().await;
    assert_eq!(kids(&app).await, both[1..], "the old key is removed after that");
}

async fn a_key_is_rotated_unasked_after_ninety_days(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.advance(90 * 24 * 3600 - 1);
    app.running().tend_keys().await;
    assert_eq!(kids(&app).await.len(), 1);
    app.advance(1);
    app.running().tend_keys().await;
    assert_eq!(kids(&app).await.len(), 2);
}

async fn a_replica_that_meets_an_unknown_key_looks_again(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (replica, at) = app.replica().await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    app.running().rotate_keys().await;
    app.advance(600);
    app.running().tend_keys().await;
    let new = refreshed(&mut browser).await;
    assert_eq!(kids(&app).await.len(), 2);
    let mut other = browser.clone().at(at);
    assert!(
        accepts(&mut other, &new).await,
        "the replica accepts the new key without maintenance or restart"
    );
    drop(replica);
}

async fn a_next_key_that_nobody_here_opens_never_signs(backend: Backend) {
    let app = TestApp::start(backend).await;
    let signing = kids(&app).await;
    let now = Timestamp::from_unix(app.now());
    app.expect_error("the next signing key is not used");
    for (secret, used) in
        [("another-secret-key-of-the-tests-1", false), ("canary-secret-key-of-the-tests-01", true)]
    {
        let seals = Seals::new(secret.as_bytes(), &[]);
        let next = generate(TokenAlg::ES256, KeyState::Next, &seals, Entropy, now).unwrap();
        assert!(app.store.add_key(&next).await.unwrap());
        app.advance(600);
        app.running().tend_keys().await;
        let keys = app.store.list_keys().await.unwrap();
        let current = keys.iter().find(|key| key.state == KeyState::Current).unwrap();
        assert_eq!((current.kid == next.kid, current.kid == signing[0]), (used, !used));
        let event = AuditEvent::new(Event::KeyRotated, now);
        app.store.discard_key(&next.kid, &next.sealed, &event).await.unwrap();
    }
}

async fn the_secret_key_changes_in_two_steps_and_nobody_is_logged_out(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut signed_in = app.browser();
    signed_in.log_in("oidc/provider1", "ada-1").await;
    let superseded = signed_in.clone();
    let token = refreshed(&mut signed_in).await;
    let mut pending = app.browser();
    let callback = pending.reach_callback("oidc/provider1", "bruno-2").await;
    for (current, previous) in [(SECRET_KEY, NEW_KEY), (NEW_KEY, SECRET_KEY)] {
        let changes =
            [("SECURITY_SECRET_KEY", Some(current)), ("SECURITY_SECRET_KEY_PREVIOUS", Some(previous))];
        app.restart(&changes).await;
        app.running().tend_keys().await;
        assert!(accepts(&mut signed_in, &token).await);
        assert!(signed_in.is_signed_in().await, "the session cookie is still valid");
        signed_in.post("/auth/refresh").await.is(200);
    }
    pending.callback(&callback).await.is(303);
    superseded.clone().post("/auth/refresh").await.is(200);
    // All sealed data is sealed with the new key, so the previous one can be removed.
    app.restart(&[("SECURITY_SECRET_KEY_PREVIOUS", None)]).await;
    assert!(accepts(&mut signed_in, &token).await);
    let mut again = app.browser();
    again.log_in("oidc/provider1", "ada-1").await;
}

async fn a_signing_key_that_is_gone_is_replaced_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let old = refreshed(&mut browser).await;
    assert!(accepts(&mut browser, &old).await, "the token is accepted and cached");
    let first = kids(&app).await;
    app.running().rotate_keys().await;
    app.database.execute("DELETE FROM signing_keys").await;
    app.expect_error("the signing key is gone from the store");
    app.running().tend_keys().await;
    let now = kids(&app).await;
    assert!(now.len() == 1 && now != first, "{now:?}");
    assert!(!accepts(&mut browser, &old).await, "a token of a deleted key is not accepted");
    let new = refreshed(&mut browser).await;
    assert!(kid_of(&new) == now[0] && accepts(&mut browser, &new).await);
}
