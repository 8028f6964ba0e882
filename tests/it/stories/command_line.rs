//! The command line, and the messages for invalid settings.

use serde_json::json;

use crate::testkit::{Program, SECRET_KEY};

#[test]
fn m15_every_mistake_is_a_line_of_its_own() {
    let output = Program::new()
        .set("PORTICO_PUBLIC_URL", "http://login.example.com")
        .set("PORTICO_SECURITY_SECRET_KEY", "too-short-CANARY")
        .set("PORTICO_SECURITY_OIDC_PROVIDERS", "provider1,provider2")
        .set("PORTICO_OIDC_PROVIDER2_CLIENT_ID", "id")
        .set("PORTICO_OIDC_PROVIDER2_CLIENT_SECRET", "CANARY-client-secret")
        .set("PORTICO_OIDC_PROVIDER2_DISCOVERY_URL", "not a url")
        .set("PORTICO_OIDC_PROVIDER2_DISPLAY_LABLE", "CANARY typo")
        .run(&["serve"]);
    output.exits(78);
    assert_eq!(output.stdout, "");
    output.complains(&["PORTICO_OIDC_PROVIDER1_CLIENT_ID"]);
    output.complains(&["PORTICO_OIDC_PROVIDER1_DISCOVERY_URL"]);
    output.complains(&["PORTICO_OIDC_PROVIDER2_DISPLAY_LABLE", "PORTICO_OIDC_PROVIDER2_DISPLAY_LABEL"]);
    output.complains(&["PORTICO_OIDC_PROVIDER2_DISCOVERY_URL"]);
    output.complains(&["PORTICO_PUBLIC_URL"]);
    output.complains(&["PORTICO_SECURITY_SECRET_KEY"]);
    assert_eq!(output.stderr.lines().count(), 6, "{}", output.stderr);
    assert!(!output.stderr.contains("CANARY"), "{}", output.stderr);
}

#[test]
fn nothing_set_names_what_is_needed() {
    let output = Program::new().run(&[]);
    output.exits(78).complains(&["PORTICO_PUBLIC_URL"]);
    output.complains(&["PORTICO_SECURITY_SECRET_KEY"]);
    assert_eq!(output.stderr.lines().count(), 2, "{}", output.stderr);
}

#[test]
fn c14_a_weak_secret_key_never_starts() {
    for weak in [
        "",
        "secret",
        "0123456789abcdef0123456789abcde",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "327f747f-efac-42be-9e73-999f08f86b92",
    ] {
        let output = Program::configured().set("PORTICO_SECURITY_SECRET_KEY", weak).run(&["serve"]);
        output.exits(78).complains(&["PORTICO_SECURITY_SECRET_KEY"]);
        assert!(weak.is_empty() || !output.stderr.contains(weak), "{}", output.stderr);
    }
}

#[test]
fn the_effective_settings_are_printed_without_secrets() {
    let program = Program::configured()
        .set("PORTICO_SECURITY_OIDC_PROVIDERS", r#"["provider1"]"#)
        .set("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET", "CANARY-client-secret")
        .file(
            "portico.toml",
            "[security.oidc_provider_settings.provider1]\nclient_id = \"from-the-file\"\n\
             discovery_url = \"https://idp.example.com\"\ndisplay_label = \"From the file\"\n",
        )
        .set("PORTICO_OIDC_PROVIDER1_CLIENT_ID", "from-the-environment");
    let output = program.run(&["config", "--config", "portico.toml"]);
    output.exits(0);
    let line = |path: &str| {
        output
            .stdout
            .lines()
            .find(|line| line.contains(path))
            .unwrap_or_else(|| panic!("{path}:\n{}", output.stdout))
    };
    assert!(line("provider1.client_id").contains("from-the-environment"));
    assert!(
        line("provider1.client_id").contains("PORTICO_OIDC_PROVIDER1_CLIENT_ID"),
        "the source of the value"
    );
    assert!(line("provider1.display_label").contains("From the file"));
    assert!(line("provider1.display_label").contains("portico.toml"));
    assert!(line("signing_alg").contains("ES256") && line("signing_alg").contains("default"));
    assert!(!output.stdout.contains("CANARY") && !output.stdout.contains(SECRET_KEY));
    let before = program.run(&["--config", "portico.toml", "config", "--json"]).json();
    assert!(!before.to_string().contains("CANARY") && before.to_string().contains("from-the-environment"));
}

#[test]
fn a_missing_file_and_both_spellings_are_mistakes() {
    Program::configured().run(&["--config", "none.toml", "config"]).exits(78).complains(&["none.toml"]);
    let both = Program::configured()
        .file("secret", SECRET_KEY)
        .set("PORTICO_SECURITY_SECRET_KEY_FILE", "secret")
        .run(&["config"]);
    both.exits(78).complains(&["PORTICO_SECURITY_SECRET_KEY_FILE"]);
    let file = Program::configured()
        .unset("PORTICO_SECURITY_SECRET_KEY")
        .file("secret", &format!("{SECRET_KEY}\n"))
        .set("PORTICO_SECURITY_SECRET_KEY_FILE", "secret")
        .run(&["config"]);
    file.exits(0);
}

/// The examples of the reference; only the labels differ.
const REFERENCE: [(&str, &str); 2] = [
    (
        "oidc",
        r#"
[security.oidc_provider_settings.provider1]
client_id = "client-id-from-idp"
client_secret = "client-secret-from-idp"
discovery_url = "https://login.microsoftonline.com/tenant-id/v2.0/.well-known/openid-configuration"
display_label = "Microsoft Entra ID"
icon = "mdi:microsoft"

[security]
oidc_providers = ["provider1"]
"#,
    ),
    (
        "oauth2",
        r#"
[security.oauth2_provider_settings.provider1]
client_id = "client-id-from-idp"
client_secret = "client-secret-from-idp"
authorization_url = "https://login.microsoftonline.com/tenant-id/oauth2/v2.0/authorize"
token_url = "https://login.microsoftonline.com/tenant-id/oauth2/v2.0/token"
userinfo_url = "https://graph.microsoft.com/oidc/userinfo"
display_label = "Microsoft Entra ID"
icon = "mdi:microsoft"

[security]
oauth2_providers = ["provider1"]
"#,
    ),
];

#[tokio::test]
async fn q_cfg_1_the_examples_of_the_reference_start_unchanged() {
    for (protocol, toml) in REFERENCE {
        let by_file =
            Program::configured().file("sso.toml", toml).set("PORTICO_CONFIG", "sso.toml").serve().await;
        let from_file = by_file.browser().fetch("/auth/providers").await.is(200).json();
        assert_eq!(from_file["providers"][0]["name"], format!("{protocol}/provider1"));
        assert_eq!(from_file["providers"][0]["display_label"], "Microsoft Entra ID");
        assert_eq!(from_file["providers"].as_array().unwrap().len(), 1);

        let mut program = Program::configured();
        let without_prefix = ["PORTICO_PUBLIC_URL", "PORTICO_SECURITY_SECRET_KEY"];
        for name in ["SERVER_LISTEN", "SERVER_ADMIN_LISTEN", "STORAGE_URL", "SERVER_RATE_LIMIT"] {
            let value = program.variable(&format!("PORTICO_{name}")).to_owned();
            program = program.unset(&format!("PORTICO_{name}")).set(&format!("INFRAHUB_{name}"), &value);
        }
        assert!(
            without_prefix.iter().all(|name| !program.variable(name).is_empty()),
            "these two variables are read with every prefix"
        );
        for line in toml.lines().filter(|line| line.contains(" = \"")) {
            let (name, value) = line.split_once(" = ").unwrap();
            let variable = format!("INFRAHUB_{protocol}_PROVIDER1_{name}").to_uppercase();
            program = program.set(&variable, value.trim_matches('"'));
        }
        let program = program
            .set(&format!("INFRAHUB_SECURITY_{protocol}_PROVIDERS").to_uppercase(), r#"["provider1"]"#)
            .set("INFRAHUB_SOMETHING_ELSE", "foreign and ignored")
            .set("PORTICO_ENV_PREFIX", "INFRAHUB");
        let by_variables = program.serve_at("INFRAHUB").await;
        let from_variables = by_variables.browser().fetch("/auth/providers").await.is(200).json();
        assert_eq!(from_variables["providers"][0]["display_label"], "Microsoft Entra ID");
        assert_eq!(from_variables["providers"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn local_accounts_are_made_listed_and_shown() {
    let program = Program::configured();
    assert_eq!(program.run(&["accounts", "list", "--json"]).json(), json!([]));
    let made = program
        .run(&[
            "accounts",
            "create",
            "--name",
            "J\u{f6}rg M",
            "--label",
            "J\u{f6}rg",
            "--email",
            "j@example.com",
            "--role",
            "editor",
            "--role",
            "admin",
            "--json",
        ])
        .json();
    assert_eq!(
        made,
        json!({
            "id": made["id"],
            "name": "J\u{f6}rg M",
            "label": "J\u{f6}rg",
            "email": "j@example.com",
            "email_verified": null,
            "status": "active",
            "roles": made["roles"],
            "groups": [],
            "ever_linked": false,
            "created_at": made["created_at"],
            "last_login_at": null,
        })
    );
    let mut roles: Vec<_> =
        made["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["admin", "editor"]);
}

#[test]
fn accounts_are_found_by_what_is_known_of_them() {
    let program = Program::configured();
    let create = ["accounts", "create", "--json", "--name"];
    let made = program
        .run(&[&create[..], &["first", "--email", "j@example.com", "--role", "admin"]].concat())
        .json();
    program.run(&["accounts", "create", "--name", "second"]).exits(0);
    program.run(&["accounts", "create", "--name", "second"]).exits(1);
    program.run(&["accounts", "create", "--name", " blank "]).exits(1);
    let names = |arguments: &[&str]| {
        let all = [&["accounts", "list", "--json"], arguments].concat();
        let listed = program.run(&all).json();
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|account| account["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["first", "second"]);
    assert_eq!(names(&["--role", "admin"]), ["first"]);
    assert_eq!(names(&["--name", "second"]), ["second"]);
    assert_eq!(names(&["--name", "Second"]), [""; 0]);
    assert_eq!(names(&["--status", "disabled"]), [""; 0]);
    assert_eq!(names(&["--limit", "1"]), ["first"]);
    assert_eq!(names(&["--after", made["id"].as_str().unwrap()]), ["second"]);
    let shown = program.run(&["accounts", "show", "first", "--json"]).json();
    assert_eq!(shown["identities"], json!([]));
    program.run(&["accounts", "show", "nobody"]).exits(1);
    program.run(&["accounts", "show", "j@example.com"]).exits(1);
}

#[test]
fn help_is_complete_and_wrong_usage_is_2() {
    let program = Program::new();
    let help = program.run(&["--help"]);
    help.exits(0);
    for word in ["serve", "demo", "config", "migrate", "--config", "--env-prefix", "78"] {
        assert!(help.stdout.contains(word), "{word}: {}", help.stdout);
    }
    // Every command form of section 8 of the product contract.
    for (command, words) in [
        (&[][..], "accounts sessions keys audit openapi completions"),
        (&["accounts"], "list show create import grant revoke disable enable delete release merge unlink"),
        (&["accounts", "list"], "--status --name --role --limit --after --json"),
        (&["accounts", "grant"], "<ACCOUNT> [ROLE] --group --json"),
        (&["accounts", "revoke"], "<ACCOUNT> [ROLE] --group --json"),
        (&["accounts", "import"], "<FILE> --json"),
        (&["accounts", "merge"], "<FROM> <INTO> --yes --json"),
        (&["accounts", "unlink"], "<ACCOUNT> <IDENTITY_ID> --json"),
        (&["sessions", "list"], "--account --limit --after --json"),
        (&["sessions", "revoke"], "[SESSION] --account --all --json"),
        (&["keys", "list"], "--limit --after --json"),
        (&["keys", "rotate"], "--json"),
        (&["audit"], "--since --event --account --limit --after --json"),
    ] {
        let help = program.run(&[command, &["--help"]].concat());
        help.exits(0);
        for word in words.split(' ') {
            assert!(help.stdout.contains(word), "{command:?} {word}: {}", help.stdout);
        }
    }
    for command in [&["serve"][..], &["config"], &["migrate"], &["accounts", "create"], &["accounts", "show"]]
    {
        let help = program.run(&[command, &["--help"]].concat());
        help.exits(0);
        assert!(help.stdout.contains("Usage:"), "{}", help.stdout);
    }
    program.run(&["--version"]).exits(0);
    program.run(&["nonsense"]).exits(2);
    program.run(&["accounts", "create"]).exits(2);
    program.run(&["accounts", "list", "--status", "sleeping"]).exits(2);
    program.run(&["accounts", "grant", "somebody"]).exits(2);
    program.run(&["accounts", "grant", "somebody", "editor", "--group", "staff"]).exits(2);
    program.run(&["sessions", "revoke", "--all", "--account", "somebody"]).exits(2);
}

#[test]
fn completions_and_manual_pages_need_no_settings() {
    let program = Program::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = program.run(&["completions", shell]);
        script.exits(0);
        for word in ["portico", "accounts", "break-glass", "env-prefix"] {
            assert!(script.stdout.contains(word), "{shell} {word}: {}", script.stdout);
        }
    }
    program.run(&["completions", "csh"]).exits(2);
    let folder = tempfile::tempdir().unwrap();
    program.run(&["man", folder.path().to_str().unwrap()]).exits(0);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("portico.1").contains("Exit codes"));
    assert!(page("portico-accounts-list.1").contains("status"));
    program.run(&["man", "/no/such/folder"]).exits(1);
}

#[test]
fn a_store_that_cannot_be_used_is_69() {
    let output = Program::configured()
        .set("PORTICO_STORAGE_URL", "sqlite:///no/such/folder/portico.db")
        .run(&["serve"]);
    output.exits(69);
    let output = Program::configured().set("PORTICO_STORAGE_AUTO_MIGRATE", "false").run(&["serve"]);
    output.exits(69);
    assert!(output.stderr.contains("portico migrate"), "{}", output.stderr);
    let program = Program::configured().set("PORTICO_STORAGE_AUTO_MIGRATE", "false");
    program.run(&["migrate"]).exits(0);
    program.run(&["accounts", "list"]).exits(0);
    let url = "postgres://portico:CANARY-password@127.0.0.1:1/none";
    let output = Program::configured().set("PORTICO_STORAGE_URL", url).run(&["accounts", "list"]);
    output.exits(69);
    assert!(!output.stderr.contains("CANARY"), "{}", output.stderr);
}
