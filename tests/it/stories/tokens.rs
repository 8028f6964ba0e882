//! The access token, verified by an independent library.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use portico_demo_idp::Person;
use serde_json::{Value, json};

use crate::testkit::{Backend, Browser, TestApp, on_both_databases, on_postgres};

on_both_databases!(
    any_library_verifies_the_token_from_the_published_keys,
    the_claims_are_those_of_the_contract,
    a_new_algorithm_brings_a_new_key_and_keeps_the_old_one,
    many_groups_do_not_break_the_token,
);

on_postgres!(replicas_share_their_keys);

/// The header and the claims of a token, verified with the issuer's metadata and published keys.
async fn verify(browser: &mut Browser, token: &str) -> (jsonwebtoken::Header, Value) {
    let metadata = browser.fetch("/.well-known/openid-configuration").await.is(200).json();
    let issuer = metadata["issuer"].as_str().unwrap().to_owned();
    assert_eq!(format!("{issuer}/"), browser.url("/").as_str());
    let jwks_uri = metadata["jwks_uri"].as_str().unwrap().strip_prefix(&issuer).unwrap().to_owned();
    let answer = browser.fetch(&jwks_uri).await;
    let keys: JwkSet = serde_json::from_str(&answer.is(200).body).unwrap();
    let header = decode_header(token).unwrap();
    let jwk = keys.find(header.kid.as_deref().unwrap()).expect("the key must be published");
    let mut checks = Validation::new(header.alg);
    checks.set_issuer(&[&issuer]);
    checks.set_audience(&[&issuer]);
    checks.set_required_spec_claims(&["exp", "iss", "aud", "sub", "nbf"]);
    checks.validate_nbf = true;
    let claims = decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &checks).unwrap().claims;
    (header, claims)
}

async fn any_library_verifies_the_token_from_the_published_keys(backend: Backend) {
    for (setting, algorithm) in
        [("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA), ("RS256", Algorithm::RS256)]
    {
        let app = TestApp::on(backend)
            .slots(&["oidc/provider1"])
            .set("SECURITY_SIGNING_ALG", setting)
            .start()
            .await;
        let mut browser = app.browser();
        browser.log_in("oidc/provider1", "ada-1").await;
        let token = browser.jar.value("portico_access").to_owned();
        let (header, claims) = verify(&mut browser, &token).await;
        assert_eq!((header.alg, header.typ.as_deref()), (algorithm, Some("at+jwt")));
        assert_eq!(claims["name"], "Ada Example");
        let refreshed =
            browser.post("/auth/refresh").await.json()["access_token"].as_str().unwrap().to_owned();
        verify(&mut browser, &refreshed).await;
        let keys = browser.fetch("/.well-known/jwks.json").await.json();
        for key in keys["keys"].as_array().unwrap() {
            assert_eq!(key["use"], "sig");
            assert_eq!(key["alg"], setting);
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(key.get(private).is_none(), "a published key must not contain {private}");
            }
        }
    }
}

/// The claims of the browser's access token, without verification.
fn unverified_claims(browser: &Browser) -> Value {
    let payload = browser.jar.value("portico_access").split('.').nth(1).unwrap();
    let payload = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

async fn the_claims_are_those_of_the_contract(backend: Backend) {
    let app =
        TestApp::on(backend).set("SECURITY_TOKEN_AUDIENCE", "https://api.example.com,second").start().await;
    let id = app.local_account("Ada Example", &["editor"]).await.to_string();
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let claims = unverified_claims(&browser);
    assert_eq!(
        claims,
        json!({
            "iss": app.public.as_str().trim_end_matches('/'),
            "aud": ["https://api.example.com", "second"],
            "sub": id,
            "exp": app.now() + 900,
            "iat": app.now(),
            "nbf": app.now(),
            "jti": claims["jti"],
            "sid": claims["sid"],
            "auth_time": app.now(),
            "name": "Ada Example",
            "preferred_username": "Ada Example",
            "email": "ada@example.com",
            "email_verified": true,
            "groups": ["engineering", "admins"],
            "roles": ["editor"],
            "idp": "oidc/provider1",
        })
    );
    assert!(browser.is_signed_in().await, "Portico accepts its tokens with a configured audience");
    app.realm("oidc/provider1").knobs(|knobs| {
        knobs.id_token.claims.set("amr", json!(["pwd", "otp"])).set("acr", "gold");
    });
    browser.log_in("oidc/provider1", "ada-1").await;
    let second = unverified_claims(&browser);
    assert_eq!((&second["amr"], &second["acr"]), (&json!(["pwd", "otp"]), &json!("gold")));
    assert_ne!(second["jti"], claims["jti"]);
    assert_ne!(second["sid"], claims["sid"]);
}

async fn a_new_algorithm_brings_a_new_key_and_keeps_the_old_one(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let old = browser.jar.value("portico_access").to_owned();
    let (first, _) = verify(&mut browser, &old).await;
    app.restart(&[]).await;
    browser.post("/auth/refresh").await.is(200);
    let same = browser.jar.value("portico_access").to_owned();
    assert_eq!(verify(&mut browser, &same).await.0.kid, first.kid, "a restart creates no new key");
    app.restart(&[("SECURITY_SIGNING_ALG", Some("EdDSA"))]).await;
    verify(&mut browser, &old).await;
    assert!(browser.is_signed_in().await);
    browser.post("/auth/refresh").await.is(200);
    let new = browser.jar.value("portico_access").to_owned();
    let (second, _) = verify(&mut browser, &new).await;
    assert_eq!(second.alg, Algorithm::EdDSA);
    assert_ne!(second.kid, first.kid);
}

async fn many_groups_do_not_break_the_token(backend: Backend) {
    let app = TestApp::start(backend).await;
    let groups: Vec<_> = (0..400).map(|number| format!("department-{number:04}")).collect();
    app.realm("oidc/provider1")
        .set_person(Person { groups: groups.clone(), ..Person::new("ada-1", "Ada Example") });
    let mut browser = app.browser();
    let session = browser.log_in("oidc/provider1", "ada-1").await;
    assert_eq!(session["groups"], json!(groups), "the session contains all groups");
    let token = browser.jar.value("portico_access").to_owned();
    assert!(token.len() < 3584, "{}", token.len());
    let (_, claims) = verify(&mut browser, &token).await;
    assert_eq!(claims["groups_truncated"], true);
    let groups_in_token = claims["groups"].as_array().unwrap();
    assert!(groups_in_token.len() > 20 && groups_in_token.len() < 400, "{}", groups_in_token.len());
}

async fn replicas_share_their_keys(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (_second, at) = app.replica().await;
    let here = app.browser().fetch("/.well-known/jwks.json").await.json();
    let there = app.browser().at(at).fetch("/.well-known/jwks.json").await.json();
    assert_eq!(here, there);
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    assert!(browser.at(at).is_signed_in().await);
}
