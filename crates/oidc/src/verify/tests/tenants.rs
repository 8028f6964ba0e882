//! An issuer template for many tenants.

use super::*;

/// The access rule checks later whether the tenant is allowed.
#[test]
fn q_entra_1_the_issuer_of_many_tenants_is_that_of_the_tokens_own() {
    const OWN: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    const OTHER: &str = "11111111-2222-3333-4444-555555555555";
    let issuer = Issuer::new("https://login.example/{tenantid}/v2.0");
    let aliases = [Issuer::new("https://sts.example/{tenantid}/")];
    let parties = Parties { client_id: "portico", issuer: &issuer, aliases: &aliases };
    let of = |tenant: &str| json!(format!("https://login.example/{tenant}/v2.0"));
    let judge = |iss: Value, tid: Option<Value>| {
        let mut draft = Draft::honest(SigningAlg::ES256);
        draft.claims["iss"] = iss;
        if let Some(tid) = &tid {
            draft.claims["tid"] = tid.clone();
        }
        let text = draft.signed(&EC);
        let token = UnverifiedToken::parse(&text).unwrap();
        let judged =
            token.check_parties(&parties).map(|issuer| issuer.to_string()).map_err(|check| check.name);
        // The second opinion gets the issuers of the token's tenant, if it has one.
        let filled = |issuer: &Issuer| {
            Issuer::new(
                issuer.of_tenant(tid.as_ref().and_then(Value::as_str)).unwrap_or(issuer.as_str().into()),
            )
        };
        let rules = Rules {
            issuer: filled(&issuer),
            aliases: aliases.iter().map(filled).collect(),
            ..Rules::default()
        };
        let keys = set(&[EC.published("k1")]);
        Judgement::new(&rules, &text, &keys, judged.as_ref().map(|_| ()).map_err(|name| *name))
            .check()
            .unwrap();
        judged
    };
    let stored = |tenant: &str| Ok(format!("https://login.example/{tenant}/v2.0"));
    for tenant in [OWN, OTHER] {
        assert_eq!(judge(of(tenant), Some(json!(tenant))), stored(tenant));
    }
    // An alias is stored as the issuer of the slot.
    assert_eq!(judge(json!(format!("https://sts.example/{OWN}/")), Some(json!(OWN))), stored(OWN));
    for (iss, tid, failed) in [
        (of(OWN), None, "tid"),
        (of(OWN), Some(json!(7)), "tid"),
        (of(OWN), Some(json!("")), "tid"),
        (of("common"), Some(json!("common")), "tid"),
        (of(&OWN.to_uppercase()), Some(json!(OWN.to_uppercase())), "tid"),
        (json!("https://login.example/a/../x/v2.0"), Some(json!("a/../x")), "tid"),
        (of(OWN), Some(json!(OTHER)), "iss"),
        (of("{tenantid}"), Some(json!(OWN)), "iss"),
        (json!(format!("https://login.example/{OWN}/v2.0/x")), Some(json!(OWN)), "iss"),
        (json!(format!("https://login.example/{OWN}/v2.0/")), Some(json!(OWN)), "iss"),
        (json!(format!("https://evil.example/{OWN}/v2.0")), Some(json!(OWN)), "iss"),
        (json!(format!("https://sts.example/{OTHER}/")), Some(json!(OWN)), "iss"),
    ] {
        assert_eq!(judge(iss.clone(), tid.clone()), Err(failed), "{iss} {tid:?}");
    }
}
