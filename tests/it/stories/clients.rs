//! Client authentication at providers, and details of the providers' answers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico_demo_idp::knobs::{IssKnob, TokenError, TokenFormat};
use portico_demo_idp::{CapturedRequest, Client, ClientAuth, Endpoint, Person};
use serde_json::json;

use crate::testkit::{Backend, TestApp, on_both_databases};

on_both_databases!(
    each_client_proves_itself_in_exactly_one_way,
    h20_odd_secrets_arrive_as_they_are,
    a_secret_is_changed_without_an_outage,
    claims_that_are_only_at_userinfo_are_fetched,
    userinfo_is_asked_for_as_configured,
    a_failing_userinfo_is_fatal_only_when_wanted,
    google_needs_an_id_and_a_secret_only,
    what_the_operator_adds_to_the_request_is_sent,
    q_x_16_a_slot_without_pkce_sends_none,
    a_number_is_a_subject_in_oauth2,
    another_claim_may_be_the_subject,
    a_form_encoded_token_answer_is_understood,
    an_authorization_server_may_name_its_issuer,
);

/// The `Authorization` header and the form of the last token request.
fn proof(app: &TestApp, slot: &str) -> (Option<String>, BTreeMap<String, String>) {
    let request: CapturedRequest = app.realm(slot).last_request(Endpoint::Token).unwrap();
    let form: Vec<_> = request.form();
    let fields: BTreeMap<_, _> = form.iter().cloned().collect();
    assert_eq!(fields.len(), form.len(), "no parameter is sent twice");
    assert_eq!(request.query, "", "the URL contains no parameters");
    (request.header("authorization").map(str::to_owned), fields)
}

async fn each_client_proves_itself_in_exactly_one_way(backend: Backend) {
    let app = TestApp::start(backend).await;
    for slot in ["oidc/provider1", "oidc/provider2", "oauth2/provider1", "oauth2/provider2"] {
        app.browser().log_in(slot, "ada-1").await;
    }
    for slot in ["oidc/provider1", "oauth2/provider1"] {
        let (header, form) = proof(&app, slot);
        let pair = STANDARD.decode(header.unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert!(
            String::from_utf8(pair).unwrap().starts_with(&slot.replace('/', "-").replacen("", "portico-", 1))
        );
        assert!(!form.contains_key("client_secret") && !form.contains_key("client_id"), "{form:?}");
    }
    let (header, form) = proof(&app, "oauth2/provider2");
    assert!(header.is_none() && form["client_secret"].starts_with("demo-"), "{form:?}");
    assert_eq!(form["client_id"], "portico-oauth2-provider2");
    let (header, form) = proof(&app, "oidc/provider2");
    assert!(
        header.is_none() && !form.contains_key("client_secret"),
        "a public client sends no secret: {form:?}"
    );
    assert_eq!(form["client_id"], "portico-oidc-provider2");
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code_verifier"].len(), 43);
    assert_eq!(form["redirect_uri"], app.browser().url("/auth/oidc/provider2/callback").as_str());
}

async fn h20_odd_secrets_arrive_as_they_are(backend: Backend) {
    let odd = "a:b%c+d e&f=g/\u{e9}\u{1f980}\"\\";
    for (slot, method) in
        [("oidc/provider1", "client_secret_basic"), ("oauth2/provider2", "client_secret_post")]
    {
        let name = slot.replace('/', "_").to_uppercase();
        let app = TestApp::on(backend)
            .slots(&[slot])
            .set(&format!("{name}_CLIENT_SECRET"), odd)
            .set(&format!("{name}_TOKEN_ENDPOINT_AUTH_METHOD"), method)
            .provider(move |config| {
                config.realms[0].clients[0].auth = match method {
                    "client_secret_basic" => ClientAuth::basic(odd),
                    _ => ClientAuth::post(odd),
                };
            })
            .start()
            .await;
        app.browser().log_in(slot, "ada-1").await;
        let (header, _) = proof(&app, slot);
        if let Some(header) = header {
            let pair = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
            let pair = String::from_utf8(pair).unwrap();
            assert!(
                pair.is_ascii() && pair.matches(':').count() == 1,
                "client id and secret must be form-encoded: {pair}"
            );
        }
    }
}

async fn a_secret_is_changed_without_an_outage(backend: Backend) {
    let app = TestApp::on(backend)
        .set("OIDC_PROVIDER1_CLIENT_SECRET_NEXT", "the-next-secret")
        .set("OAUTH2_PROVIDER2_CLIENT_SECRET_NEXT", "the-next-secret")
        .start()
        .await;
    for slot in ["oidc/provider1", "oauth2/provider2"] {
        app.browser().log_in(slot, "ada-1").await;
        assert_eq!(app.token_calls(slot), 1, "the current secret is accepted");
        let realm = app.realm(slot);
        let client = realm.find_client(&format!("portico-{}", slot.replace('/', "-"))).unwrap();
        let auth = match &client.auth {
            ClientAuth::Basic(_) => ClientAuth::basic("the-next-secret"),
            _ => ClientAuth::post("the-next-secret"),
        };
        realm.put_client(Client { auth, ..(*client).clone() });
        app.browser().log_in(slot, "ada-1").await;
        assert_eq!(app.token_calls(slot), 3, "the first secret is refused, the next one is accepted");
        // Portico tries the next secret only after `invalid_client`.
        realm.knobs(|knobs| {
            knobs.token.error = Some(TokenError { status: 400, error: "invalid_grant".to_owned() });
        });
        app.browser().try_to_log_in(slot, "ada-1").await.refused(401, "code_rejected");
        assert_eq!(app.token_calls(slot), 4);
    }
}

async fn claims_that_are_only_at_userinfo_are_fetched(backend: Backend) {
    let app = TestApp::start(backend).await;
    let session = app.browser().log_in("oidc/provider2", "ada-1").await;
    assert_eq!(session["account"]["label"], "Ada Example");
    assert_eq!(session["account"]["email_verified"], true);
    assert_eq!(app.counters("oidc/provider2").userinfo, 1);
    app.browser().log_in("oidc/provider1", "ada-1").await;
    assert_eq!(app.counters("oidc/provider1").userinfo, 0, "the ID token contains all required claims");
    // A name in the ID token takes precedence over one from userinfo.
    app.realm("oidc/provider2").knobs(|knobs| {
        knobs.id_token.claims.set("name", "Signed Name");
        knobs
            .userinfo
            .fields
            .set("name", "Other Name")
            .set("iss", "https://evil.example")
            .set("aud", "other");
    });
    let session = app.browser().log_in("oidc/provider2", "ada-1").await;
    assert_eq!(session["account"]["label"], "Signed Name");
}

async fn userinfo_is_asked_for_as_configured(backend: Backend) {
    let app = TestApp::on(backend)
        .set("OIDC_PROVIDER1_USERINFO", "always")
        .set("OIDC_PROVIDER2_USERINFO", "never")
        .set("OIDC_PROVIDER1_USERINFO_METHOD", "post")
        .set("OAUTH2_PROVIDER1_USERINFO_METHOD", "POST".to_lowercase().as_str())
        .start()
        .await;
    for slot in ["oidc/provider1", "oauth2/provider1"] {
        app.realm(slot).knobs(|knobs| knobs.userinfo.only_post = true);
        app.browser().log_in(slot, "ada-1").await;
        let asked = app.realm(slot).last_request(Endpoint::Userinfo).unwrap();
        assert_eq!(asked.method, "POST");
        assert!(asked.header("authorization").unwrap().starts_with("Bearer "));
        assert_eq!(asked.query, "", "the access token is not in the URL");
    }
    let session = app.browser().log_in("oidc/provider2", "ada-1").await;
    assert_eq!(app.counters("oidc/provider2").userinfo, 0);
    assert_eq!(session["account"]["name"], "ada-1", "the session has only the claims of the ID token");
    assert_eq!(session["account"]["email"], json!(null));
}

async fn a_failing_userinfo_is_fatal_only_when_wanted(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_USERINFO", "always").start().await;
    for slot in ["oidc/provider1", "oidc/provider2", "oauth2/provider1"] {
        app.realm(slot).knobs(|knobs| knobs.userinfo.answer.status = Some(500));
    }
    app.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(502, "idp_bad_response");
    app.browser().try_to_log_in("oauth2/provider1", "ada-1").await.refused(502, "idp_bad_response");
    let session = app.browser().log_in("oidc/provider2", "ada-1").await;
    assert_eq!(session["account"]["name"], "ada-1");
}

async fn google_needs_an_id_and_a_secret_only(backend: Backend) {
    let mut app = TestApp::on(backend).slots(&["oidc/google", "oauth2/google"]).start().await;
    // Every URL points to the demo provider.
    app.browser().log_in("oidc/google", "ada-1").await;
    app.browser().log_in("oauth2/google", "ada-1").await;
    let names: Vec<_> = app.variables.keys().filter(|name| name.contains("_GOOGLE_")).cloned().collect();
    let others =
        names.iter().filter(|name| !name.ends_with("_CLIENT_ID") && !name.ends_with("_CLIENT_SECRET"));
    let removed: Vec<_> = others.map(|name| (name.strip_prefix("PORTICO_").unwrap(), None)).collect();
    app.restart(&removed).await;
    let mut browser = app.browser();
    let authorization = browser.start("oauth2/google").await;
    assert!(
        authorization.as_str().starts_with("https://accounts.google.com/o/oauth2/v2/auth?"),
        "{authorization}"
    );
    let listed = browser.fetch("/auth/providers").await.json();
    let providers = listed["providers"].as_array().unwrap();
    assert!(!providers.is_empty());
    for provider in providers {
        assert_eq!((&provider["display_label"], &provider["icon"]), (&json!("Google"), &json!("mdi:google")));
    }
}

async fn what_the_operator_adds_to_the_request_is_sent(backend: Backend) {
    let app = TestApp::on(backend)
        .set("OIDC_PROVIDER1_AUDIENCE", "https://api.example.com/?a=b&c")
        .set("OIDC_PROVIDER1_SCOPES", "openid email custom:scope")
        .set(
            "OIDC_PROVIDER1_EXTRA_AUTHORIZATION_PARAMS",
            r#"{"prompt": "select_account", "acr_values": "gold silver"}"#,
        )
        .start()
        .await;
    let mut browser = app.browser();
    let authorization = browser.start("oidc/provider1").await;
    let pairs: Vec<(String, String)> = authorization.query_pairs().into_owned().collect();
    let sent: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(pairs.len(), sent.len(), "no parameter may be sent twice: {pairs:?}");
    assert_eq!(sent["audience"], "https://api.example.com/?a=b&c");
    assert_eq!(sent["scope"], "openid email custom:scope");
    assert_eq!(sent["prompt"], "select_account");
    assert_eq!(sent["acr_values"], "gold silver");
}

async fn q_x_16_a_slot_without_pkce_sends_none(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_PKCE_ENABLED", "off").start().await;
    app.browser().log_in("oidc/provider1", "ada-1").await;
    let asked = app.realm("oidc/provider1").last_request(Endpoint::Authorize).unwrap();
    assert!(asked.query_pairs().iter().all(|(name, _)| !name.starts_with("code_challenge")));
    let (_, form) = proof(&app, "oidc/provider1");
    assert!(!form.contains_key("code_verifier"));
}

async fn a_number_is_a_subject_in_oauth2(backend: Backend) {
    let app = TestApp::on(backend).set("OAUTH2_PROVIDER1_SUBJECT_CLAIM", "id").start().await;
    let realm = app.realm("oauth2/provider1");
    // The first two numbers are equal as floating-point numbers.
    let mut ids = Vec::new();
    for id in [9_007_199_254_740_992_u64, 9_007_199_254_740_993, 583_231] {
        realm.knobs(|knobs| {
            knobs.userinfo.fields.set("id", id).remove("sub");
        });
        let session = app.browser().log_in("oauth2/provider1", "ada-1").await;
        let account = session["account"]["id"].as_str().unwrap().to_owned();
        let (_, identities) = app.account(&account).await;
        assert_eq!(identities[0].key.subject.as_str(), id.to_string());
        assert_eq!(identities[0].key.issuer, format!("{}#id", realm.token_url()));
        assert!(!ids.contains(&account));
        ids.push(account);
    }
}

async fn another_claim_may_be_the_subject(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let by_sub = app.browser().log_in("oidc/provider1", "ada-1").await;
    app.restart(&[("OIDC_PROVIDER1_SUBJECT_CLAIM", Some("oid"))]).await;
    let realm = app.realm("oidc/provider1");
    realm.knobs(|knobs| {
        knobs.id_token.claims.set("oid", "ada-1");
    });
    let by_oid = app.browser().log_in("oidc/provider1", "ada-1").await;
    assert_ne!(
        by_sub["account"]["id"], by_oid["account"]["id"],
        "identities with different subject claims are never equal"
    );
    // The subject comes only from the ID token.
    realm.set_person(Person { name: None, ..Person::new("bruno-2", "x") });
    realm.knobs(|knobs| {
        knobs.id_token.claims.remove("oid");
        knobs.userinfo.fields.set("oid", "ada-1");
    });
    app.browser().try_to_log_in("oidc/provider1", "bruno-2").await.refused(401, "idp_claims_incomplete");
}

async fn a_form_encoded_token_answer_is_understood(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.realm("oauth2/provider1").knobs(|knobs| knobs.token.format = TokenFormat::Form);
    app.browser().log_in("oauth2/provider1", "ada-1").await;
    let asked = app.realm("oauth2/provider1").last_request(Endpoint::Token).unwrap();
    assert!(asked.header("accept").unwrap().contains("application/json"), "the request accepts JSON");
}

async fn an_authorization_server_may_name_its_issuer(backend: Backend) {
    let app = TestApp::on(backend).set("OAUTH2_PROVIDER1_ISSUER", "https://issuer.example").start().await;
    for (slot, iss, passes) in [
        ("oauth2/provider1", IssKnob::Send("https://issuer.example".to_owned()), true),
        ("oauth2/provider1", IssKnob::Omit, true),
        ("oauth2/provider1", IssKnob::Send("https://issuer.example/".to_owned()), false),
        ("oauth2/provider2", IssKnob::Send("https://whoever.example".to_owned()), true),
    ] {
        app.realm(slot).knobs(|knobs| knobs.authorize.iss = iss.clone());
        let answer = app.browser().try_to_log_in(slot, "ada-1").await;
        if passes {
            answer.is(303);
        } else {
            answer.refused(400, "login_mixup");
        }
    }
}
