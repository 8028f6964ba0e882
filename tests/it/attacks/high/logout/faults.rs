//! Logout tokens with one fault each.

use portico_demo_idp::knobs::{Knobs, Signing};
use serde_json::{Value, json};

/// Changes the logout tokens of a realm.
pub(super) type Turn = Box<dyn Fn(&mut Knobs)>;

/// Sets a claim.
pub(super) fn claim(name: &'static str, value: Value) -> Turn {
    Box::new(move |knobs| {
        knobs.logout_token.claims.set(name, value.clone());
    })
}

/// Removes a claim.
fn without(name: &'static str) -> Turn {
    Box::new(move |knobs| {
        knobs.logout_token.claims.remove(name);
    })
}

/// Sets a header parameter.
pub(super) fn header(name: &'static str, value: Value) -> Turn {
    Box::new(move |knobs| {
        knobs.logout_token.header.set(name, value.clone());
    })
}

/// Changes the signature.
fn signed(signing: Signing) -> Turn {
    Box::new(move |knobs| knobs.logout_token.signing = signing.clone())
}

/// The logout tokens with one fault each. `now` is the Unix time of the application and the provider.
pub(super) fn faults(now: i64) -> Vec<(&'static str, Turn)> {
    let mut faults = signatures();
    faults.extend(registered_claims(now));
    faults.extend(logout_claims());
    faults
}

/// Faults of the signature and the header.
fn signatures() -> Vec<(&'static str, Turn)> {
    vec![
        ("unsigned", signed(Signing::None)),
        ("no signature", signed(Signing::EmptySignature)),
        ("a signature of zeros", signed(Signing::ZeroSignature)),
        ("another key", signed(Signing::UnpublishedKey)),
        ("a key in the header", signed(Signing::KeyInHeader)),
        ("another realm's key", signed(Signing::KeyOfRealm("provider2".to_owned()))),
        ("the public key as an HMAC secret", signed(Signing::HmacWithPublicPem)),
        ("the client secret as an HMAC secret", signed(Signing::HmacWithClientSecret)),
        ("alg", header("alg", json!("NoNe"))),
        ("crit", header("crit", json!(["x"]))),
        ("typ of an access token", header("typ", json!("at+jwt"))),
        ("an unknown typ", header("typ", json!("secevent+jwt"))),
    ]
}

/// Faults of the claims that every JWT may have, and `nonce`.
fn registered_claims(now: i64) -> Vec<(&'static str, Turn)> {
    vec![
        ("another issuer", claim("iss", json!("https://evil.example"))),
        ("no issuer", without("iss")),
        ("another audience", claim("aud", json!("other"))),
        ("no audience", without("aud")),
        ("another authorized party", claim("azp", json!("other"))),
        ("expired", claim("exp", json!(now - 61))),
        ("no expiry", without("exp")),
        ("an expiry of the wrong type", claim("exp", json!("9999999999"))),
        ("issued in the future", claim("iat", json!(now + 61))),
        ("issued too long ago", claim("iat", json!(now - 661))),
        ("no time of issue", without("iat")),
        ("a nonce", claim("nonce", json!("n"))),
    ]
}

/// Faults of the claims of OpenID Connect Back-Channel Logout 1.0, section 2.4.
fn logout_claims() -> Vec<(&'static str, Turn)> {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    vec![
        ("no events", without("events")),
        ("other events", claim("events", json!({ "http://schemas.example/other": {} }))),
        ("events as a list", claim("events", json!([EVENT]))),
        ("an event that is no object", claim("events", json!({ EVENT: true }))),
        ("no jti", without("jti")),
        ("an empty jti", claim("jti", json!(""))),
        ("a jti of the wrong type", claim("jti", json!(7))),
        (
            "neither sub nor sid",
            Box::new(|knobs| {
                knobs.logout_token.claims.remove("sub").remove("sid");
            }),
        ),
        ("a sid of the wrong type", claim("sid", json!(["s"]))),
        ("an empty sid", claim("sid", json!(""))),
        (
            "a sub of the wrong type",
            Box::new(|knobs| {
                knobs.logout_token.claims.remove("sid").set("sub", 7);
            }),
        ),
    ]
}
