//! The decisions of `decide()`, and the rules about names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::claims::{Evidence, tests::slot};

const POLICY: fn() -> NamePolicy = || NamePolicy {
    reserved: ["admin", "root"].map(str::to_owned).to_vec(),
    privileged_roles: vec!["admin".to_owned()],
};

fn claims(userinfo: &Value) -> Claims {
    claims_signed(userinfo, true)
}

fn claims_signed(id_token: &Value, signed: bool) -> Claims {
    let mut document = id_token.as_object().unwrap().clone();
    document.entry("sub").or_insert(json!("42"));
    let issuer = crate::provider::Issuer::new("https://idp.example.com");
    slot(|_| {}).claims_from(&Evidence::Oidc { issuer, id_token: document, signed, userinfo: None }).unwrap()
}

fn local(name: &str) -> Account {
    Account {
        id: AccountId(Uuid::from_u128(7)),
        name: name.to_owned(),
        label: name.to_owned(),
        email: None,
        status: AccountStatus::Active,
        roles: Vec::new(),
        groups: Vec::new(),
        ever_linked: false,
        created_at: Timestamp::from_unix(0),
        last_login_at: None,
    }
}

fn suffix() -> NameSuffix {
    NameSuffix::random(Entropy)
}

fn decide_by_name(claims: &Claims, by_name: Account, fallback: bool) -> Decision {
    let found = Candidates { by_identity: None, by_name: Some(by_name) };
    decide(&POLICY(), fallback, claims, &found, &suffix()).unwrap()
}

fn names(claims: &Claims) -> Vec<String> {
    match decide(&POLICY(), true, claims, &Candidates::default(), &suffix()).unwrap() {
        Decision::Create(names) => names,
        other => panic_with(&other),
    }
}

fn panic_with(decision: &Decision) -> ! {
    panic!("expected Create, got {decision:?}")
}

#[test]
fn an_identity_is_linked_to_whom_asked_and_never_moves() {
    let (mine, other) = (local("Mine"), Account { id: AccountId(Uuid::from_u128(8)), ..local("Other") });
    let found =
        |by_identity: Option<&Account>| Candidates { by_identity: by_identity.cloned(), by_name: None };
    assert_eq!(decide_link(mine.id, &found(None)), Ok(Decision::Link(mine.id)));
    assert_eq!(decide_link(mine.id, &found(Some(&mine))), Ok(Decision::Use(mine.id)));
    assert_eq!(decide_link(mine.id, &found(Some(&other))), Err(Refusal::Taken(other.id)));
}

#[test]
fn a_known_identity_is_its_account_whatever_the_name() {
    let known = local("Somebody else");
    let found = Candidates { by_identity: Some(known.clone()), by_name: Some(local("Jane Doe")) };
    let jane = claims(&json!({"name": "Jane Doe"}));
    assert_eq!(decide(&POLICY(), true, &jane, &found, &suffix()), Ok(Decision::Use(known.id)));
}

#[test]
fn a_known_identity_of_an_account_that_is_not_active_is_refused() {
    for status in [AccountStatus::Disabled, AccountStatus::Deleted] {
        let known = Account { status, ..local("Jane Doe") };
        let found = Candidates { by_identity: Some(known.clone()), by_name: None };
        let jane = claims(&json!({"name": "Jane Doe"}));
        assert_eq!(decide(&POLICY(), true, &jane, &found, &suffix()), Err(Refusal::NotActive(known.id)));
    }
}

#[test]
fn an_ordinary_local_account_is_adopted_by_exact_name() {
    let jane = local("Jane Doe");
    let id = jane.id;
    assert_eq!(decide_by_name(&claims(&json!({"name": "Jane Doe"})), jane, true), Decision::Adopt(id));
    // NFC on both sides: a decomposed name finds the composed one.
    assert_eq!(
        decide_by_name(&claims(&json!({"name": "Zoe\u{308}"})), local("Zo\u{eb}"), true),
        Decision::Adopt(id)
    );
}

#[test]
fn nothing_else_is_adopted() {
    let jane = || claims(&json!({"name": "Jane Doe"}));
    let creates = |decision| matches!(decision, Decision::Create(_));
    assert!(creates(decide_by_name(&jane(), local("Jane Doe"), false)), "fallback off");
    assert!(
        creates(decide_by_name(&jane(), Account { ever_linked: true, ..local("Jane Doe") }, true)),
        "ever linked"
    );
    for status in [AccountStatus::Disabled, AccountStatus::Deleted] {
        assert!(
            creates(decide_by_name(&jane(), Account { status, ..local("Jane Doe") }, true)),
            "{status:?}"
        );
    }
    let privileged = Account { roles: vec!["admin".to_owned()], ..local("Jane Doe") };
    assert!(creates(decide_by_name(&jane(), privileged, true)), "privileged");
    assert!(creates(decide_by_name(&claims(&json!({"name": "Root"})), local("Root"), true)), "reserved");
    let unsigned = claims_signed(&json!({"name": "Jane Doe"}), false);
    assert!(creates(decide_by_name(&unsigned, local("Jane Doe"), true)), "unsigned source");
}

#[test]
fn m01_look_alikes_are_not_adopted() {
    for (claim, account) in [
        ("JANE DOE", "Jane Doe"),
        ("Jane Doe ", "Jane Doe"),
        (" Jane Doe", "Jane Doe"),
        ("Jane\u{200b} Doe", "Jane Doe"),
        ("Jane\u{202e} Doe", "Jane Doe"),
        ("J\u{430}ne Doe", "Jane Doe"),
        ("Jane Doe\0", "Jane Doe"),
        ("Jane  Doe", "Jane Doe"),
    ] {
        let decision = decide_by_name(&claims(&json!({"name": claim})), local(account), true);
        assert!(matches!(decision, Decision::Create(_)), "{claim:?}");
    }
}

#[test]
fn a_substitute_for_the_name_never_adopts() {
    for without in [
        json!({}),
        json!({"name": null}),
        json!({"name": 7}),
        json!({"name": {}}),
        json!({"name": ""}),
        json!({"name": "  "}),
    ] {
        let mut document = without;
        document["email"] = json!("a@example.com");
        document["email_verified"] = json!(true);
        let decision = decide_by_name(&claims(&document), local("a@example.com"), true);
        assert!(matches!(decision, Decision::Create(_)), "{document}");
    }
}

#[test]
fn names_are_tried_in_order() {
    let tried = names(&claims(&json!({"name": "Jane Doe", "email": "jane@example.com"})));
    assert_eq!(tried[..2], ["Jane Doe", "jane@example.com"]);
    assert!(tried[2].starts_with("Jane Doe-") && tried[2].len() == "Jane Doe-".len() + 6, "{tried:?}");

    let unverified =
        names(&claims(&json!({"name": "Jane Doe", "email": "jane@example.com", "email_verified": false})));
    assert_eq!((unverified.len(), unverified[0].as_str()), (2, "Jane Doe"));
}

#[test]
fn reserved_names_and_foreign_addresses_get_a_suffix_at_once() {
    for name in ["admin", "ADMIN", "Root", "ceo@example.com"] {
        let tried = names(&claims(&json!({"name": name, "email": "jane@example.com"})));
        assert!(tried.len() == 1 && tried[0].starts_with(&format!("{name}-")), "{tried:?}");
    }
    let own = names(&claims(
        &json!({"name": "ceo@example.com", "email": "ceo@example.com", "email_verified": true}),
    ));
    assert_eq!(own[0], "ceo@example.com");
}

#[test]
fn without_a_name_something_else_is_the_name() {
    assert_eq!(names(&claims(&json!({"email": "jane@example.com"})))[0], "jane@example.com");
    let unverified =
        json!({"email": "jane@example.com", "email_verified": false, "preferred_username": "jane"});
    assert_eq!(names(&claims(&unverified))[0], "jane");
    assert_eq!(names(&claims(&json!({"sub": "abc-1"})))[0], "abc-1");
    assert!(
        names(&claims(&json!({"preferred_username": "ceo@example.com"})))[0].starts_with("ceo@example.com-")
    );
}

#[test]
fn m01_names_are_cleaned_and_kept_short() {
    assert_eq!(clean(" J\u{0}a\u{200b}ne\n ").as_deref(), Some("Jane"));
    assert_eq!(clean("\u{200b} \u{202e}"), None);
    assert_eq!(clean(&"é".repeat(200)).unwrap().chars().count(), MAX_NAME_CHARS);
    let long = names(&claims(&json!({"name": "x".repeat(10_000)})));
    assert!(long.iter().all(|name| name.chars().count() <= MAX_NAME_CHARS));
    let family = "👨‍👩‍👧‍👦".repeat(60);
    assert!(clean(&family).unwrap().chars().count() <= MAX_NAME_CHARS);
}

#[test]
fn a_privileged_role_is_one_in_any_case() {
    for (role, privileged) in
        [("admin", true), ("Admin", true), ("ADMIN", true), ("admins", false), ("editor", false)]
    {
        let account = Account { roles: vec![role.to_owned()], ..local("Jane") };
        assert_eq!(POLICY().is_privileged(&account), privileged, "{role}");
    }
}
