//! Imitations of well-known providers, used with the settings from their pages in `docs/providers`.

mod pages;
mod quirks;

use std::collections::BTreeSet;
use std::sync::Arc;

use portico_demo_idp::personas::{ALL, Persona};
use portico_demo_idp::{Realm, RealmKind};
use serde_json::{Value, json};

use crate::testkit::{Answer, Backend, Browser, Form, TestApp, on_both_databases};
use pages::{Settings, names};

on_both_databases!(
    the_settings_of_each_page_let_people_in,
    the_rules_of_the_pages_keep_others_out,
    m26_each_provider_ends_its_own_session_as_far_as_it_can,
);

/// The slot that a page configures.
fn slot_of(page: &str) -> &'static str {
    match page {
        "google" => "oidc/google",
        "github" | "discord" => "oauth2/provider1",
        _ => "oidc/provider1",
    }
}

/// The page that documents a persona, and the index of the block of settings on it.
fn page_of(persona: &str) -> (&str, usize) {
    match persona {
        "entra-id-tenants" => ("entra-id", 1),
        own => (own, 0),
    }
}

fn persona(name: &str) -> &'static Persona {
    ALL.iter().find(|persona| persona.name == name).unwrap_or_else(|| panic!("no persona {name}"))
}

/// An application with the settings of a persona's page, connected to that persona.
pub struct Dressed {
    pub app: TestApp,
    pub slot: &'static str,
    persona: &'static Persona,
}

impl Dressed {
    pub async fn start(backend: Backend, name: &str) -> Self {
        Self::with(backend, name, &[]).await
    }

    /// Starts an application with further settings for the same slot.
    pub async fn with(backend: Backend, name: &str, more: &[(&str, &str)]) -> Self {
        let (page, block) = page_of(name);
        let (persona, slot) = (persona(name), slot_of(page));
        let mut app = TestApp::on(backend).slots(&[slot]).start().await;
        let realm = app.realm(slot);
        assert_eq!(realm.kind(), persona.kind, "{name}");
        let prefix = format!("PORTICO_{}_", slot.replace('/', "_").to_uppercase());
        app.variables.retain(|variable, _| !variable.starts_with(&prefix));
        let settings = Settings::parse(page, block).at(&realm, persona);
        app.variables.extend(settings.variables);
        for (variable, value) in more {
            app.variables.insert(format!("{prefix}{variable}"), (*value).to_owned());
        }
        let dressed = Self { app, slot, persona };
        dressed.dress();
        let mut dressed = dressed;
        dressed.app.restart(&[]).await;
        dressed
    }

    /// Resets all knobs to those of the persona, with the current time.
    pub fn dress(&self) {
        let realm = self.realm();
        self.persona.apply_to(&realm);
        let now = self.app.now();
        realm.knobs(|knobs| knobs.clock.now = Some(now));
    }

    pub fn realm(&self) -> Arc<Realm> {
        self.app.realm(self.slot)
    }

    /// Performs a login that may fail. If the provider uses `form_post`, the answer is posted again.
    pub async fn try_to_log_in(&self, browser: &mut Browser, person: &str) -> Answer {
        let mut authorization = browser.start(self.slot).await;
        let posts =
            authorization.query_pairs().any(|(name, value)| name == "response_mode" && value == "form_post");
        if !posts {
            let callback = browser.choose(&authorization, person).await;
            return browser.callback(&callback).await;
        }
        self.realm().knobs(|knobs| {
            knobs.authorize.auto_login = portico_demo_idp::knobs::AutoLogin::As(person.to_owned());
        });
        authorization.set_fragment(None);
        let form = Form::of(&browser.visit(&authorization).await);
        let again = Form::of(&browser.send(form.sent_from_elsewhere()).await);
        browser.send(again.request()).await
    }

    /// Performs a login that must succeed. Returns the new session.
    pub async fn log_in(&self, person: &str) -> Value {
        let mut browser = self.app.browser();
        let answer = self.try_to_log_in(&mut browser, person).await;
        assert!(answer.is(303).gives_session(), "{}: {answer:?}", self.persona.name);
        browser.who().await
    }
}

struct Expected {
    persona: &'static str,
    name: &'static str,
    email: &'static str,
    verified: Value,
    groups: Option<&'static [&'static str]>,
}

fn expected() -> Vec<Expected> {
    let own: Option<&[&str]> = Some(&["admins", "engineering"]);
    let person = |persona, verified: Value, groups| Expected {
        persona,
        name: "Ada Example",
        email: "ada@example.com",
        verified,
        groups,
    };
    let guid: Option<&[&str]> = Some(&["0f1e2d3c-0000-4000-8000-00000000aaaa"]);
    vec![
        person("google", json!(true), None),
        person("entra-id", Value::Null, guid),
        person("entra-id-tenants", Value::Null, guid),
        person("auth0", json!(true), own),
        person("okta", json!(true), Some(&["Everyone", "engineering"])),
        person("keycloak", json!(true), Some(&["engineering", "offline_access"])),
        person("authentik", json!(false), own),
        person("authelia", json!(true), own),
        person("pocket-id", json!(true), own),
        person("nextcloud", json!(true), own),
        person("zitadel", json!(true), Some(&["admin", "editor"])),
        person("gitlab", json!(true), Some(&["acme", "acme/backend"])),
        Expected { name: "ada", email: "ada@example.org", ..person("github", json!(true), None) },
        Expected { name: "ada@example.com", ..person("apple", json!(true), None) },
        person("discord", json!(true), None),
        person("linkedin", json!(true), None),
        person("lemonldap", json!(true), own),
    ]
}

async fn the_settings_of_each_page_let_people_in(backend: Backend) {
    for expected in expected() {
        let dressed = Dressed::start(backend, expected.persona).await;
        let who = dressed.log_in("ada-1").await;
        let account = &who["account"];
        let told = (&account["name"], &account["email"], &account["email_verified"]);
        let right = (&json!(expected.name), &json!(expected.email), &expected.verified);
        assert_eq!(told, right, "{}", expected.persona);
        let groups: Option<BTreeSet<_>> = who["groups"]
            .as_array()
            .map(|groups| groups.iter().map(|group| group.as_str().unwrap()).collect());
        assert_eq!(
            groups,
            expected.groups.map(|groups| groups.iter().copied().collect()),
            "{}",
            expected.persona
        );
        // The same person logs in again, and then another person.
        assert_eq!(dressed.log_in("ada-1").await["account"]["id"], account["id"], "{}", expected.persona);
        assert_eq!(dressed.app.accounts().await.len(), 1, "{}", expected.persona);
    }
}

async fn the_rules_of_the_pages_keep_others_out(backend: Backend) {
    let mut kept_out = 0;
    for name in ["authentik", "authelia", "pocket-id", "nextcloud"] {
        let dressed = Dressed::start(backend, name).await;
        let before = dressed.app.rows().await;
        let mut browser = dressed.app.browser();
        dressed.try_to_log_in(&mut browser, "chidi-3").await.refused(403, "login_not_allowed");
        before.assert_same(&dressed.app.rows().await);
        kept_out += 1;
    }
    // The rules of the other providers use claims that the provider sends for every person.
    let bends: [(&str, &str, Value); 6] = [
        ("google", "hd", json!("example.org")),
        ("entra-id-tenants", "tid", json!("11111111-2222-3333-4444-555555555555")),
        ("auth0", "https://app.example.com/roles", json!(["Engineering"])),
        ("okta", "groups", json!(["Everyone"])),
        ("keycloak", "realm_access", json!({ "roles": ["engineering "] })),
        ("zitadel", "urn:zitadel:iam:org:project:roles", json!({ "viewer": {} })),
    ];
    for (name, claim, value) in bends {
        let dressed = Dressed::start(backend, name).await;
        let before = dressed.app.rows().await;
        dressed.realm().knobs(|knobs| {
            if claim == "tid" {
                let issuer = format!("{}/{}/v2.0", dressed.realm().issuer(), value.as_str().unwrap());
                knobs.id_token.claims.set("iss", issuer);
            }
            knobs.id_token.claims.set(claim, value.clone());
        });
        let mut browser = dressed.app.browser();
        dressed.try_to_log_in(&mut browser, "ada-1").await.refused(403, "login_not_allowed");
        before.assert_same(&dressed.app.rows().await);
        kept_out += 1;
    }
    assert_eq!(kept_out, 10);
}

async fn m26_each_provider_ends_its_own_session_as_far_as_it_can(backend: Backend) {
    for expected in expected() {
        let dressed = Dressed::start(backend, expected.persona).await;
        let mut browser = dressed.app.browser();
        dressed.try_to_log_in(&mut browser, "ada-1").await.is(303);
        let out = browser.post("/auth/logout").await.is(200).json()["logout_url"].clone();
        let has_one = !["google", "authelia", "gitlab", "github", "apple", "discord", "linkedin"]
            .contains(&expected.persona);
        assert_eq!(out.is_string(), has_one, "{}: {out}", expected.persona);
        if let Some(out) = out.as_str() {
            browser.visit(&out.parse().unwrap()).await.is(200);
        }
        assert!(!browser.is_signed_in().await);
    }
}

#[test]
fn every_page_has_its_persona_and_every_persona_its_page() {
    let pages: BTreeSet<_> = names().into_iter().collect();
    let personas: BTreeSet<_> = ALL.iter().map(|persona| page_of(persona.name).0.to_owned()).collect();
    let tested: BTreeSet<_> =
        expected().iter().map(|expected| page_of(expected.persona).0.to_owned()).collect();
    assert_eq!(pages, personas);
    assert_eq!(pages, tested);
    assert!(
        ALL.iter()
            .all(|persona| persona.kind == RealmKind::Oidc || ["github", "discord"].contains(&persona.name))
    );
}
