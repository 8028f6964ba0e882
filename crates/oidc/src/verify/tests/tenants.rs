//! An issuer template for many tenants.

use super::*;

const OWN: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const OTHER: &str = "11111111-2222-3333-4444-555555555555";
const TEMPLATE: &str = "https://login.example/{tenantid}/v2.0";
const ALIAS: &str = "https://sts.example/{tenantid}/";

/// The issuer of a tenant.
fn issuer_of(tenant: &str) -> String {
    format!("https://login.example/{tenant}/v2.0")
}

/// The stored issuer, or the name of the failed check. The second opinion must agree.
fn judge(iss: &str, tid: Option<&Value>) -> Result<String, &'static str> {
    let (template, aliases) = (Issuer::new(TEMPLATE), [Issuer::new(ALIAS)]);
    let mut draft = Draft::honest(SigningAlg::ES256);
    draft.claims["iss"] = json!(iss);
    if let Some(tid) = tid {
        draft.claims["tid"] = tid.clone();
    }
    let text = draft.signed(&EC);
    let token = UnverifiedToken::parse(&text).unwrap();
    let parties = Parties { client_id: "portico", issuer: &template, aliases: &aliases };
    let judged = token.check_parties(&parties).map(|issuer| issuer.to_string()).map_err(|check| check.name);
    // The second opinion gets the issuers of the token's tenant, if it has one.
    let filled = |issuer: &Issuer| {
        Issuer::new(issuer.of_tenant(tid.and_then(Value::as_str)).unwrap_or(issuer.as_str().into()))
    };
    let rules = Rules {
        issuer: filled(&template),
        aliases: aliases.iter().map(filled).collect(),
        ..Rules::default()
    };
    let keys = set(&[EC.published("k1")]);
    Judgement::new(&rules, &text, &keys, judged.as_ref().map(|_| ()).map_err(|name| *name)).check().unwrap();
    judged
}

/// The access rule checks later whether the tenant is allowed.
#[test]
fn q_entra_1_the_issuer_of_many_tenants_is_that_of_the_tokens_own() {
    for tenant in [OWN, OTHER] {
        assert_eq!(judge(&issuer_of(tenant), Some(&json!(tenant))), Ok(issuer_of(tenant)));
    }
    // An alias is stored as the issuer of the slot.
    assert_eq!(judge(&ALIAS.replace("{tenantid}", OWN), Some(&json!(OWN))), Ok(issuer_of(OWN)));
    for (iss, tid, failed) in [
        (issuer_of(OWN), None, "tid"),
        (issuer_of(OWN), Some(json!(7)), "tid"),
        (issuer_of(OWN), Some(json!("")), "tid"),
        (issuer_of("common"), Some(json!("common")), "tid"),
        (issuer_of(&OWN.to_uppercase()), Some(json!(OWN.to_uppercase())), "tid"),
        (issuer_of("a/../x"), Some(json!("a/../x")), "tid"),
        (issuer_of(OWN), Some(json!(OTHER)), "iss"),
        (issuer_of("{tenantid}"), Some(json!(OWN)), "iss"),
        (format!("{}/x", issuer_of(OWN)), Some(json!(OWN)), "iss"),
        (format!("{}/", issuer_of(OWN)), Some(json!(OWN)), "iss"),
        (format!("https://evil.example/{OWN}/v2.0"), Some(json!(OWN)), "iss"),
        (format!("https://sts.example/{OTHER}/"), Some(json!(OWN)), "iss"),
    ] {
        assert_eq!(judge(&iss, tid.as_ref()), Err(failed), "{iss} {tid:?}");
    }
}
