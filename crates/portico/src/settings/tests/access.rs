//! Access rules and roles.

use portico_core::claims::GroupsSeparator;

use super::*;

const TWO_SLOTS: [&[(&str, &str)]; 2] = [&OIDC, &OAUTH2];
const ROLES: &str = "PORTICO_SECURITY_ROLES";

#[test]
fn access_rules_are_read_as_they_stand() {
    let slot = slot(&[
        &OIDC,
        &[
            ("PORTICO_OIDC_PROVIDER1_ALLOWED_GROUPS", r#"["CN=Staff,OU=Groups", "ops"]"#),
            ("PORTICO_OIDC_PROVIDER1_ALLOWED_EMAIL_DOMAINS", "example.com, sub.example.com"),
            ("PORTICO_OIDC_PROVIDER1_ALLOWED_SUBJECTS", "42"),
            ("PORTICO_OIDC_PROVIDER1_ALLOWED_TENANTS", "9188040d-6c67-4c5b-b112-36a304b66dad"),
            ("PORTICO_OIDC_PROVIDER1_GROUPS_SEPARATOR", "comma"),
        ],
    ]);
    assert_eq!(slot.access.groups, ["CN=Staff,OU=Groups", "ops"]);
    assert_eq!(slot.access.email_domains, ["example.com", "sub.example.com"]);
    assert_eq!(slot.access.subjects, ["42"]);
    assert_eq!(slot.access.tenants, ["9188040d-6c67-4c5b-b112-36a304b66dad"]);
    assert_eq!(slot.claims.groups_separator, GroupsSeparator::Comma);
    let plain = super::slot(&[&OIDC]);
    assert!(plain.access.admits_everyone() && plain.claims.groups_separator == GroupsSeparator::None);
}

#[test]
fn access_rules_that_are_wrong() {
    for (name, wrong) in [
        ("ALLOWED_GROUPS", r#"["staff", ""]"#),
        ("ALLOWED_EMAIL_DOMAINS", "a.example,,b.example"),
        ("ALLOWED_EMAIL_DOMAINS", "@example.com"),
        ("ALLOWED_EMAIL_DOMAINS", "*.example.com"),
        ("ALLOWED_EMAIL_DOMAINS", ".example.com"),
        ("ALLOWED_SUBJECTS", r#"[""]"#),
        ("ALLOWED_TENANTS", r#"["", "t"]"#),
        ("GROUPS_SEPARATOR", "semicolon"),
    ] {
        let name = format!("PORTICO_OIDC_PROVIDER1_{name}");
        let message = mistake(&[&OIDC, &[(&name, wrong)]]);
        assert!(message.starts_with(&format!("{name}: ")), "{wrong}: {message}");
    }
    let file =
        TempFile::new("[security.oidc_provider_settings.provider1]\nallowed_groups = [\"staff\", \"\"]\n");
    let message = mistake(&[&OIDC, &[("PORTICO_CONFIG", file.name())]]);
    assert!(message.starts_with("security.oidc_provider_settings.provider1.allowed_groups in "), "{message}");
}

// Section 4 of the contract: tenants come from a signed ID token.
#[test]
fn tenants_need_a_signed_id_token() {
    const OWN: &str = "PORTICO_OIDC_PROVIDER1_ALLOWED_TENANTS";
    let unsigned = [("PORTICO_OIDC_PROVIDER1_ID_TOKEN_VERIFY_SIGNATURE", "false")];
    assert_eq!(slot(&[&OIDC, &[(OWN, "t")]]).access.tenants, ["t"]);
    fine(&[&OIDC, &unsigned, &[(OWN, "")]]);
    assert!(
        mistake(&[&OIDC, &unsigned, &[(OWN, "t")]]).starts_with(&format!("{OWN}: needs signed ID tokens"))
    );
    let plain = "PORTICO_OAUTH2_PROVIDER1_ALLOWED_TENANTS";
    fine(&[&OAUTH2, &[(plain, "[]")]]);
    assert!(mistake(&[&OAUTH2, &[(plain, "t")]]).starts_with(&format!("{plain}: needs an ID token")));
}

#[test]
fn roles_are_read_as_they_stand() {
    let file = TempFile::new("[security.roles]\nTrusted = [\"Staff\", \"oidc/provider1:ops\"]\n");
    let loaded = fine(&[
        &OIDC,
        &[
            ("PORTICO_CONFIG", file.name()),
            ("PORTICO_SECURITY_DEFAULT_ROLE", "guest"),
            ("PORTICO_SECURITY_SSO_USER_DEFAULT_GROUP", "everybody"),
        ],
    ]);
    let Loaded { settings, .. } = loaded;
    let slot = settings.slots[0].id();
    let roles = |groups: &[&str]| {
        let groups: Vec<_> = groups.iter().map(|&group| group.to_owned()).collect();
        settings.roles.roles(Some(slot), Some(&groups), &[])
    };
    assert_eq!(
        (roles(&["STAFF"]), roles(&["ops"])),
        (vec!["Trusted".to_owned()], vec!["Trusted".to_owned()])
    );
    assert_eq!(roles(&["other"]), ["guest"]);
    assert_eq!(settings.default_group.as_deref(), Some("everybody"));
    assert!(settings.slots[0].claims.groups_wanted, "roles are made of groups");
    let plain = fine(&[&OIDC]).settings;
    assert!(plain.roles == RoleMap::default() && plain.default_group.is_none());
}

#[test]
fn roles_that_are_wrong() {
    let long = "x".repeat(65);
    for wrong in [
        json!({ long.as_str(): ["staff"] }),
        json!({ "": ["staff"] }),
        json!({ "editor": [""] }),
        json!({ "editor": ["oidc/provider1:"] }),
        json!({ "editor": [7] }),
    ] {
        let message = mistake(&[&OIDC, &[(ROLES, &wrong.to_string())]]);
        assert!(message.starts_with(&format!("{ROLES}: ")), "{wrong}: {message}");
    }
    fine(&[&OIDC, &[(ROLES, &json!({ &long[1..]: ["staff"], "nobody": [] }).to_string())]]);
    for name in ["PORTICO_SECURITY_DEFAULT_ROLE", "PORTICO_SECURITY_SSO_USER_DEFAULT_GROUP"] {
        assert!(mistake(&[&OIDC, &[(name, &long)]]).starts_with(&format!("{name}: is longer than 64 bytes")));
        fine(&[&OIDC, &[(name, &long[1..])]]);
    }
}

// Section 4 of the contract: a group of the same name at another provider grants no privileged role.
#[test]
fn a_privileged_role_names_its_slot_when_there_is_more_than_one() {
    let roles = |entries: Json| json!({ "admin": entries, "editor": ["staff"] }).to_string();
    let qualified = roles(json!(["oidc/provider1:ops", "oauth2/provider1:ops"]));
    for anywhere in [json!(["ops"]), json!(["oidc/provider1:ops", "ops"]), json!(["oidc/Provider1:ops"])] {
        let anywhere = roles(anywhere);
        fine(&[&OIDC, &[(ROLES, &anywhere)]]);
        let message = mistake(&[TWO_SLOTS[0], TWO_SLOTS[1], &[(ROLES, &anywhere)]]);
        assert!(message.starts_with(&format!("{ROLES}: gives the privileged role \"admin\"")), "{message}");
        let other = [(ROLES, anywhere.as_str()), ("PORTICO_SECURITY_PRIVILEGED_ROLES", "root")];
        fine(&[TWO_SLOTS[0], TWO_SLOTS[1], &other]);
    }
    fine(&[TWO_SLOTS[0], TWO_SLOTS[1], &[(ROLES, &qualified)]]);
    // The comparison ignores ASCII case, as all others of role names.
    let shouted = json!({ "ADMIN": ["ops"] }).to_string();
    assert!(
        mistake(&[TWO_SLOTS[0], TWO_SLOTS[1], &[(ROLES, &shouted)]]).contains("privileged role \"ADMIN\"")
    );
}

#[test]
fn q_entra_1_many_tenants_need_a_list_of_those_that_may_come_in() {
    const DISCOVERY: &str = "PORTICO_OIDC_PROVIDER1_DISCOVERY_URL";
    const ISSUER: &str = "PORTICO_OIDC_PROVIDER1_ISSUER";
    const TENANTS: &str = "PORTICO_OIDC_PROVIDER1_ALLOWED_TENANTS";
    const TENANT: (&str, &str) = (TENANTS, "9188040d-6c67-4c5b-b112-36a304b66dad");
    for many in [
        (DISCOVERY, "https://login.microsoftonline.com/common/v2.0"),
        (DISCOVERY, "https://login.microsoftonline.com/Organizations/v2.0/.well-known/openid-configuration"),
        (DISCOVERY, "https://login.partner.microsoftonline.cn/consumers/v2.0"),
        (DISCOVERY, "https://entra.example.com/common/v2.0/.well-known/openid-configuration"),
        (ISSUER, "https://login.microsoftonline.com/{tenantid}/v2.0"),
    ] {
        let message = mistake(&[&OIDC, &[many]]);
        assert!(message.starts_with(many.0) && message.contains("allowed_tenants"), "{message}");
        fine(&[&OIDC, &[many, TENANT]]);
        let message = mistake(&[&OIDC, &[many, (TENANTS, "9188040D-6C67-4C5B-B112-36A304B66DAD")]]);
        assert!(message.starts_with(TENANTS) && message.contains("lower case"), "{message}");
    }
    fine(&[&OIDC, &[(DISCOVERY, "https://idp.example.com/common/.well-known/openid-configuration")]]);
    let template = ("PORTICO_OAUTH2_PROVIDER1_ISSUER", "https://login.example/{tenantid}/v2.0");
    let message = mistake(&[&OAUTH2, &[template]]);
    assert!(message.starts_with(template.0), "{message}");
}
