//! The precedence of the sources, and mistakes about unknown names.

use super::*;

#[test]
fn a_variable_wins_over_its_file_and_the_file_over_the_default() {
    let file = TempFile::new(
        "[security]\nsigning_alg = 'RS256'\naccess_token_lifetime = 60\nsession_idle_timeout = '1h'\n",
    );
    let level = TempFile::new("debug\n");
    let loaded = fine(&[&[
        ("PORTICO_CONFIG", file.name()),
        ("PORTICO_SECURITY_SIGNING_ALG", "EdDSA"),
        ("PORTICO_LOG_LEVEL_FILE", level.name()),
    ]]);
    assert_eq!(loaded.settings.signing_alg, TokenAlg::EdDSA);
    assert_eq!(loaded.settings.lifetimes.access_token, Duration::from_mins(1));
    assert_eq!(loaded.settings.lifetimes.idle, Duration::from_hours(1));
    assert_eq!(loaded.settings.log_filter, "debug");
    let shown: Json = serde_json::from_str(&render(&loaded, true)).unwrap();
    let source = |path: &str| {
        shown.as_array().unwrap().iter().find(|entry| entry["path"] == path).unwrap()["source"].clone()
    };
    assert_eq!(source("security.signing_alg"), "PORTICO_SECURITY_SIGNING_ALG");
    assert_eq!(source("security.access_token_lifetime"), file.name());
    assert_eq!(source("log.level"), "PORTICO_LOG_LEVEL_FILE");
    assert_eq!(source("storage.url"), "default");
    // A table in a variable replaces the whole table of the file.
    let toml = "[security.oidc_provider_settings.provider1.extra_authorization_params]\nprompt = 'login'\n";
    let file = TempFile::new(toml);
    let name = "PORTICO_OIDC_PROVIDER1_EXTRA_AUTHORIZATION_PARAMS";
    let by_file = slot(&[&OIDC, &[("PORTICO_CONFIG", file.name())]]);
    assert_eq!(by_file.extra_params["prompt"], "login");
    let replaced = slot(&[&OIDC, &[("PORTICO_CONFIG", file.name()), (name, r#"{"max_age": 0}"#)]]);
    assert_eq!(replaced.extra_params, BTreeMap::from([("max_age".to_owned(), "0".to_owned())]));
    assert!(slot(&[&OIDC, &[("PORTICO_CONFIG", file.name()), (name, "")]]).extra_params.is_empty());
}

#[test]
fn files_lose_one_line_break_and_nothing_else() {
    for (content, secret) in
        [("hush", "hush"), ("hush\n", "hush"), ("hush\n\n", "hush\n"), (" hush ", " hush ")]
    {
        let file = TempFile::new(content);
        let slot = slot(&[&OIDC, &[("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_FILE", file.name())]]);
        let ClientAuth::Auto(secrets) = slot.auth else { panic!() };
        assert_eq!(secrecy::ExposeSecret::expose_secret(&secrets.current), secret);
    }
    let empty = TempFile::new("\n");
    let message = mistake(&[&OIDC, &[("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_FILE", empty.name())]]);
    assert_eq!(
        message,
        "PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_FILE: is empty; give it a value, or leave it out"
    );
    let message = mistake(&[&[("PORTICO_SECURITY_SECRET_KEY_FILE", "x")]]);
    let both =
        "PORTICO_SECURITY_SECRET_KEY_FILE: is set, and so is PORTICO_SECURITY_SECRET_KEY; unset one of them";
    assert_eq!(message, both);
    let message = mistake(&[&OIDC, &[("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_FILE", "/no/such/file")]]);
    assert!(
        message
            .starts_with("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_FILE: the file /no/such/file cannot be read"),
        "{message}"
    );
    // With an unusable file, missing settings are not reported: the file may contain them.
    let message =
        mistake(&[&[("PORTICO_CONFIG", "/no/such.toml"), ("PORTICO_SECURITY_OIDC_PROVIDERS", "google")]]);
    assert!(message.starts_with("PORTICO_CONFIG: the file /no/such.toml cannot be read"), "{message}");
}

#[test]
fn mistakes_in_the_file_name_path_and_file() {
    let file = TempFile::new("[log]\nlevel = 7\nlevle = 'x'\n[server]\nlisten = 'CANARY'\n");
    let mistakes = load(&[&[("PORTICO_CONFIG", file.name())]]).map(|_| ()).unwrap_err();
    let name = file.name();
    assert_eq!(
        mistakes,
        [
            format!("log.levle in {name}: is no setting; did you mean log.level?"),
            format!("log.level in {name}: must be a string, in quotes"),
            format!("server.listen in {name}: must be an IP address and a port, such as 127.0.0.1:8080"),
        ]
    );
}

#[test]
fn variables_that_no_setting_reads_are_mistakes() {
    for (name, message) in [
        ("PORTICO_SECURITY_SING_ALG", "is no setting; did you mean PORTICO_SECURITY_SIGNING_ALG?"),
        (
            "PORTICO_OIDC_PROVIDER1_DISPLAY_LABLE",
            "is no setting; did you mean PORTICO_OIDC_PROVIDER1_DISPLAY_LABEL?",
        ),
        ("PORTICO_OAUTH2_PROVIDER1_DISCOVERY_URL", "is no setting of this slot; only oidc slots have it"),
        ("PORTICO_OIDC_PROVIDER1_TOKEN_URL", "is no setting of this slot; only oauth2 slots have it"),
        ("PORTICO_OIDC_PROVIDER1_FETCH_GROUPS", "is no setting of this slot; only google slots have it"),
        ("PORTICO_DATABASE_URL", "is no setting; did you mean PORTICO_STORAGE_URL?"),
        ("PORTICO_NONSENSE", "is no setting"),
    ] {
        assert_eq!(mistake(&[&[(name, "CANARY")]]), format!("{name}: {message}"));
    }
    fine(&[&[
        ("PORTICO_SERVICE_HOST", "10.0.0.1"),
        ("PORTICO_PORT", "tcp://10.0.0.1:80"),
        ("PORTICO_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PORTICOX", ""),
        ("UNRELATED", ""),
    ]]);
}

#[test]
fn a_slot_that_is_not_enabled_may_be_half_configured_but_not_misspelt() {
    fine(&[&[
        ("PORTICO_OIDC_PROVIDER2_CLIENT_ID", "client"),
        ("PORTICO_OIDC_PROVIDER2_ALLOWED_GROUPS", "staff"),
    ]]);
    mistake(&[&[("PORTICO_OIDC_PROVIDER2_CLIENT_IDD", "client")]]);
    mistake(&[&[("PORTICO_OIDC_PROVIDER2_PKCE_ENABLED", "perhaps")]]);
    let mistakes = load(&[&[
        ("PORTICO_SECURITY_OIDC_PROVIDERS", "provider2"),
        ("PORTICO_SECURITY_OAUTH2_PROVIDERS", "provider1"),
    ]]);
    let needed = mistakes.map(|_| ()).unwrap_err();
    let names: Vec<_> = needed.iter().map(|line| line.split_once(':').unwrap().0).collect();
    assert_eq!(
        names,
        [
            "PORTICO_OIDC_PROVIDER2_DISCOVERY_URL",
            "PORTICO_OIDC_PROVIDER2_CLIENT_ID",
            "PORTICO_OAUTH2_PROVIDER1_AUTHORIZATION_URL",
            "PORTICO_OAUTH2_PROVIDER1_TOKEN_URL",
            "PORTICO_OAUTH2_PROVIDER1_USERINFO_URL",
            "PORTICO_OAUTH2_PROVIDER1_CLIENT_ID",
        ]
    );
}

#[test]
fn another_prefix_moves_a_deployment_unchanged() {
    let mut all = variables(&[&LEAST, &[("PORTICO_ENV_PREFIX", "INFRAHUB")]]);
    for (name, value) in OIDC {
        all.insert(name.replacen("PORTICO", "INFRAHUB", 1), value.to_owned());
    }
    let foreign = [
        ("INFRAHUB_SOMETHING_ELSE", "x"),
        ("INFRAHUB_SECURITY_INITIAL_ADMIN_PASSWORD", "x"),
        ("INFRAHUB_OIDC_PROVIDER1_CLIENT_IDD", "x"),
        ("PORTICO_SERVICE_HOST", "x"),
        // The value under PORTICO wins, and a mistake in the other is ignored.
        ("INFRAHUB_SECURITY_SECRET_KEY", "327f747f-efac-42be-9e73-999f08f86b92"),
        ("INFRAHUB_PUBLIC_URL", "nonsense"),
    ];
    all.extend(variables(&[&foreign]));
    let loaded = load_exactly(all.clone()).unwrap();
    assert_eq!(loaded.settings.slots.len(), 1);
    assert_eq!(loaded.settings.public_url.as_str(), "https://login.example.com");
    let near: Vec<_> = loaded.warnings.iter().filter(|warning| warning.contains("INFRAHUB")).collect();
    assert_eq!(
        near,
        ["INFRAHUB_OIDC_PROVIDER1_CLIENT_IDD is no setting and was ignored; \
             did you mean INFRAHUB_OIDC_PROVIDER1_CLIENT_ID?"]
    );
    all.insert("PORTICO_LOG_LEVEL".to_owned(), "info".to_owned());
    let message = "PORTICO_LOG_LEVEL: is not read, because the prefix is INFRAHUB; \
                name it INFRAHUB_LOG_LEVEL, or unset it";
    assert_eq!(load_exactly(all.clone()).map(|_| ()).unwrap_err(), [message]);
    all.remove("PORTICO_LOG_LEVEL");
    // Without a value under PORTICO, the other prefix is read.
    all.remove("PORTICO_PUBLIC_URL");
    assert!(load_exactly(all).map(|_| ()).unwrap_err()[0].starts_with("INFRAHUB_PUBLIC_URL: "));
    for wrong in ["", "infrahub", "INFRAHUB_", "9X", "A-B"] {
        assert!(
            mistake(&[&[("PORTICO_ENV_PREFIX", wrong)]]).starts_with("PORTICO_ENV_PREFIX: must be"),
            "{wrong}"
        );
    }
}

#[test]
fn nothing_at_all_names_what_is_needed() {
    let message = load_exactly(BTreeMap::new()).map(|_| ()).unwrap_err();
    assert_eq!(
        message,
        [
            "PORTICO_PUBLIC_URL: is missing; set it, or main.public_url in the TOML file",
            "PORTICO_SECURITY_SECRET_KEY: is missing; set it, or security.secret_key in the TOML file",
        ]
    );
}
