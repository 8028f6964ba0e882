//! Logout tokens: how a test makes them, sends them and checks the response.

use portico_demo_idp::Realm;
use serde_json::{Value, json};

use crate::testkit::{Answer, Browser, Request, TestApp};

/// The `sid` of the realm's last session.
pub(super) fn last_sid(realm: &Realm) -> String {
    let token = realm.last_issued().unwrap().id_token.unwrap();
    claims_of(&token)["sid"].as_str().unwrap().to_owned()
}

/// The claims of a JWT, without any check.
pub(super) fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}

/// The client ID of a slot.
pub(super) fn client_of(app: &TestApp, slot: &str) -> String {
    app.variables[&format!("PORTICO_{}_CLIENT_ID", slot.replace('/', "_").to_uppercase())].clone()
}

/// A valid logout token with this `sub` and `sid`.
pub(super) fn token(app: &TestApp, slot: &str, sub: Option<&str>, sid: Option<&str>) -> String {
    app.idp.mint_logout_token(&app.realm(slot), &client_of(app, slot), sub, sid).unwrap()
}

/// Posts a logout token to the back-channel logout path of a slot.
pub(super) async fn tell(app: &TestApp, slot: &str, token: &str) -> Answer {
    let url = app.browser().url(&format!("/auth/{slot}/backchannel-logout"));
    let form =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish();
    app.browser().send(Request::new("POST", url).body("application/x-www-form-urlencoded", &form)).await
}

/// Checks that the response is the error of OpenID Connect Back-Channel Logout 1.0, section 2.8.
#[track_caller]
pub(super) fn refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {answer:?}");
    assert_eq!(answer.json(), json!({ "error": "invalid_request" }), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
}

/// The browser of a person who is signed in, and the `sid` of the session.
pub(super) async fn signed_in(app: &TestApp, slot: &str, person: &str) -> (Browser, String) {
    let mut browser = app.browser();
    browser.log_in(slot, person).await;
    (browser, last_sid(&app.realm(slot)))
}
