//! The settings of a slot.

use super::*;

#[test]
fn slot_settings_that_are_wrong() {
    for (name, wrong) in [
        ("CLIENT_ID", ""),
        ("CLIENT_SECRET_NEXT", "CANARY"),
        ("DISCOVERY_URL", "http://idp.example.com"),
        ("DISCOVERY_URL", "not a url"),
        ("ISSUER_ALIASES", "idp.example.com"),
        ("USERINFO_URL", "http://idp.example.com/userinfo"),
        ("ICON", "Google"),
        ("ICON", "mdi:"),
        ("ICON", "mdi:a:b"),
        ("ICON", "mdi:Google"),
        ("DISPLAY_LABEL", "two\nlines"),
        ("SCOPES", "openid \"x\""),
        ("USERINFO", "sometimes"),
        ("USERINFO_METHOD", "POST"),
        ("TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_jwt"),
        ("SUBJECT_CLAIM", "sub,oid"),
        ("SUBJECT_CLAIM", r#"["sub"]"#),
        ("NAME_CLAIM", "/a~b"),
        ("GROUPS_CLAIM", ""),
        ("EXTRA_AUTHORIZATION_PARAMS", "prompt=login"),
        ("EXTRA_AUTHORIZATION_PARAMS", r#"{"": "x"}"#),
        ("ALLOWED_ALGS", "HS256"),
        ("ALLOWED_ALGS", "RS256,none"),
        ("NONCE_MODE", "off"),
        ("CLOCK_SKEW", "301"),
        ("PKCE_ENABLED", ""),
        ("CA_BUNDLE", "/no/such.pem"),
    ] {
        let name = format!("PORTICO_OIDC_PROVIDER1_{name}");
        let message = mistake(&[&OIDC, &[(&name, wrong)]]);
        assert!(message.starts_with(&format!("{name}: ")), "{message}");
        assert!(!message.contains("CANARY"), "{message}");
    }
    let message = mistake(&[&OIDC, &[("PORTICO_OIDC_PROVIDER1_ALLOWED_ALGS", "HS256")]]);
    for alg in SigningAlg::ALL {
        assert!(message.contains(alg.as_str()), "{message}");
    }
}

#[test]
fn q_cfg_2_slot_settings_that_are_right() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let bundle = TempFile::new(certificate);
    let slot = slot(&[
        &OIDC,
        &[
            ("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET", "hush"),
            ("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET_NEXT", "hush hush"),
            ("PORTICO_OIDC_PROVIDER1_TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_post"),
            ("PORTICO_OIDC_PROVIDER1_ISSUER", "https://idp.example.com/"),
            ("PORTICO_OIDC_PROVIDER1_ISSUER_ALIASES", "idp.example.com"),
            ("PORTICO_OIDC_PROVIDER1_SCOPES", "openid groups"),
            ("PORTICO_OIDC_PROVIDER1_NAME_CLAIM", "nickname,name"),
            ("PORTICO_OIDC_PROVIDER1_GROUPS_CLAIM", "/realm_access/roles"),
            ("PORTICO_OIDC_PROVIDER1_AUDIENCE", "https://api.example.com/?a=b&c"),
            ("PORTICO_OIDC_PROVIDER1_EXTRA_AUTHORIZATION_PARAMS", r#"{"acr_values": "gold silver"}"#),
            ("PORTICO_OIDC_PROVIDER1_ALLOWED_ALGS", "EdDSA, ES256"),
            ("PORTICO_OIDC_PROVIDER1_CLOCK_SKEW", "5m"),
            ("PORTICO_OIDC_PROVIDER1_CA_BUNDLE", bundle.name()),
        ],
    ]);
    assert!(matches!(&slot.auth, ClientAuth::Post(secrets) if secrets.next.is_some()));
    let own = oidc(&slot);
    assert_eq!(own.issuer.as_ref().unwrap().as_str(), "https://idp.example.com/");
    assert_eq!(own.issuer_aliases[0].as_str(), "idp.example.com");
    assert_eq!(own.allowed_algs, Some(vec![SigningAlg::EdDSA, SigningAlg::ES256]));
    assert_eq!(
        slot.claims.name.iter().map(portico_core::claims::ClaimPath::as_str).collect::<Vec<_>>(),
        ["nickname", "name"]
    );
    assert!(slot.claims.groups_wanted, "the claim is set");
    assert_eq!(slot.clock_skew, Duration::from_mins(5));
    assert_eq!(slot.transport.extra_roots.as_deref(), Some(certificate.as_bytes()));
    check_discovery_urls();
}

/// A missing well-known path is added to the discovery URL.
fn check_discovery_urls() {
    for (written, fetched) in [
        ("https://idp.example.com/realm/", "https://idp.example.com/realm/.well-known/openid-configuration"),
        (
            "https://idp.example.com/r/.well-known/openid-configuration",
            "https://idp.example.com/r/.well-known/openid-configuration",
        ),
        (
            "https://idp.example.com/index.php/apps/oidc/openid-configuration",
            "https://idp.example.com/index.php/apps/oidc/openid-configuration",
        ),
        (
            "https://idp.example.com/t?p=policy",
            "https://idp.example.com/t/.well-known/openid-configuration?p=policy",
        ),
    ] {
        let changed = slot_with("DISCOVERY_URL", written);
        assert_eq!(oidc(&changed).discovery_url.as_str(), fetched);
    }
}

fn slot_with(name: &str, value: &str) -> Slot {
    let name = format!("PORTICO_OIDC_PROVIDER1_{name}");
    slot(&[&OIDC, &[(&name, value)]])
}

// RFC 6749 3.1, 3.2: endpoints need TLS.
#[test]
fn plain_http_is_for_this_host_or_for_who_asks_for_it() {
    for host in ["localhost", "127.0.0.1:8080", "[::1]"] {
        slot_with("DISCOVERY_URL", &format!("http://{host}/"));
    }
    for host in ["127.0.0.2", "localhost.example.com", "10.0.0.1", "idp"] {
        let url = format!("http://{host}/");
        let variables = [("PORTICO_OIDC_PROVIDER1_DISCOVERY_URL", url.as_str())];
        assert!(mistake(&[&OIDC, &variables]).contains("allow_insecure_http"), "{host}");
        let loaded = fine(&[&OIDC, &variables, &[("PORTICO_OIDC_PROVIDER1_ALLOW_INSECURE_HTTP", "true")]]);
        assert!(loaded.settings.slots[0].transport.allow_insecure_http);
        assert!(loaded.warnings.iter().any(|warning| warning.contains("allow_insecure_http")));
    }
}

// RFC 6749 2.3: one method of client authentication.
#[test]
fn client_authentication_has_exactly_what_it_needs() {
    const METHOD: &str = "PORTICO_OIDC_PROVIDER1_TOKEN_ENDPOINT_AUTH_METHOD";
    let secret = [("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET", "hush")];
    let with =
        |method: &'static str, secret: &[(&str, &str)]| slot(&[&OIDC, &[(METHOD, method)], secret]).auth;
    assert!(matches!(with("auto", &[]), ClientAuth::Public));
    assert!(matches!(with("none", &[]), ClientAuth::Public));
    assert!(matches!(with("auto", &secret), ClientAuth::Auto(_)));
    assert!(matches!(with("client_secret_basic", &secret), ClientAuth::Basic(_)));
    assert!(matches!(with("client_secret_post", &secret), ClientAuth::Post(_)));
    for method in ["client_secret_basic", "client_secret_post"] {
        let message = mistake(&[&OIDC, &[(METHOD, method)]]);
        assert!(message.starts_with("PORTICO_OIDC_PROVIDER1_CLIENT_SECRET: is missing"), "{message}");
    }
    assert!(mistake(&[&OIDC, &[(METHOD, "none")], &secret]).starts_with(METHOD));
}

// RFC 6749 4.1.1, RFC 9101: extra parameters must not repeat those of Portico.
#[test]
fn parameters_that_portico_sets_are_refused() {
    const NAME: &str = "PORTICO_OIDC_PROVIDER1_EXTRA_AUTHORIZATION_PARAMS";
    for reserved in [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "audience",
        "response_mode",
        "request",
        "request_uri",
        "State",
    ] {
        let message = mistake(&[&OIDC, &[(NAME, &json!({ reserved: "x" }).to_string())]]);
        assert!(message.starts_with(NAME) && message.contains(&reserved.to_lowercase()), "{message}");
    }
    for free in ["prompt", "access_type", "hd", "acr_values", "max_age", "login_hint", "claims"] {
        slot_with("EXTRA_AUTHORIZATION_PARAMS", &json!({ free: "x" }).to_string());
    }
}

#[test]
fn the_name_fallback_narrows_and_never_widens() {
    const GLOBAL: &str = "PORTICO_SECURITY_SSO_ACCOUNT_NAME_FALLBACK";
    const OWN: &str = "PORTICO_OIDC_PROVIDER1_ACCOUNT_NAME_FALLBACK";
    for (global, own, is) in
        [("true", "true", true), ("true", "no", false), ("false", "true", false), ("false", "false", false)]
    {
        assert_eq!(slot(&[&OIDC, &[(GLOBAL, global), (OWN, own)]]).name_fallback, is, "{global} {own}");
    }
    assert!(!slot_with("ID_TOKEN_VERIFY_SIGNATURE", "false").name_fallback, "the name is not verified");
}

#[test]
fn what_is_looked_up_needs_an_address_and_a_scope() {
    const EMAILS: &str = "PORTICO_OAUTH2_PROVIDER1_EMAILS_URL";
    const FETCH: (&str, &str) = ("PORTICO_OIDC_GOOGLE_FETCH_GROUPS", "true");
    let git = slot(&[&OAUTH2, &[(EMAILS, "https://git.example.com/emails")]]);
    assert_eq!(oauth2(&git).emails_url.as_ref().map(Url::as_str), Some("https://git.example.com/emails"));
    assert!(oauth2(&slot(&[&OAUTH2])).emails_url.is_none());
    assert!(mistake(&[&OAUTH2, &[(EMAILS, "http://git.example.com/emails")]]).starts_with(EMAILS));

    let google = &GOOGLE[..3];
    let plain = slot(&[google]);
    assert!(plain.groups_url.is_none() && plain.scopes == ["openid", "profile", "email"]);
    let wanted = slot(&[google, &[FETCH]]);
    assert!(wanted.groups_url.is_some_and(|url| url.host_str() == Some("cloudidentity.googleapis.com")));
    assert!(wanted.scopes[3].ends_with("/auth/cloud-identity.groups.readonly"), "{:?}", wanted.scopes);
    let elsewhere = ("PORTICO_OIDC_GOOGLE_CLOUDIDENTITY_URL", "http://groups.example.com/");
    assert!(mistake(&[google, &[FETCH, elsewhere]]).starts_with(elsewhere.0));
}

#[test]
fn the_answer_travels_as_the_slot_says() {
    assert_eq!(slot(&[&OIDC]).response_mode, ResponseMode::Query);
    let form = [("PORTICO_OIDC_PROVIDER1_RESPONSE_MODE", "form_post")];
    assert_eq!(slot(&[&OIDC, &form]).response_mode, ResponseMode::FormPost);
}
