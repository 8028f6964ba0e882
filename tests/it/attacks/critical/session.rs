//! C14: session tokens that are not ours.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::testkit::{Backend, Browser, Request, SECRET_KEY, TestApp, on_both_databases};

on_both_databases!(c14_a_forged_session_token_is_refused, c14_a_token_of_another_deployment_is_refused);

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Whether a token is believed: by everything that asks for one alike, in the header and in the cookie.
async fn is_believed(browser: &Browser, token: &str) -> bool {
    let mut verdicts = Vec::new();
    for path in ["/auth/session", "/auth/sessions", "/auth/identities", "/auth/verify"] {
        let ask = Request::script("GET", browser.url(path));
        let by_header = ask.clone().header("authorization", &format!("Bearer {token}"));
        let by_cookie = ask.cookies(&format!("portico_access={token}"));
        for ask in [by_header, by_cookie] {
            verdicts.push(browser.clone().send(ask).await.status == 200);
        }
    }
    verdicts.dedup();
    assert_eq!(verdicts.len(), 1, "they do not agree about {token}");
    verdicts[0]
}

async fn c14_a_forged_session_token_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let token = browser.jar.value("portico_access").to_owned();
    let refresh = browser.jar.value("portico_refresh").to_owned();
    let id_token = app.realm("oidc/provider1").last_issued().unwrap().id_token.unwrap();
    browser.jar.clear();
    assert!(is_believed(&browser, &token).await);
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let (head, claims) = (read(header), read(payload));
    let mut elevated = claims.clone();
    elevated["roles"] = json!(["admin"]);
    let hmac = |secret: &[u8]| {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": head["kid"] });
        let message = format!("{}.{payload}", part(&header));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let keys = browser.fetch("/.well-known/jwks.json").await.json();
    let public = keys["keys"][0].to_string();
    let with_header = |name: &str, value: Value| {
        let mut changed = head.clone();
        changed[name] = value;
        format!("{}.{payload}.{signature}", part(&changed))
    };
    let forged = [
        format!("{header}.{}.{signature}", part(&elevated)),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{}", "A".repeat(86)),
        format!("{}.{payload}.", part(&json!({ "alg": "none", "typ": "at+jwt", "kid": head["kid"] }))),
        format!("{}.{payload}.{signature}", part(&json!({ "alg": "ES256", "typ": "at+jwt" }))),
        hmac(SECRET_KEY.as_bytes()),
        hmac(public.as_bytes()),
        hmac(b""),
        with_header("alg", json!("none")),
        with_header("alg", json!("HS256")),
        with_header("kid", json!("../../../dev/null")),
        with_header("kid", json!("' OR 1=1 --")),
        with_header("typ", json!("JWT")),
        with_header("jwk", keys["keys"][0].clone()),
        format!("{token}x"),
        format!("{token}."),
        refresh,
        id_token,
        "x".repeat(20_000),
    ];
    for token in forged {
        assert!(!is_believed(&browser, &token).await, "{token}");
    }
    assert!(is_believed(&browser, &token).await);
    app.advance(900);
    assert!(!is_believed(&browser, &token).await, "expired to the second");
}

async fn c14_a_token_of_another_deployment_is_refused(backend: Backend) {
    let (one, other) = (TestApp::start(backend).await, TestApp::start(backend).await);
    let mut browser = other.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let token = browser.jar.value("portico_access").to_owned();
    assert!(is_believed(&other.browser(), &token).await);
    assert!(
        !is_believed(&one.browser(), &token).await,
        "the same secret key, other signing keys, another issuer"
    );
    let refresh = Request::new("POST", one.browser().url("/auth/refresh"));
    let refresh = refresh.json(&json!({ "refresh_token": browser.jar.value("portico_refresh") }));
    one.browser().send(refresh).await.refused(401, "session_invalid");
}
