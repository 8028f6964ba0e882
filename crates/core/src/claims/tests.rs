//! Claims read from documents of many forms.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::*;
use crate::provider::{
    Button, ClientAuth, Issuer, NonceMode, OAuth2Settings, OidcSettings, Pkce, ProviderKind, SignatureCheck,
    Slot, Transport, UserinfoMethod, UserinfoUse,
};
use crate::slot::SlotName;

/// A slot with all defaults, changed by the test.
pub(crate) fn slot(change: impl FnOnce(&mut Slot)) -> Slot {
    let name = |text: &str| ClaimPath::Name(text.to_owned());
    let mut slot = Slot {
        name: SlotName::Provider1,
        button: Button { label: "Sign in".to_owned(), icon: "mdi:account-key".to_owned() },
        client_id: "client".to_owned(),
        auth: ClientAuth::Public,
        pkce: Pkce::S256,
        scopes: vec!["openid".to_owned()],
        audience: None,
        extra_params: std::collections::BTreeMap::new(),
        claims: ClaimMap {
            subject: name("sub"),
            name: vec![name("name")],
            email: vec![name("email")],
            email_verified: name("email_verified"),
            groups: name("groups"),
            groups_separator: GroupsSeparator::None,
            groups_wanted: false,
        },
        response_mode: crate::provider::ResponseMode::Query,
        userinfo_method: UserinfoMethod::Get,
        groups_url: None,
        clock_skew: Duration::from_mins(1),
        transport: Transport::default(),
        name_fallback: true,
        access: crate::admission::AccessRule::default(),
        kind: ProviderKind::Oidc(OidcSettings {
            discovery_url: "https://idp.example.com/.well-known/openid-configuration".parse().unwrap(),
            issuer: None,
            issuer_aliases: Vec::new(),
            signature: SignatureCheck::Verify,
            allowed_algs: None,
            nonce: NonceMode::Required,
            userinfo: UserinfoUse::IfNeeded,
            userinfo_url: None,
        }),
    };
    change(&mut slot);
    slot
}

fn github() -> Slot {
    slot(|slot| {
        slot.claims.subject = ClaimPath::Name("id".to_owned());
        slot.claims.name = ["name", "login"].map(|name| ClaimPath::Name(name.to_owned())).to_vec();
        slot.kind = ProviderKind::OAuth2(OAuth2Settings {
            authorization_url: "https://git.example.com/authorize".parse().unwrap(),
            token_url: "https://git.example.com/token".parse().unwrap(),
            userinfo_url: "https://git.example.com/user".parse().unwrap(),
            emails_url: None,
            issuer: None,
            identity_namespace: "https://git.example.com/token".to_owned(),
        });
    })
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn oidc(slot: &Slot, id_token: &Value, userinfo: Option<&Value>) -> Result<Claims, ClaimsError> {
    let issuer = Issuer::new("https://idp.example.com");
    slot.claims_from(&Evidence::Oidc {
        issuer,
        id_token: map(id_token),
        signed: true,
        userinfo: userinfo.map(map),
    })
}

fn oauth2(slot: &Slot, userinfo: &str) -> Result<Claims, ClaimsError> {
    let namespace = "https://git.example.com/token".to_owned();
    slot.claims_from(&Evidence::OAuth2 { namespace, userinfo: map(&serde_json::from_str(userinfo).unwrap()) })
}

#[test]
fn m02_a_subject_is_text_of_1_to_255_bytes() {
    let long = "x".repeat(255);
    for good in ["42", "0", "null", "a|b", "ä", long.as_str()] {
        let claims = oidc(&slot(|_| {}), &json!({"sub": good}), None).unwrap();
        assert_eq!(claims.identity().subject.as_str(), good);
        assert_eq!(claims.identity().issuer, "https://idp.example.com");
    }
    let longer = "x".repeat(256);
    for bad in [
        json!(null),
        json!(""),
        json!(" "),
        json!("a\u{0}b"),
        json!(longer),
        json!(42),
        json!(["a"]),
        json!({}),
        json!(true),
    ] {
        assert!(oidc(&slot(|_| {}), &json!({"sub": bad}), None).is_err(), "{bad}");
    }
    assert!(oidc(&slot(|_| {}), &json!({}), Some(&json!({"sub": "42"}))).is_err(), "never from userinfo");
}

#[test]
fn m03_q_gh_3_a_numeric_subject_keeps_every_digit_and_only_in_oauth2() {
    let subject = |text: &str| {
        oauth2(&github(), &format!(r#"{{"id":{text}}}"#)).map(|c| c.identity().subject.as_str().to_owned())
    };
    assert_eq!(subject("9007199254740993").unwrap(), "9007199254740993");
    assert_eq!(subject("9007199254740992").unwrap(), "9007199254740992");
    assert_eq!(subject("\"x\"").unwrap(), "x");
    for bad in ["0", "1.0", "1e3", "true", "null", "\"\"", "[]", "{}"] {
        assert!(subject(bad).is_err(), "{bad}");
    }
    let claims = oauth2(&github(), r#"{"id":7,"sub":"other"}"#).unwrap();
    assert_eq!(claims.identity().issuer, "https://git.example.com/token#id");
}

#[test]
fn the_id_token_wins_and_security_claims_never_come_from_userinfo() {
    let wanted = slot(|slot| slot.claims.groups = ClaimPath::Name("acr".to_owned()));
    let claims = oidc(
        &wanted,
        &json!({"sub": "1", "name": "From the token"}),
        Some(&json!({
            "sub": "1",
            "name": "From userinfo",
            "email": "a@example.com",
            "acr": "high",
            "amr": ["x"],
            "sid": "s",
        })),
    )
    .unwrap();
    assert_eq!(claims.name().unwrap().text, "From the token");
    assert_eq!(claims.email().unwrap().address, "a@example.com");
    assert_eq!(
        *claims.session_claims(),
        SessionClaims {
            subject: Some("1".to_owned()),
            email: Some("a@example.com".to_owned()),
            ..SessionClaims::default()
        }
    );
}

#[test]
fn an_email_and_its_mark_come_from_one_document() {
    let read = |id_token: &Value, userinfo: &Value| {
        oidc(&slot(|_| {}), id_token, Some(userinfo)).unwrap().email().cloned()
    };
    let mixed = read(
        &json!({"sub": "1", "email": "a@example.com"}),
        &json!({"email": "b@example.com", "email_verified": true}),
    );
    assert_eq!(mixed, Some(Email { address: "a@example.com".to_owned(), verified: None }));
    let other = read(&json!({"sub": "1", "email_verified": true}), &json!({"email": "b@example.com"}));
    assert_eq!(other, Some(Email { address: "b@example.com".to_owned(), verified: None }));
    for (claim, verified) in [
        (json!(true), true),
        (json!("true"), true),
        (json!("TRUE"), false),
        (json!(false), false),
        (json!("false"), false),
        (json!(1), false),
        (json!("yes"), false),
        (json!([true]), false),
    ] {
        let email = read(&json!({"sub": "1", "email": "a@example.com", "email_verified": claim}), &json!({}));
        assert_eq!(email.unwrap().verified, Some(verified), "{claim}");
    }
    assert_eq!(read(&json!({"sub": "1", "email": "a b@example.com"}), &json!({})), None);
    assert_eq!(
        read(&json!({"sub": "1", "email": format!("{}@example.com", "x".repeat(250))}), &json!({})),
        None
    );
}

#[test]
fn only_the_first_name_claim_may_adopt() {
    assert!(oauth2(&github(), r#"{"id":1,"name":"Jane"}"#).unwrap().name().unwrap().adoptable);
    let login = oauth2(&github(), r#"{"id":1,"name":null,"login":"jane"}"#).unwrap();
    assert_eq!(login.name(), Some(&ClaimedName { text: "jane".to_owned(), adoptable: false }));
}

#[test]
fn m14_q_x_13_groups_are_found_by_literal_name_or_pointer() {
    let groups = |path: &str, document: &Value| {
        let mut id_token = document.clone();
        id_token.as_object_mut().unwrap().insert("sub".to_owned(), json!("1"));
        let slot = slot(|slot| slot.claims.groups = ClaimPath::parse(path).unwrap());
        oidc(&slot, &id_token, None).unwrap().session_claims().groups.clone()
    };
    let list = || Some(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(groups("groups", &json!({"groups": ["a", "b"]})), list());
    assert_eq!(
        groups("https://example.com/roles", &json!({"https://example.com/roles": ["a", "b"]})),
        list()
    );
    assert_eq!(groups("realm.roles", &json!({"realm.roles": ["a", "b"], "realm": {"roles": ["x"]}})), list());
    assert_eq!(groups("/realm_access/roles", &json!({"realm_access": {"roles": ["a", "b"]}})), list());
    assert_eq!(groups("/my~1app/roles", &json!({"my/app": {"roles": ["a", "b"]}})), list());
    assert_eq!(groups("groups", &json!({"groups": "a b"})), Some(vec!["a b".to_owned()]));
    assert_eq!(groups("groups", &json!({"groups": []})), Some(Vec::new()));
    assert_eq!(groups("groups", &json!({"groups": {"a": {"org": 1}, "b": {}}})), list(), "ZITADEL");
    assert_eq!(groups("groups", &json!({"groups": [{"name": "a", "id": 1}, {"name": "b"}]})), list());
    for unknown in [
        json!({}),
        json!({"groups": null}),
        json!({"groups": 7}),
        json!({"groups": [7]}),
        json!({"groups": [{"id": "a"}]}),
        json!({"groups": [["a"]]}),
        json!({"groups": {"": 1}}),
    ] {
        assert_eq!(groups("groups", &unknown), None, "{unknown}");
    }
}

#[test]
fn one_string_of_several_groups_is_split_as_configured() {
    for (separator, text, expected) in [
        (GroupsSeparator::None, "a, b c", &["a, b c"][..]),
        (GroupsSeparator::Comma, "a, b c,,", &["a", "b c"]),
        (GroupsSeparator::Space, "a,  b c ", &["a,", "b", "c"]),
    ] {
        let slot = slot(|slot| slot.claims.groups_separator = separator);
        let claims = oidc(&slot, &json!({"sub": "1", "groups": text}), None).unwrap();
        assert_eq!(claims.session_claims().groups.as_deref().unwrap(), expected, "{separator:?}");
    }
}

#[test]
fn the_access_rule_sees_what_only_the_id_token_may_say() {
    let said = json!({"sub": "1", "tid": "t", "email": "a@x.example", "email_verified": "true"});
    let session_claims = oidc(&slot(|_| {}), &said, Some(&json!({"sub": "1", "hd": "evil.example"})))
        .unwrap()
        .session_claims()
        .clone();
    assert_eq!(
        (session_claims.tid.as_deref(), session_claims.hd, session_claims.subject.as_deref()),
        (Some("t"), None, Some("1"))
    );
    assert_eq!((session_claims.email.as_deref(), session_claims.email_verified), (Some("a@x.example"), true));
}

#[test]
fn left_out_groups_are_reported() {
    for marker in
        [json!({"sub": "1", "_claim_names": {"groups": "src1"}}), json!({"sub": "1", "hasgroups": true})]
    {
        assert!(oidc(&slot(|_| {}), &marker, None).unwrap().session_claims().groups_overage, "{marker}");
    }
    let sent = json!({"sub": "1", "hasgroups": true, "groups": ["a"]});
    assert!(!oidc(&slot(|_| {}), &sent, None).unwrap().session_claims().groups_overage);
}

#[test]
fn userinfo_is_needed_only_for_what_is_configured() {
    let plain = slot(|_| {});
    let needed = |slot: &Slot, document: Value| slot.needs_userinfo(document.as_object().unwrap());
    assert!(needed(&plain, json!({"sub": "1"})));
    assert!(needed(&plain, json!({"sub": "1", "name": "x"})));
    assert!(!needed(&plain, json!({"sub": "1", "name": "x", "email": "e"})));
    let wanted = slot(|slot| slot.claims.groups_wanted = true);
    assert!(needed(&wanted, json!({"name": "x", "email": "e"})));
    let domains = slot(|slot| slot.access.email_domains = vec!["x.example".to_owned()]);
    assert!(needed(&domains, json!({"name": "x", "email": "e"})), "email_verified is missing");
    assert!(!needed(&domains, json!({"name": "x", "email": "e", "email_verified": false})));
}

#[test]
fn the_access_rule_needs_only_what_the_id_token_lacks() {
    let list = || vec!["x".to_owned()];
    let groups = slot(|slot| slot.access.groups = list());
    let domains = slot(|slot| slot.access.email_domains = list());
    let others = slot(|slot| (slot.access.subjects, slot.access.tenants) = (list(), list()));
    let whole = json!({"sub": "1", "email": "e@x", "email_verified": true, "groups": []});
    for (slot, said, needs) in [
        (&groups, json!({"sub": "1"}), true),
        (&groups, whole.clone(), false),
        (&domains, json!({"sub": "1"}), true),
        (&domains, json!({"sub": "1", "email": "e@x"}), true),
        (&domains, json!({"sub": "1", "email_verified": true}), true),
        (&domains, whole, false),
        // Only the ID token may supply these (section 2.5 of the contract).
        (&others, json!({"sub": "1"}), false),
        (&slot(|_| {}), json!({"sub": "1"}), false),
    ] {
        assert_eq!(
            slot.access_rule_needs_userinfo(said.as_object().unwrap()),
            needs,
            "{:?} {said}",
            slot.access
        );
    }
}

#[test]
fn a_missing_mark_comes_from_userinfo_with_the_same_address_only() {
    let marked = |userinfo: Value| {
        let said = json!({"sub": "1", "email": "a@x.example"});
        let session_claims = oidc(&slot(|_| {}), &said, Some(&userinfo)).unwrap().session_claims().clone();
        (session_claims.email.unwrap(), session_claims.email_verified)
    };
    for (userinfo, verified) in [
        (json!({"sub": "1", "email": "a@x.example", "email_verified": true}), true),
        (json!({"sub": "1", "email": "a@x.example", "email_verified": false}), false),
        (json!({"sub": "1", "email": "A@x.example", "email_verified": true}), false),
        (json!({"sub": "1", "email_verified": true}), false),
    ] {
        assert_eq!(marked(userinfo.clone()), ("a@x.example".to_owned(), verified), "{userinfo}");
    }
    // The ID token's own email_verified has precedence.
    let said = json!({"sub": "1", "email": "a@x.example", "email_verified": false});
    let other = json!({"sub": "1", "email": "a@x.example", "email_verified": true});
    assert!(!oidc(&slot(|_| {}), &said, Some(&other)).unwrap().session_claims().email_verified);
}
