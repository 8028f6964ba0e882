//! C03, C09, C10, C12: signed ID tokens for another client, with wrong claims, or about no or another person.

use portico_demo_idp::knobs::Knobs;
use serde_json::{Value, json};

use crate::testkit::{Backend, Lie, TestApp, on_both_databases, tell};

on_both_databases!(
    c03_q_x_8_a_token_for_somebody_else_is_refused,
    c09_a_claim_of_the_wrong_type_is_wrong_and_not_absent,
    c09_q_x_14_an_email_is_verified_only_when_that_is_said,
    c10_without_a_usable_subject_nobody_comes_in_by_oidc,
    c10_without_a_usable_subject_nobody_comes_in_by_oauth2,
    c12_userinfo_must_be_of_the_same_person,
    c12_userinfo_vouches_for_nothing_that_the_token_must_say,
    c02_a_token_answer_without_a_token_is_refused,
);

const SLOT: &str = "oidc/provider1";
const CLIENT: &str = "portico-oidc-provider1";

fn refused(name: &str, turn: impl Fn(&mut Knobs) + 'static) -> Lie {
    Lie::refused(401, "idp_token_invalid", name, turn)
}

/// Sets a claim of the ID token.
fn claim(name: &'static str, value: Value) -> impl Fn(&mut Knobs) + 'static {
    move |knobs| {
        knobs.id_token.claims.set(name, value.clone());
    }
}

/// Values of `aud` and `azp` for other clients.
fn foreign_audiences() -> Vec<Lie> {
    let mut lies = Vec::new();
    for aud in [
        json!("other"),
        json!(["other"]),
        json!(["other", "another"]),
        json!([]),
        json!(""),
        json!(CLIENT.to_uppercase()),
        json!(format!("{CLIENT} ")),
    ] {
        lies.push(refused(&format!("aud {aud}"), claim("aud", aud)));
    }
    for azp in [json!("other"), json!(""), json!(CLIENT.to_uppercase())] {
        lies.push(refused(&format!("azp {azp}"), claim("azp", azp)));
    }
    lies
}

/// Values of `iss` that differ from this issuer.
fn foreign_issuers(issuer: &str) -> Vec<Lie> {
    let (scheme, rest) = issuer.split_once("://").unwrap();
    let values = [
        format!("{issuer}/"),
        issuer.to_uppercase(),
        format!("HTTP://{rest}"),
        format!("https://{rest}"),
        format!("{scheme}://user@{rest}"),
        format!("{issuer}/x"),
        format!("{issuer}?"),
        format!("{issuer}#"),
        format!("{issuer} "),
        issuer.replace("provider1", "provider2"),
        issuer.replace("127.0.0.1", "localhost"),
        issuer.replace("provider1", "provider%31"),
        String::new(),
    ];
    values.into_iter().map(|iss| refused(&format!("iss {iss}"), claim("iss", json!(iss)))).collect()
}

async fn c03_q_x_8_a_token_for_somebody_else_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut lies = foreign_audiences();
    lies.extend(foreign_issuers(app.realm(SLOT).issuer()));
    for typ in ["at+jwt", "logout+jwt", "application/at+jwt"] {
        lies.push(refused(&format!("typ {typ}"), move |knobs| {
            knobs.id_token.header.set("typ", typ);
        }));
    }
    let logout = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    lies.push(refused("the claims of a logout token", claim("events", logout)));
    for name in ["iss", "aud", "exp", "iat"] {
        lies.push(refused(&format!("no {name}"), move |knobs| {
            knobs.id_token.claims.remove(name);
        }));
    }
    lies.push(Lie::passes("one audience in a list", claim("aud", json!([CLIENT]))));
    lies.push(Lie::passes("two audiences, one of them the client", move |knobs| {
        knobs.id_token.claims.set("aud", json!(["other", CLIENT])).set("azp", CLIENT);
    }));
    lies.push(Lie::passes("azp is the client", claim("azp", json!(CLIENT))));
    lies.push(Lie::passes("typ JWT", |knobs| {
        knobs.id_token.header.set("typ", "JWT");
    }));
    tell(&app, SLOT, lies).await;
}

/// Claims of a wrong type that make the token invalid.
fn invalid_claims(issuer: &str, now: i64) -> Vec<(&'static str, Value)> {
    vec![
        ("exp", json!("9999999999")),
        ("exp", json!(null)),
        ("exp", json!([now + 300])),
        ("exp", json!({})),
        ("exp", json!(true)),
        ("exp", json!(-1)),
        ("exp", json!(-1e300)),
        ("nbf", json!("9999999999")),
        ("nbf", json!((now + 3600).to_string())),
        ("nbf", json!([now + 3600])),
        ("nbf", json!(1e300)),
        ("iat", json!("now")),
        ("iat", json!([now])),
        ("iat", json!({})),
        ("aud", json!(123)),
        ("aud", json!([123])),
        ("aud", json!([CLIENT, 123])),
        ("aud", json!({ "0": CLIENT })),
        ("aud", json!(null)),
        ("iss", json!([issuer])),
        ("iss", json!(7)),
        ("azp", json!([CLIENT])),
        ("azp", json!(7)),
        ("nonce", json!(7)),
        ("nonce", json!([])),
        ("nonce", json!(null)),
        ("at_hash", json!(7)),
    ]
}

/// Claims of an unusual type or value that leave the token valid.
fn tolerated_claims() -> [(&'static str, Value); 9] {
    [
        ("email_verified", json!("false")),
        ("email_verified", json!("yes")),
        ("email_verified", json!(1)),
        ("groups", json!({ "a": 1 })),
        ("groups", json!(7)),
        ("name", json!(["Ada"])),
        ("auth_time", json!(1.5)),
        ("exp", json!(f64::from(u32::MAX) + 0.5)),
        ("something", json!({ "deep": [[[[1]]]] })),
    ]
}

async fn c09_a_claim_of_the_wrong_type_is_wrong_and_not_absent(backend: Backend) {
    let app = TestApp::start(backend).await;
    let invalid = invalid_claims(app.realm(SLOT).issuer(), app.now()).into_iter();
    let mut lies: Vec<_> =
        invalid.map(|(name, value)| refused(&format!("{name} {value}"), claim(name, value))).collect();
    for (name, value) in tolerated_claims() {
        lies.push(Lie::passes(&format!("{name} {value}"), claim(name, value)));
    }
    tell(&app, SLOT, lies).await;
}

async fn c09_q_x_14_an_email_is_verified_only_when_that_is_said(backend: Backend) {
    let app = TestApp::start(backend).await;
    for (value, verified) in [
        (json!("false"), json!(false)),
        (json!(1), json!(false)),
        (json!("yes"), json!(false)),
        (json!("true"), json!(true)),
        (json!(true), json!(true)),
    ] {
        app.realm(SLOT).knobs(|knobs| {
            knobs.id_token.claims.set("email_verified", value.clone());
        });
        let session = app.browser().log_in(SLOT, "ada-1").await;
        assert_eq!(session["account"]["email_verified"], verified, "{value}");
    }
}

/// Values of `sub` that identify no person.
fn unusable_subjects() -> Vec<Value> {
    vec![
        json!(""),
        json!(" "),
        json!("\t\n"),
        json!("\u{2003}"),
        json!(null),
        json!(0),
        json!(1.5),
        json!(true),
        json!(["ada-1"]),
        json!({ "sub": "ada-1" }),
        json!("a\u{0}b"),
        json!("a\nb"),
        json!("s".repeat(256)),
    ]
}

/// Unusual values of `sub` that identify a person.
fn usable_subjects() -> [Value; 5] {
    [json!("0"), json!("null"), json!("s".repeat(255)), json!(" a "), json!("\u{1f980}|a:b")]
}

async fn c10_without_a_usable_subject_nobody_comes_in_by_oidc(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut lies = Vec::new();
    for sub in unusable_subjects().into_iter().chain([json!(42)]) {
        lies.push(Lie::refused(401, "idp_claims_incomplete", &format!("sub {sub}"), claim("sub", sub)));
    }
    lies.push(Lie::refused(401, "idp_claims_incomplete", "no sub", |knobs| {
        knobs.id_token.claims.remove("sub");
    }));
    lies.extend(usable_subjects().map(|sub| Lie::passes(&format!("sub {sub}"), claim("sub", sub))));
    tell(&app, SLOT, lies).await;
    assert_eq!(app.accounts().await.len(), 2 + usable_subjects().len(), "each subject is another person");
}

async fn c10_without_a_usable_subject_nobody_comes_in_by_oauth2(backend: Backend) {
    let app = TestApp::start(backend).await;
    let at_userinfo = |sub: Value| {
        move |knobs: &mut Knobs| {
            knobs.userinfo.fields.set("sub", sub.clone());
        }
    };
    let mut lies = Vec::new();
    for sub in unusable_subjects() {
        lies.push(Lie::refused(401, "idp_claims_incomplete", &format!("sub {sub}"), at_userinfo(sub)));
    }
    lies.push(Lie::refused(401, "idp_claims_incomplete", "no sub", |knobs| {
        knobs.userinfo.fields.remove("sub");
    }));
    lies.extend(usable_subjects().map(|sub| Lie::passes(&format!("sub {sub}"), at_userinfo(sub))));
    lies.push(Lie::passes("sub 42", at_userinfo(json!(42))));
    tell(&app, "oauth2/provider1", lies).await;
    assert_eq!(app.accounts().await.len(), 3 + usable_subjects().len());
}

async fn c12_userinfo_must_be_of_the_same_person(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_USERINFO", "always").start().await;
    let mut lies = Vec::new();
    for sub in [
        json!("bruno-2"),
        json!("ADA-1"),
        json!("ada-1 "),
        json!(""),
        json!(null),
        json!(["ada-1"]),
        json!(1),
        json!({}),
    ] {
        lies.push(refused(&format!("userinfo of {sub}"), move |knobs| {
            knobs.userinfo.fields.set("sub", sub.clone());
        }));
    }
    lies.push(refused("userinfo without sub", |knobs| {
        knobs.userinfo.fields.remove("sub");
    }));
    lies.push(Lie::passes("userinfo with additional members", |knobs| {
        knobs.userinfo.fields.set("nickname", "Ada").set("sub_jwk", json!({}));
    }));
    tell(&app, SLOT, lies).await;
    // The same applies if userinfo is requested only because a claim is missing.
    let lies = vec![refused("userinfo of another person", |knobs| {
        knobs.userinfo.fields.set("sub", "bruno-2");
    })];
    tell(&app, "oidc/provider2", lies).await;
}

async fn c12_userinfo_vouches_for_nothing_that_the_token_must_say(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_USERINFO", "always").start().await;
    let (issuer, now) = (app.realm(SLOT).issuer().to_owned(), app.now());
    let mut lies = Vec::new();
    for (name, value, code) in [
        ("aud", json!(CLIENT), "idp_token_invalid"),
        ("iss", json!(issuer), "idp_token_invalid"),
        ("exp", json!(now + 300), "idp_token_invalid"),
        ("iat", json!(now), "idp_token_invalid"),
        ("sub", json!("ada-1"), "idp_claims_incomplete"),
    ] {
        lies.push(Lie::refused(401, code, &format!("{name} at userinfo only"), move |knobs| {
            knobs.id_token.claims.remove(name);
            knobs.userinfo.fields.set(name, value.clone());
        }));
    }
    lies.push(Lie::passes("other values at userinfo", |knobs| {
        knobs
            .userinfo
            .fields
            .set("aud", "other")
            .set("exp", 1)
            .set("iss", "https://evil.example")
            .set("nonce", "x");
    }));
    tell(&app, SLOT, lies).await;
    app.realm(SLOT).knobs(|knobs| {
        knobs.userinfo.fields.set("acr", "gold").set("amr", json!(["face"])).set("email", "evil@example.com");
        knobs.id_token.claims.set("email_verified", false);
        knobs.userinfo.fields.set("email_verified", true);
    });
    let session = app.browser().log_in(SLOT, "ada-1").await;
    assert_eq!(session["account"]["email"], "ada@example.com");
    assert_eq!(
        session["account"]["email_verified"], false,
        "email and email_verified come from one document"
    );
}

async fn c02_a_token_answer_without_a_token_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let lies = vec![
        Lie::refused(401, "idp_token_missing", "no ID token", |knobs| knobs.id_token.omit = true),
        Lie::refused(401, "idp_token_missing", "an ID token that is null", |knobs| {
            knobs.token.fields.set("id_token", json!(null));
        }),
    ];
    tell(&app, SLOT, lies).await;
    // An OAuth 2.0 slot ignores an ID token.
    app.realm("oauth2/provider1").knobs(|knobs| {
        knobs.id_token.in_oauth2 = true;
        knobs.id_token.claims.set("sub", "bruno-2").set("iss", "https://evil.example");
    });
    let session = app.browser().log_in("oauth2/provider1", "ada-1").await;
    assert_eq!(session["account"]["label"], "Ada Example");
}
