//! Linking of further identities to an account. An identity never moves to another account.

use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::Timestamp;
use portico_core::store::SessionSelection;
use serde_json::{Value, json};
use url::Url;

use crate::testkit::{Answer, Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    a_second_identity_is_linked_and_both_lead_to_one_account,
    link_22_an_identity_of_another_account_is_a_conflict,
    link_23_a_link_finishes_only_in_the_session_that_began_it,
    h12_a_link_needs_cookies_proof_and_a_recent_login,
    a_relayed_link_says_only_where_to_go_on,
    linking_ends_the_other_sessions,
    link_05_an_unlinked_identity_never_makes_its_account_adoptable,
    h13_the_last_identity_stays,
    unlinking_ends_the_sessions_it_began,
);

async fn begin(browser: &mut Browser, slot: &str) -> Answer {
    browser.post(&format!("/auth/{slot}/link?return_to=/settings")).await
}

/// Starts to link an identity and logs in at the provider. Returns the callback URL without requesting it.
async fn reach_callback(browser: &mut Browser, slot: &str, person: &str) -> Url {
    let location = begin(browser, slot).await.is(200).json()["location"].as_str().unwrap().to_owned();
    browser.choose(&location.parse().unwrap(), person).await
}

async fn link(browser: &mut Browser, slot: &str, person: &str) -> Answer {
    let callback = reach_callback(browser, slot, person).await;
    browser.callback(&callback).await
}

async fn identities(browser: &mut Browser) -> Vec<Value> {
    let answer = browser.fetch("/auth/identities").await;
    answer.is(200).json()["identities"].as_array().unwrap().clone()
}

async fn a_second_identity_is_linked_and_both_lead_to_one_account(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let ada = browser.log_in("oidc/provider1", "ada-1").await;
    let cookie = browser.jar.value("portico_refresh").to_owned();
    let answer = link(&mut browser, "oauth2/provider1", "bruno-2").await;
    answer.is(303).leads_to(browser.url("/settings").as_str());
    assert!(!answer.gives_session(), "the session does not change");
    assert_eq!(browser.jar.value("portico_refresh"), cookie);
    let own = identities(&mut browser).await;
    let subjects: Vec<_> = own.iter().map(|identity| identity["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["ada-1", "bruno-2"]);
    for member in ["id", "protocol", "slot", "issuer", "subject", "email", "linked_at", "last_login_at"] {
        assert!(own[1].get(member).is_some(), "{member}");
    }
    assert_eq!((&own[1]["protocol"], &own[1]["slot"]), (&"oauth2".into(), &"provider1".into()));
    let again = app.browser().log_in("oauth2/provider1", "bruno-2").await;
    assert_eq!(again["account"]["id"], ada["account"]["id"]);
    assert_eq!(app.accounts().await.len(), 1);
    assert_eq!(app.audited("identity_linked").await, 2);
    // Linking the same identity again changes nothing.
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    link(&mut browser, "oauth2/provider1", "bruno-2").await.is(303);
    assert_eq!(app.audited("identity_linked").await, 2);
}

async fn link_22_an_identity_of_another_account_is_a_conflict(backend: Backend) {
    let app = TestApp::start(backend).await;
    let bruno = app.browser().log_in("oauth2/provider1", "bruno-2").await;
    let mut browser = app.browser();
    let ada = browser.log_in("oidc/provider1", "ada-1").await;
    let callback = reach_callback(&mut browser, "oauth2/provider1", "bruno-2").await;
    let before = app.rows().await;
    browser.callback(&callback).await.refused(409, "identity_conflict");
    before.assert_same(&app.rows().await);
    assert_eq!(browser.who().await["account"]["id"], ada["account"]["id"]);
    let again = app.browser().log_in("oauth2/provider1", "bruno-2").await;
    assert_eq!(again["account"]["id"], bruno["account"]["id"]);
}

async fn link_23_a_link_finishes_only_in_the_session_that_began_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    for other in ["ada-1", "chidi-3"] {
        let mut browser = app.browser();
        browser.log_in("oidc/provider1", "ada-1").await;
        let callback = reach_callback(&mut browser, "oauth2/provider1", "bruno-2").await;
        let link_cookie = browser.jar.logins()[0].clone();
        browser.post("/auth/logout").await.is(200);
        browser.log_in("oidc/provider1", other).await;
        browser.jar.put(link_cookie);
        let (before, asked) = (app.rows().await, app.token_calls("oauth2/provider1"));
        browser.callback(&callback).await.refused(400, "login_state_invalid");
        before.assert_same(&app.rows().await);
        assert_eq!(app.token_calls("oauth2/provider1"), asked, "no code is exchanged");
    }
    // The browser has no session any more, or its session was revoked during the visit at the provider.
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let callback = reach_callback(&mut browser, "oauth2/provider1", "bruno-2").await;
    let mut signed_out = browser.clone();
    let login = signed_out.jar.logins()[0].clone();
    signed_out.jar.clear();
    signed_out.jar.put(login);
    signed_out.callback(&callback).await.refused(400, "login_state_invalid");
    let ended = AuditEvent::new(Event::SessionRevoked, Timestamp::from_unix(app.now()));
    assert!(app.store.revoke_sessions(SessionSelection::All, &ended).await.unwrap() > 0);
    let before = app.rows().await;
    browser.callback(&callback).await.refused(400, "login_state_invalid");
    before.assert_same(&app.rows().await);
    // The permitted case.
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    link(&mut browser, "oauth2/provider1", "bruno-2").await.is(303);
}

async fn h12_a_link_needs_cookies_proof_and_a_recent_login(backend: Backend) {
    let app = TestApp::start(backend).await;
    let path = "/auth/oauth2/provider1/link";
    let mut browser = app.browser();
    browser.send(Request::script("POST", browser.url(path))).await.refused(401, "session_invalid");
    browser.log_in("oidc/provider1", "ada-1").await;
    let without = browser.proven("POST", path).without("x-csrf-token");
    browser.send(without).await.refused(403, "csrf_failed");
    let bearer = format!("Bearer {}", browser.jar.value("portico_access"));
    let by_header = browser.proven("POST", path).header("authorization", &bearer);
    browser.send(by_header).await.refused(403, "csrf_failed");
    browser.send(Request::script("GET", browser.url(path))).await.refused(405, "method_not_allowed");
    browser.post("/auth/oauth2/google/link").await.refused(404, "provider_unknown");
    browser.post("/auth/oauth2/provider1/link?return_to=//evil").await.refused(400, "bad_request");
    app.advance(600);
    begin(&mut browser, "oauth2/provider1").await.is(200);
    app.advance(1);
    let answer = begin(&mut browser, "oauth2/provider1").await;
    answer.refused(403, "reauthentication_required");
    assert!(answer.set_cookies().is_empty());
    browser.log_in("oidc/provider1", "ada-1").await;
    begin(&mut browser, "oauth2/provider1").await.is(200);
}

async fn a_relayed_link_says_only_where_to_go_on(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let callback = reach_callback(&mut browser, "oauth2/provider1", "bruno-2").await;
    let answer = browser.relay(&callback).await;
    assert!(!answer.gives_session());
    assert_eq!(answer.is(200).json(), json!({ "return_to": browser.url("/settings").as_str() }));
    assert_eq!(identities(&mut browser).await.len(), 2);
}

async fn linking_ends_the_other_sessions(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut elsewhere = app.browser();
    elsewhere.log_in("oidc/provider1", "ada-1").await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    link(&mut browser, "oauth2/provider1", "bruno-2").await.is(303);
    assert!(browser.is_signed_in().await);
    elsewhere.post("/auth/refresh").await.refused(401, "session_invalid");
    assert!(!elsewhere.is_signed_in().await);
}

async fn link_05_an_unlinked_identity_never_makes_its_account_adoptable(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let ada = browser.log_in("oidc/provider1", "ada-1").await;
    link(&mut browser, "oauth2/provider1", "bruno-2").await.is(303);
    let first = identities(&mut browser).await[0]["id"].as_str().unwrap().to_owned();
    let answer = browser.send(browser.proven("DELETE", &format!("/auth/identities/{first}"))).await;
    assert!(
        answer.is(204).set_cookie("portico_refresh").removes(),
        "the identity belongs to the login of this session"
    );
    assert!(!browser.is_signed_in().await);
    app.unlink("bruno-2").await;
    app.realm("oidc/provider2").set_person(portico_demo_idp::Person::new("stranger", "Ada Example"));
    let stranger = app.browser().log_in("oidc/provider2", "stranger").await;
    assert_ne!(stranger["account"]["id"], ada["account"]["id"]);
    let again = app.browser().log_in("oidc/provider1", "ada-1").await;
    assert_ne!(
        again["account"]["id"], ada["account"]["id"],
        "the person gets a separate account, despite an earlier account"
    );
}

async fn h13_the_last_identity_stays(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let id = identities(&mut browser).await[0]["id"].as_str().unwrap().to_owned();
    let mut other = app.browser();
    other.log_in("oidc/provider1", "chidi-3").await;
    let before = app.rows().await;
    let path = format!("/auth/identities/{id}");
    browser.send(browser.proven("DELETE", &path)).await.refused(409, "last_identity");
    browser.send(browser.proven("DELETE", &path).without("x-csrf-token")).await.refused(403, "csrf_failed");
    for nobody in ["x", "00000000-0000-7000-8000-000000000000"] {
        let path = format!("/auth/identities/{nobody}");
        browser.send(browser.proven("DELETE", &path)).await.refused(404, "not_found");
    }
    other.send(other.proven("DELETE", &path)).await.refused(404, "not_found");
    app.advance(601);
    browser.send(browser.proven("DELETE", &path)).await.refused(403, "reauthentication_required");
    before.assert_same(&app.rows().await);
}

async fn unlinking_ends_the_sessions_it_began(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    link(&mut browser, "oauth2/provider1", "bruno-2").await.is(303);
    let mut by_second = app.browser();
    by_second.log_in("oauth2/provider1", "bruno-2").await;
    let second = identities(&mut browser).await[1]["id"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {}", browser.jar.value("portico_access"));
    let by_header = Request::new("DELETE", browser.url(&format!("/auth/identities/{second}")));
    let answer = browser.send(by_header.header("authorization", &bearer).cookies("x=y")).await;
    assert!(answer.is(204).set_cookies().is_empty());
    by_second.post("/auth/refresh").await.refused(401, "session_invalid");
    assert!(!by_second.is_signed_in().await);
    assert!(browser.is_signed_in().await);
    assert_eq!(app.audited("identity_unlinked").await, 1);
    assert_eq!(identities(&mut browser).await.len(), 1);
}
