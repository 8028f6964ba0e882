//! Authorization codes: a complete login, then requests with a single fault, each next to a valid request.

use portico_demo_idp::{Endpoint, RealmKind};
use serde_json::json;

use crate::site::{
    CALLBACK, CHALLENGE, Credentials, SECRET, Site, VERIFIER, authorization_request, json, response_params,
    site, value, with,
};

const BASIC: Credentials = Credentials::Header("basic", SECRET);

#[tokio::test]
async fn a_person_logs_in_at_an_oidc_realm() {
    let site = site();
    let document = site.get_json(&site.oidc.discovery_url()).await;
    assert_eq!(document["issuer"], site.oidc.issuer());
    assert_eq!(document["token_endpoint"], site.oidc.token_url());

    let response = site.authorize(&site.oidc, &authorization_request("basic")).await;
    let params = response_params(&response);
    assert_eq!(value(&params, "state"), Some("st/te+1"));
    assert_eq!(value(&params, "iss"), Some(site.oidc.issuer()));

    let code = value(&params, "code").unwrap();
    let (status, tokens) = site.redeem(&site.oidc, Site::exchange(code), BASIC).await;
    assert_eq!(status, 200);
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["scope"], "openid profile email");
    assert!(tokens["id_token"].is_string());

    let response = site.userinfo(&site.oidc, tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        json(response).await,
        json!({
            "sub": "ada-1", "name": "Ada Example", "preferred_username": "ada",
            "email": "ada@example.com", "email_verified": true, "groups": ["engineering", "admins"],
        })
    );
    let counters = site.oidc.counters();
    assert_eq!([counters.discovery, counters.authorize, counters.token, counters.userinfo], [1; 4]);
}

#[tokio::test]
async fn a_person_logs_in_at_a_plain_realm() {
    let site = site();
    assert_eq!(site.oauth2.kind(), RealmKind::OAuth2);
    let params = response_params(&site.authorize(&site.oauth2, &authorization_request("basic")).await);
    assert_eq!(value(&params, "iss"), None);
    let tokens = site.login(&site.oauth2).await;
    assert!(tokens.get("id_token").is_none());
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(json(site.userinfo(&site.oauth2, token).await).await["sub"], "ada-1");
    let emails = site.http.get(site.oauth2.emails_url()).bearer_auth(token).send().await.unwrap();
    assert_eq!(
        json(emails).await,
        json!([{ "email": "ada@example.com", "primary": true, "verified": true }])
    );
    assert_eq!(site.http.get(site.oauth2.discovery_url()).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_replayed_code_is_refused_and_takes_its_token_back() {
    let site = site();
    let code = site.code(&site.oidc, "basic").await;
    let (status, tokens) = site.redeem(&site.oidc, Site::exchange(&code), BASIC).await;
    assert_eq!(status, 200);
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(site.userinfo(&site.oidc, token).await.status(), 200);
    let again = site.redeem(&site.oidc, Site::exchange(&code), BASIC).await;
    assert_eq!(again, (400, json!({ "error": "invalid_grant" })));
    assert_eq!(site.userinfo(&site.oidc, token).await.status(), 401);
}

#[tokio::test]
async fn a_code_is_bound_to_verifier_redirect_uri_and_client() {
    let site = site();
    for (name, wrong) in [
        ("code_verifier", None),
        ("code_verifier", Some(CHALLENGE)),
        ("redirect_uri", None),
        ("redirect_uri", Some("http://127.0.0.1:9/auth/callback/")),
        ("code", Some("code-unknown")),
    ] {
        let code = site.code(&site.oidc, "basic").await;
        let request = with(Site::exchange(&code), name, wrong);
        let answer = site.redeem(&site.oidc, request, BASIC).await;
        assert_eq!(answer, (400, json!({ "error": "invalid_grant" })), "{name} {wrong:?}");
        let code = site.code(&site.oidc, "basic").await;
        assert_eq!(site.redeem(&site.oidc, Site::exchange(&code), BASIC).await.0, 200);
    }
    let code = site.code(&site.oidc, "basic").await;
    let other_client =
        site.redeem(&site.oidc, Site::exchange(&code), Credentials::Body("post", SECRET)).await;
    assert_eq!(other_client, (400, json!({ "error": "invalid_grant" })));
    let other_realm = site.redeem(&site.oauth2, Site::exchange(&code), BASIC).await;
    assert_eq!(other_realm, (400, json!({ "error": "invalid_grant" })));
    assert_eq!(site.redeem(&site.oidc, Site::exchange(&code), BASIC).await.0, 200);
}

#[tokio::test]
async fn a_verifier_without_a_challenge_is_refused() {
    let site = site();
    let plain =
        with(with(authorization_request("basic"), "code_challenge", None), "code_challenge_method", None);
    for (verifier, status) in [(Some(VERIFIER), 400), (None, 200)] {
        let params = response_params(&site.authorize(&site.oidc, &plain).await);
        let request = with(Site::exchange(value(&params, "code").unwrap()), "code_verifier", verifier);
        assert_eq!(site.redeem(&site.oidc, request, BASIC).await.0, status);
    }
}

#[tokio::test]
async fn a_code_lives_sixty_seconds_by_the_realms_clock() {
    let site = site();
    for (age, status) in [(59, 200), (60, 400)] {
        site.oidc.knobs(|knobs| knobs.clock.now = Some(1_700_000_000));
        let code = site.code(&site.oidc, "basic").await;
        site.oidc.knobs(|knobs| knobs.clock.offset = age);
        assert_eq!(site.redeem(&site.oidc, Site::exchange(&code), BASIC).await.0, status);
        site.oidc.knobs(|knobs| knobs.clock.offset = 0);
    }
}

#[tokio::test]
async fn parallel_redemptions_have_one_winner() {
    let site = site();
    let code = site.code(&site.oidc, "basic").await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let request = site.token_request(&site.oidc, Site::exchange(&code), BASIC);
        tasks.push(tokio::spawn(request.send()));
    }
    let mut successes = 0;
    for task in tasks {
        successes += usize::from(task.await.unwrap().unwrap().status() == 200);
    }
    assert_eq!(successes, 1);
}

#[tokio::test]
async fn an_unknown_client_or_redirect_uri_gets_a_page_and_no_redirect() {
    let site = site();
    for (name, wrong) in [
        ("client_id", Some("unknown")),
        ("client_id", None),
        ("redirect_uri", None),
        ("redirect_uri", Some("http://127.0.0.1:9/auth/callback?x")),
        ("redirect_uri", Some("http://127.0.0.1:9/auth/callback/")),
        ("redirect_uri", Some("http://localhost:9/auth/callback")),
    ] {
        let response = site.authorize(&site.oidc, &with(authorization_request("basic"), name, wrong)).await;
        assert_eq!(response.status(), 400, "{name} {wrong:?}");
        assert!(response.headers().get("location").is_none());
    }
    let mut twice = authorization_request("basic");
    twice.push(("state", "other".into()));
    assert_eq!(site.authorize(&site.oidc, &twice).await.status(), 400);
    assert_eq!(site.oidc.calls(Endpoint::Authorize), 7);
}

#[tokio::test]
async fn other_faults_go_back_to_the_client_with_state() {
    let site = site();
    let without_pkce =
        with(with(authorization_request("public"), "code_challenge", None), "code_challenge_method", None);
    let cases = [
        (with(authorization_request("basic"), "response_type", Some("token")), "unsupported_response_type"),
        (with(authorization_request("basic"), "response_type", None), "invalid_request"),
        (with(authorization_request("basic"), "code_challenge_method", Some("plain")), "invalid_request"),
        (with(authorization_request("basic"), "code_challenge_method", None), "invalid_request"),
        (with(authorization_request("basic"), "code_challenge", Some("short")), "invalid_request"),
        (with(authorization_request("basic"), "request", Some("x")), "request_not_supported"),
        (without_pkce, "invalid_request"),
    ];
    for (request, error) in cases {
        let params = response_params(&site.authorize(&site.oidc, &request).await);
        assert_eq!(value(&params, "error"), Some(error));
        assert_eq!(value(&params, "state"), Some("st/te+1"));
        assert_eq!(value(&params, "iss"), Some(site.oidc.issuer()));
        assert_eq!(value(&params, "code"), None);
    }
    assert!(CALLBACK.ends_with("/callback"));
}
