//! M13, M14, M25, M27, M28, M29, M32: disclosure without a session, stored data, random values, audit events.

use std::collections::BTreeSet;

use portico_demo_idp::knobs::AutoLogin;
use serde_json::{Value, json};

use crate::testkit::{Backend, Jar, TestApp, on_both_databases};

on_both_databases!(
    m13_a_stranger_learns_neither_who_exists_nor_what_is_switched_off,
    m14_a_flood_of_groups_is_unknown_and_opens_nothing,
    m25_tokens_of_the_provider_are_kept_nowhere,
    m27_without_cookies_nobody_goes_round_in_circles,
    m28_m29_what_is_made_at_random_is_long_and_never_the_same,
    m32_every_login_leaves_a_trace_and_nobody_can_forge_one,
);

const SLOT: &str = "oidc/provider1";

/// Logins whose random values are compared.
const ROUNDS: usize = 300;

async fn m13_a_stranger_learns_neither_who_exists_nor_what_is_switched_off(backend: Backend) {
    let app = TestApp::on(backend).slots(&[SLOT]).start().await;
    let list = app.browser().fetch("/auth/providers").await.is(200).json();
    let [only] = &list["providers"].as_array().unwrap()[..] else { panic!("{list}") };
    let members: BTreeSet<_> = only.as_object().unwrap().keys().map(String::as_str).collect();
    let known = ["display_label", "icon", "login_url", "name", "protocol", "slot", "status"];
    assert_eq!(members, BTreeSet::from(known));
    // A disabled slot and an unknown slot get the same response.
    let refusal = async |slot: &str| {
        let mut problem = app.browser().fetch(&format!("/auth/{slot}/login")).await.is(404).json();
        problem.as_object_mut().unwrap().remove("request_id");
        problem
    };
    assert_eq!(refusal("oidc/provider2").await, refusal("oidc/nobody").await);
    // The response does not show whether the login adopted an account, created one, or found its name taken.
    app.local_account("Local Person", &[]).await;
    app.local_account("Privileged Person", &["admin"]).await;
    let mut seen = Vec::new();
    for name in ["Local Person", "Privileged Person", "Nobody Yet"] {
        app.realm(SLOT).knobs(|knobs| {
            knobs.authorize.auto_login = AutoLogin::NewPersonEachTime;
            knobs.id_token.claims.set("name", name);
        });
        let mut browser = app.browser();
        let back = browser.start(SLOT).await;
        let callback = browser.visit(&back).await.location();
        let answer = browser.callback(&callback).await;
        let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        headers.sort();
        let mut cookies: Vec<_> = answer.set_cookies().into_iter().map(|set| set.name).collect();
        cookies.retain(|name| !name.contains("login_"));
        seen.push((answer.status, headers, cookies, answer.body));
    }
    assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:#?}");
    assert_eq!(app.audited("account_adopted").await, 1);
}

async fn m14_a_flood_of_groups_is_unknown_and_opens_nothing(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_ALLOWED_GROUPS", "g0").start().await;
    let groups = |count: usize, length: usize| -> Value {
        let mut all: Vec<_> = (0..count).map(|number| format!("g{number}")).collect();
        all.push("x".repeat(length));
        json!(all)
    };
    for (claim, passes) in [
        (groups(999, 256), true),
        (groups(1000, 1), false),
        (groups(1, 257), false),
        (groups(10_000, 1), false),
    ] {
        app.realm(SLOT).knobs(|knobs| {
            knobs.id_token.claims.set("groups", claim.clone());
            knobs.userinfo.fields.set("groups", claim);
        });
        let mut browser = app.browser();
        let answer = browser.try_to_log_in(SLOT, "ada-1").await;
        if passes {
            assert!(answer.is(303).gives_session());
            assert_eq!(browser.who().await["groups"].as_array().unwrap().len(), 1000);
        } else {
            answer.refused(403, "login_not_allowed");
        }
    }
}

async fn m25_tokens_of_the_provider_are_kept_nowhere(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in [SLOT, "oauth2/provider1"] {
        app.realm(slot).knobs(|knobs| {
            knobs.token.fields.set("refresh_token", "CANARY-refresh-token-of-the-provider");
        });
        let mut browser = app.browser();
        browser.log_in(slot, "ada-1").await;
        let issued = app.realm(slot).last_issued().unwrap();
        let mut secrets = vec!["CANARY-refresh-token-of-the-provider".to_owned(), issued.access_token];
        assert_eq!(issued.id_token.is_some(), slot == SLOT);
        secrets.extend(issued.id_token.map(|token| token.rsplit_once('.').unwrap().1.to_owned()));
        let rows = format!("{:?}", app.rows().await);
        let events =
            app.database.texts("SELECT coalesce(reason, '') || request_id FROM audit_events").await.concat();
        for secret in secrets {
            let hex = hex::encode_upper(&secret);
            for text in [&secret, &hex, &hex.to_lowercase()] {
                assert!(!rows.contains(text.as_str()) && !events.contains(text.as_str()), "{slot}: {text}");
            }
        }
    }
}

async fn m27_without_cookies_nobody_goes_round_in_circles(backend: Backend) {
    let app = TestApp::start(backend).await;
    for _ in 0..3 {
        let mut browser = app.browser();
        let callback = browser.reach_callback(SLOT, "ada-1").await;
        browser.jar = Jar::default();
        let answer = browser.callback(&callback).await;
        answer.refused(400, "login_state_invalid");
        assert!(
            answer.header("location").is_none() && answer.body.contains("Back to the start"),
            "{answer:?}"
        );
    }
    // Neither the login page nor a path that needs a session redirects to a provider.
    let mut browser = app.browser();
    browser.visit(&browser.url("/auth/?return_to=/x")).await.is(200);
    assert_eq!(browser.fetch("/auth/verify").await.status, 401);
    app.browser().log_in(SLOT, "ada-1").await;
}

async fn m28_m29_what_is_made_at_random_is_long_and_never_the_same(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut made = BTreeSet::new();
    let mut bytes_seen = [BTreeSet::new(), BTreeSet::new()];

    for _ in 0..ROUNDS {
        let url = app.browser().start(SLOT).await;
        for (index, name) in ["state", "nonce"].iter().enumerate() {
            let value = url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
            assert_eq!(value.len(), 43, "256 bits in base64url: {value}");
            assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            bytes_seen[index].extend(value.bytes().skip(1));
            assert!(made.insert(value));
        }
        let challenge = url.query_pairs().find(|(key, _)| key == "code_challenge").unwrap().1.into_owned();
        assert!(made.insert(challenge));
    }
    assert_eq!(made.len(), ROUNDS * 3);
    // Both parameters use every character of base64url.
    assert!(bytes_seen.iter().all(|seen| seen.len() == 64), "{bytes_seen:?}");
}

async fn m32_every_login_leaves_a_trace_and_nobody_can_forge_one(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    browser.log_in(SLOT, "ada-1").await;
    app.realm(SLOT)
        .knobs(|knobs| knobs.authorize.error = Some("x\n\u{1b}[31m{\"event\":\"forged\"}".to_owned()));
    browser.try_to_log_in(SLOT, "ada-1").await.refused(403, "idp_denied");
    let trail = app
        .database
        .texts(
            "SELECT event || '|' || outcome || '|' || coalesce(reason, '') || '|' || coalesce(slot, '') \
             || '|' || coalesce(ip, '') FROM audit_events ORDER BY id",
        )
        .await;
    let expected = [
        "account_created|success||oidc/provider1|127.0.0.1",
        "identity_linked|success||oidc/provider1|127.0.0.1",
        "login_succeeded|success||oidc/provider1|127.0.0.1",
        "login_failed|failure|idp_denied|oidc/provider1|127.0.0.1",
    ];
    assert_eq!(trail, expected);
    assert_eq!(app.database.count("audit_events", "length(request_id) = 36").await, 4);
}
