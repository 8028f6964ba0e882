//! C01, C07, C08, C13: a login is bound to one browser, one slot, one provider and one code.

use portico_demo_idp::IdpConfig;
use portico_demo_idp::knobs::IssKnob;
use serde_json::json;
use url::Url;

use crate::testkit::{Backend, TestApp, on_both_databases};

on_both_databases!(
    c01_a_callback_is_worth_nothing_in_another_browser,
    c01_a_planted_or_changed_login_cookie_is_worth_nothing,
    c07_a_state_is_good_for_its_own_slot_only,
    c07_the_issuer_of_the_answer_is_checked,
    c08_a_code_belongs_to_the_login_that_asked_for_it,
    c08_without_pkce_the_nonce_still_binds,
    c13_metadata_that_cannot_be_trusted_stops_its_own_slot_only,
);

/// A query parameter of a URL.
fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).unwrap_or_else(|| panic!("{name} in {url}")).1.into_owned()
}

/// The URL with one query parameter replaced, or removed if `value` is `None`.
fn with(url: &Url, name: &str, value: Option<&str>) -> Url {
    let mut changed = url.clone();
    let others: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    changed.query_pairs_mut().clear().extend_pairs(others).extend_pairs(value.map(|value| (name, value)));
    changed
}

async fn c01_a_callback_is_worth_nothing_in_another_browser(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut victim = app.browser();
    victim.log_in("oidc/provider1", "bruno-2").await;
    for slot in ["oidc/provider1", "oauth2/provider1"] {
        let mut attacker = app.browser();
        let callback = attacker.reach_callback(slot, "ada-1").await;
        let before = app.rows().await;
        let calls = app.counters(slot).token;

        app.browser().callback(&callback).await.refused(400, "login_state_invalid");
        let mut busy = app.browser();
        busy.start(slot).await;
        busy.callback(&callback).await.refused(400, "login_state_invalid");
        assert_eq!(busy.jar.logins().len(), 1, "the other login stays pending");
        let answer = victim.callback(&callback).await;
        answer.refused(400, "login_state_invalid");
        assert_eq!(victim.who().await["account"]["label"], "Bruno Beispiel");
        victim.relay(&callback).await.refused(400, "login_state_invalid");

        assert_eq!(app.counters(slot).token, calls, "the token endpoint is not called");
        before.assert_same(&app.rows().await);
        attacker.callback(&callback).await.is(303);
    }
}

async fn c01_a_planted_or_changed_login_cookie_is_worth_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback("oidc/provider1", "ada-1").await;
    let honest = browser.jar.logins()[0].clone();
    app.advance(1);
    let mut other = app.browser();
    other.start("oidc/provider1").await;
    let foreign = other.jar.logins()[0].clone();
    let before = app.rows().await;
    let mut flipped = honest.value.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let (start, suffix) = honest.name.rsplit_once('-').unwrap();
    let last = if start.ends_with('1') { '2' } else { '1' };
    let later = format!("{}{last}", &start[..start.len() - 1]);
    for (what, name, value) in [
        ("the value of another login", honest.name.as_str(), foreign.value.as_str()),
        ("a flipped bit", &honest.name, &flipped),
        ("truncated", &honest.name, &honest.value[..honest.value.len() - 2]),
        ("empty", &honest.name, ""),
        ("not base64", &honest.name, "%%%"),
        ("another start time in the name", &format!("{later}-{suffix}x")[..honest.name.len()], &honest.value),
        ("the name of another login", &foreign.name, &honest.value),
    ] {
        let mut thief = app.browser();
        let planted =
            crate::testkit::Cookie { name: name.to_owned(), value: value.to_owned(), ..honest.clone() };
        thief.jar.put(planted);
        let answer = thief.callback(&callback).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.refused(400, "login_state_invalid");
    }
    before.assert_same(&app.rows().await);
    assert_eq!(app.token_calls("oidc/provider1"), 0);
    browser.callback(&callback).await.is(303);
}

async fn c07_a_state_is_good_for_its_own_slot_only(backend: Backend) {
    let app = TestApp::start(backend).await;
    let before = app.rows().await;
    let slots = ["oidc/provider1", "oidc/provider2", "oauth2/provider1"];
    for from in slots {
        let mut browser = app.browser();
        let callback = browser.reach_callback(from, "ada-1").await;
        for to in slots.into_iter().filter(|to| *to != from) {
            let mut steered = callback.clone();
            steered.set_path(&format!("/auth/{to}/callback"));
            let steered = with(&steered, "iss", None);
            browser.clone().callback(&steered).await.refused(400, "login_state_invalid");
        }
        before.assert_same(&app.rows().await);
        assert!(slots.iter().all(|slot| app.token_calls(slot) == 0));
    }
    let mut browser = app.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
}

async fn c07_the_issuer_of_the_answer_is_checked(backend: Backend) {
    let app = TestApp::start(backend).await;
    let slot = "oidc/provider1";
    let (realm, other) = (app.realm(slot), app.realm("oidc/provider2"));
    app.browser().log_in(slot, "ada-1").await;
    let (before, calls) = (app.rows().await, app.token_calls(slot));
    for iss in [
        IssKnob::Send(other.issuer().to_owned()),
        IssKnob::Send(format!("{}/", realm.issuer())),
        IssKnob::Send(realm.issuer().to_uppercase()),
        IssKnob::Send(String::new()),
        IssKnob::Omit,
    ] {
        for error in [None, Some("access_denied".to_owned())] {
            realm.knobs(|knobs| {
                knobs.authorize.iss = iss.clone();
                knobs.authorize.error.clone_from(&error);
            });
            let answer = app.browser().try_to_log_in(slot, "ada-1").await;
            assert_eq!(answer.status, 400, "{iss:?} {error:?}: {answer:?}");
            answer.refused(400, "login_mixup");
        }
    }
    before.assert_same(&app.rows().await);
    assert_eq!(app.token_calls(slot), calls);
    app.be_honest(slot);
    app.browser().log_in(slot, "ada-1").await;

    // Without support in the metadata, `iss` may be missing, but a wrong one is refused.
    let app = TestApp::on(backend).provider(omit_iss_support).start().await;
    app.realm(slot).knobs(|knobs| knobs.authorize.iss = IssKnob::Omit);
    app.browser().log_in(slot, "ada-1").await;
    app.realm(slot).knobs(|knobs| knobs.authorize.iss = IssKnob::Send("https://evil.example".to_owned()));
    app.browser().try_to_log_in(slot, "ada-1").await.refused(400, "login_mixup");
}

fn omit_iss_support(config: &mut IdpConfig) {
    // RFC 9207, section 3.
    config.realms[0].knobs.discovery.fields.remove("authorization_response_iss_parameter_supported");
}

async fn c08_a_code_belongs_to_the_login_that_asked_for_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in ["oidc/provider1", "oauth2/provider1"] {
        let mut victim = app.browser();
        let stolen = parameter(&victim.reach_callback(slot, "bruno-2").await, "code");
        let mut attacker = app.browser();
        let callback = attacker.reach_callback(slot, "ada-1").await;
        let before = app.rows().await;
        attacker.callback(&with(&callback, "code", Some(&stolen))).await.refused(401, "code_rejected");
        before.assert_same(&app.rows().await);
        attacker.callback(&callback).await.refused(400, "login_state_invalid");

        // A code that was already used, in another valid login.
        let mut person = app.browser();
        let first = person.reach_callback(slot, "ada-1").await;
        person.callback(&first).await.is(303);
        let second = person.reach_callback(slot, "ada-1").await;
        let used = parameter(&first, "code");
        person.callback(&with(&second, "code", Some(&used))).await.refused(401, "code_rejected");
        app.browser().log_in(slot, "ada-1").await;
    }
}

async fn c08_without_pkce_the_nonce_still_binds(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_PKCE_ENABLED", "false").start().await;
    let slot = "oidc/provider1";
    let mut victim = app.browser();
    let stolen = parameter(&victim.reach_callback(slot, "bruno-2").await, "code");
    let mut attacker = app.browser();
    let callback = attacker.reach_callback(slot, "ada-1").await;
    let before = app.rows().await;
    attacker.callback(&with(&callback, "code", Some(&stolen))).await.refused(401, "idp_token_invalid");
    before.assert_same(&app.rows().await);
    app.browser().log_in(slot, "ada-1").await;
}

async fn c13_metadata_that_cannot_be_trusted_stops_its_own_slot_only(backend: Backend) {
    for (member, value) in [
        ("issuer", json!("https://evil.example")),
        ("issuer", json!("not a url")),
        ("issuer", json!(7)),
        ("issuer", json!(null)),
        ("token_endpoint", json!("http://idp.example.com/token")),
        ("token_endpoint", json!("javascript:alert(1)")),
        ("token_endpoint", json!(null)),
        ("authorization_endpoint", json!("http://idp.example.com/authorize")),
        ("jwks_uri", json!("http://169.254.169.254/latest")),
        ("jwks_uri", json!(null)),
    ] {
        let bad = value.clone();
        let configure = move |config: &mut IdpConfig| {
            let fields = &mut config.realms[0].knobs.discovery.fields;
            if bad.is_null() {
                fields.remove(member)
            } else {
                fields.set(member, bad)
            };
        };
        let app = TestApp::on(backend)
            .slots(&["oidc/provider1", "oidc/provider2"])
            .provider(configure)
            .start()
            .await;
        let mut browser = app.browser();
        let start = browser.url("/auth/oidc/provider1/login");
        let answer = browser.visit(&start).await;
        assert_eq!(answer.status, 502, "{member} {value}: {answer:?}");
        answer.refused(502, "idp_metadata_invalid");
        assert!(browser.jar.logins().is_empty());
        browser.log_in("oidc/provider2", "ada-1").await;
    }
}
