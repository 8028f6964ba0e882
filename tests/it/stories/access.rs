//! Access rules, roles from groups, and the initial groups of a first login.

use portico_demo_idp::{DemoIdp, IdpConfig};
use serde_json::{Value, json};

use crate::testkit::{
    Backend, Browser, Program, Request, Service, TestApp, on_both_databases, slot_variables,
};

on_both_databases!(
    an_access_rule_lets_in_whom_it_names_and_writes_nothing_of_others,
    every_list_of_a_rule_must_pass,
    h22_only_an_address_that_the_provider_calls_verified_has_a_domain,
    a_rule_judges_links_and_hand_offs_too,
    a_rule_that_changed_counts_at_the_next_refresh,
    a_rule_is_never_judged_without_the_userinfo_it_needs,
    c17_groups_bring_roles_of_their_own_slot_only,
    roles_are_made_anew_at_every_refresh,
    the_default_group_is_granted_once_when_no_groups_came,
);

const OIDC: &str = "oidc/provider1";
const OAUTH2: &str = "oauth2/provider1";

fn roles(session: &Value) -> Value {
    session["account"]["roles"].clone()
}

async fn may_pass(browser: &mut Browser, query: &str) -> bool {
    let asked = Request::new("GET", browser.url(&format!("/auth/verify{query}")));
    browser.send(asked).await.status == 200
}

async fn an_access_rule_lets_in_whom_it_names_and_writes_nothing_of_others(backend: Backend) {
    for (name, rule) in [("GROUPS", "other,admins"), ("SUBJECTS", "ada-1"), ("TENANTS", "example.com")] {
        let builder = TestApp::on(backend).set(&format!("OIDC_PROVIDER1_ALLOWED_{name}"), rule);
        let app = builder.start().await;
        let domain = |domain: &'static str| {
            app.realm(OIDC).knobs(|knobs| {
                knobs.id_token.claims.set("hd", domain);
            });
        };
        domain("example.org");
        let mut stranger = app.browser();
        let callback = stranger.reach_callback(OIDC, "bruno-2").await;
        let before = app.rows().await;
        let refused = stranger.callback(&callback).await;
        assert!(!refused.refused(403, "login_not_allowed").gives_session(), "{name}");
        before.assert_same(&app.rows().await);
        assert_eq!(app.audited("login_failed").await, 1, "{name}");
        domain("example.com");
        app.browser().log_in(OIDC, "ada-1").await;
        // The rule does not apply to another slot.
        app.browser().log_in(OAUTH2, "bruno-2").await;
    }
}

async fn every_list_of_a_rule_must_pass(backend: Backend) {
    let app = TestApp::on(backend)
        .set("OIDC_PROVIDER1_ALLOWED_GROUPS", "engineering")
        .set("OIDC_PROVIDER1_ALLOWED_SUBJECTS", "ada-1,chidi-3")
        .start()
        .await;
    app.browser().log_in(OIDC, "ada-1").await;
    for half in ["bruno-2", "chidi-3"] {
        app.browser().try_to_log_in(OIDC, half).await.refused(403, "login_not_allowed");
    }
    assert_eq!(app.accounts().await.len(), 1);
}

async fn h22_only_an_address_that_the_provider_calls_verified_has_a_domain(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_ALLOWED_EMAIL_DOMAINS", "Example.com").start().await;
    app.browser().log_in(OIDC, "ada-1").await;
    // Chidi's email address has that domain but is not verified.
    app.browser().try_to_log_in(OIDC, "chidi-3").await.refused(403, "login_not_allowed");
    for address in ["ada@example.com.evil.org", "ada@sub.example.com", "ada@evil.org@example.com"] {
        app.realm(OIDC).knobs(|knobs| {
            knobs.id_token.claims.set("email", address);
        });
        app.browser().try_to_log_in(OIDC, "ada-1").await.refused(403, "login_not_allowed");
    }
}

async fn a_rule_judges_links_and_hand_offs_too(backend: Backend) {
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let app = TestApp::on(backend)
        .set("OAUTH2_PROVIDER1_ALLOWED_SUBJECTS", "ada-1")
        .set("SERVER_RETURN_ORIGINS", "https://spa.example.org")
        .start()
        .await;
    for (person, passes) in [("bruno-2", false), ("ada-1", true)] {
        let mut browser = app.browser();
        browser.log_in(OIDC, "ada-1").await;
        let begun = browser.post(&format!("/auth/{OAUTH2}/link")).await;
        let location = begun.is(200).json()["location"].as_str().unwrap().parse().unwrap();
        let callback = browser.choose(&location, person).await;
        let answer = browser.callback(&callback).await;
        let mut handed = app.browser();
        let mut start = handed.url(&format!("/auth/{OAUTH2}/login"));
        start
            .query_pairs_mut()
            .append_pair("return_to", "https://spa.example.org/cb")
            .append_pair("code_challenge", CHALLENGE);
        let authorization = handed.visit(&start).await.location();
        let callback = handed.choose(&authorization, person).await;
        let handed_off = handed.callback(&callback).await;
        if passes {
            answer.is(303);
            assert!(handed_off.is(303).location().query().unwrap().starts_with("code="));
        } else {
            answer.refused(403, "login_not_allowed");
            handed_off.refused(403, "login_not_allowed");
            assert_eq!(app.database.count("hand_offs", "1 = 1").await, 0);
            assert_eq!(app.database.count("identities", "1 = 1").await, 1);
        }
    }
}

async fn a_rule_that_changed_counts_at_the_next_refresh(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let (mut ada, mut bruno) = (app.browser(), app.browser());
    ada.log_in(OIDC, "ada-1").await;
    bruno.log_in(OIDC, "bruno-2").await;
    app.restart(&[("OIDC_PROVIDER1_ALLOWED_GROUPS", Some("admins"))]).await;
    ada.post("/auth/refresh").await.is(200);
    bruno.post("/auth/refresh").await.refused(401, "session_invalid");
    assert!(!bruno.is_signed_in().await, "the session is revoked");
    assert_eq!(app.audited("session_revoked").await, 1);
    app.restart(&[("OIDC_PROVIDER1_ALLOWED_GROUPS", None)]).await;
    bruno.post("/auth/refresh").await.refused(401, "session_invalid");
    app.browser().log_in(OIDC, "bruno-2").await;
}

async fn a_rule_is_never_judged_without_the_userinfo_it_needs(backend: Backend) {
    // This realm sends the profile only from the userinfo endpoint.
    const THIN: &str = "oidc/provider2";
    let app = TestApp::on(backend).set("OIDC_PROVIDER2_ALLOWED_GROUPS", "engineering").start().await;
    let break_it = || app.realm(THIN).knobs(|knobs| knobs.userinfo.answer.status = Some(500));
    app.browser().log_in(THIN, "ada-1").await;
    app.browser().try_to_log_in(THIN, "chidi-3").await.refused(403, "login_not_allowed");
    break_it();
    let mut browser = app.browser();
    let callback = browser.reach_callback(THIN, "ada-1").await;
    let before = app.rows().await;
    browser.callback(&callback).await.refused(502, "idp_bad_response");
    before.assert_same(&app.rows().await);
    let open = TestApp::start(backend).await;
    open.realm(THIN).knobs(|knobs| knobs.userinfo.answer.status = Some(500));
    let session = open.browser().log_in(THIN, "ada-1").await;
    assert_eq!(session["groups"], json!(null), "without a rule, missing claims do not fail the login");
}

async fn c17_groups_bring_roles_of_their_own_slot_only(backend: Backend) {
    let map = json!({
        "admin": ["oidc/provider1:ADMINS"],
        "builder": ["Engineering"],
        "editor": ["oauth2/provider1:engineering", "admin", "engineer"],
    });
    let app = TestApp::on(backend)
        .set("SECURITY_ROLES", &map.to_string())
        .set("SECURITY_DEFAULT_ROLE", "guest")
        .start()
        .await;
    for (slot, person, expected) in [
        (OIDC, "ada-1", json!(["admin", "builder"])),
        (OIDC, "chidi-3", json!(["guest"])),
        // The same groups at another provider do not grant the role `admin`.
        (OAUTH2, "ada-1", json!(["builder", "editor"])),
    ] {
        let mut browser = app.browser();
        assert_eq!(roles(&browser.log_in(slot, person).await), expected, "{slot} {person}");
        assert_eq!(may_pass(&mut browser, "?roles=admin").await, slot == OIDC && person == "ada-1");
    }
    // Locally granted roles are added.
    app.local_account("Bruno Beispiel", &["reviewer"]).await;
    let mut browser = app.browser();
    let bruno = browser.log_in(OIDC, "bruno-2").await;
    assert_eq!(roles(&bruno), json!(["builder", "reviewer"]));
    assert!(may_pass(&mut browser, "?roles=reviewer").await && !may_pass(&mut browser, "?roles=admin").await);
}

async fn roles_are_made_anew_at_every_refresh(backend: Backend) {
    let trusted = |group: &str| json!({ "trusted": [group] }).to_string();
    let mut app = TestApp::on(backend).set("SECURITY_ROLES", &trusted("admins")).start().await;
    let mut browser = app.browser();
    assert_eq!(roles(&browser.log_in(OIDC, "ada-1").await), json!(["trusted"]));
    app.restart(&[("SECURITY_ROLES", Some(&trusted("managers")))]).await;
    browser.post("/auth/refresh").await.is(200);
    assert_eq!(roles(&browser.who().await), json!([]));
    assert!(!may_pass(&mut browser, "?roles=trusted").await, "the new token does not contain the role");
    app.restart(&[("SECURITY_ROLES", Some(&trusted("engineering")))]).await;
    browser.post("/auth/refresh").await.is(200);
    assert!(may_pass(&mut browser, "?roles=trusted").await);
}

async fn the_default_group_is_granted_once_when_no_groups_came(backend: Backend) {
    let app = TestApp::on(backend).set("SECURITY_SSO_USER_DEFAULT_GROUP", "newcomers").start().await;
    let granted =
        async |session: &Value| app.account(session["account"]["id"].as_str().unwrap()).await.0.groups;
    let none: [String; 0] = [];
    let ada = app.browser().log_in(OIDC, "ada-1").await;
    assert_eq!(granted(&ada).await, none, "the provider sent groups");
    let groups = |groups: Option<Value>| {
        app.realm(OIDC).knobs(|knobs| match groups {
            Some(groups) => drop(knobs.id_token.claims.set("groups", groups)),
            None => drop(knobs.id_token.claims.remove("groups")),
        });
    };
    groups(Some(json!([])));
    let bruno = app.browser().log_in(OIDC, "bruno-2").await;
    assert_eq!(granted(&bruno).await, none, "an empty list of groups counts as received groups");
    groups(None);
    let chidi = app.browser().log_in(OIDC, "chidi-3").await;
    assert_eq!(granted(&chidi).await, ["newcomers"]);
    let again = app.browser().log_in(OIDC, "ada-1").await;
    assert_eq!(granted(&again).await, none, "groups are granted only at the first login");
    app.be_honest(OIDC);
    let back = app.browser().log_in(OIDC, "chidi-3").await;
    assert_eq!(granted(&back).await, ["newcomers"], "the group stays until an operator removes it");
}

#[tokio::test]
async fn groups_that_the_provider_left_out_are_reported() {
    let program = Program::configured();
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let service = program.set_all(slot_variables(&idp, &[OIDC.to_owned()])).serve().await;
    let session = service.browser().log_in(OIDC, "ada-1").await;
    assert_eq!(session["groups"], json!(["engineering", "admins"]));
    assert_ne!(session["groups_overage"], true);
    let told = |service: &Service| service.log().contains("the provider omitted the groups");
    assert!(!told(&service));
    idp.oidc("provider1").unwrap().knobs(|knobs| {
        knobs.id_token.claims.remove("groups").set("hasgroups", true);
    });
    let session = service.browser().log_in(OIDC, "ada-1").await;
    assert_eq!((&session["groups"], &session["groups_overage"]), (&json!(null), &json!(true)));
    assert!(told(&service));
}
