//! Reload of settings while the service runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portico_demo_idp::{Client, ClientAuth, DemoIdp, IdpConfig};
use serde_json::{Value, json};

use crate::testkit::{Backend, Database, Program, Service, TestApp, on_both_databases, slot_variables};

on_both_databases!(
    buttons_and_slots_change_and_logins_under_way_go_on,
    m16_a_login_under_way_does_not_finish_at_another_client,
    rules_and_roles_count_at_once,
    what_cannot_change_is_refused_and_nothing_changes,
    a_slot_that_did_not_change_asks_its_provider_nothing,
    under_load_nobody_notices,
);

fn labels(providers: &Value) -> Vec<&str> {
    providers["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["display_label"].as_str().unwrap())
        .collect()
}

async fn buttons_and_slots_change_and_logins_under_way_go_on(backend: Backend) {
    let mut app =
        TestApp::on(backend).slots(&["oidc/provider1", "oidc/provider2", "oauth2/provider1"]).start().await;
    let (mut first, mut second) = (app.browser(), app.browser());
    let first_callback = first.reach_callback("oidc/provider1", "ada-1").await;
    let second_callback = second.reach_callback("oidc/provider2", "ada-1").await;
    let changed = app
        .reload(&[
            ("SECURITY_OIDC_PROVIDERS", Some("provider1")),
            ("OIDC_PROVIDER1_DISPLAY_LABEL", Some("Another label")),
        ])
        .await
        .unwrap();
    assert!(changed.contains(&"security.oidc_providers".to_owned()), "{changed:?}");
    assert_eq!(labels(&app.browser().fetch("/auth/providers").await.json())[0], "Another label");
    first.callback(&first_callback).await.is(303);
    assert!(first.is_signed_in().await);
    // A slot that is removed is disabled immediately, because a compromise may be the reason.
    second.callback(&second_callback).await.refused(404, "provider_unknown");
    app.browser().fetch("/auth/oidc/provider2/login").await.refused(404, "provider_unknown");
    app.reload(&[("SECURITY_OIDC_PROVIDERS", Some("provider1,provider2"))]).await.unwrap();
    app.browser().log_in("oidc/provider2", "ada-1").await;
    assert!(first.is_signed_in().await, "a reload does not end sessions");
}

async fn m16_a_login_under_way_does_not_finish_at_another_client(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut browser = app.browser();
    let callback = browser.reach_callback("oidc/provider1", "ada-1").await;
    app.reload(&[("OIDC_PROVIDER1_CLIENT_ID", Some("another-client"))]).await.unwrap();
    let calls = app.token_calls("oidc/provider1");
    browser.callback(&callback).await.refused(400, "login_state_invalid");
    assert_eq!(app.token_calls("oidc/provider1"), calls, "the code is not sent to any provider");
}

async fn rules_and_roles_count_at_once(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let mut ada = app.browser();
    ada.log_in("oidc/provider1", "ada-1").await;
    assert_eq!(ada.who().await["account"]["roles"], json!([]));
    app.reload(&[("SECURITY_DEFAULT_ROLE", Some("reader"))]).await.unwrap();
    assert_eq!(ada.who().await["account"]["roles"], json!(["reader"]));
    app.reload(&[("OIDC_PROVIDER1_ALLOWED_SUBJECTS", Some("somebody-else"))]).await.unwrap();
    app.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(403, "login_not_allowed");
    ada.post("/auth/refresh").await.refused(401, "session_invalid");
    app.reload(&[("OIDC_PROVIDER1_ALLOWED_SUBJECTS", Some("ada-1"))]).await.unwrap();
    app.browser().log_in("oidc/provider1", "ada-1").await;
}

async fn what_cannot_change_is_refused_and_nothing_changes(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let refusal = app
        .reload(&[
            ("PUBLIC_URL", Some("http://localhost:1")),
            ("OIDC_PROVIDER1_DISPLAY_LABEL", Some("Another label")),
        ])
        .await
        .unwrap_err();
    assert!(refusal.contains("main.public_url") && refusal.contains("restart"), "{refusal}");
    let providers = app.browser().fetch("/auth/providers").await.json();
    assert!(!labels(&providers).contains(&"Another label"), "{providers}");
    // The store fails to list the keys.
    app.store.break_method("list_keys");
    let refusal = app.reload(&[("OIDC_PROVIDER1_DISPLAY_LABEL", Some("Another label"))]).await.unwrap_err();
    assert!(refusal.contains("broken by a test"), "{refusal}");
    app.store.heal();
    app.browser().log_in("oidc/provider1", "ada-1").await;
    assert_eq!(app.reload(&[]).await.unwrap(), Vec::<String>::new());
}

async fn a_slot_that_did_not_change_asks_its_provider_nothing(backend: Backend) {
    let mut app = TestApp::on(backend).slots(&["oidc/provider1", "oidc/provider2"]).start().await;
    for slot in ["oidc/provider1", "oidc/provider2"] {
        app.browser().log_in(slot, "ada-1").await;
    }
    let before = ["oidc/provider1", "oidc/provider2"].map(|slot| app.counters(slot).discovery);
    app.reload(&[("OIDC_PROVIDER1_DISPLAY_LABEL", Some("Another label"))]).await.unwrap();
    for slot in ["oidc/provider1", "oidc/provider2"] {
        app.browser().log_in(slot, "ada-1").await;
    }
    let after = ["oidc/provider1", "oidc/provider2"].map(|slot| app.counters(slot).discovery);
    assert_eq!([after[0] - before[0], after[1] - before[1]], [1, 0]);
}

/// A process that reads its secret and its list of slots from files. The provider accepts the old secret and
/// the new one.
async fn with_files(backend: Backend) -> (Service, DemoIdp, Database) {
    let database = backend.fresh().await;
    let program = Program::configured().set("PORTICO_STORAGE_URL", &database.url);
    let mut config = IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"));
    for realm in &mut config.realms {
        for client in &mut realm.clients {
            if let ClientAuth::Basic(secrets) = &mut client.auth {
                *secrets = vec!["the old secret".to_owned(), "the new secret".to_owned()];
            }
        }
    }
    let idp = DemoIdp::start(config).unwrap();
    let slots = ["oidc/provider1", "oidc/provider2"].map(str::to_owned);
    let program = program
        .set_all(slot_variables(&idp, &slots))
        .unset("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET")
        .unset("PORTICO_SECURITY_OIDC_PROVIDERS")
        .set("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_FILE", "secret")
        .set("PORTICO_SECURITY_OIDC_PROVIDERS_FILE", "slots")
        .file("secret", "the old secret\n")
        .file("slots", "provider1\n");
    (program.serve().await, idp, database)
}

/// Logs in again and again until `over`, and counts the logins in `done`.
fn log_in_until(
    service: &Arc<Service>,
    done: &Arc<AtomicUsize>,
    over: &Arc<AtomicBool>,
) -> impl Future<Output = ()> + use<> {
    let (service, done, over) = (Arc::clone(service), Arc::clone(done), Arc::clone(over));
    async move {
        for _ in 0..2000 {
            if over.load(Ordering::SeqCst) {
                return;
            }
            service.browser().log_in("oidc/provider1", "ada-1").await;
            done.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn under_load_nobody_notices(backend: Backend) {
    let (service, _idp, _database) = with_files(backend).await;
    let service = Arc::new(service);
    let (done, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let people: Vec<_> = (0..4).map(|_| tokio::spawn(log_in_until(&service, &done, &over))).collect();
    for (round, (secret, slots)) in
        [("new", "provider1,provider2"), ("old", "provider2,provider1"), ("new", "provider1")]
            .into_iter()
            .enumerate()
    {
        let so_far = done.load(Ordering::SeqCst);
        while done.load(Ordering::SeqCst) < so_far + 8 {
            assert!(people.iter().all(|person| !person.is_finished()), "a login failed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        service.program.rewrite("secret", &format!("the {secret} secret\n"));
        service.program.rewrite("slots", slots);
        service.hang_up();
        service.has_logged("settings reloaded", round + 1).await;
    }
    over.store(true, Ordering::SeqCst);
    for person in people {
        person.await.expect("every login must succeed");
    }
    let log = service.log();
    assert!(
        log.contains("client_secret") && !log.contains("the new secret") && !log.contains("the old secret"),
        "{log}"
    );
    assert_eq!(labels(&service.browser().fetch("/auth/providers").await.json()).len(), 1);
}

#[tokio::test]
async fn mistakes_are_told_and_the_old_settings_stay() {
    let (service, _idp, _database) = with_files(Backend::Sqlite).await;
    service.program.rewrite("slots", "provider1,provider7");
    service.hang_up();
    service.has_logged("settings refused; the old settings stay in use", 1).await;
    assert!(service.log().contains("PORTICO_SECURITY_OIDC_PROVIDERS_FILE"), "{}", service.log());
    assert!(service.metrics().await.contains("portico_settings_refused 1"));
    service.browser().log_in("oidc/provider1", "ada-1").await;
    service.program.rewrite("slots", "provider1");
    service.hang_up();
    service.has_logged("reload requested; settings unchanged", 1).await;
    assert!(service.metrics().await.contains("portico_settings_refused 0"));
}

#[tokio::test]
async fn a_slot_that_was_taken_off_raises_no_alarm() {
    let (service, idp, _database) = with_files(Backend::Sqlite).await;
    let realm = idp.oidc("provider1").unwrap();
    let client = (*realm.first_client().unwrap()).clone();
    realm.put_client(Client { auth: ClientAuth::basic("another secret"), ..client });
    service.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(401, "code_rejected");
    assert_eq!(
        states(&service.metrics().await, "oidc/provider1"),
        ["0", "1"],
        "the credentials are invalid, the provider is up"
    );
    service.program.rewrite("slots", "provider2");
    service.hang_up();
    service.has_logged("settings reloaded", 1).await;
    service.browser().log_in("oidc/provider2", "ada-1").await;
    let metrics = service.metrics().await;
    assert_eq!(states(&metrics, "oidc/provider1"), ["NaN", "NaN"]);
    assert_eq!(states(&metrics, "oidc/provider2")[1], "1");
}

/// The values of the metrics for a slot's credentials and provider.
fn states<'a>(metrics: &'a str, slot: &str) -> [&'a str; 2] {
    ["portico_idp_credentials_valid", "portico_provider_up"].map(|name| {
        let series = format!("{name}{{slot=\"{slot}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or("nothing")
    })
}

/// A file that is still being written is read again before its settings are used, with or without a signal.
#[tokio::test]
async fn h28_half_a_file_is_no_file() {
    let rule = "[security.oidc_provider_settings.provider1]\nallowed_subjects = [\"bruno-2\"]\n";
    let whole = format!("[security]\ndefault_role = \"reader\"\n{rule}");
    let database = Backend::Sqlite.fresh().await;
    let program = Program::configured().set("PORTICO_STORAGE_URL", &database.url);
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let program = program.set_all(slot_variables(&idp, &["oidc/provider1".to_owned()]));
    let service = program.file("portico.toml", rule).set("PORTICO_CONFIG", "portico.toml").serve().await;
    service.program.rewrite("portico.toml", &whole[..whole.len() - rule.len()]);
    service.hang_up();
    tokio::time::sleep(Duration::from_millis(100)).await;
    service.program.rewrite("portico.toml", &whole);
    service.has_logged("settings reloaded", 1).await;
    service.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(403, "login_not_allowed");
    let log = service.log();
    assert!(log.contains(r#""changed":"security.default_role""#), "{log}");
}

#[tokio::test]
async fn a_changed_file_needs_no_signal() {
    let (service, _idp, _database) = with_files(Backend::Sqlite).await;
    service.program.rewrite("slots", "provider1,provider2");
    service.has_logged("settings reloaded", 1).await;
    service.browser().log_in("oidc/provider2", "ada-1").await;
}

#[tokio::test]
async fn what_counts_after_a_restart_only_is_said() {
    let toml = |level: &str, lifetime: &str| {
        format!("[log]\nlevel = \"{level}\"\n[security]\naccess_token_lifetime = \"{lifetime}\"\n")
    };
    let program = Program::configured().file("portico.toml", &toml("info", "15m"));
    let service = program.set("PORTICO_CONFIG", "portico.toml").serve().await;
    service.program.rewrite("portico.toml", &toml("debug", "5m"));
    service.hang_up();
    service.has_logged("settings reloaded", 1).await;
    service.has_logged("settings changed that need a restart", 1).await;
    let log = service.log();
    let line = |words: &str| log.lines().find(|line| line.contains(words)).unwrap().to_owned();
    assert!(line("settings reloaded").contains(r#""changed":"security.access_token_lifetime""#), "{log}");
    assert!(line("settings changed that need a restart").contains(r#""changed":"log.level""#), "{log}");
    service.program.rewrite("portico.toml", &toml("info", "5m"));
    service.hang_up();
    service.has_logged("restart-only settings are back to their running values", 1).await;
    service.program.rewrite("portico.toml", &toml("info", "6m"));
    service.hang_up();
    service.has_logged("settings reloaded", 2).await;
    assert_eq!(service.log().matches("settings changed that need a restart").count(), 1, "{}", service.log());
}

/// A program with the settings `now.toml`, and the files `then.toml` and `wrong.toml` to plan with.
fn program_with_plans() -> Program {
    let slot = |client: &str, secret: &str| {
        format!(
            "[security.oidc_provider_settings.provider1]\ndiscovery_url = \"https://login.example.com\"\n\
             client_id = \"{client}\"\nclient_secret = \"{secret}\"\n"
        )
    };
    let google = "[security.oidc_provider_settings.google]\nclient_id = \"g\"\n\
                  client_secret = \"the google secret\"\n";
    let now = format!("[security]\noidc_providers = [\"provider1\"]\n{}", slot("a", "the old secret"));
    let then = format!(
        "[security]\noidc_providers = [\"provider1\", \"google\"]\n{}{google}",
        slot("b", "the new secret")
    );
    Program::configured()
        .file("now.toml", &now)
        .file("then.toml", &then)
        .file("wrong.toml", "[security]\noidc_providers = [\"provider9\"]\n")
        .set("PORTICO_CONFIG", "now.toml")
}

#[test]
fn a_plan_says_what_would_change_and_tells_no_secret() {
    let program = program_with_plans();
    assert_plan_as_json(&program);
    assert_plan_as_text(&program);
    program
        .run(&["plan", "--with", "wrong.toml"])
        .exits(78)
        .complains(&["security.oidc_providers", "provider9"]);
    program.run(&["plan", "--with", "nowhere.toml"]).exits(78).complains(&["--with", "nowhere.toml"]);
    assert_overridden_setting_is_reported(program);
}

fn assert_plan_as_json(program: &Program) {
    let public = program.variable("PORTICO_PUBLIC_URL").to_owned();
    let output = program.run(&["plan", "--with", "then.toml", "--json"]);
    assert!(
        !output.stdout.contains("the old secret") && !output.stdout.contains("the new secret"),
        "{output:?}"
    );
    let plan = output.json();
    assert_eq!(
        plan["slots"],
        json!([
            { "name": "oidc/provider1", "change": "changed", "register": true, "identities_orphaned": true,
              "redirect_uri": format!("{public}/auth/oidc/provider1/callback") },
            { "name": "oidc/google", "change": "added", "register": true, "identities_orphaned": false,
              "redirect_uri": format!("{public}/auth/oidc/google/callback") },
        ])
    );
    let changed: Vec<_> =
        plan["settings"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(changed.len(), 5, "{changed:?}");
    assert!(plan["warnings"].to_string().contains("accounts.google.com"), "{plan}");
}

fn assert_plan_as_text(program: &Program) {
    let text = program.run(&["plan", "--with", "then.toml"]);
    text.exits(0);
    assert!(
        text.stdout.contains("client_id: a -> b") && text.stdout.contains("client_secret: content changed"),
        "{text:?}"
    );
    assert_eq!(program.run(&["plan", "--with", "now.toml"]).stdout, "Nothing changes.\n");
}

/// A variable overrides the file, so a change of this setting in the file has no effect.
fn assert_overridden_setting_is_reported(program: Program) {
    let shadowed = program.set("PORTICO_SECURITY_OIDC_PROVIDERS", "provider1");
    let plan = shadowed.run(&["plan", "--with", "then.toml", "--json"]).json();
    let expected = json!([{ "path": "security.oidc_providers", "by": "PORTICO_SECURITY_OIDC_PROVIDERS" }]);
    assert_eq!(plan["overridden"], expected);
    let text = shadowed.run(&["plan", "--with", "then.toml"]);
    let line = "security.oidc_providers: PORTICO_SECURITY_OIDC_PROVIDERS is set and overrides the file";
    assert!(text.stdout.contains(line), "{text:?}");
}
