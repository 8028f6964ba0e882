//! H03, H15: a login and a nonce are valid once.

use std::time::Duration;

use futures_util::future::join_all;
use portico_demo_idp::knobs::{Gate, Knobs, TokenError};
use serde_json::json;

use crate::testkit::{Backend, Lie, TestApp, on_both_databases, tell};

on_both_databases!(
    h03_m20_of_fifty_parallel_callbacks_one_goes_on,
    h03_a_login_is_over_however_it_ended,
    h03_a_mark_outlives_the_cookie,
    h15_the_nonce_must_be_this_logins,
    h15_a_nonce_of_another_tab_is_refused,
    h15_a_slot_may_do_without_a_nonce_and_never_with_a_wrong_one,
);

const SLOT: &str = "oidc/provider1";

async fn h03_m20_of_fifty_parallel_callbacks_one_goes_on(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in [SLOT, "oauth2/provider1"] {
        let mut browser = app.browser();
        let callback = browser.reach_callback(slot, "ada-1").await;
        let sessions = app.database.count("sessions", "1 = 1").await;
        let gate = Gate::new();
        app.realm(slot).knobs(|knobs| knobs.token.answer.gate = Some(gate.clone()));
        let all = join_all((0..50).map(|_| {
            let (mut copy, callback) = (browser.clone(), callback.clone());
            async move { copy.callback(&callback).await }
        }));
        let opening = async {
            assert!(gate.wait_for_arrivals(1, Duration::from_secs(20)).await);
            gate.open();
        };
        let (answers, ()) = futures_util::join!(all, opening);
        app.be_honest(slot);
        let passed = answers.iter().filter(|answer| answer.status == 303).count();
        assert_eq!(passed, 1);
        for answer in answers.iter().filter(|answer| answer.status != 303) {
            answer.refused(400, "login_state_invalid");
        }
        assert_eq!(app.token_calls(slot), 1, "one token request");
        assert_eq!(app.database.count("sessions", "1 = 1").await, sessions + 1, "one session");
        browser.callback(&callback).await.refused(400, "login_state_invalid");
        assert_eq!(app.token_calls(slot), 1);
    }
}

/// A failing login: the error code, the status, and the provider's fault.
type Failure = (&'static str, u16, fn(&mut Knobs));

async fn h03_a_login_is_over_however_it_ended(backend: Backend) {
    let app = TestApp::start(backend).await;
    let realm = app.realm(SLOT);
    let failures: [Failure; 4] = [
        ("code_rejected", 401, |knobs| {
            knobs.token.error = Some(TokenError { status: 400, error: "invalid_grant".to_owned() });
        }),
        ("idp_bad_response", 502, |knobs| knobs.token.answer.status = Some(500)),
        ("idp_token_invalid", 401, |knobs| {
            knobs.id_token.claims.set("aud", "other");
        }),
        ("idp_claims_incomplete", 401, |knobs| {
            knobs.id_token.claims.set("sub", "");
        }),
    ];
    for (code, status, fault) in failures {
        let mut browser = app.browser();
        browser.jar.never_forgets = true;
        let callback = browser.reach_callback(SLOT, "ada-1").await;
        realm.knobs(fault);
        browser.callback(&callback).await.refused(status, code);
        app.be_honest(SLOT);
        let calls = app.token_calls(SLOT);
        browser.callback(&callback).await.refused(400, "login_state_invalid");
        assert_eq!(app.token_calls(SLOT), calls, "{code}: the token endpoint is not called again");
    }
    let mut browser = app.browser();
    browser.jar.never_forgets = true;
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    browser.callback(&callback).await.is(303);
    browser.callback(&callback).await.refused(400, "login_state_invalid");
    assert!(browser.is_signed_in().await, "a reload of the callback keeps the session");
}

async fn h03_a_mark_outlives_the_cookie(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.jar.never_forgets = true;
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    browser.callback(&callback).await.is(303);
    for _ in 0..20 {
        app.advance(60);
        app.store.sweep(&without_audit_retention(app.now())).await.unwrap();
        browser.callback(&callback).await.refused(400, "login_state_invalid");
    }
    assert_eq!(app.token_calls(SLOT), 1);
    assert_eq!(
        app.database.count("spent_logins", "1 = 1").await,
        0,
        "the row is deleted after its retention"
    );
}

async fn h15_the_nonce_must_be_this_logins(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut lies = vec![Lie::refused(401, "idp_token_invalid", "no nonce", |knobs| {
        knobs.id_token.claims.remove("nonce");
    })];
    for nonce in [json!(""), json!("wrong"), json!(" "), json!("A".repeat(43)), json!(["x"])] {
        lies.push(Lie::refused(401, "idp_token_invalid", &format!("nonce {nonce}"), move |knobs| {
            knobs.id_token.claims.set("nonce", nonce.clone());
        }));
    }
    tell(&app, SLOT, lies).await;
}

/// The nonce of an authorization request.
fn nonce_of(authorization: &url::Url) -> String {
    authorization.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned()
}

async fn h15_a_nonce_of_another_tab_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let first = browser.start(SLOT).await;
    app.advance(1);
    let second = browser.start(SLOT).await;
    assert_ne!(nonce_of(&first), nonce_of(&second));
    let callback = browser.choose(&first, "ada-1").await;
    let before = app.rows().await;
    app.realm(SLOT).knobs(|knobs| {
        knobs.id_token.claims.set("nonce", nonce_of(&second));
    });
    browser.callback(&callback).await.refused(401, "idp_token_invalid");
    before.assert_same(&app.rows().await);
    app.be_honest(SLOT);
    let callback = browser.choose(&second, "ada-1").await;
    browser.callback(&callback).await.is(303);
}

async fn h15_a_slot_may_do_without_a_nonce_and_never_with_a_wrong_one(backend: Backend) {
    for mode in ["if_present", "never"] {
        let app = TestApp::on(backend).set("OIDC_PROVIDER1_NONCE_MODE", mode).start().await;
        let authorization = app.browser().start(SLOT).await;
        assert_eq!(authorization.query_pairs().any(|(name, _)| name == "nonce"), mode == "if_present");
        let lies = vec![
            Lie::passes("no nonce", |knobs| {
                knobs.id_token.claims.remove("nonce");
            }),
            Lie::refused(401, "idp_token_invalid", "a wrong nonce", |knobs| {
                knobs.id_token.claims.set("nonce", "wrong");
            }),
        ];
        tell(&app, SLOT, lies).await;
    }
}

/// The retention at this Unix time, with audit events kept.
fn without_audit_retention(now: i64) -> portico_core::store::Retention {
    portico_core::store::Retention { audit_before: None, now: portico_core::clock::Timestamp::from_unix(now) }
}
