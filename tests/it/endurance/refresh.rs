//! Ten thousand refreshes, with responses that get lost.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::testkit::{Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(no_refresh_loses_a_session_and_a_stolen_token_ends_just_its_own);

/// Sessions of one person.
const SESSIONS: usize = 25;
/// Clients that share a session.
const CLIENTS: usize = 4;
/// Refreshes per client.
const EACH: usize = 100;

/// The refresh token that all clients of a session share, as browser tabs share a cookie jar.
type Jar = Arc<Mutex<String>>;

async fn no_refresh_loses_a_session_and_a_stolen_token_ends_just_its_own(backend: Backend) {
    let app = TestApp::on(backend).slots(&["oidc/provider1"]).start().await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let mut browser = app.browser();
        browser.log_in("oidc/provider1", "ada-1").await;
        let first = browser.jar.value("portico_refresh").to_owned();
        sessions.push((first.clone(), Arc::new(Mutex::new(first))));
    }
    let clients =
        sessions.iter().flat_map(|(_, jar)| (0..CLIENTS).map(move |client| (Arc::clone(jar), client)));
    let working: Vec<_> =
        clients.map(|(jar, client)| tokio::spawn(refresh_often(app.browser(), jar, client))).collect();
    for client in working {
        client.await.unwrap();
    }
    assert_eq!(
        app.database.count("sessions", "revoked_at IS NULL").await,
        SESSIONS,
        "no session is lost or duplicated"
    );
    assert_eq!(app.database.count("refresh_tokens", "superseded_at IS NULL").await, SESSIONS);
    assert_eq!(app.audited("refresh_reused").await, 0);
    for (_, jar) in &sessions {
        let token = jar.lock().unwrap().clone();
        assert!(refresh(&mut app.browser(), &token).await.is_some(), "each session can be refreshed");
    }

    app.advance(31);
    let (stolen, jar) = &sessions[7];
    assert!(refresh(&mut app.browser(), stolen).await.is_none(), "the reuse grace period is over");
    assert_eq!(app.audited("refresh_reused").await, 1);
    let current = jar.lock().unwrap().clone();
    assert!(
        refresh(&mut app.browser(), &current).await.is_none(),
        "the reuse ends the session for both clients"
    );
    assert_eq!(app.database.count("sessions", "revoked_at IS NOT NULL").await, 1, "no other session ends");
    assert_eq!(app.database.count("refresh_tokens", "superseded_at IS NULL").await, SESSIONS);
}

/// Refreshes `EACH` times; every seventh response gets lost.
async fn refresh_often(mut browser: Browser, jar: Jar, client: usize) {
    for round in 0..EACH {
        let token = jar.lock().unwrap().clone();
        let next = refresh(&mut browser, &token).await;
        let next = next.unwrap_or_else(|| panic!("client {client} lost its session in round {round}"));
        if !(round + client).is_multiple_of(7) {
            *jar.lock().unwrap() = next;
        }
    }
}

/// Refreshes without cookies; returns the next refresh token, or `None` if the refresh is refused.
async fn refresh(browser: &mut Browser, token: &str) -> Option<String> {
    let request = Request::new("POST", browser.url("/auth/refresh")).json(&json!({ "refresh_token": token }));
    let answer = browser.send(request).await;
    if answer.status != 200 {
        answer.refused(401, "session_invalid");
        return None;
    }
    assert!(answer.set_cookies().is_empty(), "{answer:?}");
    Some(answer.json()["refresh_token"].as_str().unwrap().to_owned())
}
