//! H21: ID tokens that are expired, not yet valid, or issued in the future.

use serde_json::{Value, json};

use crate::testkit::{Backend, Lie, TestApp, on_both_databases, tell};

on_both_databases!(h21_times_are_judged_to_the_second, h21_the_skew_is_the_operators);

/// An ID token that is refused because of this claim.
fn refused(name: &'static str, value: Value) -> Lie {
    Lie::refused(401, "idp_token_invalid", &format!("{name} {value}"), move |knobs| {
        knobs.id_token.claims.set(name, value.clone());
    })
}

/// An ID token that passes with this claim.
fn passes(name: &'static str, value: Value) -> Lie {
    Lie::passes(&format!("{name} {value}"), move |knobs| {
        knobs.id_token.claims.set(name, value.clone());
    })
}

async fn h21_times_are_judged_to_the_second(backend: Backend) {
    let app = TestApp::start(backend).await;
    let now = app.now();
    let lies = vec![
        passes("exp", json!(now - 59)),
        refused("exp", json!(now - 61)),
        refused("exp", json!(0)),
        passes("exp", json!(4_102_444_800_i64)),
        passes("nbf", json!(now + 59)),
        refused("nbf", json!(now + 61)),
        passes("nbf", json!(0)),
        passes("iat", json!(now + 59)),
        refused("iat", json!(now + 61)),
    ];
    tell(&app, "oidc/provider1", lies).await;
}

async fn h21_the_skew_is_the_operators(backend: Backend) {
    let app = TestApp::on(backend)
        .set("OIDC_PROVIDER1_CLOCK_SKEW", "0")
        .set("OIDC_PROVIDER2_CLOCK_SKEW", "5m")
        .start()
        .await;
    let now = app.now();
    let exact = vec![
        refused("exp", json!(now - 1)),
        passes("exp", json!(now + 1)),
        refused("nbf", json!(now + 1)),
        passes("nbf", json!(now)),
    ];
    tell(&app, "oidc/provider1", exact).await;
    let wide = vec![passes("exp", json!(now - 299)), refused("exp", json!(now - 301))];
    tell(&app, "oidc/provider2", wide).await;
}
