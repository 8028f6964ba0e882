//! C02, H23: ID tokens that the provider did not sign.

use portico_demo_idp::SigningAlgorithm;
use portico_demo_idp::knobs::{Knobs, Signing};
use serde_json::json;

use crate::testkit::{Backend, Lie, TestApp, on_both_databases, tell};

on_both_databases!(
    c02_a_forged_token_of_an_elliptic_key_is_refused,
    c02_q_x_3_a_forged_token_of_an_rsa_key_is_refused,
    c02_a_forged_token_of_an_edwards_key_is_refused,
    c02_an_algorithm_that_is_not_on_the_list_is_refused,
    h23_a_switched_off_signature_check_skips_that_and_nothing_else,
);

fn refused(name: &str, turn: impl Fn(&mut Knobs) + 'static) -> Lie {
    Lie::refused(401, "idp_token_invalid", name, turn)
}

/// Wrong signatures, for a key of any type.
const SIGNINGS: [Signing; 10] = [
    Signing::None,
    Signing::EmptySignature,
    Signing::ZeroSignature,
    Signing::GarbageSignature,
    Signing::UnpublishedKey,
    Signing::KeyInHeader,
    Signing::HmacWithPublicPem,
    Signing::HmacWithPublicDer,
    Signing::HmacWithClientSecret,
    Signing::HmacWithEmptyKey,
];

/// Texts that are no signed token.
const TEXTS: [&str; 7] =
    ["x", "a.b", "a.b.c", "..", "a.b.c.d.e", "eyJhbGciOiJub25lIn0.e30.", "\u{1f980}.\u{1f980}.\u{1f980}"];

/// Headers whose `alg` is not the key's, or is missing.
fn wrong_algorithms() -> Vec<Lie> {
    let values = [
        json!("none"),
        json!("NoNe"),
        json!(""),
        json!(null),
        json!(7),
        json!("HS256"),
        json!("RS512"),
        json!("ES384"),
    ];
    let mut lies: Vec<_> = values
        .into_iter()
        .map(|alg| {
            refused(&format!("alg {alg} in the header"), move |knobs| {
                knobs.id_token.header.set("alg", alg.clone());
            })
        })
        .collect();
    lies.push(refused("no alg in the header", |knobs| {
        knobs.id_token.header.remove("alg");
    }));
    lies
}

/// Forgeries for a key of any type, and one valid neighbour.
fn forgeries(app: &TestApp) -> Vec<Lie> {
    let mut lies = Vec::new();
    for signing in SIGNINGS {
        lies.push(refused(&format!("{signing:?}"), move |knobs| knobs.id_token.signing = signing.clone()));
    }
    lies.extend(wrong_algorithms());
    let canary = app.idp.canary_url();
    for name in ["jku", "x5u"] {
        let canary = canary.clone();
        lies.push(refused(&format!("a foreign key behind {name}"), move |knobs| {
            knobs.id_token.signing = Signing::UnpublishedKey;
            knobs.id_token.header.set(name, canary.clone());
        }));
    }
    lies.push(refused("an unknown kid", |knobs| {
        knobs.id_token.signing = Signing::UnpublishedKey;
        knobs.id_token.header.set("kid", "../../dev/null");
    }));
    lies.push(refused("a critical extension", |knobs| {
        knobs.id_token.header.set("crit", json!(["b64"])).set("b64", false);
    }));
    for raw in TEXTS {
        lies.push(refused(&format!("the text {raw:?}"), move |knobs| {
            knobs.id_token.raw = Some(raw.to_owned());
        }));
    }
    lies.push(Lie::passes("a foreign key in the header that is not used", |knobs| {
        knobs.id_token.header.set("jwk", json!({ "kty": "oct", "k": "AA" })).set("x5t", "x");
    }));
    lies
}

async fn c02_a_forged_token_of_an_elliptic_key_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut lies = forgeries(&app);
    lies.push(refused("the key of another slot", |knobs| {
        knobs.id_token.signing = Signing::KeyOfRealm("provider2".to_owned());
    }));
    tell(&app, "oidc/provider1", lies).await;
}

async fn c02_q_x_3_a_forged_token_of_an_rsa_key_is_refused(backend: Backend) {
    let app = TestApp::on(backend).slots(&["oidc/google"]).start().await;
    let mut lies = forgeries(&app);
    for algorithm in [SigningAlgorithm::Ps256, SigningAlgorithm::Rs384, SigningAlgorithm::Rs512] {
        lies.push(refused(&format!("the right key with {}", algorithm.as_str()), move |knobs| {
            knobs.id_token.signing = Signing::RightKeyAs(algorithm);
        }));
    }
    tell(&app, "oidc/google", lies).await;
}

async fn c02_a_forged_token_of_an_edwards_key_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    tell(&app, "oidc/provider2", forgeries(&app)).await;
}

/// The signature is valid and the key is published; only the algorithm is not allowed.
async fn c02_an_algorithm_that_is_not_on_the_list_is_refused(backend: Backend) {
    let list = "OIDC_PROVIDER1_ALLOWED_ALGS";
    let mut app = TestApp::on(backend).set(list, "RS256,ES384").start().await;
    let before = app.rows().await;
    app.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(401, "idp_token_invalid");
    before.assert_same(&app.rows().await);
    assert_eq!(app.realm("oidc/provider1").counters().token, 1, "the algorithm is checked in the token");
    app.restart(&[(list, Some("RS256,ES256"))]).await;
    app.browser().log_in("oidc/provider1", "ada-1").await;
}

async fn h23_a_switched_off_signature_check_skips_that_and_nothing_else(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_ID_TOKEN_VERIFY_SIGNATURE", "false").start().await;
    let now = app.now();
    let lies = vec![
        Lie::passes("another key", |knobs| knobs.id_token.signing = Signing::UnpublishedKey),
        Lie::passes("no signature", |knobs| knobs.id_token.signing = Signing::None),
        Lie::passes("another issuer", |knobs| {
            knobs.id_token.claims.set("iss", "https://evil.example");
        }),
        Lie::passes("another audience", |knobs| {
            knobs.id_token.claims.set("aud", "somebody else");
        }),
        refused("a wrong nonce", |knobs| {
            knobs.id_token.claims.set("nonce", "wrong");
        }),
        refused("expired", move |knobs| {
            knobs.id_token.claims.set("exp", now - 61);
        }),
        refused("from the future", move |knobs| {
            knobs.id_token.claims.set("nbf", now + 61);
        }),
        Lie::refused(401, "idp_claims_incomplete", "no subject", |knobs| {
            knobs.id_token.claims.remove("sub");
        }),
    ];
    tell(&app, "oidc/provider1", lies).await;
    let accounts = app.accounts().await;
    assert!(!accounts.is_empty(), "the valid login created an account");
    for account in accounts {
        for identity in app.account(&account.id.to_string()).await.1 {
            assert_eq!(
                identity.key.issuer,
                app.realm("oidc/provider1").issuer(),
                "the issuer is the slot's and not the token's"
            );
        }
    }
}
