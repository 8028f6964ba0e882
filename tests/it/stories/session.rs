//! The session: its account, its lifetime and its end.

use portico_demo_idp::{Endpoint, Person};
use serde_json::json;

use crate::testkit::{Backend, Request, TestApp, on_both_databases};

on_both_databases!(
    the_session_says_who_one_is,
    what_is_unknown_is_null,
    a_stranger_is_told_so,
    a_bearer_token_is_judged_alone,
    the_access_token_ends_and_a_refresh_goes_on,
    a_session_ends_after_its_absolute_life,
    an_idle_session_ends,
    signing_out_ends_it_here_and_names_the_provider,
    signing_out_without_a_session_is_no_error,
    groups_belong_to_the_session,
    a_session_lives_through_a_restart,
    a_session_of_a_slot_switched_off_ends_at_the_next_refresh,
);

async fn the_session_says_who_one_is(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let session = browser.log_in("oidc/provider1", "ada-1").await;
    let at = |seconds: i64| {
        chrono::DateTime::from_timestamp(app.now() + seconds, 0)
            .unwrap()
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    };
    assert_eq!(
        session,
        json!({
            "account": {
                "id": session["account"]["id"],
                "name": "Ada Example",
                "label": "Ada Example",
                "email": "ada@example.com",
                "email_verified": true,
                "roles": [],
            },
            "groups": ["engineering", "admins"],
            "idp": "oidc/provider1",
            "auth_time": at(0),
            "expires_at": at(900),
            "session_expires_at": at(30 * 24 * 3600),
        })
    );
    assert!(session["account"]["id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    let answer = browser.fetch("/auth/session").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("x-csrf-token").is_some_and(|value| value.contains('.')));
}

async fn what_is_unknown_is_null(backend: Backend) {
    let app = TestApp::start(backend).await;
    let bare = Person { name: None, email: None, preferred_username: None, ..Person::new("bare", "x") };
    let realm = app.realm("oauth2/provider1");
    realm.set_person(bare);
    realm.knobs(|knobs| {
        knobs.userinfo.fields.remove("groups").remove("email_verified");
    });
    let session = app.browser().log_in("oauth2/provider1", "bare").await;
    assert_eq!(session["account"]["name"], "bare");
    assert_eq!(session["account"]["label"], "bare");
    for (pointer, value) in
        [("/account/email", json!(null)), ("/account/email_verified", json!(null)), ("/groups", json!(null))]
    {
        assert_eq!(session.pointer(pointer), Some(&value), "{pointer} must be present and null: {session}");
    }
    realm.knobs(|knobs| {
        knobs.userinfo.fields.set("email", "bare@example.com").set("groups", json!([]));
    });
    let session = app.browser().log_in("oauth2/provider1", "bare").await;
    assert_eq!(session["account"]["email"], "bare@example.com");
    assert_eq!(
        session["account"]["email_verified"],
        json!(null),
        "the provider did not send `email_verified`"
    );
    assert_eq!(session["groups"], json!([]), "`groups` is an empty list, not absent");
}

async fn a_stranger_is_told_so(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let answer = browser.fetch("/auth/session").await;
    answer.refused(401, "session_invalid");
    assert_eq!(answer.problem()["status"], 401);
    browser.post("/auth/refresh").await.refused(401, "session_invalid");
}

async fn a_bearer_token_is_judged_alone(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut ada = app.browser();
    ada.log_in("oidc/provider1", "ada-1").await;
    let token = ada.jar.value("portico_access").to_owned();
    let mut program = app.browser();
    let with_authorization = |authorization: &str| {
        Request::script("GET", ada.url("/auth/session")).header("authorization", authorization)
    };
    let session = program.send(with_authorization(&format!("Bearer {token}"))).await.is(200).json();
    assert_eq!(session["account"]["label"], "Ada Example");
    program.send(with_authorization(&format!("bearer {token}"))).await.is(200);
    // With an `Authorization` header, the cookies are ignored, even valid ones.
    for wrong in
        ["Bearer x", "Bearer", "Basic YTpi", "", &format!("Bearer {token}x"), &format!("Bearer {token} x")]
    {
        ada.clone().send(with_authorization(wrong)).await.refused(401, "session_invalid");
    }
    // A sign-out with a bearer token needs no CSRF value.
    let out =
        Request::new("POST", ada.url("/auth/logout")).header("authorization", &format!("Bearer {token}"));
    program.send(out).await.is(200);
    assert!(!ada.is_signed_in().await);
}

async fn the_access_token_ends_and_a_refresh_goes_on(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let session = browser.log_in("oidc/provider1", "ada-1").await;
    let token = browser.jar.value("portico_access").to_owned();
    app.advance(899);
    assert!(browser.is_signed_in().await);
    app.advance(1);
    let bearer = Request::script("GET", browser.url("/auth/session"))
        .header("authorization", &format!("Bearer {token}"));
    app.browser().send(bearer).await.refused(401, "session_invalid");
    assert!(!browser.is_signed_in().await);
    let refreshed = browser.post("/auth/refresh").await.is(200).json();
    assert_eq!(refreshed["expires_in"], 900);
    let later = browser.who().await;
    assert_eq!(later["account"], session["account"]);
    assert_eq!(later["auth_time"], session["auth_time"], "a refresh does not change the time of the login");
    assert_eq!(later["session_expires_at"], session["session_expires_at"]);
    assert_ne!(later["expires_at"], session["expires_at"]);
}

async fn a_session_ends_after_its_absolute_life(backend: Backend) {
    let app = TestApp::on(backend).set("SECURITY_REFRESH_TOKEN_LIFETIME", "2h").start().await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    browser.jar.never_forgets = true;
    for _ in 0..7 {
        app.advance(1000);
        browser.post("/auth/refresh").await.is(200);
    }
    app.advance(100);
    let refreshed = browser.post("/auth/refresh").await.is(200).json();
    assert_eq!(refreshed["expires_in"], 100, "a token must not be valid longer than its session");
    app.advance(100);
    browser.post("/auth/refresh").await.refused(401, "session_invalid");
    assert!(!browser.is_signed_in().await);
}

async fn an_idle_session_ends(backend: Backend) {
    let app = TestApp::on(backend).set("SECURITY_SESSION_IDLE_TIMEOUT", "1h").start().await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    browser.jar.never_forgets = true;
    app.advance(3600);
    browser.post("/auth/refresh").await.is(200);
    app.advance(3601);
    browser.post("/auth/refresh").await.refused(401, "session_invalid");
}

async fn signing_out_ends_it_here_and_names_the_provider(backend: Backend) {
    let app = TestApp::on(backend)
        .set("SECURITY_POST_LOGOUT_REDIRECT_URL", "https://app.example.com/bye")
        .start()
        .await;
    for (slot, ends_there) in [("oidc/provider1", true), ("oauth2/provider1", false)] {
        let mut browser = app.browser();
        browser.log_in(slot, "ada-1").await;
        let mut thief = browser.clone();
        let answer = browser.post("/auth/logout").await;
        let url = answer.is(200).json()["logout_url"].clone();
        if ends_there {
            let realm = app.realm(slot);
            let url = url::Url::parse(url.as_str().unwrap()).unwrap();
            assert!(url.as_str().starts_with(&realm.end_session_url()), "{url}");
            let sent: std::collections::BTreeMap<_, _> = url.query_pairs().collect();
            assert_eq!(sent["client_id"], "portico-oidc-provider1");
            assert_eq!(sent["post_logout_redirect_uri"], "https://app.example.com/bye");
            assert_eq!(sent["id_token_hint"], realm.last_issued().unwrap().id_token.unwrap());
            assert_eq!(
                realm.calls(Endpoint::EndSession),
                0,
                "only the browser calls the end-session endpoint"
            );
        } else {
            assert_eq!(url, json!(null));
        }
        for name in ["portico_access", "portico_refresh", "portico_csrf"] {
            assert!(answer.set_cookie(name).removes(), "{name}");
            assert!(browser.jar.find(name).is_none(), "{name}");
        }
        assert!(!thief.is_signed_in().await);
        thief.post("/auth/refresh").await.refused(401, "session_invalid");
    }
    assert_eq!(app.audited("logout").await, 2);
}

async fn signing_out_without_a_session_is_no_error(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let answer = browser.post("/auth/logout").await;
    assert_eq!(answer.is(200).json(), json!({ "logout_url": null }));
    assert!(answer.set_cookies().iter().all(crate::testkit::SetCookie::removes));
    let mut url = browser.url("/auth/logout");
    browser.visit(&url).await.refused(405, "method_not_allowed");
    url.set_query(Some("_method=POST"));
    browser.visit(&url).await.refused(405, "method_not_allowed");
}

async fn groups_belong_to_the_session(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut first = app.browser();
    assert_eq!(first.log_in("oidc/provider1", "ada-1").await["groups"], json!(["engineering", "admins"]));
    let other_groups = Person { groups: vec!["support".to_owned()], ..Person::new("ada-1", "Ada Example") };
    app.realm("oidc/provider1").set_person(other_groups);
    let second = app.browser().log_in("oidc/provider1", "ada-1").await;
    assert_eq!(second["groups"], json!(["support"]), "groups are replaced, not added");
    assert_eq!(
        first.who().await["groups"],
        json!(["engineering", "admins"]),
        "the older session keeps its groups"
    );
}

async fn a_session_lives_through_a_restart(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let before = browser.log_in("oidc/provider1", "ada-1").await;
    app.restart(&[]).await;
    assert_eq!(browser.who().await, before);
    browser.post("/auth/refresh").await.is(200);
}

async fn a_session_of_a_slot_switched_off_ends_at_the_next_refresh(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oauth2/provider1", "ada-1").await;
    app.restart(&[("SECURITY_OAUTH2_PROVIDERS", Some("provider2")), ("OAUTH2_PROVIDER1_CLIENT_ID", None)])
        .await;
    browser.post("/auth/refresh").await.refused(401, "session_invalid");
    assert!(!browser.is_signed_in().await);
}
