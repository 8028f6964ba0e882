//! The deprecated name fallback: which local accounts a first login adopts, and which it never adopts.

use portico_demo_idp::Person;
use portico_demo_idp::knobs::Signing;
use serde_json::{Value, json};

use crate::testkit::{Backend, TestApp, on_both_databases};

on_both_databases!(
    link_01_a_local_account_is_adopted_by_its_name,
    link_02_with_the_fallback_off_it_is_left_alone,
    a_slot_may_stay_out_of_the_fallback,
    link_03_m31_after_adoption_the_name_stays_and_the_label_follows,
    link_04_another_person_of_the_name_gets_an_account_of_their_own,
    link_05_an_account_once_linked_is_never_adopted_again,
    link_06_a_slot_that_moves_elsewhere_adopts_nothing,
    link_07_a_privileged_account_is_never_adopted,
    link_08_a_disabled_account_is_never_adopted,
    link_09_only_the_very_same_name_adopts,
    link_10_a_name_that_is_none_adopts_nothing,
    link_14_an_unsigned_name_adopts_nothing,
    link_15_a_name_that_the_browser_brings_adopts_nothing,
    link_18_the_email_never_adopts,
    link_19_names_that_only_look_alike_adopt_nothing,
    c06_link_20_whoever_was_in_the_account_before_is_out,
    link_24_a_provider_that_gives_new_subjects_adopts_nothing,
    a_reserved_account_is_never_adopted,
    the_second_entry_of_the_name_claim_adopts_nothing,
);

const SLOT: &str = "oidc/provider1";

async fn log_in(app: &TestApp, sub: &str) -> Value {
    app.browser().log_in(SLOT, sub).await["account"].clone()
}

/// Asserts that the first login of this person does not adopt the local account. Returns the new account.
async fn stays_separate(app: &TestApp, person: Person, local: &str) -> Value {
    let before = app.account(local).await;
    app.realm(SLOT).set_person(person.clone());
    let account = log_in(app, &person.sub).await;
    assert_ne!(account["id"], local, "{person:?}");
    assert_eq!(app.account(local).await, before, "the local account does not change");
    assert_eq!(app.audited("account_adopted").await, 0);
    account
}

async fn link_01_a_local_account_is_adopted_by_its_name(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("Ada Example", &["editor"]).await.to_string();
    let account = log_in(&app, "ada-1").await;
    assert_eq!(account["id"], local);
    assert_eq!(account["roles"], json!(["editor"]));
    let (account, identities) = app.account(&local).await;
    assert!(account.ever_linked);
    assert_eq!(identities.len(), 1);
    assert_eq!(app.audited("account_adopted").await, 1);
    assert_eq!(app.accounts().await.len(), 1);
    // The userinfo of an OAuth 2.0 slot is a verified source as well.
    let local = app.local_account("Bruno Beispiel", &[]).await.to_string();
    let session = app.browser().log_in("oauth2/provider1", "bruno-2").await;
    assert_eq!(session["account"]["id"], local);
}

async fn link_02_with_the_fallback_off_it_is_left_alone(backend: Backend) {
    let app = TestApp::on(backend).set("SECURITY_SSO_ACCOUNT_NAME_FALLBACK", "false").start().await;
    let local = app.local_account("Ada Example", &[]).await.to_string();
    let account = stays_separate(&app, Person::new("ada-1", "Ada Example"), &local).await;
    assert_eq!(account["name"], "ada@example.com");
    assert_eq!(account["label"], "Ada Example");
}

async fn a_slot_may_stay_out_of_the_fallback(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_ACCOUNT_NAME_FALLBACK", "no").start().await;
    let local = app.local_account("Ada Example", &[]).await.to_string();
    stays_separate(&app, Person::new("ada-1", "Ada Example"), &local).await;
    let elsewhere = app.browser().log_in("oidc/provider2", "ada-1").await;
    assert_eq!(elsewhere["account"]["id"], local);
}

async fn link_03_m31_after_adoption_the_name_stays_and_the_label_follows(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("Ada Example", &[]).await.to_string();
    assert_eq!(log_in(&app, "ada-1").await["id"], local);
    app.realm(SLOT).set_person(Person::new("ada-1", "Bob"));
    let account = log_in(&app, "ada-1").await;
    assert_eq!(account["id"], local);
    assert_eq!(account["name"], "Ada Example");
    assert_eq!(account["label"], "Bob");
}

async fn link_04_another_person_of_the_name_gets_an_account_of_their_own(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("Ada Example", &[]).await.to_string();
    assert_eq!(log_in(&app, "ada-1").await["id"], local);
    let other =
        Person { email: Some("ada.two@example.com".to_owned()), ..Person::new("ada-2", "Ada Example") };
    app.realm(SLOT).set_person(other);
    let account = log_in(&app, "ada-2").await;
    assert_ne!(account["id"], local);
    assert_eq!(account["name"], "ada.two@example.com");
}

async fn link_05_an_account_once_linked_is_never_adopted_again(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = log_in(&app, "ada-1").await;
    app.unlink("ada-1").await;
    let stranger = Person::new("stranger", "Ada Example");
    stays_separate(&app, stranger, first["id"].as_str().unwrap()).await;
}

async fn link_06_a_slot_that_moves_elsewhere_adopts_nothing(backend: Backend) {
    let mut app = TestApp::on(backend).slots(&[SLOT]).provider(with_elsewhere).start().await;
    let first = log_in(&app, "ada-1").await;
    let elsewhere = app.idp.oidc("elsewhere").unwrap().discovery_url();
    app.restart(&[("OIDC_PROVIDER1_DISCOVERY_URL", Some(&elsewhere))]).await;
    let account = log_in(&app, "ada-1").await;
    assert_ne!(account["id"], first["id"]);
    assert_eq!(app.audited("account_adopted").await, 0);
}

/// Adds a copy of the first realm under another name.
fn with_elsewhere(config: &mut portico_demo_idp::IdpConfig) {
    let mut elsewhere = config.realms[0].clone();
    "elsewhere".clone_into(&mut elsewhere.name);
    config.realms.push(elsewhere);
}

async fn link_07_a_privileged_account_is_never_adopted(backend: Backend) {
    let app = TestApp::on(backend).set("SECURITY_PRIVILEGED_ROLES", r#"["boss", "owner"]"#).start().await;
    let local = app.local_account("Ada Example", &["editor", "owner"]).await.to_string();
    let account = stays_separate(&app, Person::new("ada-1", "Ada Example"), &local).await;
    assert_eq!(account["roles"], json!([]));
    // The permitted case: `admin` is privileged only if it is listed; the default list contains it.
    let local = app.local_account("Bruno Beispiel", &["admin"]).await.to_string();
    assert_eq!(log_in(&app, "bruno-2").await["id"], local);
    let app = TestApp::start(backend).await;
    let local = app.local_account("Bruno Beispiel", &["admin"]).await.to_string();
    stays_separate(&app, Person::new("bruno-2", "Bruno Beispiel"), &local).await;
}

async fn link_08_a_disabled_account_is_never_adopted(backend: Backend) {
    let app = TestApp::start(backend).await;
    for (status, sub, name) in [("disabled", "x-1", "Xenia One"), ("deleted", "x-2", "Xenia Two")] {
        let local = app.local_account(name, &[]).await.to_string();
        app.set_status(name, status).await;
        stays_separate(&app, Person::new(sub, name), &local).await;
    }
}

async fn link_09_only_the_very_same_name_adopts(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("Zo\u{e9} Keller", &[]).await.to_string();
    for (sub, name) in [
        ("upper", "ZO\u{c9} KELLER"),
        ("lower", "zo\u{e9} keller"),
        ("plain", "Zoe Keller"),
        ("trailing", "Zo\u{e9} Keller "),
        ("leading", " Zo\u{e9} Keller"),
        ("invisible", "Zo\u{e9}\u{200b} Keller"),
        ("bidi", "Zo\u{e9} Keller\u{202c}"),
        ("nul", "Zo\u{e9} Keller\0"),
        ("cyrillic", "Zo\u{e9} K\u{435}ller"),
        ("full-width", "\u{ff3a}o\u{e9} Keller"),
        ("two-blanks", "Zo\u{e9}  Keller"),
    ] {
        stays_separate(&app, Person::new(sub, name), &local).await;
    }
    app.realm(SLOT).set_person(Person::new("decomposed", "Zoe\u{301} Keller"));
    assert_eq!(log_in(&app, "decomposed").await["id"], local, "the name is the same in NFC");
}

async fn link_10_a_name_that_is_none_adopts_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let long = "n".repeat(10_240);
    let cut = &long[..128];
    let mut locals = Vec::new();
    for name in ["null", "7", "{}", "[object Object]", "true", "ada@example.com", "ada", "Example", cut] {
        locals.push(app.local_account(name, &[]).await.to_string());
    }
    for (index, name) in [
        Value::Null,
        json!(7),
        json!({}),
        json!(""),
        json!("   "),
        json!(["Example"]),
        json!(true),
        json!(long),
    ]
    .into_iter()
    .enumerate()
    {
        let sub = format!("odd-{index}");
        app.realm(SLOT).set_person(Person { name: None, ..Person::new(&sub, "Ada Example") });
        app.realm(SLOT).knobs(|knobs| {
            knobs.id_token.claims.set("name", name.clone());
            knobs.userinfo.fields.set("name", name.clone());
        });
        let account = log_in(&app, &sub).await;
        assert!(locals.iter().all(|local| account["id"] != *local), "{name}: {account}");
        assert!(!account["name"].as_str().unwrap().is_empty());
        app.be_honest(SLOT);
    }
    app.realm(SLOT).set_person(Person { name: None, ..Person::new("missing", "Ada Example") });
    let account = log_in(&app, "missing").await;
    assert!(locals.iter().all(|local| account["id"] != *local));
    assert_eq!(app.audited("account_adopted").await, 0);
}

async fn link_14_an_unsigned_name_adopts_nothing(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_ID_TOKEN_VERIFY_SIGNATURE", "false").start().await;
    let local = app.local_account("Ada Example", &[]).await.to_string();
    app.realm(SLOT).knobs(|knobs| knobs.id_token.signing = Signing::UnpublishedKey);
    stays_separate(&app, Person::new("ada-1", "Ada Example"), &local).await;
    let signed = app.browser().log_in("oidc/provider2", "ada-1").await;
    assert_eq!(signed["account"]["id"], local, "the other slot verifies signatures");
}

async fn link_18_the_email_never_adopts(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.browser().log_in(SLOT, "bruno-2").await;
    let local = app.local_account("ada@example.com", &[]).await.to_string();
    let taken = Person { email: Some("ada@example.com".to_owned()), ..Person::new("a", "Bruno Beispiel") };
    let account = stays_separate(&app, taken, &local).await;
    assert!(account["name"].as_str().unwrap().starts_with("Bruno Beispiel-"), "{account}");
    let nameless = Person { name: None, ..Person::new("b", "Ada Example") };
    stays_separate(&app, nameless, &local).await;
}

async fn a_reserved_account_is_never_adopted(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("root", &[]).await.to_string();
    stays_separate(&app, Person::new("r", "root"), &local).await;
}

async fn the_second_entry_of_the_name_claim_adopts_nothing(backend: Backend) {
    let app = TestApp::on(backend).set("OIDC_PROVIDER1_NAME_CLAIM", "nickname,name").start().await;
    let local = app.local_account("Ada Example", &[]).await.to_string();
    let account = stays_separate(&app, Person::new("ada-1", "Ada Example"), &local).await;
    assert_eq!(account["label"], "Ada Example");
    app.realm(SLOT).knobs(|knobs| {
        knobs.id_token.claims.set("nickname", "Ada Example");
    });
    app.realm(SLOT).set_person(Person::new("first-entry", "Somebody Else"));
    assert_eq!(log_in(&app, "first-entry").await["id"], local);
}

async fn link_15_a_name_that_the_browser_brings_adopts_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("Jane Doe", &[]).await.to_string();
    app.realm(SLOT).set_person(Person { name: None, ..Person::new("jane-1", "x") });
    let mut browser = app.browser();
    let mut callback = browser.reach_callback(SLOT, "jane-1").await;
    callback.query_pairs_mut().append_pair("user", r#"{"name":{"firstName":"Jane","lastName":"Doe"}}"#);
    browser.callback(&callback).await.is(303);
    assert_ne!(browser.who().await["account"]["id"], local);
    assert_eq!(app.audited("account_adopted").await, 0);
}

async fn link_19_names_that_only_look_alike_adopt_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = app.local_account("Zo\u{eb}", &[]).await.to_string();
    let second = app.local_account("ZOE", &[]).await.to_string();
    for local in [&first, &second] {
        stays_separate(&app, Person::new(format!("of-{local}"), "zoe"), local).await;
    }
    // The permitted case: exactly the same name.
    app.realm(SLOT).set_person(Person::new("same", "ZOE"));
    assert_eq!(log_in(&app, "same").await["id"], second);
}

async fn c06_link_20_whoever_was_in_the_account_before_is_out(backend: Backend) {
    let app = TestApp::start(backend).await;
    let local = app.local_account("Ada Example", &[]).await.to_string();
    let mut attacker = app.browser();
    attacker.log_in("oidc/provider2", "bruno-2").await;
    let theirs = "UPDATE sessions SET account_id = (SELECT id FROM accounts WHERE name = 'Ada Example')";
    app.database.execute(theirs).await;
    let mut fresh = attacker.clone();
    let account = log_in(&app, "ada-1").await;
    assert_eq!(account["id"], local);
    fresh.post("/auth/refresh").await.refused(401, "session_invalid");
    assert_eq!(app.database.count("sessions", "revoked_at IS NOT NULL").await, 1);
}

async fn link_24_a_provider_that_gives_new_subjects_adopts_nothing(backend: Backend) {
    let mut app = TestApp::start(backend).await;
    let before = log_in(&app, "ada-1").await;
    let realm = app.realm(SLOT);
    let client = realm.find_client("portico-oidc-provider1").unwrap();
    realm.put_client(portico_demo_idp::Client { id: "another-client".to_owned(), ..(*client).clone() });
    app.restart(&[("OIDC_PROVIDER1_CLIENT_ID", Some("another-client"))]).await;
    // The same person under another client id: a pairwise subject.
    app.realm(SLOT).set_person(Person {
        email: Some("ada@example.com".to_owned()),
        ..Person::new("pairwise-9", "Ada Example")
    });
    let after = log_in(&app, "pairwise-9").await;
    assert_ne!(after["id"], before["id"]);
    assert_eq!(app.audited("account_adopted").await, 0);
}
