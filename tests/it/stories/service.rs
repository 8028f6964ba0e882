//! The service as an operator runs it: environment variables, log lines and exit codes.

use std::time::Duration;

use portico_demo_idp::{DemoIdp, IdpConfig, Person};
use serde_json::{Value, json};

use crate::testkit::{Program, SECRET_KEY, Service, slot_variables};

/// The service with these slots of a demo provider, configured only by environment variables.
async fn serve(slots: &[&str], bend: impl FnOnce(Program) -> Program) -> (Service, DemoIdp) {
    let program = Program::configured();
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let slots: Vec<_> = slots.iter().map(|slot| (*slot).to_owned()).collect();
    let program = bend(program.set_all(slot_variables(&idp, &slots)));
    (program.serve().await, idp)
}

#[tokio::test]
async fn a_login_shows_in_the_list_of_accounts() {
    let (service, idp) = serve(&["oidc/provider1"], |program| program).await;
    service.browser().log_in("oidc/provider1", "ada-1").await;
    let listed = service.program.run(&["accounts", "list", "--json"]).json();
    let first = &listed[0];
    assert_eq!(
        first,
        &json!({
            "id": first["id"],
            "name": "Ada Example",
            "label": "Ada Example",
            "email": "ada@example.com",
            "email_verified": true,
            "status": "active",
            "roles": [],
            "groups": [],
            "ever_linked": true,
            "created_at": first["created_at"],
            "last_login_at": first["last_login_at"],
        })
    );
    idp.oidc("provider1").unwrap().set_person(Person::new("ada-1", "Ada Married"));
    service.browser().log_in("oidc/provider1", "ada-1").await;
    let again = service.program.run(&["accounts", "list", "--json"]).json();
    assert_eq!(again.as_array().unwrap().len(), 1);
    assert_eq!(
        (&again[0]["id"], &again[0]["name"], &again[0]["label"]),
        (&first["id"], &first["name"], &json!("Ada Married"))
    );
    let shown = service.program.run(&["accounts", "show", "Ada Example", "--json"]).json();
    let identity = &shown["identities"][0];
    assert_eq!((&identity["subject"], &identity["protocol"]), (&json!("ada-1"), &json!("oidc")));
    assert_eq!(identity["issuer"], idp.oidc("provider1").unwrap().issuer());
    let by_id = service.program.run(&["accounts", "show", first["id"].as_str().unwrap(), "--json"]).json();
    assert_eq!(by_id, shown);
}

#[tokio::test]
async fn it_is_ready_at_once_and_stops_when_asked() {
    let (service, _idp) = serve(&["oidc/provider1", "oauth2/provider1"], |program| program).await;
    assert!(service.ready_after < Duration::from_secs(3), "{:?}", service.ready_after);
    let (code, log) = service.terminate();
    assert_eq!(code, 0, "{log}");
}

#[tokio::test]
async fn a_second_service_on_one_sqlite_file_is_refused() {
    let (service, _idp) = serve(&["oidc/provider1"], |program| program).await;
    let second = service.program.run(&["serve"]);
    // The first service also occupies the port, so this run may fail because of the port or the file.
    assert!([1, 78].contains(&second.code), "{second:?}");
    let elsewhere = Program::configured();
    let files = service.files();
    let (path, _) = files.iter().find(|(path, _)| path.ends_with("portico.db")).unwrap();
    let second =
        elsewhere.set("PORTICO_STORAGE_URL", &format!("sqlite://{}", path.display())).run(&["serve"]);
    second.exits(78);
    assert!(second.stderr.contains("portico.db"), "{}", second.stderr);
    let beside = service.program.run(&["accounts", "list"]);
    assert!(beside.exits(0).took < Duration::from_secs(3), "{beside:?}");
    assert_eq!(service.terminate().0, 0);
}

#[tokio::test]
async fn the_log_tells_what_the_answer_does_not() {
    let (service, idp) =
        serve(&["oidc/provider1"], |program| program.set("PORTICO_LOG_FORMAT", "json")).await;
    idp.oidc("provider1").unwrap().knobs(|knobs| {
        knobs.id_token.claims.set("iss", "https://evil.example/\n\u{1b}[31m\u{2028}fake");
    });
    let mut browser = service.browser();
    let callback = browser.reach_callback("oidc/provider1", "ada-1").await;
    let problem = browser.relay(&callback).await.refused(401, "idp_token_invalid").problem();
    assert!(!problem.to_string().contains("evil"), "{problem}");
    let (_, log) = service.terminate();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for member in ["timestamp", "level", "message", "target"] {
            assert!(line[member].is_string(), "{member}: {line}");
        }
    }
    let own: Vec<_> = lines.iter().filter(|line| line["request_id"] == problem["request_id"]).collect();
    let told =
        own.iter().find(|line| line["code"] == "idp_token_invalid").expect("the refusal must be logged");
    let text = told.to_string();
    assert!(
        text.contains("https://evil.example/") && text.contains(idp.oidc("provider1").unwrap().issuer()),
        "{text}"
    );
    assert!(text.contains("oidc/provider1") && !text.contains("\\u001b"), "{text}");
    let audited = own.iter().filter(|line| line["target"] == "portico::audit").count();
    assert_eq!(audited, 1, "the refusal must be audited with the same request id: {own:?}");
}

#[tokio::test]
async fn warnings_at_the_start_name_what_is_weak() {
    let (service, _idp) = serve(&["oidc/provider1", "oauth2/provider1"], |program| {
        program
            .set("PORTICO_OIDC_PROVIDER1_PKCE_ENABLED", "false")
            .set("PORTICO_OIDC_PROVIDER1_ID_TOKEN_VERIFY_SIGNATURE", "false")
            .set("PORTICO_OIDC_PROVIDER1_NONCE_MODE", "if_present")
            .set("PORTICO_OIDC_PROVIDER1_ICON", "mdi:no-such-icon")
    })
    .await;
    let local = service.program.run(&["accounts", "create", "--name", "Somebody", "--json"]).json();
    assert_eq!(local["ever_linked"], false);
    let (_, log) = service.terminate();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    for word in ["pkce", "signature", "nonce", "mdi:no-such-icon", "fallback"] {
        assert!(warnings.iter().any(|line| line.to_lowercase().contains(word)), "{word}: {log}");
    }
}

#[tokio::test]
async fn another_secret_key_is_refused_and_a_previous_one_still_opens() {
    let (service, _idp) = serve(&["oidc/provider1"], |program| program).await;
    let mut browser = service.browser();
    browser.log_in("oidc/provider1", "ada-1").await;
    let token = browser.jar.value("portico_access").to_owned();
    let other = "b3RoZXItc2VjcmV0LWtleS1vZi10aGUtdGVzdHMtMDI=";
    let rekeyed = service.stop().set("PORTICO_SECURITY_SECRET_KEY", other);
    let refused = rekeyed.run(&["serve"]);
    refused.exits(78);
    assert!(
        refused.stderr.contains("security.secret_key") && !refused.stderr.contains(other),
        "{}",
        refused.stderr
    );
    let service = rekeyed.set("PORTICO_SECURITY_SECRET_KEY_PREVIOUS", SECRET_KEY).serve().await;
    let mut later = service.browser();
    later.jar = browser.jar.clone();
    assert!(later.is_signed_in().await, "the session is still valid");
    assert_eq!(later.jar.value("portico_access"), token);
    later.post("/auth/refresh").await.is(200);
}
