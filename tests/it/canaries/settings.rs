//! Wrong settings, and the messages about them.

use super::{Canaries, Reach};
use crate::testkit::{Program, SECRET_KEY};

/// Wrong settings with a marked value where an operator may put a secret, and the exit code of the program.
const WRONG: &[(&[(&str, &str)], i32)] = &[
    (&[("SECURITY_SECRET_KEY", "canary-too-short")], 78),
    (&[("SECURITY_SECRET_KEY", "canarycanarycanarycanarycanarycanary")], 78),
    (&[("SECURITY_SECRET_KEY_PREVIOUS", "canary-too-short,canary-also-short")], 78),
    (
        &[
            ("OIDC_PROVIDER1_CLIENT_SECRET", "canary-secret"),
            ("OIDC_PROVIDER1_CLIENT_SECRET_FILE", "canary-file"),
        ],
        78,
    ),
    (&[("OIDC_PROVIDER1_CLIENT_SECRET_NEXT_FILE", "no-such-file")], 78),
    (&[("OIDC_PROVIDER1_CLIENT_SECRETS", "canary-misspelt-name")], 78),
    (&[("OIDC_PROVIDER1_DISCOVERY_URL", "https://canary-user:canary-password@idp.example")], 78),
    (&[("SERVER_ERROR_URL", "https://canary-user:canary-password@app.example/")], 78),
    (&[("PUBLIC_URL", "https://canary-user:canary-password@app.example")], 78),
    (&[("STORAGE_URL", "mysql://canary-user:canary-password@db.example/portico")], 78),
    (&[("STORAGE_URL", "postgres://canary-user:canary-password@db.example:port/portico")], 69),
    (&[("STORAGE_URL", "postgres://canary-user:canary-pass/word@db.example/portico")], 69),
    (&[("STORAGE_URL", "postgres://canary-user:canary-password@127.0.0.1:1/portico")], 69),
    (
        &[("STORAGE_URL", "postgres://canary-user:canary-password@127.0.0.1:1/portico?sslmode=canary-mode")],
        69,
    ),
    (&[("STORAGE_URL", "postgres://canary-user@127.0.0.1:1/portico?passwd=canary-password")], 69),
    (&[("STORAGE_URL", "sqlite://portico.db?password=canary-password")], 69),
];

/// The values of [`WRONG`] that are secret.
const SECRETS: [&str; 8] = [
    "canary-too-short",
    "canary-also-short",
    "canarycanary",
    "canary-secret",
    "canary-misspelt-name",
    "canary-password",
    "canary-pass",
    "word@db.example",
];

#[test]
fn h09_l08_mistakes_are_told_without_their_secrets() {
    let mut canaries = Canaries::default();
    canaries.add(Reach::Provider, "the secret key", SECRET_KEY);
    for name in SECRETS {
        canaries.add(Reach::Provider, name, name);
    }
    for (variables, code) in WRONG {
        let mut program = Program::configured()
            .set("PORTICO_SECURITY_OIDC_PROVIDERS", "provider1")
            .set("PORTICO_OIDC_PROVIDER1_CLIENT_ID", "portico")
            .set("PORTICO_OIDC_PROVIDER1_DISCOVERY_URL", "https://idp.example")
            .set("PORTICO_LOG_LEVEL", "trace");
        for (name, value) in *variables {
            program = program.set(&format!("PORTICO_{name}"), value);
        }
        for command in [&["serve"][..], &["accounts", "list"], &["config"]] {
            let output = program.run(command);
            // `config` only checks the settings; it opens no database.
            if command[0] != "config" || *code == 78 {
                output.exits(*code);
                assert!(!output.stderr.is_empty(), "{variables:?}");
            }
            let source = format!("{command:?} with {variables:?}");
            canaries.are_not_in(&source, &output.stderr, &[Reach::Provider]);
            canaries.are_not_in(&source, &output.stdout, &[Reach::Provider]);
        }
    }
}
