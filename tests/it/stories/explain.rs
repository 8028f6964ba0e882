//! The command `portico access explain`: whether a login would be admitted, and with which roles.

use serde_json::{Value, json};

use crate::testkit::{Output, Program};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

/// A program with a multi-tenant Microsoft slot and a GitHub slot.
fn program() -> Program {
    let variables = [
        ("SECURITY_OIDC_PROVIDERS", "provider1"),
        ("OIDC_PROVIDER1_CLIENT_ID", "portico"),
        ("OIDC_PROVIDER1_DISCOVERY_URL", "https://login.microsoftonline.com/organizations/v2.0"),
        ("OIDC_PROVIDER1_ISSUER", "https://login.microsoftonline.com/{tenantid}/v2.0"),
        ("OIDC_PROVIDER1_ALLOWED_TENANTS", TENANT),
        ("OIDC_PROVIDER1_ALLOWED_GROUPS", "staff,ops"),
        ("SECURITY_OAUTH2_PROVIDERS", "provider1"),
        ("OAUTH2_PROVIDER1_CLIENT_ID", "portico"),
        ("OAUTH2_PROVIDER1_AUTHORIZATION_URL", "https://github.com/login/oauth/authorize"),
        ("OAUTH2_PROVIDER1_TOKEN_URL", "https://github.com/login/oauth/access_token"),
        ("OAUTH2_PROVIDER1_USERINFO_URL", "https://api.github.com/user"),
        ("OAUTH2_PROVIDER1_SUBJECT_CLAIM", "id"),
        ("OAUTH2_PROVIDER1_NAME_CLAIM", "name,login"),
        ("SECURITY_ROLES", r#"{"admin": ["oidc/provider1:ops"], "trusted": ["staff"]}"#),
        ("SECURITY_DEFAULT_ROLE", "guest"),
    ];
    let named = |(name, value): &(&str, &str)| (format!("PORTICO_{name}"), (*value).to_owned());
    Program::configured().set_all(variables.iter().map(named).collect())
}

fn explain(slot: &str, claims: &Value, more: &[&str]) -> Output {
    let program = program().file("claims.json", &claims.to_string());
    let userinfo = json!({ "sub": "42", "groups": ["ops"], "aud": "other" });
    let program = program.file("userinfo.json", &userinfo.to_string());
    program.run(&[&["access", "explain", "--slot", slot, "claims.json"], more].concat())
}

fn person(groups: &Value) -> Value {
    json!({
        "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "tid": TENANT,
        "sub": "42",
        "name": "Ada Lovelace",
        "email": "ada@corp.example",
        "groups": groups,
    })
}

#[test]
fn who_would_come_in_is_told_with_groups_and_roles() {
    let told = explain("oidc/provider1", &person(&json!(["staff", "OPS"])), &["--json"]);
    told.exits(0);
    assert_eq!(
        told.json(),
        json!({
            "slot": "oidc/provider1",
            "admitted": true,
            "refused_by": null,
            "identity": {
                "protocol": "oidc",
                "issuer": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
                "subject": "42",
            },
            "name": "Ada Lovelace",
            "email": "ada@corp.example",
            "email_verified": null,
            "groups": ["staff", "OPS"],
            "groups_overage": false,
            "roles": ["admin", "trusted"],
        })
    );
    let told = explain("oidc/provider1", &person(&json!("ops")), &[]);
    told.exits(0);
    for line in [
        "groups    ops",
        "roles     admin",
        "passes    allowed_groups: staff, ops",
        "would admit this person.",
    ] {
        assert!(told.stdout.contains(line), "{}", told.stdout);
    }
    let git = json!({ "id": 7, "login": "ada", "name": null });
    let told = explain("oauth2/provider1", &git, &["--json"]);
    assert_eq!((told.json()["name"].clone(), told.json()["roles"].clone()), (json!("ada"), json!(["guest"])));
    assert_eq!(told.json()["identity"]["issuer"], "https://github.com/login/oauth/access_token#id");
}

#[test]
fn who_would_not_come_in_is_told_why() {
    let bent = |name: &str, value: Value| {
        let mut claims = person(&json!(["staff"]));
        claims[name] = value;
        claims
    };
    for (claims, why) in [
        (person(&json!(["Staff"])), "allowed_groups"),
        (person(&json!([])), "allowed_groups"),
        (bent("tid", json!("11111111-2222-3333-4444-555555555555")), "allowed_tenants"),
        (bent("tid", json!("common")), "tid must be the GUID of a tenant"),
        (bent("sub", json!("")), "no usable subject"),
    ] {
        explain("oidc/provider1", &claims, &[]).exits(1).complains(&["would not admit this person", why]);
    }
    let mut without = person(&json!(null));
    without["_claim_names"] = json!({ "groups": "src1" });
    let told = explain("oidc/provider1", &without, &[]);
    told.exits(1);
    assert!(told.stdout.contains("too many"), "{}", told.stdout);
    // Claims from userinfo count, except those that only the ID token may contain.
    explain("oidc/provider1", &person(&json!(null)), &["--userinfo", "userinfo.json"]).exits(0);
}

#[test]
fn what_cannot_be_explained_is_said() {
    explain("oidc/provider2", &json!({}), &[]).exits(1).complains(&["oidc/provider2 is not enabled"]);
    explain("provider1", &json!({}), &[]).exits(2);
    explain("oidc/provider1", &json!([]), &[]).exits(1).complains(&["claims.json: it is not a JSON object"]);
    program()
        .run(&["access", "explain", "--slot", "oidc/provider1", "none.json"])
        .exits(1)
        .complains(&["none.json"]);
}
