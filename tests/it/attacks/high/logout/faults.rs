//! Logout tokens with one fault each.

use portico_demo_idp::knobs::{Knobs, Signing};
use serde_json::{Value, json};

pub(super) type Turn = Box<dyn Fn(&mut Knobs)>;

pub(super) fn claim(name: &'static str, value: Value) -> Turn {
    Box::new(move |knobs| {
        knobs.logout_token.claims.set(name, value.clone());
    })
}

fn without(name: &'static str) -> Turn {
    Box::new(move |knobs| {
        knobs.logout_token.claims.remove(name);
    })
}

pub(super) fn header(name: &'static str, value: Value) -> Turn {
    Box::new(move |knobs| {
        knobs.logout_token.header.set(name, value.clone());
    })
}

fn signed(signing: Signing) -> Turn {
    Box::new(move |knobs| knobs.logout_token.signing = signing.clone())
}

/// Each with one fault. `now` is the application's and the provider's.
pub(super) fn faults(now: i64) -> Vec<(&'static str, Turn)> {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    vec![
        ("unsigned", signed(Signing::None)),
        ("no signature", signed(Signing::EmptySignature)),
        ("zeros", signed(Signing::ZeroSignature)),
        ("another key", signed(Signing::UnpublishedKey)),
        ("a key it brings along", signed(Signing::KeyInHeader)),
        ("another realm's key", signed(Signing::KeyOfRealm("provider2".to_owned()))),
        ("the public key as a secret", signed(Signing::HmacWithPublicPem)),
        ("the client's secret", signed(Signing::HmacWithClientSecret)),
        ("alg", header("alg", json!("NoNe"))),
        ("crit", header("crit", json!(["x"]))),
        ("typ of an ID token's cousin", header("typ", json!("at+jwt"))),
        ("typ of no known kind", header("typ", json!("secevent+jwt"))),
        ("another issuer", claim("iss", json!("https://evil.example"))),
        ("no issuer", without("iss")),
        ("another audience", claim("aud", json!("other"))),
        ("no audience", without("aud")),
        ("another party", claim("azp", json!("other"))),
        ("expired", claim("exp", json!(now - 61))),
        ("no end", without("exp")),
        ("an end of the wrong type", claim("exp", json!("9999999999"))),
        ("from the future", claim("iat", json!(now + 61))),
        ("old", claim("iat", json!(now - 661))),
        ("no beginning", without("iat")),
        ("a nonce", claim("nonce", json!("n"))),
        ("no events", without("events")),
        ("other events", claim("events", json!({ "http://schemas.example/other": {} }))),
        ("events as a list", claim("events", json!([EVENT]))),
        ("an event that is no object", claim("events", json!({ EVENT: true }))),
        ("no name", without("jti")),
        ("an empty name", claim("jti", json!(""))),
        ("a name of the wrong type", claim("jti", json!(7))),
        (
            "neither person nor session",
            Box::new(|knobs| {
                knobs.logout_token.claims.remove("sub").remove("sid");
            }),
        ),
        ("a session of the wrong type", claim("sid", json!(["s"]))),
        ("an empty session", claim("sid", json!(""))),
        (
            "a person of the wrong type",
            Box::new(|knobs| {
                knobs.logout_token.claims.remove("sid").set("sub", 7);
            }),
        ),
    ]
}
