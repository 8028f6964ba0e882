//! Knobs: each knob changes only the behaviour it documents.

use std::time::Duration;

use portico_demo_idp::knobs::{Answer, AutoLogin, Body, Gate, IssKnob, StateKnob, TokenError, TokenFormat};
use portico_demo_idp::{DemoIdp, Endpoint, IdpConfig};
use serde_json::{Value, json};

use crate::site::{Credentials, SECRET, Site, authorization_request, json, response_params, site, value};

const BASIC: Credentials = Credentials::Header("basic", SECRET);

fn claims(tokens: &Value) -> Value {
    use base64::Engine;
    let token = tokens["id_token"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

#[tokio::test]
async fn claims_can_be_anything_or_absent() {
    let site = site();
    site.oidc.knobs(|knobs| {
        knobs.clock.now = Some(1_700_000_000);
        knobs.id_token.claims.set("aud", json!(["x", 1])).set("exp", "soon").remove("nonce");
    });
    let changed = claims(&site.login(&site.oidc).await);
    assert_eq!(changed["aud"], json!(["x", 1]));
    assert_eq!(changed["exp"], "soon");
    assert_eq!(changed["iat"], 1_700_000_000);
    assert!(changed.get("nonce").is_none());
    assert_eq!(changed["sub"], "ada-1");
}

#[tokio::test]
async fn profile_claims_can_be_at_userinfo_only() {
    let site = site();
    site.oidc.knobs(|knobs| knobs.id_token.profile_only_at_userinfo = true);
    let tokens = site.login(&site.oidc).await;
    assert!(claims(&tokens).get("name").is_none());
    let info = json(site.userinfo(&site.oidc, tokens["access_token"].as_str().unwrap()).await).await;
    assert_eq!(info["name"], "Ada Example");
}

#[tokio::test]
async fn the_way_back_can_lie() {
    let site = site();
    site.oidc.knobs(|knobs| {
        knobs.authorize.state = StateKnob::Replace("other".to_owned());
        knobs.authorize.iss = IssKnob::Omit;
        knobs.authorize.extra.push(("code".to_owned(), "second".to_owned()));
    });
    let params = response_params(&site.authorize(&site.oidc, &authorization_request("basic")).await);
    assert_eq!(value(&params, "state"), Some("other"));
    assert_eq!(value(&params, "iss"), None);
    assert_eq!(params.iter().filter(|(name, _)| name == "code").count(), 2);

    site.oidc.reset_knobs();
    site.oidc.knobs(|knobs| {
        knobs.authorize.error = Some("temporarily_unavailable".to_owned());
        knobs.authorize.state = StateKnob::Drop;
        knobs.authorize.iss = IssKnob::Send("http://elsewhere".to_owned());
    });
    let params = response_params(&site.authorize(&site.oidc, &authorization_request("basic")).await);
    assert_eq!(value(&params, "error"), Some("temporarily_unavailable"));
    assert_eq!([value(&params, "state"), value(&params, "code")], [None, None]);
    assert_eq!(value(&params, "iss"), Some("http://elsewhere"));
}

#[tokio::test]
async fn everyone_can_be_a_new_person() {
    let site = site();
    site.oidc.knobs(|knobs| knobs.authorize.auto_login = AutoLogin::NewPersonEachTime);
    let first = claims(&site.login(&site.oidc).await);
    let second = claims(&site.login(&site.oidc).await);
    assert_ne!(first["sub"], second["sub"]);
    assert_ne!(first["name"], second["name"]);
    assert_ne!(first["email"], second["email"]);
}

#[tokio::test]
async fn documents_can_be_bent() {
    let site = site();
    site.oidc.knobs(|knobs| {
        knobs.discovery.fields.set("issuer", "http://other").remove("jwks_uri");
        knobs.jwks.extra_keys.push(json!({ "kty": "unknown" }));
    });
    let document = site.get_json(&site.oidc.discovery_url()).await;
    assert_eq!(document["issuer"], "http://other");
    assert!(document.get("jwks_uri").is_none());
    assert_eq!(site.get_json(&site.oidc.jwks_url()).await["keys"].as_array().unwrap().len(), 2);
    site.oidc.knobs(|knobs| {
        knobs.jwks.extra_keys.clear();
        knobs.jwks.replace = Some(json!([]));
        knobs.discovery.answer.status = Some(503);
    });
    assert_eq!(site.get_json(&site.oidc.jwks_url()).await, json!([]));
    assert_eq!(site.http.get(site.oidc.discovery_url()).send().await.unwrap().status(), 503);
}

#[tokio::test]
async fn a_token_answer_can_be_an_error_a_form_or_a_redirect() {
    let site = site();
    let code = site.code(&site.oauth2, "basic").await;
    let error = TokenError { status: 200, error: "bad_verification_code".to_owned() };
    site.oauth2.knobs(|knobs| knobs.token.error = Some(error));
    let answer = site.redeem(&site.oauth2, Site::exchange(&code), BASIC).await;
    assert_eq!(answer, (200, json!({ "error": "bad_verification_code" })));

    site.oauth2.reset_knobs();
    let canary = site.idp.canary_url();
    site.oauth2.knobs(|knobs| knobs.token.answer.redirect = Some((307, canary.clone())));
    let response = site.token_request(&site.oauth2, Site::exchange(&code), BASIC).send().await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], canary.as_str());
    assert_eq!(site.idp.canary_calls(), 0);

    site.oauth2.reset_knobs();
    site.oauth2.knobs(|knobs| {
        knobs.token.format = TokenFormat::Form;
        knobs.token.fields.set("expires_in", "soon").remove("scope");
    });
    let response = site.token_request(&site.oauth2, Site::exchange(&code), BASIC).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-www-form-urlencoded");
    let body = response.text().await.unwrap();
    assert!(body.contains("expires_in=soon") && !body.contains("scope="), "{body}");

    site.http.get(format!("{canary}/deep/er")).send().await.unwrap();
    assert_eq!(site.idp.canary_calls(), 1);
}

#[tokio::test]
async fn bodies_can_be_replaced_huge_or_slow() {
    let site = site();
    let fetch = |body: Body| {
        let answer =
            Answer { body: Some(body), content_type: Some("text/other".to_owned()), ..Answer::default() };
        site.oidc.knobs(|knobs| knobs.jwks.answer = answer);
        site.http.get(site.oidc.jwks_url()).send()
    };
    let response = fetch(Body::from("nonsense")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/other");
    assert_eq!(response.text().await.unwrap(), "nonsense");
    assert_eq!(fetch(Body::Spaces(40_000)).await.unwrap().bytes().await.unwrap().len(), 40_000);
    let every = Duration::from_millis(1);
    let slow = fetch(Body::Drip { bytes: b"drip".to_vec(), every }).await.unwrap();
    assert_eq!(slow.text().await.unwrap(), "drip");
    let mut endless = fetch(Body::Endless).await.unwrap();
    assert!(endless.chunk().await.unwrap().is_some());
}

#[tokio::test]
async fn a_gate_holds_requests_until_it_opens() {
    let site = site();
    let gate = Gate::new();
    site.oidc.knobs(|knobs| knobs.token.answer.gate = Some(gate.clone()));
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let code = site.code(&site.oidc, "basic").await;
        let request = site.token_request(&site.oidc, Site::exchange(&code), BASIC);
        waiting.push(tokio::spawn(request.send()));
    }
    assert!(gate.wait_for_arrivals(5, Duration::from_secs(10)).await);
    assert!(waiting.iter().all(|request| !request.is_finished()));
    gate.open();
    for request in waiting {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
    assert!(!gate.wait_for_arrivals(6, Duration::from_millis(1)).await);
    assert_eq!(site.oidc.calls(Endpoint::Token), 5);
}

#[tokio::test]
async fn requests_are_kept_as_they_came() {
    let site = site();
    site.login(&site.oidc).await;
    let token = site.oidc.last_request(Endpoint::Token).unwrap();
    assert!(token.header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(value(&token.form(), "grant_type"), Some("authorization_code"));
    let authorize = site.oidc.last_request(Endpoint::Authorize).unwrap();
    assert_eq!(value(&authorize.query_pairs(), "nonce"), Some("n-1"));
    assert!(site.oidc.last_request(Endpoint::Userinfo).is_none());
}

#[tokio::test]
async fn a_stopped_provider_frees_its_port() {
    let idp = DemoIdp::start(IdpConfig::demo("http://127.0.0.1:8000")).unwrap();
    let port = idp.base_url().rsplit(':').next().unwrap().parse().unwrap();
    assert!(DemoIdp::start(IdpConfig { port, ..IdpConfig::demo("http://x") }).is_err());
    idp.stop();
    idp.stop();
    let again = DemoIdp::start(IdpConfig { port, ..IdpConfig::demo("http://x") });
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test]
async fn stopping_waits_for_nobody() {
    let site = site();
    let gate = Gate::new();
    site.oidc.knobs(|knobs| {
        knobs.discovery.answer.gate = Some(gate.clone());
        knobs.jwks.answer.body = Some(Body::Drip { bytes: vec![b' '; 1000], every: Duration::from_secs(1) });
    });
    let waiting = tokio::spawn(site.http.get(site.oidc.discovery_url()).send());
    let dripping = site.http.get(site.oidc.jwks_url()).send().await.unwrap();
    assert!(gate.wait_for_arrivals(1, Duration::from_secs(10)).await);
    let started = std::time::Instant::now();
    site.idp.stop();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(waiting.await.unwrap().is_err());
    assert!(dripping.bytes().await.is_err());
}

#[tokio::test]
async fn resetting_goes_back_to_the_start() {
    let site = site();
    site.oidc.knobs(|knobs| {
        knobs.authorize.auto_login = AutoLogin::ShowLogin;
        knobs.id_token.omit = true;
    });
    site.oidc.reset_knobs();
    assert!(site.login(&site.oidc).await["id_token"].is_string());
}
