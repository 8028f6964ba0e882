//! M06 to M35: medium threats.

mod edges;

use serde_json::json;

use crate::testkit::{Backend, Lie, Request, TestApp, on_both_databases, on_postgres, raw, tell};

on_both_databases!(
    m06_one_odd_key_does_not_spoil_the_set,
    m08_a_hash_of_another_access_token_is_refused,
    m16_settings_that_changed_in_between_end_the_login,
    m16_a_slot_switched_off_in_between_ends_the_login,
    m16_a_link_rests_on_the_same_settings,
    m19_a_look_ahead_starts_and_spends_nothing,
    m21_a_slot_has_one_spelling,
    m35_a_slot_of_one_protocol_is_none_of_the_other,
);

on_postgres!(m17_what_begins_at_one_replica_ends_at_another);

const SLOT: &str = "oidc/provider1";

async fn m06_one_odd_key_does_not_spoil_the_set(backend: Backend) {
    let app = TestApp::on(backend)
        .provider(|config| {
            config.realms[0].knobs.jwks.extra_keys = vec![
                json!({ "kty": "EC", "crv": "secp256k1", "kid": "odd-1", "x": "AA", "y": "AA" }),
                json!({ "kty": "RSA", "kid": "odd-2", "e": "AQAB" }),
                json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "odd-3", "pub": "AA" }),
                json!({ "kty": "oct", "kid": "odd-4", "k": "AAAA" }),
                json!({ "kid": "odd-5" }),
                json!({}),
                json!("text"),
                json!(null),
            ];
        })
        .start()
        .await;
    app.browser().log_in(SLOT, "ada-1").await;
    // Without a `kid`, every key that fits the algorithm is tried.
    app.realm(SLOT).knobs(|knobs| {
        knobs.id_token.header.remove("kid");
    });
    app.browser().log_in(SLOT, "ada-1").await;
}

async fn m08_a_hash_of_another_access_token_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut lies = Vec::new();
    for hash in [json!(""), json!("wrong"), json!("AAAAAAAAAAAAAAAAAAAAAA")] {
        lies.push(Lie::refused(401, "idp_token_invalid", &format!("at_hash {hash}"), move |knobs| {
            knobs.id_token.claims.set("at_hash", hash.clone());
        }));
    }
    lies.push(Lie::refused(401, "idp_token_invalid", "another access token", |knobs| {
        knobs.token.fields.set("access_token", "of-another-person");
    }));
    lies.push(Lie::passes("no at_hash", |knobs| {
        knobs.id_token.claims.remove("at_hash");
    }));
    tell(&app, SLOT, lies).await;
}

async fn m16_settings_that_changed_in_between_end_the_login(backend: Backend) {
    for (variable, value) in [
        ("OIDC_PROVIDER1_CLIENT_ID", "another-client"),
        ("OIDC_PROVIDER1_ISSUER", "https://pinned.example"),
        ("OIDC_PROVIDER1_USERINFO_URL", "http://127.0.0.1:1/userinfo"),
    ] {
        let mut app = TestApp::start(backend).await;
        let mut browser = app.browser();
        let callback = browser.reach_callback(SLOT, "ada-1").await;
        let before = app.rows().await;
        app.restart(&[(variable, Some(value))]).await;
        browser.callback(&callback).await.refused(400, "login_state_invalid");
        assert_eq!(app.token_calls(SLOT), 0, "{variable}");
        before.assert_same(&app.rows().await);
        app.restart(&[(variable, None), ("OIDC_PROVIDER1_CLIENT_ID", Some("portico-oidc-provider1"))]).await;
        let mut honest = app.browser();
        let callback = honest.reach_callback(SLOT, "ada-1").await;
        app.restart(&[("OIDC_PROVIDER1_DISPLAY_LABEL", Some("Another label"))]).await;
        honest.callback(&callback).await.is(303);
    }
}

async fn m16_a_slot_switched_off_in_between_ends_the_login(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    app.restart(&[("SECURITY_OIDC_PROVIDERS", Some("provider2"))]).await;
    browser.callback(&callback).await.refused(404, "provider_unknown");
    assert_eq!(app.token_calls(SLOT), 0);
    // With the old secret key as the previous one, the login cookie stays valid.
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    let (old, new) = (crate::testkit::SECRET_KEY, "YW5vdGhlci1zZWNyZXQta2V5LW9mLXRoZS10ZXN0cy0y");
    app.restart(&[("SECURITY_SECRET_KEY", Some(new)), ("SECURITY_SECRET_KEY_PREVIOUS", Some(old))]).await;
    browser.callback(&callback).await.is(303);
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    browser.callback(&callback).await.is(303);
}

async fn m16_a_link_rests_on_the_same_settings(backend: Backend) {
    const OTHER: &str = "oauth2/provider1";
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in(SLOT, "ada-1").await;
    for (label, client, status) in
        [("Another label", "portico-oauth2-provider1", 303), ("Another label", "another-client", 400)]
    {
        let started = browser.post(&format!("/auth/{OTHER}/link")).await;
        let location = started.is(200).json()["location"].as_str().unwrap().parse().unwrap();
        let callback = browser.choose(&location, "bruno-2").await;
        let calls = app.token_calls(OTHER);
        let changes =
            [("OAUTH2_PROVIDER1_DISPLAY_LABEL", Some(label)), ("OAUTH2_PROVIDER1_CLIENT_ID", Some(client))];
        app.restart(&changes).await;
        browser.callback(&callback).await.is(status);
        assert_eq!(app.token_calls(OTHER) > calls, status == 303, "{client}");
    }
}

/// Runs on PostgreSQL only, because SQLite serves one process.
async fn m17_what_begins_at_one_replica_ends_at_another(backend: Backend) {
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let app = TestApp::on(backend).set("SERVER_RETURN_ORIGINS", "https://spa.example.org").start().await;
    let (_replica, there) = app.replica().await;
    let mut browser = app.browser();
    let mut login = browser.url(&format!("/auth/{SLOT}/login"));
    login
        .query_pairs_mut()
        .append_pair("return_to", "https://spa.example.org/")
        .append_pair("code_challenge", CHALLENGE);
    let authorization = browser.visit(&login).await.location();
    let callback = browser.choose(&authorization, "ada-1").await;
    let completed = browser.clone().at(there).callback(&callback).await.location();
    let code = completed.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let body = json!({ "code": code, "code_verifier": VERIFIER });
    browser.send(Request::new("POST", browser.url("/auth/token")).json(&body)).await.is(200);
    let again = Request::new("POST", browser.url("/auth/token")).json(&body);
    browser.clone().at(there).send(again).await.refused(400, "handoff_invalid");
    // A link that starts here completes at the replica, and this process lists the identity.
    browser.log_in(SLOT, "ada-1").await;
    let started = browser.post("/auth/oauth2/provider1/link").await;
    let location = started.is(200).json()["location"].as_str().unwrap().parse().unwrap();
    let callback = browser.choose(&location, "bruno-2").await;
    browser.clone().at(there).callback(&callback).await.is(303);
    let listed = browser.fetch("/auth/identities").await.json();
    assert_eq!(listed["identities"].as_array().unwrap().len(), 2);
}

async fn m19_a_look_ahead_starts_and_spends_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let login = browser.url(&format!("/auth/{SLOT}/login"));
    for (name, value) in
        [("sec-purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")]
    {
        let answer = browser.send(Request::navigation(login.clone()).header(name, value)).await;
        assert_eq!(answer.status, 204, "{name}: {answer:?}");
        assert!(browser.jar.logins().is_empty());
    }
    let answer = browser.send(Request::new("HEAD", login)).await;
    assert_eq!(answer.status, 405);
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "POST"] {
        let answer = browser.clone().send(Request::new(method, callback.clone())).await;
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
    }
    assert_eq!(app.database.count("spent_logins", "1 = 1").await, 0);
    assert_eq!(app.token_calls(SLOT), 0);
    browser.callback(&callback).await.is(303);
}

async fn m21_a_slot_has_one_spelling(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in [
        "oidc/Provider1",
        "OIDC/provider1",
        "oidc/provider1%00",
        "oidc/provider1%20",
        "oidc/provider1.",
        "oidc/provider1;x",
        "oidc/provider%31x",
        "oidc/provider3",
        "oidc/..%2fprovider1",
        "oidc/../oidc/provider1%2f",
        "oidc//provider1",
        "oidc/%2e%2e/provider1",
        "saml/provider1",
        "oidc/",
        "/provider1",
        "oidc%2fprovider1",
    ] {
        for end in ["login", "callback?code=x&state=x"] {
            let request = format!(
                "GET /auth/{slot}/{end} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
                 Accept: application/json\r\n\r\n",
                app.at
            );
            let answer = raw(app.at, &request).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{slot}/{end}: {answer}");
        }
    }
    assert_eq!(app.counters(SLOT).discovery, 0);
}

async fn m35_a_slot_of_one_protocol_is_none_of_the_other(backend: Backend) {
    let app = TestApp::on(backend).slots(&[SLOT, "oauth2/provider2"]).start().await;
    for slot in ["oauth2/provider1", "oidc/provider2"] {
        let mut browser = app.browser();
        let callback = browser.reach_callback(SLOT, "ada-1").await;
        let login = browser.url(&format!("/auth/{slot}/login"));
        browser.visit(&login).await.refused(404, "provider_unknown");
        let mut other = callback.clone();
        other.set_path(&format!("/auth/{slot}/callback"));
        browser.callback(&other).await.refused(404, "provider_unknown");
        browser.callback(&callback).await.is(303);
    }
}
