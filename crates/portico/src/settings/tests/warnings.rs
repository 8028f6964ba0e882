//! The collector of traces, the warnings, and the masking of secrets.

use super::*;

#[test]
fn traces_go_to_an_address_or_nowhere() {
    let endpoint = |text| fine(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", text)]]).settings.otlp_endpoint;
    assert_eq!(
        endpoint("http://collector:4318").map(String::from).as_deref(),
        Some("http://collector:4318/")
    );
    assert_eq!(endpoint(""), None);
    assert_eq!(fine(&[]).settings.otlp_endpoint, None);
    for wrong in ["collector:4318", "grpc://collector:4317", "http://user:hush@collector", "http://"] {
        let message = mistake(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]]);
        assert!(
            message.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: ") && !message.contains("hush"),
            "{message}"
        );
    }
}

fn has_warning(groups: &[&[(&str, &str)]], words: &str) -> bool {
    fine(groups).warnings.iter().any(|warning| warning.contains(words))
}

#[test]
fn what_is_weak_is_warned_about() {
    assert!(has_warning(&[], "no slot is enabled") && !has_warning(&[&OIDC], "no slot is enabled"));
    for (name, value, words) in [
        ("OIDC_PROVIDER1_PKCE_ENABLED", "false", "pkce_enabled is false; only the nonce"),
        ("OIDC_PROVIDER1_ID_TOKEN_VERIFY_SIGNATURE", "0", "id_token_verify_signature is false"),
        ("OIDC_PROVIDER1_NONCE_MODE", "if_present", "nonce_mode is if_present"),
        ("OIDC_PROVIDER1_NONCE_MODE", "never", "nonce_mode is never"),
        ("OIDC_PROVIDER1_SCOPES", "profile", "scopes has no openid"),
        ("OAUTH2_PROVIDER1_PKCE_ENABLED", "no", "pkce_enabled is false; a stolen code"),
        ("STORAGE_URL", "postgres://db.example.org/portico", "clear text"),
    ] {
        let name = format!("PORTICO_{name}");
        assert!(!has_warning(&[&OIDC, &OAUTH2], words), "{words}");
        assert!(has_warning(&[&OIDC, &OAUTH2, &[(&name, value)]], words), "{words}");
    }
    assert!(has_warning(&[&OIDC], "oidc/provider1: every user of the provider may log in"));
    assert!(has_warning(
        &[&GOOGLE],
        "oidc/google: ANYBODY WITH AN ACCOUNT AT accounts.google.com MAY LOG IN"
    ));
    check_access_warnings();
    check_email_warnings();
    check_fallback_warnings();
}

/// Only a slot without an access rule has the warning about access.
fn check_access_warnings() {
    for name in ["ALLOWED_GROUPS", "ALLOWED_EMAIL_DOMAINS", "ALLOWED_SUBJECTS", "ALLOWED_TENANTS"] {
        let names = ["PROVIDER1", "GOOGLE"].map(|slot| format!("PORTICO_OIDC_{slot}_{name}"));
        let rules = [(names[0].as_str(), "x"), (names[1].as_str(), "x")];
        let both = [("PORTICO_SECURITY_OIDC_PROVIDERS", "provider1,google")];
        let groups = [&OIDC[..], &GOOGLE[..3], &both, &rules];
        assert!(!has_warning(&groups, "because the slot has no access rule"), "{name}");
    }
}

/// `allowed_email_domains` at a provider that does not mark verified addresses.
fn check_email_warnings() {
    let domains = ("PORTICO_OIDC_PROVIDER1_ALLOWED_EMAIL_DOMAINS", "example.com");
    let entra = ("PORTICO_OIDC_PROVIDER1_DISCOVERY_URL", "https://login.microsoftonline.com/t/v2.0");
    let own = ("PORTICO_OIDC_PROVIDER1_EMAIL_VERIFIED_CLAIM", "xms_edov");
    assert!(has_warning(
        &[&OIDC, &[domains, entra]],
        "oidc/provider1: allowed_email_domains will refuse every login"
    ));
    for fine in [&[domains][..], &[entra], &[domains, entra, own]] {
        assert!(!has_warning(&[&OIDC, fine], "will refuse every login"), "{fine:?}");
    }
    let github = [
        ("PORTICO_OAUTH2_PROVIDER1_AUTHORIZATION_URL", "https://github.com/login/oauth/authorize"),
        ("PORTICO_OAUTH2_PROVIDER1_ALLOWED_EMAIL_DOMAINS", "example.com"),
    ];
    let list = [("PORTICO_OAUTH2_PROVIDER1_EMAILS_URL", "https://api.github.com/user/emails")];
    let oauth2 = [OAUTH2[0], OAUTH2[1], OAUTH2[3], OAUTH2[4]];
    assert!(has_warning(&[&oauth2, &github], "will refuse every login"));
    assert!(
        !has_warning(&[&oauth2, &github, &list], "will refuse every login"),
        "its list of addresses says so"
    );
}

/// The name fallback at a provider where users choose their names.
fn check_fallback_warnings() {
    let off = [("PORTICO_SECURITY_SSO_ACCOUNT_NAME_FALLBACK", "false")];
    let own = [("PORTICO_OAUTH2_PROVIDER1_ACCOUNT_NAME_FALLBACK", "false")];
    assert!(!has_warning(&[&OIDC], "name fallback"));
    assert!(has_warning(&[&OAUTH2], "the name fallback is on for oauth2/provider1"));
    assert!(has_warning(&[&GOOGLE], "the name fallback is on for oidc/google, oauth2/google"));
    assert!(
        !has_warning(&[&OAUTH2, &off], "name fallback") && !has_warning(&[&OAUTH2, &own], "name fallback")
    );
}

#[test]
fn what_is_forgotten_or_comes_to_nothing_is_warned_about() {
    // A configured slot that no list names.
    let forgotten = "oidc/provider1 has a client_id (PORTICO_OIDC_PROVIDER1_CLIENT_ID) but is not enabled; \
                     name it in security.oidc_providers";
    assert!(has_warning(&[&OIDC[1..]], forgotten) && has_warning(&[&OIDC[1..], &OAUTH2], forgotten));
    assert!(!has_warning(&[&OIDC, &OAUTH2], "but is not enabled"));
    // Lifetimes longer than the session.
    for (name, words) in [
        (
            "ACCESS_TOKEN_LIFETIME",
            "security.access_token_lifetime is longer than security.refresh_token_lifetime",
        ),
        (
            "SESSION_IDLE_TIMEOUT",
            "security.session_idle_timeout is longer than security.refresh_token_lifetime",
        ),
    ] {
        let name = format!("PORTICO_SECURITY_{name}");
        assert!(
            has_warning(&[&[(&name, "31d")]], words) && !has_warning(&[&[(&name, "30d")]], words),
            "{words}"
        );
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let loaded = fine(&[
        &OIDC,
        &[
            ("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET", "CANARY-secret"),
            ("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_NEXT", "CANARY-next"),
            ("PORTICO_STORAGE_URL", "postgres://portico:CANARY-password@db.example.org/portico"),
        ],
    ]);
    let shown =
        [render(&loaded, true), render(&loaded, false), format!("{loaded:?}"), loaded.warnings.concat()];
    for text in shown {
        assert!(!text.contains("CANARY") && !text.contains(KEY), "{text}");
    }
    let lines = render(&loaded, false);
    assert!(lines.contains("security.secret_key = ***    # PORTICO_SECURITY_SECRET_KEY\n"), "{lines}");
    assert!(
        lines.contains(
            "storage.url = postgres://portico:***@db.example.org/portico    # PORTICO_STORAGE_URL\n"
        )
    );
    assert!(lines.contains("provider1.issuer = (from discovery; OAuth 2.0: none)    # default\n"));
    assert!(lines.contains("security.signing_alg = ES256    # default\n"));
    assert!(!lines.contains("provider2"), "not enabled");
}
