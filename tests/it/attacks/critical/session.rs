//! C14: access tokens that this deployment did not sign.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::testkit::{Backend, Browser, Request, SECRET_KEY, TestApp, on_both_databases};

on_both_databases!(c14_a_forged_session_token_is_refused, c14_a_token_of_another_deployment_is_refused);

/// A part of a JWT.
fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Whether a token is accepted; all paths must agree, for the header and for the cookie.
async fn is_accepted(browser: &Browser, token: &str) -> bool {
    let mut verdicts = Vec::new();
    for path in ["/auth/session", "/auth/sessions", "/auth/identities", "/auth/verify"] {
        let request = Request::script("GET", browser.url(path));
        let by_header = request.clone().header("authorization", &format!("Bearer {token}"));
        let by_cookie = request.cookies(&format!("portico_access={token}"));
        for request in [by_header, by_cookie] {
            verdicts.push(browser.clone().send(request).await.status == 200);
        }
    }
    verdicts.dedup();
    assert_eq!(verdicts.len(), 1, "the paths disagree about {token}");
    verdicts[0]
}

/// A JWT split into its parts, with the decoded header.
struct Jwt<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    head: Value,
}

impl<'a> Jwt<'a> {
    fn parse(token: &'a str) -> Self {
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        Self { header, payload, signature, head: decode(header) }
    }

    /// The token with an HMAC signature by this secret.
    fn with_hmac(&self, secret: &[u8]) -> String {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": self.head["kid"] });
        let message = format!("{}.{}", part(&header), self.payload);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The token with one header parameter changed, and its signature.
    fn with_header(&self, name: &str, value: Value) -> String {
        let mut changed = self.head.clone();
        changed[name] = value;
        format!("{}.{}.{}", part(&changed), self.payload, self.signature)
    }
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Forgeries of a valid token; `key` is the JWK that verifies it.
fn forgeries(token: &str, key: &Value) -> Vec<String> {
    let jwt = Jwt::parse(token);
    let Jwt { header, payload, signature, head } = &jwt;
    let mut elevated = decode(payload);
    elevated["roles"] = json!(["admin"]);
    vec![
        format!("{header}.{}.{signature}", part(&elevated)),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{}", "A".repeat(86)),
        format!("{}.{payload}.", part(&json!({ "alg": "none", "typ": "at+jwt", "kid": head["kid"] }))),
        format!("{}.{payload}.{signature}", part(&json!({ "alg": "ES256", "typ": "at+jwt" }))),
        jwt.with_hmac(SECRET_KEY.as_bytes()),
        jwt.with_hmac(key.to_string().as_bytes()),
        jwt.with_hmac(b""),
        jwt.with_header("alg", json!("none")),
        jwt.with_header("alg", json!("HS256")),
        jwt.with_header("kid", json!("../../../dev/null")),
        jwt.with_header("kid", json!("' OR 1=1 --")),
        jwt.with_header("typ", json!("JWT")),
        jwt.with_header("jwk", key.clone()),
        format!("{token}x"),
        format!("{token}."),
    ]
}

async fn c14_a_forged_session_token_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let token = browser.jar.value("portico_access").to_owned();
    let refresh = browser.jar.value("portico_refresh").to_owned();
    let id_token = app.realm("oidc/provider1").last_issued().unwrap().id_token.unwrap();
    browser.jar.clear();
    assert!(is_accepted(&browser, &token).await);
    let keys = browser.fetch("/.well-known/jwks.json").await.json();
    let others = [refresh, id_token, "x".repeat(20_000)];
    for token in forgeries(&token, &keys["keys"][0]).into_iter().chain(others) {
        assert!(!is_accepted(&browser, &token).await, "{token}");
    }
    assert!(is_accepted(&browser, &token).await);
    app.advance(900);
    assert!(!is_accepted(&browser, &token).await, "the token expires to the second");
}

async fn c14_a_token_of_another_deployment_is_refused(backend: Backend) {
    let (one, other) = (TestApp::start(backend).await, TestApp::start(backend).await);
    let mut browser = other.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let token = browser.jar.value("portico_access").to_owned();
    assert!(is_accepted(&other.browser(), &token).await);
    assert!(
        !is_accepted(&one.browser(), &token).await,
        "the secret key is the same, the signing keys and the issuer are not"
    );
    let refresh = Request::new("POST", one.browser().url("/auth/refresh"));
    let refresh = refresh.json(&json!({ "refresh_token": browser.jar.value("portico_refresh") }));
    one.browser().send(refresh).await.refused(401, "session_invalid");
}
