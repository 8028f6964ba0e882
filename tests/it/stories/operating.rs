//! Commands that operators run while the service runs.

use std::time::Duration;

use portico_demo_idp::{DemoIdp, IdpConfig};
use serde_json::{Value, json};

use crate::testkit::{Backend, Database, Program, Service, on_both_databases, slot_variables};

on_both_databases!(
    a_disabled_account_is_out_and_comes_back,
    a_merge_is_previewed_and_then_done,
    people_are_imported_from_either_form,
    grants_are_short_and_roles_not_too_many,
    m32_the_audit_trail_is_read_by_account_event_and_page,
    sessions_keys_and_events_are_seen_and_changed,
    a_lost_secret_key_costs_a_login_and_no_account,
    a_wrong_secret_key_harms_no_key,
);

const SLOTS: [&str; 2] = ["oidc/provider1", "oauth2/provider1"];

/// A running service with an empty database.
async fn serve(backend: Backend) -> (Service, DemoIdp, Database) {
    let database = backend.fresh().await;
    let program = Program::configured().set("PORTICO_STORAGE_URL", &database.url);
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let program = program.set_all(slot_variables(&idp, &SLOTS.map(str::to_owned)));
    (program.serve().await, idp, database)
}

/// Runs a command with `--json` and parses its output.
fn run_json(service: &Service, words: &[&str]) -> Value {
    service.program.run(&[words, &["--json"]].concat()).json()
}

fn texts<'a>(rows: &'a Value, member: &str) -> Vec<&'a str> {
    rows.as_array().unwrap().iter().map(|row| row[member].as_str().unwrap()).collect()
}

async fn a_disabled_account_is_out_and_comes_back(backend: Backend) {
    let (service, _idp, _database) = serve(backend).await;
    let mut browser = service.browser();
    let ada = browser.log_in("oidc/provider1", "ada-1").await;
    let id = ada["account"]["id"].as_str().unwrap();
    let disabled = run_json(&service, &["accounts", "disable", "Ada Example"]);
    assert_eq!((&disabled["id"], &disabled["status"]), (&ada["account"]["id"], &json!("disabled")));
    browser.post("/auth/refresh").await.refused(403, "account_disabled");
    service.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(403, "account_disabled");
    // The command runs in another process; the service notices the change within five seconds.
    for attempt in 0.. {
        if browser.fetch("/auth/session").await.status == 401 {
            break;
        }
        assert!(attempt < 60, "the session is still accepted after six seconds");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        run_json(&service, &["accounts", "disable", id])["status"],
        "disabled",
        "disabling twice succeeds"
    );
    service.program.run(&["accounts", "release", id]).exits(1);
    assert_eq!(run_json(&service, &["accounts", "enable", id])["status"], "active");
    browser.post("/auth/refresh").await.refused(401, "session_invalid");
    service.browser().log_in("oidc/provider1", "ada-1").await;
    assert_eq!(run_json(&service, &["accounts", "delete", id])["status"], "deleted");
    service.browser().try_to_log_in("oidc/provider1", "ada-1").await.refused(403, "account_disabled");
    service.program.run(&["accounts", "enable", id]).exits(1);
    run_json(&service, &["accounts", "release", id]);
    let again = service.browser().log_in("oidc/provider1", "ada-1").await;
    assert_ne!(again["account"]["id"], ada["account"]["id"]);
    let events = run_json(&service, &["audit", "--account", id]);
    let events = texts(&events, "event");
    // Events of different processes within one second have no defined order.
    for change in ["account_disabled", "account_enabled", "account_deleted", "account_released"] {
        assert_eq!(events.iter().filter(|event| **event == change).count(), 1, "{events:?}");
    }
}

async fn a_merge_is_previewed_and_then_done(backend: Backend) {
    let (service, _idp, database) = serve(backend).await;
    let ada = service.browser().log_in("oidc/provider1", "ada-1").await;
    let mut browser = service.browser();
    let other = browser.log_in("oauth2/provider1", "bruno-2").await;
    let (from, into) = (other["account"]["id"].as_str().unwrap(), ada["account"]["id"].as_str().unwrap());
    run_json(&service, &["accounts", "grant", from, "editor"]);
    run_json(&service, &["accounts", "grant", from, "--group", "staff"]);
    let preview = run_json(&service, &["accounts", "merge", from, into]);
    assert_eq!(preview["identities"].as_array().unwrap().len(), 1);
    assert_eq!(preview["roles"], json!(["editor"]));
    assert_eq!(database.count("accounts", "status = 'deleted'").await, 0, "the preview changes nothing");
    let merged = run_json(&service, &["accounts", "merge", from, into, "--yes"]);
    assert_eq!(
        (&merged["id"], &merged["roles"], &merged["groups"]),
        (&json!(into), &json!(["editor"]), &json!(["staff"]))
    );
    browser.post("/auth/refresh").await.refused(403, "account_disabled");
    for (slot, person) in [("oidc/provider1", "ada-1"), ("oauth2/provider1", "bruno-2")] {
        let session = service.browser().log_in(slot, person).await;
        assert_eq!(session["account"]["id"], into);
        assert_eq!(session["account"]["roles"], json!(["editor"]));
    }
    service.program.run(&["accounts", "merge", from, into, "--yes"]).exits(1);
    service.program.run(&["accounts", "merge", into, into, "--yes"]).exits(1);
    assert_merged_account_can_be_changed(&service, into);
}

/// Removes identities and roles of an account with two identities, two sessions and the role `editor`.
fn assert_merged_account_can_be_changed(service: &Service, account: &str) {
    let shown = run_json(service, &["accounts", "show", account]);
    assert_eq!(
        (shown["identities"].as_array().unwrap().len(), shown["sessions"].as_array().unwrap().len()),
        (2, 2)
    );
    let identity = shown["identities"][0]["id"].as_str().unwrap();
    run_json(service, &["accounts", "unlink", account, identity]);
    let left = run_json(service, &["sessions", "list", "--account", account]);
    assert_eq!(left.as_array().unwrap().len(), 1, "the session of the unlinked identity is revoked");
    let last =
        run_json(service, &["accounts", "show", account])["identities"][0]["id"].as_str().unwrap().to_owned();
    service.program.run(&["accounts", "unlink", account, &last]).exits(1).complains(&["last identity"]);
    let slip = service.program.run(&["accounts", "revoke", account, "editr"]);
    slip.exits(0).complains(&["nothing revoked", "role:editr"]);
    let revoked = service.program.run(&["accounts", "revoke", account, "editor"]);
    assert_eq!(revoked.exits(0).stderr, "");
    assert_eq!(run_json(service, &["accounts", "show", account])["roles"], json!([]));
}

async fn people_are_imported_from_either_form(backend: Backend) {
    let database = backend.fresh().await;
    let program = Program::configured()
        .set("PORTICO_STORAGE_URL", &database.url)
        .file(
            "people.csv",
            "name,label,email,roles\nAda Example,\"Example, Ada\",ada@example.com,editor admin\nBob,,,\n",
        )
        .file("people.json", r#"[{"name": "Bob"}, {"name": "Cleo", "roles": ["editor"]}]"#)
        .file("bad.csv", "name,email\nDora,\n,x@example.com\nDora,\nEve,nowhere\n");
    let imported = program.run(&["accounts", "import", "people.csv", "--json"]).json();
    assert_eq!(imported, json!({ "created": 2, "skipped": [] }));
    let again = program.run(&["accounts", "import", "people.json", "--json"]).json();
    assert_eq!(again, json!({ "created": 1, "skipped": ["Bob"] }));
    let bad = program.run(&["accounts", "import", "bad.csv"]);
    bad.exits(1).complains(&["row 2"]);
    bad.complains(&["row 3", "twice"]);
    bad.complains(&["row 4"]);
    program.run(&["accounts", "import", "nothing.csv"]).exits(1);
    let listed = program.run(&["accounts", "list", "--json"]).json();
    assert_eq!(texts(&listed, "name"), ["Ada Example", "Bob", "Cleo"], "the invalid file imports no account");
    assert_eq!(listed[0]["roles"], json!(["admin", "editor"]));
    assert_eq!((&listed[0]["label"], &listed[1]["label"]), (&json!("Example, Ada"), &json!("Bob")));
    let events = program.run(&["audit", "--event", "account_created", "--json"]).json();
    assert_eq!(texts(&events, "reason"), ["roles:editor,admin", "operator", "roles:editor"]);
}

async fn grants_are_short_and_roles_not_too_many(backend: Backend) {
    let database = backend.fresh().await;
    let program = Program::configured().set("PORTICO_STORAGE_URL", &database.url);
    let names: Vec<_> = (0..32).map(|number| format!("role-{number:02}")).collect();
    let create = |roles: &[String]| {
        let flags = roles.iter().flat_map(|role| ["--role", role]);
        let words: Vec<_> = ["accounts", "create", "--name", "Ada"].into_iter().chain(flags).collect();
        program.run(&words)
    };
    create(&[&names[..], &["one-more".to_owned()]].concat()).exits(1).complains(&["at most 32 roles"]);
    create(&names).exits(0);
    let grant = |words: &[&str]| program.run(&[&["accounts", "grant", "Ada"], words].concat());
    grant(&["one-more"]).exits(1).complains(&["at most 32 roles"]);
    grant(&["role-00"]).exits(0);
    grant(&["--group", "staff"]).exits(0);
    program.run(&["accounts", "revoke", "Ada", "role-00"]).exits(0);
    grant(&["one-more"]).exits(0);
    grant(&["--group", &"x".repeat(64)]).exits(0);
    for long in [&["--group", &"x".repeat(65)][..], &[&"x".repeat(65)], &[""]] {
        grant(long).exits(1).complains(&["1 to 64 bytes"]);
    }
    let shown = program.run(&["accounts", "show", "Ada", "--json"]).json();
    assert_eq!(
        (shown["roles"].as_array().unwrap().len(), shown["groups"].as_array().unwrap().len()),
        (32, 2)
    );
    let granted = program.run(&["audit", "--event", "role_granted", "--json"]).json();
    assert_eq!(granted.as_array().unwrap().len(), 3, "commands without a change are not audited");
}

async fn m32_the_audit_trail_is_read_by_account_event_and_page(backend: Backend) {
    let (service, _idp, database) = serve(backend).await;
    let ada = service.browser().log_in("oidc/provider1", "ada-1").await;
    service.browser().log_in("oidc/provider1", "bruno-2").await;
    run_json(&service, &["accounts", "grant", "Ada Example", "editor"]);
    let all = run_json(&service, &["audit"]);
    let members: Vec<_> = all[0].as_object().unwrap().keys().map(String::as_str).collect();
    for member in ["time", "event", "account_id", "idp", "outcome", "reason", "request_id", "ip"] {
        assert!(members.contains(&member), "{members:?}");
    }
    let of_ada = run_json(&service, &["audit", "--account", "Ada Example"]);
    let own = of_ada.as_array().unwrap();
    assert!(own.iter().all(|event| event["account_id"] == ada["account"]["id"]), "{of_ada}");
    assert!(own.len() < all.as_array().unwrap().len());
    let granted = run_json(&service, &["audit", "--account", "Ada Example", "--event", "role_granted"]);
    assert_eq!(texts(&granted, "reason"), ["role:editor"]);
    assert_eq!((&granted[0]["request_id"], &granted[0]["ip"]), (&json!(null), &json!(null)));
    // All pages together contain all events.
    let mut pages = Vec::new();
    while pages.len() < 100 {
        let last: Option<&Value> = pages.last();
        let after = last.map(|event| event["id"].as_str().unwrap().to_owned());
        let after: Vec<_> = after.iter().flat_map(|id| ["--after", id]).collect();
        let page = run_json(&service, &[&["audit", "--limit", "2"], &after[..]].concat());
        let page = page.as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert_eq!(json!(pages), all);
    // Events older than `--since` are omitted.
    database.execute("UPDATE audit_events SET time = time - 7200 WHERE event = 'role_granted'").await;
    let recent = run_json(&service, &["audit", "--since", "1h"]);
    assert_eq!(recent.as_array().unwrap().len(), all.as_array().unwrap().len() - 1);
    assert!(!texts(&recent, "event").contains(&"role_granted"));
    let rather = run_json(&service, &["audit", "--since", "3h", "--event", "role_granted"]);
    assert_eq!(rather.as_array().unwrap().len(), 1);
    service.program.run(&["audit", "--account", "nobody"]).exits(1);
}

async fn sessions_keys_and_events_are_seen_and_changed(backend: Backend) {
    let (service, _idp, _database) = serve(backend).await;
    assert_sessions_are_listed_and_revoked(&service).await;
    assert_keys_are_rotated_and_discarded(&service);
    assert_events_are_listed_and_logged(&service);
}

async fn assert_sessions_are_listed_and_revoked(service: &Service) {
    let (mut first, mut second) = (service.browser(), service.browser());
    let ada = first.log_in("oidc/provider1", "ada-1").await;
    second.log_in("oidc/provider1", "bruno-2").await;
    let all = run_json(service, &["sessions", "list"]);
    let members: Vec<_> = all[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["account_id", "created_at", "expires_at", "id", "idp", "last_used_at"]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    let own = run_json(service, &["sessions", "list", "--account", "Ada Example"]);
    assert_eq!(own[0]["account_id"], ada["account"]["id"]);
    let page = run_json(service, &["sessions", "list", "--after", all[0]["id"].as_str().unwrap()]);
    assert_eq!(page, json!([all[1]]));
    service.program.run(&["sessions", "revoke"]).exits(2);
    let revoked = run_json(service, &["sessions", "revoke", own[0]["id"].as_str().unwrap()]);
    assert_eq!(revoked, json!({ "revoked": 1 }));
    first.post("/auth/refresh").await.refused(401, "session_invalid");
    second.post("/auth/refresh").await.is(200);
    assert_eq!(run_json(service, &["sessions", "revoke", "--all"]), json!({ "revoked": 1 }));
    second.post("/auth/refresh").await.refused(401, "session_invalid");
}

fn assert_keys_are_rotated_and_discarded(service: &Service) {
    let keys = run_json(service, &["keys", "list"]);
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["state"]), (1, &json!("current")));
    let next = run_json(service, &["keys", "rotate"]);
    assert_eq!((&next["state"], &next["retires_at"]), (&json!("next"), &json!(null)));
    assert_eq!(run_json(service, &["keys", "rotate"]), next, "only one next key exists");
    assert_eq!(texts(&run_json(service, &["keys", "list"]), "state"), ["current", "next"]);
    let current = keys[0]["kid"].as_str().unwrap();
    service.program.run(&["keys", "discard", current]).exits(1).complains(&["keys rotate", "--yes"]);
    assert_eq!(service.program.run(&["keys", "discard", current, "--yes", "--json"]).json()["kid"], current);
    service.program.run(&["keys", "discard", "nobody"]).exits(1);
}

fn assert_events_are_listed_and_logged(service: &Service) {
    let events = run_json(service, &["audit", "--since", "1h", "--event", "login_succeeded"]);
    assert_eq!(events.as_array().unwrap().len(), 2);
    let event = &events[0];
    assert_eq!(
        (&event["idp"], &event["outcome"], &event["ip"]),
        (&json!("oidc/provider1"), &json!("success"), &json!("127.0.0.1"))
    );
    let request_id = event["request_id"].as_str().unwrap();
    let log = service.log();
    let line = log.lines().find(|line| line.contains(request_id) && line.contains("login_succeeded"));
    assert!(line.is_some(), "the event must be in the log as well: {log}");
    assert_eq!(run_json(service, &["audit", "--limit", "1"]).as_array().unwrap().len(), 1);
    service.program.run(&["audit", "--event", "nonsense"]).exits(2);
    service.program.run(&["audit", "--since", "yesterday"]).exits(2);
}

async fn a_lost_secret_key_costs_a_login_and_no_account(backend: Backend) {
    let (service, _idp, _database) = serve(backend).await;
    let mut browser = service.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let keys = run_json(&service, &["keys", "list"]);
    let kid = keys[0]["kid"].as_str().unwrap().to_owned();
    let right = service.program.variable("PORTICO_SECURITY_SECRET_KEY").to_owned();
    let lost =
        service.stop().set("PORTICO_SECURITY_SECRET_KEY", "bmV4dC1zZWNyZXQta2V5LW9mLXRoZS10ZXN0cy0wMzA0");
    lost.run(&["serve"]).exits(78).complains(&[&kid, "portico keys discard"]);
    lost.run(&["keys", "rotate"]).exits(78).complains(&[&kid]);
    assert_eq!(lost.run(&["keys", "list", "--json"]).json(), keys, "no key was created");
    lost.run(&["keys", "discard", &kid]).exits(1).complains(&["--yes", "security.secret_key"]);
    assert_eq!(lost.run(&["keys", "list", "--json"]).json(), keys, "no key was discarded");
    assert_eq!(lost.run(&["keys", "discard", &kid, "--yes", "--json"]).json(), keys[0]);
    let events = lost.run(&["audit", "--event", "key_rotated", "--json"]).json();
    assert_eq!(events[0]["reason"], format!("discarded:{kid}"));
    let service = lost.serve().await;
    assert!(!browser.is_signed_in().await, "the old token is not accepted");
    browser.post("/auth/refresh").await.refused(403, "csrf_failed");
    browser.log_in("oidc/provider1", "ada-1").await;
    assert!(browser.is_signed_in().await, "a new login starts a valid session");
    let other = run_json(&service, &["keys", "list"]);
    assert!(other.as_array().unwrap().len() == 1 && other[0]["kid"] != kid);
    assert_eq!(run_json(&service, &["accounts", "list"]).as_array().unwrap().len(), 1);
    // The service no longer starts with the old secret key.
    service.stop().set("PORTICO_SECURITY_SECRET_KEY", &right).run(&["serve"]).exits(78);
}

async fn a_wrong_secret_key_harms_no_key(backend: Backend) {
    let (service, _idp, database) = serve(backend).await;
    let next = run_json(&service, &["keys", "rotate"])["kid"].as_str().unwrap().to_owned();
    // As if the machine that created the key had a slow clock: the key is listed first.
    database.execute("UPDATE signing_keys SET created_at = created_at - 60 WHERE state = 'next'").await;
    let keys = run_json(&service, &["keys", "list"]);
    assert_eq!(keys[0]["kid"], next);
    let right = service.program.variable("PORTICO_SECURITY_SECRET_KEY").to_owned();
    let wrong =
        service.stop().set("PORTICO_SECURITY_SECRET_KEY", "bmV4dC1zZWNyZXQta2V5LW9mLXRoZS10ZXN0cy0wMzA0");
    wrong.run(&["keys", "rotate"]).exits(78);
    let other_algorithm = wrong.set("PORTICO_SECURITY_SIGNING_ALG", "EdDSA");
    other_algorithm.run(&["keys", "rotate"]).exits(78);
    assert_eq!(
        other_algorithm.run(&["keys", "list", "--json"]).json(),
        keys,
        "no key was created or deleted"
    );
    // With the right secret key, a next key that cannot be decrypted is replaced. Key ids may start with a
    // hyphen.
    database.execute("UPDATE signing_keys SET kid = '-odd' WHERE state = 'next'").await;
    let good =
        other_algorithm.unset("PORTICO_SECURITY_SIGNING_ALG").set("PORTICO_SECURITY_SECRET_KEY", &right);
    let made = good.run(&["keys", "rotate", "--json"]).json();
    assert!(made["kid"] != next && made["kid"] != "-odd" && made["state"] == "next", "{made}");
    database.execute("UPDATE signing_keys SET kid = '-odd' WHERE state = 'next'").await;
    assert_eq!(good.run(&["keys", "discard", "-odd", "--json"]).json()["kid"], "-odd");
    good.run(&["keys", "discard", "-odd"]).exits(1);
}
