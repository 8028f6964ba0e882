//! Discovery documents with one changed member each.

use openidconnect::EndSessionUrl;
use portico_core::provider::{SigningAlg, Transport};
use portico_oauth2::AuthMethod;
use proptest::strategy::Strategy as _;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::*;
use crate::fixtures;

const DISCOVERY: &str = "https://idp.example/.well-known/openid-configuration";

fn honest() -> Value {
    json!({
        "issuer": "https://idp.example",
        "authorization_endpoint": "https://idp.example/authorize",
        "token_endpoint": "https://idp.example/token",
        "userinfo_endpoint": "https://elsewhere.example/userinfo",
        "jwks_uri": "https://idp.example/jwks",
        "end_session_endpoint": "https://idp.example/end",
        "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        "op_tos_uri": "",
    })
}

fn checked(document: &Value, settings: &OidcSettings) -> Result<Metadata, UpstreamError> {
    checked_for(document, settings, &[])
}

fn checked_for(
    document: &Value,
    settings: &OidcSettings,
    tenants: &[String],
) -> Result<Metadata, UpstreamError> {
    let http = Outbound::new(&Transport::default(), Handle::current()).unwrap();
    Ok(Metadata::from_document(document.as_object().unwrap(), settings, tenants, &http)?)
}

/// The valid document with one member changed or removed.
fn bent(name: &str, value: Option<Value>) -> Value {
    let mut document = honest();
    match value {
        Some(value) => document[name] = value,
        None => drop(document.as_object_mut().unwrap().remove(name)),
    }
    document
}

/// Checks the document with this member. It must be accepted or refused as invalid metadata.
fn assert_checked(name: &str, value: Option<&Value>, passes: bool) {
    let checked = checked(&bent(name, value.cloned()), &fixtures::settings(DISCOVERY));
    let code = checked.err().map(|error| error.code().as_str());
    assert_eq!(code, if passes { None } else { Some("idp_metadata_invalid") }, "{name} {value:?}");
}

/// Members of a document with a value, and whether the document is accepted with it.
fn members() -> Vec<(&'static str, Option<Value>, bool)> {
    vec![
        ("authorization_endpoint", Some(json!("https://login.other.example/authorize?p=1")), true),
        ("authorization_endpoint", Some(json!("http://127.0.0.1:8080/authorize")), true),
        ("authorization_endpoint", Some(json!("http://idp.example/authorize")), false),
        ("authorization_endpoint", Some(json!("https://idp.example/authorize#x")), false),
        ("authorization_endpoint", None, false),
        ("token_endpoint", Some(json!("http://idp.example/token")), false),
        ("token_endpoint", Some(json!("javascript:alert(1)")), false),
        ("token_endpoint", Some(json!("https://user:password@idp.example/token")), false),
        ("token_endpoint", Some(json!("/token")), false),
        ("token_endpoint", Some(json!(["https://idp.example/token"])), false),
        ("token_endpoint", None, false),
        ("jwks_uri", Some(json!("http://169.254.169.254/latest")), false),
        ("jwks_uri", None, false),
        ("userinfo_endpoint", None, true),
        ("userinfo_endpoint", Some(json!(null)), true),
        ("userinfo_endpoint", Some(json!("http://idp.example/userinfo")), false),
        ("end_session_endpoint", Some(json!("javascript:alert(1)")), true),
        ("id_token_signing_alg_values_supported", Some(json!(["HS256", "none"])), false),
        ("id_token_signing_alg_values_supported", Some(json!(["HS256", "EdDSA"])), true),
        ("id_token_signing_alg_values_supported", None, true),
        ("authorization_response_iss_parameter_supported", Some(json!(true)), true),
        ("authorization_response_iss_parameter_supported", Some(json!("true")), false),
    ]
}

#[tokio::test]
async fn c13_q_x_19_a_document_that_cannot_be_trusted_is_refused() {
    for (issuer, passes) in [
        (Some(json!("https://idp.example")), true),
        (Some(json!("https://idp.example/")), true),
        (Some(json!("https://idp.example/tenant/7")), true),
        (Some(json!("https://evil.example")), false),
        (Some(json!("https://idp.example:8443")), false),
        (Some(json!("http://idp.example")), false),
        (Some(json!("https://idp.example.evil.example")), false),
        (Some(json!("https://user@idp.example")), false),
        (Some(json!("https://idp.example?tenant=7")), false),
        (Some(json!("https://idp.example#")), false),
        (Some(json!("not a url")), false),
        (Some(json!(7)), false),
        (None, false),
    ] {
        assert_checked("issuer", issuer.as_ref(), passes);
    }
    for (name, value, passes) in members() {
        assert_checked(name, value.as_ref(), passes);
    }
}

#[tokio::test]
async fn a_pinned_issuer_is_compared_byte_for_byte_and_stands_for_its_aliases() {
    let mut settings = fixtures::settings(DISCOVERY);
    settings.issuer = Some(Issuer::new("https://accounts.other.example"));
    settings.issuer_aliases = vec![Issuer::new("accounts.other.example")];
    for (issuer, passes) in [
        ("https://accounts.other.example", true),
        ("accounts.other.example", true),
        ("https://accounts.other.example/", false),
        ("HTTPS://accounts.other.example", false),
        ("https://idp.example", false),
    ] {
        let checked = checked(&bent("issuer", Some(json!(issuer))), &settings);
        let stored = checked.ok().map(|metadata| metadata.issuer.to_string());
        assert_eq!(stored.as_deref(), passes.then_some("https://accounts.other.example"), "{issuer}");
    }
}

#[tokio::test]
async fn q_x_21_what_the_operator_says_comes_first() {
    let plain = fixtures::settings(DISCOVERY);
    let found = checked(&honest(), &plain).unwrap();
    assert_eq!(found.algs, [SigningAlg::RS256]);
    assert_eq!(found.userinfo().unwrap().as_str(), "https://elsewhere.example/userinfo");
    assert!(!found.promises_iss());
    let mut own = plain.clone();
    own.allowed_algs = Some(vec![SigningAlg::ES256]);
    own.userinfo_url = Some(Url::parse("https://own.example/userinfo").unwrap());
    let found = checked(&bent("userinfo_endpoint", Some(json!("nonsense"))), &own).unwrap();
    assert_eq!(found.algs, [SigningAlg::ES256]);
    assert_eq!(found.userinfo().unwrap().as_str(), "https://own.example/userinfo");
    for (methods, expected) in [
        (None, AuthMethod::Basic),
        (Some(json!(["client_secret_post", "client_secret_basic"])), AuthMethod::Basic),
        (Some(json!(["client_secret_post"])), AuthMethod::Post),
        (Some(json!(["private_key_jwt", "client_secret_post"])), AuthMethod::Post),
        (Some(json!(["private_key_jwt"])), AuthMethod::Basic),
        (Some(json!("client_secret_post")), AuthMethod::Basic),
    ] {
        let document = bent("token_endpoint_auth_methods_supported", methods.clone());
        assert_eq!(checked(&document, &plain).unwrap().auth(), expected, "{methods:?}");
    }
}

#[tokio::test]
async fn m16_every_endpoint_and_the_issuer_are_part_of_the_mark() {
    let settings = fixtures::settings(DISCOVERY);
    let fingerprint = |document: &Value| checked(document, &settings).unwrap().fingerprint();
    let first = fingerprint(&honest());
    for (name, expected_same) in [
        ("issuer", false),
        ("authorization_endpoint", false),
        ("token_endpoint", false),
        ("userinfo_endpoint", false),
        ("jwks_uri", false),
        ("end_session_endpoint", true),
        ("service_documentation", true),
    ] {
        let second = fingerprint(&bent(name, Some(json!("https://idp.example/another"))));
        assert_eq!(first == second, expected_same, "{name}");
    }
}

#[tokio::test]
async fn q_entra_1_an_issuer_of_many_tenants_is_for_slots_that_name_theirs() {
    let tenants = ["72f988bf-86f1-41af-91ab-2d7cd011db47".to_owned()];
    let settings = fixtures::settings("https://idp.example/common/v2.0/.well-known/openid-configuration");
    let mut pinned = settings.clone();
    pinned.issuer = Some(Issuer::new("https://idp.example/{tenantid}/v2.0"));
    let template = bent("issuer", Some(json!("https://idp.example/{tenantid}/v2.0")));
    for settings in [&settings, &pinned] {
        assert!(checked_for(&template, settings, &tenants).unwrap().issuer.is_template());
        assert!(checked_for(&template, settings, &[]).is_err(), "no tenant is named");
    }
    let foreign = bent("issuer", Some(json!("https://evil.example/{tenantid}/v2.0")));
    assert!(checked_for(&foreign, &settings, &tenants).is_err());
    assert!(checked_for(&foreign, &pinned, &tenants).is_err());
    assert!(checked_for(&honest(), &pinned, &tenants).is_err(), "not what was pinned");
}

#[tokio::test]
async fn c13_an_issuer_that_changes_under_a_running_slot_is_refused() {
    let settings = fixtures::settings("https://idp.example/.well-known/openid-configuration");
    let slot = fixtures::slot(settings.clone());
    let http = Outbound::new(&Transport::default(), Handle::current()).unwrap();
    let provider = Provider::new(&slot, settings.clone(), http);
    let own = |issuer: &str| checked(&bent("issuer", Some(json!(issuer))), &settings).unwrap();
    for _ in 0..2 {
        assert!(provider.check_same(own("https://idp.example")).is_ok());
    }
    let Err(UpstreamError::Metadata(told)) = provider.check_same(own("https://idp.example/")) else {
        panic!("it changed")
    };
    assert!(told.contains("was https://idp.example and is https://idp.example/ now"), "{told}");
    assert!(provider.check_same(own("https://idp.example")).is_ok(), "and back");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// A document with any value in one member is refused, or has an issuer of its origin and only https
    /// URLs.
    #[test]
    fn c13_h06_h26_a_document_speaks_for_its_own_origin_or_is_refused(
        name in proptest::sample::select(&[
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "userinfo_endpoint",
            "jwks_uri",
            "end_session_endpoint",
            "id_token_signing_alg_values_supported",
            "authorization_response_iss_parameter_supported",
        ][..]),
        value in proptest::prop_oneof![
            proptest::strategy::Just(json!(null)),
            proptest::arbitrary::any::<i64>().prop_map(Value::from),
            proptest::arbitrary::any::<String>().prop_map(Value::from),
            "https?://[a-z@:/?#.]{0,20}(idp\\.example)?[a-z@:/?#.]{0,10}".prop_map(Value::from),
            proptest::collection::vec("[A-Za-z0-9]{0,6}|none|HS256|RS256|ES384", 0..4).prop_map(Value::from),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let http = Outbound::new(&Transport::default(), runtime.handle().clone()).unwrap();
        let document = bent(name, Some(value));
        let settings = fixtures::settings(DISCOVERY);
        let result = Metadata::from_document(document.as_object().unwrap(), &settings, &[], &http);
        if let Ok(found) = result {
            let issuer = Url::parse(found.issuer.as_str()).unwrap();
            proptest::prop_assert_eq!(issuer.origin().ascii_serialization(), "https://idp.example");
            let end_session = found.end_session().map(EndSessionUrl::url);
            let endpoints = [found.authorization(), &found.token, found.jwks()];
            for url in endpoints.into_iter().chain(found.userinfo()).chain(end_session) {
                proptest::prop_assert_eq!(url.scheme(), "https");
            }
            proptest::prop_assert!(!found.algs.is_empty());
        }
    }
}
