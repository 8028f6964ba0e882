//! H07, H16, H17, M26: logout by the provider and by the browser.

mod faults;
mod tokens;

use std::sync::Arc;

use portico_demo_idp::Endpoint;
use portico_demo_idp::knobs::Signing;
use serde_json::json;

use self::faults::{claim, faults, header};
use self::tokens::{claims_of, client_of, last_sid, refused, signed_in, tell, token};
use crate::testkit::{Answer, Backend, Browser, Request, TestApp, on_both_databases};

on_both_databases!(
    h16_a_logout_token_with_one_fault_ends_nothing,
    h16_a_logout_ends_only_whom_it_names,
    h16_a_logout_token_is_heard_once,
    h16_a_logout_token_is_no_id_token_and_an_id_token_no_logout,
    h16_a_logout_reaches_codes_and_replicas,
    h16_only_where_signatures_are_checked_and_by_post,
    h16_q_kc_5_a_subject_of_another_claim_needs_a_sid,
    h16_an_outage_is_told_and_the_token_stays_good,
    h07_h16_a_flood_of_unknown_keys_asks_once_a_minute,
    h17_the_hint_is_in_nothing_but_the_way_out,
    h17_a_session_that_is_over_needs_no_proof_to_leave,
    m26_after_a_logout_a_single_provider_must_ask_again,
);

const SLOT: &str = "oidc/provider1";

async fn h16_a_logout_token_with_one_fault_ends_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (mut browser, sid) = signed_in(&app, SLOT, "ada-1").await;
    let before = app.rows().await;
    let mut problems = Vec::new();
    for (what, turn) in faults(app.now()) {
        app.realm(SLOT).knobs(|knobs| turn(knobs));
        let forged = token(&app, SLOT, Some("ada-1"), Some(&sid));
        app.be_honest(SLOT);
        let answer = tell(&app, SLOT, &forged).await;
        if answer.status != 400 || answer.body != r#"{"error":"invalid_request"}"# {
            problems.push(format!("{what}: {} {}", answer.status, answer.body));
        }
        let changes = before.changes(&app.rows().await);
        if !changes.is_empty() {
            problems.push(format!("{what}: {changes:?}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let honest = token(&app, SLOT, Some("ada-1"), Some(&sid));
    assert_malformed_requests_are_refused(&app, &honest).await;
    assert_eq!(app.idp.canary_calls(), 0);
    assert!(browser.is_signed_in().await);
    assert_valid_neighbours_pass(&app).await;
    assert!(browser.is_signed_in().await, "the tokens name no session of this person");
    tell(&app, SLOT, &honest).await.is(200);
    assert!(!browser.is_signed_in().await);
    assert_eq!(app.audited("session_revoked").await, 1);
}

/// A body that is no token, and a valid token in the wrong form, are refused.
async fn assert_malformed_requests_are_refused(app: &TestApp, honest: &str) {
    for body in ["", "x", "a.b.c", "a.b.c.d.e", "...", "\u{0}", &"x".repeat(60_000)] {
        refused(&tell(app, SLOT, body).await, body);
    }
    let url = app.browser().url(&format!("/auth/{SLOT}/backchannel-logout"));
    for (kind, body) in [
        ("application/json", format!(r#"{{"logout_token":"{honest}"}}"#)),
        ("text/plain", format!("logout_token={honest}")),
        ("application/x-www-form-urlencoded", format!("logout_token={honest}&logout_token={honest}")),
        ("application/x-www-form-urlencoded", format!("token={honest}")),
    ] {
        refused(&app.browser().send(Request::new("POST", url.clone()).body(kind, &body)).await, kind);
    }
    let mut queried = url.clone();
    queried.query_pairs_mut().append_pair("logout_token", honest);
    refused(&app.browser().send(Request::new("POST", queried)).await, "in the query");
}

/// Tokens pass at the limits of time, with a list of audiences, of type `JWT`, and without a known session.
async fn assert_valid_neighbours_pass(app: &TestApp) {
    for turn in [
        claim("exp", json!(app.now() - 59)),
        claim("iat", json!(app.now() - 600)),
        claim("aud", json!([client_of(app, SLOT), "other"])),
        header("typ", json!("JWT")),
        claim("sid", json!("nobody's")),
    ] {
        app.realm(SLOT).knobs(|knobs| turn(knobs));
        let unknown = token(app, SLOT, None, Some("another"));
        app.be_honest(SLOT);
        let answer = tell(app, SLOT, &unknown).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

async fn h16_a_logout_ends_only_whom_it_names(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (mut phone, phone_sid) = signed_in(&app, SLOT, "ada-1").await;
    let (mut laptop, _) = signed_in(&app, SLOT, "ada-1").await;
    let (mut bruno, _) = signed_in(&app, SLOT, "bruno-2").await;
    // The same subject at another issuer, and at an OAuth 2.0 slot.
    let (mut elsewhere, _) = signed_in(&app, "oidc/provider2", "ada-1").await;
    let mut plain = app.browser();
    plain.log_in("oauth2/provider1", "ada-1").await;

    tell(&app, "oidc/provider2", &token(&app, "oidc/provider2", None, Some(&phone_sid))).await.is(200);
    assert!(phone.is_signed_in().await, "the token is of another issuer");
    // A token of one slot is refused at every other slot.
    refused(&tell(&app, "oidc/provider2", &token(&app, SLOT, None, Some(&phone_sid))).await, "cross-slot");

    tell(&app, SLOT, &token(&app, SLOT, Some("ada-1"), Some(&phone_sid))).await.is(200);
    assert!(!phone.is_signed_in().await && laptop.is_signed_in().await, "only the named session ends");
    phone.post("/auth/refresh").await.refused(401, "session_invalid");

    let (mut again, _) = signed_in(&app, SLOT, "ada-1").await;
    tell(&app, SLOT, &token(&app, SLOT, Some("ada-1"), None)).await.is(200);
    assert!(!laptop.is_signed_in().await && !again.is_signed_in().await, "all sessions of the person end");
    assert!(bruno.is_signed_in().await && elsewhere.is_signed_in().await && plain.is_signed_in().await);
    assert_eq!(app.database.count("audit_events", "reason = 'backchannel_logout'").await, 3);
    app.browser().log_in(SLOT, "ada-1").await;
}

async fn h16_a_logout_token_is_heard_once(backend: Backend) {
    let app = Arc::new(TestApp::start(backend).await);
    let (_, sid) = signed_in(&app, SLOT, "ada-1").await;
    let one = token(&app, SLOT, None, Some(&sid));
    let answers = futures_util::future::join_all((0..20).map(|_| tell(&app, SLOT, &one))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 1);
    answers.iter().filter(|answer| answer.status != 200).for_each(|answer| refused(answer, "again"));
    assert_eq!(app.audited("session_revoked").await, 1);
    // A `jti` is unique per issuer: another provider may use the same one.
    let jti = claims_of(&one)["jti"].clone();
    app.realm("oidc/provider2").knobs(|knobs| {
        knobs.logout_token.claims.set("jti", jti);
    });
    tell(&app, "oidc/provider2", &token(&app, "oidc/provider2", None, Some("x"))).await.is(200);
    // The stored `jti` is kept until the token expires.
    app.advance(659);
    app.running().sweep().await;
    refused(&tell(&app, SLOT, &one).await, "just before the token expires");
}

async fn h16_a_logout_token_is_no_id_token_and_an_id_token_no_logout(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (mut browser, _) = signed_in(&app, SLOT, "ada-1").await;
    let id_token = app.realm(SLOT).last_issued().unwrap().id_token.unwrap();
    refused(&tell(&app, SLOT, &id_token).await, "an ID token");
    let access = app.realm(SLOT).last_issued().unwrap().access_token;
    refused(&tell(&app, SLOT, &access).await, "an access token");
    let access =
        browser.post("/auth/refresh").await.is(200).json()["access_token"].as_str().unwrap().to_owned();
    refused(&tell(&app, SLOT, &access).await, "an access token of Portico");
    assert!(browser.is_signed_in().await);
    let logout = token(&app, SLOT, Some("ada-1"), None);
    app.realm(SLOT).knobs(|knobs| knobs.id_token.raw = Some(logout));
    app.browser().try_to_log_in(SLOT, "ada-1").await.refused(401, "idp_token_invalid");
}

/// A login that ends with a hand-off code; returns the code and the `sid` of the provider's session.
async fn hand_off(app: &TestApp, person: &str) -> (String, String) {
    let mut spa = app.browser();
    let mut url = spa.url(&format!("/auth/{SLOT}/login"));
    url.query_pairs_mut()
        .append_pair("return_to", "https://spa.example/cb")
        .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let authorization = spa.visit(&url).await.location();
    let callback = spa.choose(&authorization, person).await;
    let back = spa.callback(&callback).await.location();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    (code, last_sid(&app.realm(SLOT)))
}

/// Redeems a hand-off code.
async fn redeem(app: &TestApp, code: &str) -> Answer {
    let body = json!({ "code": code, "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" });
    let mut spa = app.browser();
    spa.send(Request::script("POST", spa.url("/auth/token")).json(&body)).await
}

async fn h16_a_logout_reaches_codes_and_replicas(backend: Backend) {
    let app = TestApp::on(backend).set("SERVER_RETURN_ORIGINS", "https://spa.example").start().await;
    let (waiting, sid) = hand_off(&app, "ada-1").await;
    tell(&app, SLOT, &token(&app, SLOT, None, Some(&sid))).await.is(200);
    redeem(&app, &waiting).await.refused(400, "handoff_invalid");
    // The session of a redeemed code is bound to the provider's session as well.
    let (code, sid) = hand_off(&app, "ada-1").await;
    let tokens = redeem(&app, &code).await.is(200).json();
    tell(&app, SLOT, &token(&app, SLOT, None, Some(&sid))).await.is(200);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let mut spa = app.browser();
    spa.send(Request::script("POST", spa.url("/auth/refresh")).json(&refresh))
        .await
        .refused(401, "session_invalid");

    let (replica, at) = app.replica_if_possible().await;
    let (browser, sid) = signed_in(&app, SLOT, "bruno-2").await;
    let mut here = browser;
    assert!(here.is_signed_in().await);
    if let Some(at) = at {
        // The other replica refuses a refresh immediately and an access token within five seconds.
        let mut there = here.clone().at(at);
        assert!(there.is_signed_in().await);
        tell(&app, SLOT, &token(&app, SLOT, None, Some(&sid))).await.is(200);
        there.post("/auth/refresh").await.refused(401, "session_invalid");
        tokio::time::sleep(std::time::Duration::from_millis(5200)).await;
        assert!(!there.is_signed_in().await);
    } else {
        tell(&app, SLOT, &token(&app, SLOT, None, Some(&sid))).await.is(200);
    }
    assert!(!here.is_signed_in().await, "the process that gets the token ends the session immediately");
    drop(replica);
}

async fn h16_only_where_signatures_are_checked_and_by_post(backend: Backend) {
    let builder = TestApp::on(backend).set("OIDC_PROVIDER2_ID_TOKEN_VERIFY_SIGNATURE", "false");
    let app = builder.start().await;
    let (mut browser, sid) = signed_in(&app, "oidc/provider2", "ada-1").await;
    let honest = token(&app, "oidc/provider2", Some("ada-1"), Some(&sid));
    tell(&app, "oidc/provider2", &honest).await.refused(404, "provider_unknown");
    for slot in ["oidc/google", "oidc/none", "oauth2/provider1"] {
        assert_eq!(tell(&app, slot, &honest).await.status, 404, "{slot}");
    }
    assert!(browser.is_signed_in().await);
    let url = browser.url(&format!("/auth/{SLOT}/backchannel-logout?logout_token={honest}"));
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        assert_eq!(browser.send(Request::new(method, url.clone())).await.status, 405, "{method}");
    }
}

async fn h16_q_kc_5_a_subject_of_another_claim_needs_a_sid(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_SUBJECT_CLAIM", "preferred_username").start().await;
    let (mut browser, sid) = signed_in(&app, SLOT, "ada-1").await;
    refused(
        &tell(&app, SLOT, &token(&app, SLOT, Some("ada-1"), None)).await,
        "a sub that is no stored subject",
    );
    assert!(browser.is_signed_in().await);
    tell(&app, SLOT, &token(&app, SLOT, Some("ada-1"), Some(&sid))).await.is(200);
    assert!(!browser.is_signed_in().await);
}

async fn h16_an_outage_is_told_and_the_token_stays_good(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (mut browser, sid) = signed_in(&app, SLOT, "ada-1").await;
    let honest = token(&app, SLOT, None, Some(&sid));
    app.store.break_method("backchannel_logout");
    app.expect_error("broken by a test");
    tell(&app, SLOT, &honest).await.refused(503, "unavailable");
    app.store.heal();
    assert!(browser.is_signed_in().await);
    tell(&app, SLOT, &honest).await.is(200);
    assert!(!browser.is_signed_in().await);
}

async fn h07_h16_a_flood_of_unknown_keys_asks_once_a_minute(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (mut browser, sid) = signed_in(&app, SLOT, "ada-1").await;
    let before = app.realm(SLOT).calls(Endpoint::Jwks);
    for number in 0..100 {
        app.realm(SLOT).knobs(|knobs| {
            knobs.logout_token.signing = Signing::UnpublishedKey;
            knobs.logout_token.header.set("kid", format!("unknown-{number}"));
        });
        refused(&tell(&app, SLOT, &token(&app, SLOT, None, Some(&sid))).await, "an unknown key");
    }
    app.be_honest(SLOT);
    assert!(app.realm(SLOT).calls(Endpoint::Jwks) - before <= 1);
    assert!(browser.is_signed_in().await);
    tell(&app, SLOT, &token(&app, SLOT, None, Some(&sid))).await.is(200);
}

async fn h17_the_hint_is_in_nothing_but_the_way_out(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (mut browser, _) = signed_in(&app, SLOT, "ada-1").await;
    let id_token = app.realm(SLOT).last_issued().unwrap().id_token.unwrap();
    let payload = id_token.split('.').nth(1).unwrap();
    for path in ["/auth/session", "/auth/sessions", "/auth/identities"] {
        assert!(!browser.fetch(path).await.body.contains(payload), "{path}");
    }
    let rows = format!("{:?}", app.rows().await);
    assert!(
        !rows.contains(payload) && !rows.contains(&hex::encode(payload.as_bytes())),
        "the ID token is stored sealed only"
    );
    assert_eq!(app.database.count("sessions", "id_token IS NOT NULL").await, 1);
    let out: url::Url =
        browser.post("/auth/logout").await.is(200).json()["logout_url"].as_str().unwrap().parse().unwrap();
    let sent: std::collections::BTreeMap<_, _> = out.query_pairs().into_owned().collect();
    assert_eq!(
        (sent["id_token_hint"].as_str(), sent["client_id"].as_str()),
        (id_token.as_str(), client_of(&app, SLOT).as_str())
    );
    assert_eq!(
        app.database.count("sessions", "id_token IS NOT NULL").await,
        0,
        "the ID token is deleted with the session"
    );
    // The provider accepts the logout URL.
    browser.visit(&out).await.is(200);
    assert_logout_urls_without_hint(&app).await;
}

/// The logout URL has no `id_token_hint` if the ID token is too long to be stored, or cannot be unsealed.
async fn assert_logout_urls_without_hint(app: &TestApp) {
    app.realm(SLOT).knobs(|knobs| {
        knobs.id_token.claims.set("padding", "x".repeat(4000));
    });
    let (mut long, _) = signed_in(app, SLOT, "ada-1").await;
    let out = long.post("/auth/logout").await.is(200).json()["logout_url"].as_str().unwrap().to_owned();
    assert!(!out.contains("id_token_hint"), "{out}");
    app.be_honest(SLOT);
    let (mut later, _) = signed_in(app, SLOT, "bruno-2").await;
    let other = "SELECT r.hash FROM refresh_tokens r WHERE r.session_id = sessions.id";
    app.database
        .execute(&format!("UPDATE sessions SET id_token = ({other}) WHERE id_token IS NOT NULL"))
        .await;
    let out = later.post("/auth/logout").await.is(200).json()["logout_url"].as_str().unwrap().to_owned();
    assert!(out.contains("client_id=") && !out.contains("id_token_hint"), "{out}");
}

async fn h17_a_session_that_is_over_needs_no_proof_to_leave(backend: Backend) {
    let app = TestApp::start(backend).await;
    let nothing = json!({ "logout_url": null });
    let assert_logged_out = |answer: &Answer| {
        assert_eq!(answer.is(200).json(), nothing);
        let removed = answer.set_cookies().iter().filter(|set| set.removes()).count();
        assert_eq!(removed, 3, "{answer:?}");
    };
    let bare = |browser: &Browser| Request::script("POST", browser.url("/auth/logout"));
    // An active session needs the CSRF token.
    let (mut live, _) = signed_in(&app, SLOT, "ada-1").await;
    live.send(bare(&live)).await.refused(403, "csrf_failed");
    assert!(live.is_signed_in().await);
    // A session that ended, one of a disabled account, and one that never existed.
    tell(&app, SLOT, &token(&app, SLOT, Some("ada-1"), None)).await.is(200);
    assert_logged_out(&live.send(bare(&live)).await);
    let (mut disabled, _) = signed_in(&app, SLOT, "bruno-2").await;
    let name = disabled.who().await["account"]["name"].as_str().unwrap().to_owned();
    app.set_status(&name, "disabled").await;
    assert_logged_out(&disabled.send(bare(&disabled)).await);
    let mut stranger = app.browser();
    let made_up =
        bare(&stranger).cookies(&format!("portico_refresh={}; portico_access=a.b.c", "x".repeat(43)));
    assert_logged_out(&stranger.send(made_up).await);
    for bearer in ["Bearer a.b.c", "Bearer", "Basic YTpi"] {
        let answer = stranger.send(bare(&stranger).header("authorization", bearer)).await;
        assert_eq!(answer.is(200).json(), nothing, "{bearer}");
    }
}

/// The `prompt` of an authorization request.
fn prompt(url: &url::Url) -> Option<String> {
    url.query_pairs().find(|(name, _)| name == "prompt").map(|(_, value)| value.into_owned())
}

async fn m26_after_a_logout_a_single_provider_must_ask_again(backend: Backend) {
    for slot in [SLOT, "oauth2/provider1"] {
        let app = TestApp::on(backend).slots(&[slot]).start().await;
        let mut browser = app.browser();
        assert_eq!(prompt(&browser.start(slot).await), None);
        browser.log_in(slot, "ada-1").await;
        assert_eq!(prompt(&browser.start(slot).await), None);
        let left = browser.post("/auth/logout").await;
        let cookie = left.set_cookie("portico_signed_out");
        assert!(
            cookie.has("HttpOnly")
                && cookie.has("SameSite=Lax")
                && cookie.attribute("Max-Age") == Some("86400")
        );
        assert_eq!(prompt(&browser.start(slot).await).as_deref(), Some("login"));
        assert_eq!(
            prompt(&browser.start(slot).await).as_deref(),
            Some("login"),
            "the prompt stays until a login succeeds"
        );
        assert_eq!(prompt(&app.browser().start(slot).await), None, "other browsers get no prompt");
        let done = browser.try_to_log_in(slot, "ada-1").await;
        assert!(done.is(303).set_cookie("portico_signed_out").removes());
        assert_eq!(prompt(&browser.start(slot).await), None);
    }
    let app = TestApp::on(backend).slots(&[SLOT, "oidc/provider2"]).start().await;
    let mut browser = app.browser();
    browser.log_in(SLOT, "ada-1").await;
    let left = browser.post("/auth/logout").await;
    assert!(
        left.set_cookies().iter().all(|set| !set.name.contains("signed_out")),
        "with two providers, the person chooses on the login page"
    );
    assert_eq!(prompt(&browser.start(SLOT).await), None);
    // A logout without a session sets no cookie, because another site can cause one.
    let alone = TestApp::on(backend).slots(&[SLOT]).start().await;
    let mut stranger = alone.browser();
    let left = stranger.send(Request::new("POST", stranger.url("/auth/logout"))).await;
    assert!(left.is(200).set_cookies().iter().all(|set| !set.name.contains("signed_out")));
}
