//! The scenario: successful and failing requests to one service, store failures, and operator commands.

use std::sync::Arc;

use portico_demo_idp::{Client, ClientAuth, DemoIdp, IdpConfig, Person, Realm};
use serde_json::json;
use url::Url;

use super::lies::{BODY, DESCRIPTION, FORGED, lies};
use super::{Canaries, Reach};
use crate::testkit::{
    Backend, Browser, Database, Program, Relay, Request, SECRET_KEY, Service, slot_variables,
};

/// The slots of the service.
pub(super) const SLOTS: [&str; 5] =
    ["oidc/provider1", "oidc/provider2", "oidc/google", "oauth2/provider1", "oauth2/provider2"];

/// The slot whose access rules admit no one.
pub(super) const CLOSED: &str = "oidc/google";

const SPA: &str = "https://spa.example.org";
const SPA_VERIFIER: &str = "canary-frontend-verifier-0123456789-abcdefghijk";
const PREVIOUS_KEY: &str = "Y2FuYXJ5LXByZXZpb3VzLWtleS1vZi10aGUtdGVzdHM0Mg";
const PASSWORD: &str = "canary-database-password";
const NEXT_SECRET: &str = "canary-next-client-secret";
const REFRESH: &str = "canary-refresh-token-of-the-provider";

/// A service with its database, its provider and the values marked so far.
pub(super) struct Scene {
    pub(super) canaries: Canaries,
    pub(super) service: Service,
    pub(super) database: Database,
    relay: Option<Relay>,
    idp: DemoIdp,
    answers: Vec<crate::testkit::Answer>,
}

/// A person whose attributes are marked values.
fn person(number: u32) -> Person {
    Person {
        name: Some(format!("Canaryname Marked{number}")),
        preferred_username: Some(format!("canary-login-{number}")),
        email: Some(format!("canary.mail.{number}@private.example")),
        groups: vec![format!("canary-group-{number}")],
        picture: Some(format!("https://pictures.example/canary-picture-{number}")),
        ..Person::new(format!("canary-subject-{number}"), "x")
    }
}

/// Adds the values that are the same on both databases.
fn add_constants(canaries: &mut Canaries) {
    for (name, value) in [
        ("the secret key", SECRET_KEY),
        ("the previous secret key", PREVIOUS_KEY),
        ("the next client secret", NEXT_SECRET),
        ("an error_description", DESCRIPTION),
        ("a body", BODY),
        ("the provider's refresh token", REFRESH),
        ("a forged token", FORGED),
        ("a forged payload", "canary-forged-payload"),
        ("the frontend's verifier", SPA_VERIFIER),
        ("a claim", "canary-claim-in-the-token"),
        ("a claim", "canary-claim-at-userinfo"),
        ("another's nonce", "canary-wrong-nonce-0123456789"),
        ("another's code", "canary-wrong-code-0123456789"),
        ("another's state", "canary-other-state-0123456789"),
        ("an unknown secret", "canary-unknown-secret"),
        ("a second state", "canary-second-state-0123456789"),
        ("another's verifier", "canary-another-verifier-0123456789-abcdefghijkl"),
        ("another's subject", "canary-subject-of-another"),
    ] {
        canaries.add(Reach::Provider, name, value);
    }
    for person in [person(1), person(2)] {
        let (name, login) = (person.name.unwrap(), person.preferred_username.unwrap());
        for (what, value) in [("name", &name), ("login", &login), ("subject", &person.sub)] {
            canaries.add(Reach::Person, what, value);
        }
        canaries.add(Reach::Person, "e-mail address", &person.email.unwrap());
        canaries.add(Reach::Person, "group", &person.groups[0]);
        canaries.add(Reach::Provider, "picture", &person.picture.unwrap());
    }
    canaries.add(Reach::Person, "sid", "canary-sid-of-the-provider");
}

impl Scene {
    /// Starts a service with its database and its providers.
    pub(super) async fn new(backend: Backend) -> Self {
        let mut canaries = Canaries::default();
        let database = backend.fresh().await;
        let (mut url, mut relay) = (Url::parse(&database.url).unwrap(), None);
        if backend == Backend::Postgres {
            url = Url::parse(&database.with_password(PASSWORD).await).unwrap();
            let wire = Relay::to(&url.socket_addrs(|| Some(5432)).unwrap()[..1]);
            url.set_ip_host(wire.at.ip()).unwrap();
            url.set_port(Some(wire.at.port())).unwrap();
            relay = Some(wire);
            canaries.add(Reach::Provider, "the database's password", PASSWORD);
        }
        let program = Program::configured()
            .set("PORTICO_STORAGE_URL", url.as_str())
            .set("PORTICO_SECURITY_SECRET_KEY_PREVIOUS", PREVIOUS_KEY)
            .set("PORTICO_SERVER_RETURN_ORIGINS", SPA)
            .set("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_NEXT", NEXT_SECRET)
            .set("PORTICO_OAUTH2_PROVIDER2_CLIENT_SECRET_NEXT", NEXT_SECRET)
            .set("PORTICO_OIDC_GOOGLE_ALLOWED_EMAIL_DOMAINS", "nowhere.example")
            .set("PORTICO_LOG_LEVEL", "trace")
            .set("PORTICO_LOG_FORMAT", if backend == Backend::Sqlite { "json" } else { "text" });
        let mut config = IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"));
        for realm in &mut config.realms {
            realm.people.extend([person(1), person(2)]);
            realm.knobs.token.fields.set("refresh_token", REFRESH);
            realm.knobs.id_token.claims.set("sid", "canary-sid-of-the-provider");
            realm.knobs.id_token.claims.set("x_note", "canary-claim-in-the-token");
            realm.knobs.userinfo.fields.set("x_note", "canary-claim-at-userinfo");
        }
        let idp = DemoIdp::start(config).unwrap();
        let variables = slot_variables(&idp, &SLOTS.map(str::to_owned));
        for (name, value) in variables.iter().filter(|(name, _)| name.ends_with("_CLIENT_SECRET")) {
            canaries.add(Reach::Provider, name, value);
        }
        add_constants(&mut canaries);
        let service = program.set_all(variables).serve().await;
        Self { canaries, service, database, relay, idp, answers: Vec::new() }
    }

    /// The provider's realm of a slot.
    pub(super) fn realm(&self, slot: &str) -> Arc<Realm> {
        let (protocol, name) = slot.split_once('/').unwrap();
        if protocol == "oidc" { self.idp.oidc(name) } else { self.idp.oauth2(name) }.unwrap()
    }

    /// Marks the values of this browser and of this slot's provider, and stores the responses.
    pub(super) fn note(&mut self, browser: &mut Browser, slot: &str) {
        self.canaries.of_realm(&self.realm(slot));
        self.canaries.of_browser(browser);
        self.answers.append(&mut browser.answers);
    }

    /// Each kind of request that succeeds.
    pub(super) async fn successful_requests(&mut self) {
        for slot in SLOTS.into_iter().filter(|slot| *slot != CLOSED) {
            let mut browser = self.service.browser();
            let callback = browser.reach_callback(slot, "canary-subject-1").await;
            browser.callback(&callback).await.is(303);
            self.note(&mut browser, slot);
            browser.callback(&callback).await.refused(400, "login_state_invalid");
            browser.post("/auth/refresh").await.is(200);
            browser.visit(&browser.url("/auth/?return_to=/x")).await.is(303);
            for path in ["/auth/session", "/auth/sessions", "/auth/identities", "/auth/verify"] {
                browser.fetch(path).await.is(200);
            }
            let bearer = format!("Bearer {}", browser.jar.value("portico_access"));
            let request = Request::script("GET", browser.url("/auth/session"));
            browser.send(request.header("authorization", &bearer)).await.is(200);
            browser.post("/auth/logout").await.is(200);
            browser.post("/auth/refresh").await.refused(401, "session_invalid");
            self.note(&mut browser, slot);
        }
        self.hand_off().await;
        self.link().await;
        self.backchannel_logout().await;
        self.change_client_secret().await;
    }

    /// Logins with a hand-off code; one code is redeemed with the wrong verifier.
    async fn hand_off(&mut self) {
        const SLOT: &str = "oidc/provider1";
        let mut browser = self.service.browser();
        let mut login = browser.url(&format!("/auth/{SLOT}/login"));
        let challenge =
            portico_core::seal::base64url(&portico_core::seal::sha256(&[SPA_VERIFIER.as_bytes()]));
        login
            .query_pairs_mut()
            .append_pair("return_to", &format!("{SPA}/cb"))
            .append_pair("code_challenge", &challenge);
        for verifier in [SPA_VERIFIER, "canary-another-verifier-0123456789-abcdefghijkl"] {
            let authorization = browser.visit(&login).await.location();
            let callback = browser.choose(&authorization, "canary-subject-1").await;
            let completed = browser.callback(&callback).await.location();
            let code = completed.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
            let body = json!({ "code": code, "code_verifier": verifier });
            let request = Request::new("POST", browser.url("/auth/token")).json(&body);
            let answer = browser.send(request.clone()).await;
            if verifier == SPA_VERIFIER {
                let refresh = json!({ "refresh_token": answer.is(200).json()["refresh_token"] });
                browser.send(Request::new("POST", browser.url("/auth/refresh")).json(&refresh)).await.is(200);
            }
            browser.send(request).await.refused(400, "handoff_invalid");
        }
        self.note(&mut browser, SLOT);
    }

    /// The provider sends a logout token, the same token again, and a forged one.
    async fn backchannel_logout(&mut self) {
        const SLOT: &str = "oidc/provider1";
        let mut browser = self.service.browser();
        browser.log_in(SLOT, "canary-subject-1").await;
        let realm = self.realm(SLOT);
        let client = realm.first_client().unwrap().id.clone();
        let sid = Some("canary-sid-of-the-provider");
        let token = self.idp.mint_logout_token(&realm, &client, Some("canary-subject-1"), sid).unwrap();
        self.canaries.add(Reach::Provider, "a logout token", &token);
        for (token, status) in [(token.as_str(), 200), (&token, 400), (FORGED, 400)] {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("logout_token", token)
                .finish();
            let url = browser.url(&format!("/auth/{SLOT}/backchannel-logout"));
            let request = Request::new("POST", url).body("application/x-www-form-urlencoded", &form);
            browser.send(request).await.is(status);
        }
        browser.post("/auth/refresh").await.refused(401, "session_invalid");
        self.note(&mut browser, SLOT);
    }

    /// Links an identity, and then tries to link one that belongs to another account.
    async fn link(&mut self) {
        let mut browser = self.service.browser();
        browser.log_in("oidc/provider2", "canary-subject-2").await;
        for (slot, person) in
            [("oauth2/provider1", "canary-subject-2"), ("oauth2/provider1", "canary-subject-1")]
        {
            let started = browser.post(&format!("/auth/{slot}/link?return_to=/settings")).await;
            let location = started.is(200).json()["location"].as_str().unwrap().parse().unwrap();
            let callback = browser.choose(&location, person).await;
            let answer = browser.callback(&callback).await;
            assert_eq!(answer.status, if person == "canary-subject-2" { 303 } else { 409 }, "{answer:?}");
            self.note(&mut browser, slot);
        }
    }

    /// The provider changes the client's secret to the next one, and then to one that Portico does not have.
    async fn change_client_secret(&mut self) {
        for slot in ["oidc/provider1", "oauth2/provider2"] {
            let realm = self.realm(slot);
            let client = realm.find_client(&format!("portico-{}", slot.replace('/', "-"))).unwrap();
            for (secret, status) in [(NEXT_SECRET, 303), ("canary-unknown-secret", 401)] {
                let auth = match &client.auth {
                    ClientAuth::Basic(_) => ClientAuth::basic(secret),
                    _ => ClientAuth::post(secret),
                };
                realm.put_client(Client { auth, ..(*client).clone() });
                let mut browser = self.service.browser();
                browser.try_to_log_in(slot, "canary-subject-1").await.is(status);
                self.note(&mut browser, slot);
            }
            realm.put_client((*client).clone());
        }
    }

    /// Each kind of failing callback.
    pub(super) async fn failing_logins(&mut self) {
        for slot in SLOTS.into_iter().filter(|slot| *slot != CLOSED) {
            for (status, bend) in lies(slot.starts_with("oidc")) {
                let realm = self.realm(slot);
                realm.reset_knobs();
                let mut browser = self.service.browser();
                realm.knobs(bend);
                let callback = browser.reach_callback(slot, "canary-subject-1").await;
                let answer = browser.callback(&callback).await;
                assert_eq!(answer.status, status, "{slot}: {answer:?}");
                let again = browser.relay(&callback).await;
                assert!(again.status >= 400, "{again:?}");
                self.note(&mut browser, slot);
            }
            self.realm(slot).reset_knobs();
        }
        let mut browser = self.service.browser();
        browser.try_to_log_in(CLOSED, "canary-subject-1").await.refused(403, "login_not_allowed");
        self.note(&mut browser, CLOSED);
        self.malformed_requests().await;
    }

    /// Requests with a secret in the wrong parameter, header, cookie or path.
    async fn malformed_requests(&mut self) {
        let mut browser = self.service.browser();
        let callback = browser.reach_callback("oidc/provider1", "canary-subject-1").await;
        let (access, refresh) = ("canary-stray.access.token", "canary-stray-refresh-token-0123456789");
        self.canaries.add(Reach::Provider, "a stray token", access);
        self.canaries.add(Reach::Provider, "a stray token", refresh);
        let mut twice = callback.clone();
        twice.query_pairs_mut().append_pair("state", "canary-second-state-0123456789");
        let mut elsewhere = callback.clone();
        elsewhere.set_path(&format!("/auth/{refresh}"));
        let bearer = Request::script("GET", browser.url("/auth/session"));
        let body = json!({ "refresh_token": refresh, "code": refresh, "code_verifier": access });
        for request in [
            Request::navigation(twice),
            Request::navigation(elsewhere),
            bearer.header("authorization", &format!("Bearer {access}")),
            Request::script("GET", browser.url("/auth/session")).cookies(&format!("portico_access={access}")),
            Request::script("POST", browser.url("/auth/refresh")).json(&body),
            Request::script("POST", browser.url("/auth/refresh")).body("text/plain", refresh),
            Request::script("POST", browser.url("/auth/refresh")).body("application/json", refresh),
            Request::script("POST", browser.url("/auth/token")).json(&body),
            Request::script("POST", browser.url("/auth/logout"))
                .cookies(&format!("portico_refresh={refresh}")),
            Request::new("PUT", callback.clone()),
            Request::navigation(
                browser.url(&format!("/auth/oidc/provider1/login?return_to=https://{refresh}.example")),
            ),
        ] {
            browser.send(request).await;
        }
        self.note(&mut browser, "oidc/provider1");
    }

    /// The store fails at a callback, at a refresh and at a session list.
    pub(super) async fn store_failures(&mut self) {
        const SLOT: &str = "oidc/provider1";
        let mut browser = self.service.browser();
        browser.log_in(SLOT, "canary-subject-1").await;
        let tables = ["spent_logins", "identities", "sessions", "refresh_tokens", "audit_events"];
        for table in tables {
            let callback = browser.reach_callback(SLOT, "canary-subject-1").await;
            self.database.execute(&format!("ALTER TABLE {table} RENAME TO gone")).await;
            browser.callback(&callback).await;
            browser.post("/auth/refresh").await;
            browser.fetch("/auth/sessions").await;
            self.database.execute(&format!("ALTER TABLE gone RENAME TO {table}")).await;
        }
        if let Some(relay) = &self.relay {
            let callback = browser.reach_callback(SLOT, "canary-subject-1").await;
            relay.cut();
            browser.callback(&callback).await.refused(503, "unavailable");
            browser.post("/auth/refresh").await.refused(503, "unavailable");
            relay.mend();
        }
        let unavailable = browser.answers.iter().filter(|answer| answer.status == 503).count();
        assert!(unavailable >= tables.len(), "{unavailable}");
        self.note(&mut browser, SLOT);
    }

    /// Runs each command that reads or changes data, some with mistakes.
    ///
    /// Returns the arguments, the standard output and the standard error of each.
    pub(super) fn operator_commands(&self) -> Vec<(String, String, String)> {
        let claims = json!({ "iss": "x", "sub": "canary-subject-1", "x_note": "canary-claim-in-the-token" });
        let program = &self.service.program;
        program.rewrite("claims.json", &claims.to_string());
        program.rewrite("no-claims.json", FORGED);
        program.rewrite("plan.toml", &format!("[security]\nsecret_key_previous = [\"{SECRET_KEY}\"]\n"));
        let name = person(1).name.unwrap();
        let commands: &[(&[&str], i32)] = &[
            (&["config"], 0),
            (&["config", "--json"], 0),
            (&["migrate"], 0),
            (&["accounts", "list"], 0),
            (&["accounts", "show", &name], 0),
            (&["accounts", "grant", &name, "editor"], 0),
            (&["accounts", "disable", &name], 0),
            (&["accounts", "enable", &name], 0),
            (&["accounts", "show", "nobody-of-this-name"], 1),
            (&["sessions", "list"], 0),
            (&["sessions", "list", "--json"], 0),
            (&["sessions", "revoke", "--account", &name], 0),
            (&["keys", "list", "--json"], 0),
            (&["keys", "rotate"], 0),
            (&["audit"], 0),
            (&["audit", "--json"], 0),
            (&["access", "explain", "--slot", "oidc/provider1", "claims.json"], 0),
            (&["access", "explain", "--slot", "oidc/provider1", "no-claims.json"], 1),
            (&["plan", "--with", "plan.toml"], 0),
        ];
        let ran = commands.iter().map(|(words, code)| {
            let output = self.service.program.run(words);
            output.exits(*code);
            (format!("{words:?}"), output.stdout, output.stderr)
        });
        ran.collect()
    }

    /// The responses that all browsers received.
    pub(super) fn answers(&self) -> &[crate::testkit::Answer] {
        &self.answers
    }
}
