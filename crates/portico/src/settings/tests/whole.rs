//! Defaults, lists of slots, global settings, and the shipped files.

use super::*;

#[test]
fn every_default_is_as_documented() {
    let Loaded { settings, .. } = fine(&[&OIDC, &OAUTH2]);
    assert_eq!(settings.public_url.as_str(), "https://login.example.com");
    assert_eq!(settings.token_audience, ["https://login.example.com"]);
    assert_eq!(
        (settings.listen.to_string(), settings.admin_listen.to_string()),
        ("127.0.0.1:8080".into(), "127.0.0.1:9090".into())
    );
    assert_eq!(&*settings.storage_url, "sqlite://portico.db");
    assert_eq!(settings.signing_alg, TokenAlg::ES256);
    let days = |days: u64| Duration::from_secs(days * 86400);
    let Lifetimes { access_token, session, idle } = settings.lifetimes;
    assert_eq!((access_token, session, idle), (Duration::from_mins(15), days(30), days(7)));
    assert_eq!((settings.audit_retention, settings.rate_limit), (days(365), 120));
    assert_eq!(settings.name_policy.reserved, ["admin", "administrator", "root", "system"]);
    assert_eq!(settings.name_policy.privileged_roles, ["admin"]);
    assert!(
        settings.auto_migrate && settings.error_url.is_none() && settings.post_logout_redirect_url.is_none()
    );
    assert_eq!(settings.log_filter, "info");
    let [first, second] = &settings.slots[..] else { panic!() };
    assert_eq!(first.id().to_string(), "oidc/provider1");
    check_slot_defaults(first);
    assert_eq!(oauth2(second).identity_namespace, "https://git.example.com/token");
    assert!(oauth2(second).issuer.is_none());
}

fn check_slot_defaults(first: &Slot) {
    assert_eq!(
        (first.button.label.as_str(), first.button.icon.as_str()),
        ("Single Sign on", "mdi:account-key")
    );
    assert!(matches!(first.auth, ClientAuth::Public) && first.pkce == Pkce::S256 && first.name_fallback);
    assert_eq!(first.scopes, ["openid", "profile", "email"]);
    assert!(first.extra_params.is_empty() && first.audience.is_none() && !first.claims.groups_wanted);
    assert_eq!((first.userinfo_method, first.clock_skew), (UserinfoMethod::Get, Duration::from_mins(1)));
    assert!(first.transport.extra_roots.is_none() && !first.transport.allow_insecure_http);
    let own = oidc(first);
    assert_eq!(own.discovery_url.as_str(), "https://idp.example.com/.well-known/openid-configuration");
    assert!(
        own.issuer.is_none()
            && own.issuer_aliases.is_empty()
            && own.allowed_algs.is_none()
            && own.userinfo_url.is_none()
    );
    assert_eq!(
        (own.signature, own.nonce, own.userinfo),
        (SignatureCheck::Verify, NonceMode::Required, UserinfoUse::IfNeeded)
    );
}

#[test]
fn google_needs_an_id_and_a_secret_only() {
    let Loaded { settings, .. } = fine(&[&GOOGLE]);
    let [first, second] = &settings.slots[..] else { panic!() };
    for slot in [first, second] {
        assert_eq!((slot.button.label.as_str(), slot.button.icon.as_str()), ("Google", "mdi:google"));
        assert!(matches!(slot.auth, ClientAuth::Auto(_)));
    }
    let own = oidc(first);
    assert_eq!(own.discovery_url.as_str(), "https://accounts.google.com/.well-known/openid-configuration");
    assert_eq!(own.issuer.as_ref().unwrap().as_str(), "https://accounts.google.com");
    assert_eq!(own.issuer_aliases[0].as_str(), "accounts.google.com");
    assert_eq!(oauth2(second).authorization_url.as_str(), "https://accounts.google.com/o/oauth2/v2/auth");
    assert_eq!(oauth2(second).token_url.as_str(), "https://oauth2.googleapis.com/token");
    assert_eq!(oauth2(second).userinfo_url.as_str(), "https://openidconnect.googleapis.com/v1/userinfo");
    // The default alias is only for Google's issuer.
    let elsewhere = fine(&[&GOOGLE, &[("PORTICO_OIDC_GOOGLE_ISSUER", "https://idp.example.com")]]);
    assert!(oidc(&elsewhere.settings.slots[0]).issuer_aliases.is_empty());
    let message = mistake(&[&GOOGLE[..2], &OIDC[1..2]]);
    assert_eq!(message, "PORTICO_OIDC_GOOGLE_CLIENT_SECRET: is missing; oidc/google is enabled and needs it");
}

#[test]
fn lists_keep_the_operators_order_and_oidc_comes_first() {
    let loaded = fine(&[
        &OIDC,
        &OAUTH2,
        &GOOGLE,
        &[
            ("PORTICO_SECURITY_OIDC_PROVIDERS", r#"["google","provider1"]"#),
            ("PORTICO_SECURITY_OAUTH2_PROVIDERS", "google, provider1"),
        ],
    ]);
    let names: Vec<_> = loaded.settings.slots.iter().map(|slot| slot.id().to_string()).collect();
    assert_eq!(names, ["oidc/google", "oidc/provider1", "oauth2/google", "oauth2/provider1"]);
    for (list, message) in [
        ("PROVIDER1", "must have slot names in lower case: provider1"),
        (
            "oidc/provider1",
            "contains \"oidc/provider1\", which is not a slot; \
             the slots are provider1, provider2, google, separated by commas",
        ),
        ("provider1,provider1", "names provider1 twice"),
        ("provider1,", "has an empty entry between its commas"),
    ] {
        let message = format!("PORTICO_SECURITY_OIDC_PROVIDERS: {message}");
        assert_eq!(mistake(&[&OIDC, &[("PORTICO_SECURITY_OIDC_PROVIDERS", list)]]), message);
    }
    assert!(fine(&[&OIDC, &[("PORTICO_SECURITY_OIDC_PROVIDERS", "")]]).settings.slots.is_empty());
}

#[test]
fn global_settings_that_are_wrong() {
    for (name, wrong) in [
        ("PUBLIC_URL", "http://login.example.com"),
        ("PUBLIC_URL", "https://login.example.com/?q"),
        ("PUBLIC_URL", "https://user@login.example.com"),
        ("SECURITY_SECRET_KEY", "CANARY"),
        ("SECURITY_SECRET_KEY_PREVIOUS", "CANARY"),
        ("SECURITY_ACCESS_TOKEN_LIFETIME", "soon"),
        ("SECURITY_ACCESS_TOKEN_LIFETIME", "0"),
        ("SECURITY_SIGNING_ALG", "HS256"),
        ("SECURITY_TOKEN_AUDIENCE", ""),
        ("SECURITY_POST_LOGOUT_REDIRECT_URL", "http://app.example.com"),
        ("SECURITY_POST_LOGOUT_REDIRECT_URL", "//app.example.com"),
        ("SERVER_ERROR_URL", "/\\app.example.com"),
        ("SERVER_ERROR_URL", "javascript:alert(1)"),
        ("SERVER_ERROR_URL", "https://user:pass@app.example.com/"),
        ("SERVER_LISTEN", "localhost"),
        ("SERVER_ADMIN_LISTEN", "127.0.0.1:8080"),
        ("SERVER_TRUSTED_PROXIES", "proxy"),
        ("SERVER_CORS_ORIGINS", "https://app.example.com/"),
        ("SERVER_RATE_LIMIT", "many"),
        ("STORAGE_URL", "mysql://u:CANARY@db/portico"),
        ("STORAGE_AUTO_MIGRATE", "perhaps"),
        ("LOG_FORMAT", ""),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "inof"),
        ("LOG_LEVEL", "portico=nonsense"),
    ] {
        let name = format!("PORTICO_{name}");
        let mistakes = load(&[&[(&name, wrong)]]).map(|_| ()).expect_err(&name);
        assert!(
            mistakes.iter().all(|message| message.starts_with(&format!("{name}: "))),
            "{wrong}: {mistakes:?}"
        );
        assert!(!mistakes.concat().contains("CANARY"), "{mistakes:?}");
    }
}

#[test]
fn global_settings_that_are_right() {
    let Loaded { settings, .. } = fine(&[&[
        ("PORTICO_PUBLIC_URL", "https://example.com/sso/"),
        ("PORTICO_SECURITY_SECRET_KEY_PREVIOUS", "Y2FuYXJ5LXNlY3JldC1rZXktb2YtdGhlLXRlc3RzLTAx"),
        ("PORTICO_SECURITY_TOKEN_AUDIENCE", "https://api.example.com,second"),
        ("PORTICO_SECURITY_RESERVED_NAMES", "admin, Operator"),
        ("PORTICO_SECURITY_PRIVILEGED_ROLES", ""),
        ("PORTICO_SECURITY_POST_LOGOUT_REDIRECT_URL", "http://localhost:3000/bye"),
        ("PORTICO_SERVER_ERROR_URL", "/failed?from=sso#login"),
        ("PORTICO_SERVER_LISTEN", "[::]:80"),
        ("PORTICO_SERVER_ADMIN_LISTEN", "127.0.0.1:0"),
        ("PORTICO_SERVER_TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8"),
        ("PORTICO_STORAGE_AUTO_MIGRATE", "No"),
        ("PORTICO_LOG_FORMAT", "text"),
        ("PORTICO_LOG_LEVEL", "info,portico_oidc=debug"),
        ("DATABASE_URL", "postgresql://db.example.org/portico"),
    ]]);
    assert_eq!(settings.public_url.as_str(), "https://example.com/sso");
    assert_eq!(settings.secret_key_previous_bytes()[0].len(), 33);
    assert_eq!(settings.token_audience, ["https://api.example.com", "second"]);
    assert_eq!(settings.name_policy.reserved, ["admin", "Operator"]);
    assert!(settings.name_policy.privileged_roles.is_empty() && !settings.auto_migrate);
    assert_eq!(settings.post_logout_redirect_url.unwrap().as_str(), "http://localhost:3000/bye");
    assert_eq!(settings.error_url.unwrap().as_str(), "https://example.com/failed?from=sso#login");
    assert_eq!(settings.trusted_proxies.len(), 2);
    assert_eq!(settings.log_format, LogFormat::Text);
    assert_eq!(&*settings.storage_url, "postgresql://db.example.org/portico");
    let ours = [("PORTICO_STORAGE_URL", "sqlite::memory:"), ("DATABASE_URL", "mysql://other")];
    assert_eq!(&*fine(&[&ours]).settings.storage_url, "sqlite::memory:");
    assert!(mistake(&[&ours[1..]]).starts_with("DATABASE_URL: "));
}

#[test]
fn the_shipped_files_work() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
    let example = format!("{root}/example.toml");
    let secret = ("PORTICO_OIDC_GOOGLE_CLIENT_SECRET", "hush");
    let loaded = load_exactly(variables(&[&LEAST[1..], &[("PORTICO_CONFIG", &example), secret]])).unwrap();
    assert!(!loaded.settings.slots.is_empty());
    // Without its comment marks, the file of defaults changes no value.
    let text = std::fs::read_to_string(format!("{root}/default.toml")).unwrap();
    let shown = |line: &&str| !line.contains('…');
    let line = |line: &'_ str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<_> = text.lines().filter(shown).map(line).collect();
    let file = TempFile::new(&text.join("\n"));
    let slots = [&OIDC[..], &OAUTH2].concat();
    let (plain, by_file) = (fine(&[&slots]), fine(&[&slots, &[("PORTICO_CONFIG", file.name())]]));
    let values = |loaded: &Loaded| {
        let all: Vec<Json> = serde_json::from_str(&render(loaded, true)).unwrap();
        let own = all.into_iter().filter(|entry| !entry["path"].as_str().unwrap().contains("google"));
        own.map(|entry| (entry["path"].clone().to_string(), entry["value"].clone()))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(values(&plain), values(&by_file));
    let by_file: Vec<Json> = serde_json::from_str(&render(&by_file, true)).unwrap();
    assert!(by_file.iter().filter(|entry| entry["source"] == file.name()).count() > 60);
}
