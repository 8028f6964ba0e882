//! Self-service for sessions: list them, end one, end all.

use serde_json::Value;

use crate::testkit::{Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    sessions_are_listed_with_the_current_one_marked,
    one_session_is_ended_from_another,
    everything_is_ended_at_once,
    other_peoples_sessions_are_not_there,
);

async fn sessions(browser: &mut Browser) -> Vec<Value> {
    browser.fetch("/auth/sessions").await.is(200).json()["sessions"].as_array().unwrap().clone()
}

async fn sessions_are_listed_with_the_current_one_marked(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut first = app.browser();
    first.log_in("oidc/provider1", "ada-1").await;
    app.advance(60);
    let mut second = app.browser();
    let url = second.url("/auth/oidc/provider1/login");
    let authorization = second.visit(&url).await.location();
    let callback = second.choose(&authorization, "ada-1").await;
    let named = Request::navigation(callback)
        .header("user-agent", "A browser of 1999")
        .header("x-forwarded-for", "203.0.113.9")
        .header("forwarded", "for=203.0.113.9");
    second.send(named).await.is(303);
    let listed = sessions(&mut second).await;
    assert_eq!(listed.iter().map(|session| &session["current"]).collect::<Vec<_>>(), [false, true]);
    let own = &listed[1];
    assert_eq!((&own["idp"], &own["user_agent"]), (&"oidc/provider1".into(), &"A browser of 1999".into()));
    assert_eq!(own["ip"], "127.0.0.1", "headers do not set the address (threat C15)");
    for time in ["created_at", "last_used_at", "expires_at"] {
        assert!(own[time].as_str().is_some_and(|time| time.ends_with('Z')), "{time}: {own}");
    }
    assert!(listed[0]["user_agent"].is_null(), "an unknown value is null, not absent");
    assert!(sessions(&mut first).await[0]["current"].as_bool().unwrap());
    let nobody = app.browser().fetch("/auth/sessions").await;
    nobody.refused(401, "session_invalid");
}

async fn one_session_is_ended_from_another(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (mut lost, mut here) = (app.browser(), app.browser());
    lost.log_in("oidc/provider1", "ada-1").await;
    here.log_in("oidc/provider1", "ada-1").await;
    let id =
        sessions(&mut lost).await.iter().find(|session| session["current"] == true).unwrap()["id"].clone();
    let path = format!("/auth/sessions/{}", id.as_str().unwrap());
    here.send(here.proven("DELETE", &path).without("x-csrf-token")).await.refused(403, "csrf_failed");
    let answer = here.send(here.proven("DELETE", &path)).await;
    assert!(answer.is(204).set_cookies().is_empty(), "the cookies of the current session stay");
    assert!(!lost.is_signed_in().await);
    lost.post("/auth/refresh").await.refused(401, "session_invalid");
    assert!(here.is_signed_in().await);
    assert_eq!(sessions(&mut here).await.len(), 1);
    assert_eq!(app.audited("session_revoked").await, 1);
    let own = sessions(&mut here).await[0]["id"].as_str().unwrap().to_owned();
    let answer = here.send(here.proven("DELETE", &format!("/auth/sessions/{own}"))).await;
    assert!(answer.is(204).set_cookie("portico_access").removes());
    assert!(!here.is_signed_in().await);
}

async fn everything_is_ended_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browsers = vec![app.browser(), app.browser(), app.browser()];
    for browser in &mut browsers {
        browser.log_in("oidc/provider1", "ada-1").await;
    }
    let mut bruno = app.browser();
    bruno.log_in("oidc/provider1", "bruno-2").await;
    let before = browsers[0].clone();
    let answer = browsers[0].send(before.proven("DELETE", "/auth/sessions")).await;
    assert!(answer.is(204).set_cookie("portico_refresh").removes());
    for browser in [&mut before.clone()].into_iter().chain(&mut browsers) {
        assert!(!browser.is_signed_in().await);
    }
    assert!(bruno.is_signed_in().await);
}

async fn other_peoples_sessions_are_not_there(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (mut ada, mut bruno) = (app.browser(), app.browser());
    ada.log_in("oidc/provider1", "ada-1").await;
    bruno.log_in("oidc/provider1", "bruno-2").await;
    let id = sessions(&mut bruno).await[0]["id"].as_str().unwrap().to_owned();
    let before = app.rows().await;
    for id in [id.as_str(), "x", "00000000-0000-7000-8000-000000000000"] {
        ada.send(ada.proven("DELETE", &format!("/auth/sessions/{id}"))).await.refused(404, "not_found");
    }
    before.assert_same(&app.rows().await);
    assert!(bruno.is_signed_in().await);
}
