//! Properties that hold for every input, tested with generated ones.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};
use url::Url;

use crate::claims::tests::slot;
use crate::claims::{ClaimPath, Evidence};
use crate::clock::Entropy;
use crate::pending_login::State;
use crate::provider::issuer::{Issuer, is_tenant_id};
use crate::public_url::PublicUrl;
use crate::return_to::{ReturnTo, WebOrigin};
use crate::seal::{Purpose, Seals, base64url, from_base64url};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z ,;]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-z/.~]{0,6}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The names of claims that are read, and one that is not.
const CLAIM_NAMES: [&str; 14] = [
    "sub",
    "name",
    "email",
    "email_verified",
    "groups",
    "tid",
    "hd",
    "sid",
    "amr",
    "acr",
    "_claim_names",
    "hasgroups",
    "preferred_username",
    "x",
];

/// Values of every type under [`CLAIM_NAMES`].
fn any_claims() -> impl Strategy<Value = Map<String, Value>> {
    let name = select(&CLAIM_NAMES[..]).prop_map(str::to_owned);
    btree_map(name, any_json(), 0..10).prop_map(|map| map.into_iter().collect())
}

/// Parts of URLs.
const URL_PIECES: [&str; 37] = [
    "https://app.example.com",
    "https://spa.example.org",
    "https:",
    "http:",
    "javascript:",
    "data:",
    "//",
    "/",
    "\\",
    "/\\",
    "@",
    "evil.example",
    "app.example.com",
    ":443",
    ":8443",
    "%2f",
    "%5c",
    "%00",
    "?",
    "#",
    "..",
    "/../",
    ".",
    ";",
    "&",
    "=",
    "\t",
    "\n",
    " ",
    "\u{ff0f}",
    "\u{3002}",
    "\u{200b}",
    "[::1]",
    "127.0.0.1",
    "a",
    "code=x",
    "user:pw@",
];

/// Texts that browsers and URL parsers may parse differently.
fn any_address() -> impl Strategy<Value = String> {
    let pieces = vec(select(&URL_PIECES[..]), 0..8).prop_map(|pieces| pieces.concat());
    prop_oneof![pieces, any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every accepted target is on an allowed origin, also as a browser parses it, and is accepted again.
    #[test]
    fn h01_whatever_passes_leads_to_an_allowed_origin(text in any_address()) {
        let public = PublicUrl::parse("https://app.example.com/base").unwrap();
        let others = [WebOrigin::parse("https://spa.example.org").unwrap()];
        if let Ok(target) = ReturnTo::parse(Some(&text), &public, &others) {
            let allowed = ["https://app.example.com", "https://spa.example.org"];
            let url = target.url(&public).unwrap();
            prop_assert!(allowed.contains(&url.origin().ascii_serialization().as_str()), "{url}");
            prop_assert!(url.username().is_empty() && url.password().is_none(), "{url}");
            // A browser on Portico's page resolves this text to the same URL.
            let seen = Url::parse("https://app.example.com/base/auth/").unwrap().join(&text).unwrap();
            prop_assert_eq!(&seen, &url);
            prop_assert_eq!(ReturnTo::parse(Some(target.as_str()), &public, &others), Ok(target.clone()));
        }
    }

    #[test]
    fn c01_what_is_sealed_opens_unchanged_and_in_its_own_place_only(
        plain in vec(any::<u8>(), 0..300),
        context in vec(any::<u8>(), 0..40),
        other in vec(any::<u8>(), 0..40),
        flip in any::<Index>(),
        bit in 0..8_u8,
    ) {
        let seals = Seals::new(b"a secret key that is thirty-two b", &[]);
        let previous = b"a secret key that is thirty-two b".to_vec();
        let rotated = Seals::new(b"the next secret key, thirty-two b", &[previous]);
        let stranger = Seals::new(b"someone else's key of thirty-two b", &[]);
        for once in [false, true] {
            let seal = || if once {
                seals.seal_once(Purpose::Login, b"state", &[&context], &plain)
            } else {
                seals.seal(Purpose::Login, &[&context], &plain, Entropy)
            };
            let open = |seals: &Seals, purpose, context: &[u8], sealed: &[u8]| {
                let opened = if once {
                    seals.open_once(purpose, b"state", &[context], sealed)
                } else {
                    seals.open(purpose, &[context], sealed)
                };
                opened.ok().map(|(plain, _)| plain)
            };
            let sealed = seal();
            prop_assert_eq!(open(&seals, Purpose::Login, &context, &sealed), Some(plain.clone()));
            prop_assert_eq!(open(&rotated, Purpose::Login, &context, &sealed), Some(plain.clone()));
            prop_assert_eq!(open(&stranger, Purpose::Login, &context, &sealed), None);
            prop_assert_eq!(open(&seals, Purpose::Nonce, &context, &sealed), None);
            if other != context {
                prop_assert_eq!(open(&seals, Purpose::Login, &other, &sealed), None);
            }
            let mut changed = sealed.clone();
            changed[flip.index(sealed.len())] ^= 1 << bit;
            prop_assert_eq!(open(&seals, Purpose::Login, &context, &changed), None);
            let shortened = &sealed[..flip.index(sealed.len())];
            prop_assert_eq!(open(&seals, Purpose::Login, &context, shortened), None);
        }
    }

    /// Each value has one spelling, so that a cookie cannot be written in a second way that still opens.
    #[test]
    fn h02_base64url_has_one_spelling(text in "[A-Za-z0-9_=+/ -]{0,60}") {
        if let Some(bytes) = from_base64url(&text) {
            prop_assert_eq!(base64url(&bytes), text);
        }
    }

    #[test]
    fn m29_a_state_is_ours_in_form_or_none(
        text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{40,46}"],
    ) {
        let state = State::parse(&text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        prop_assert_eq!(state.is_some(), text.len() == 43 && text.bytes().all(allowed));
        prop_assert!(state.is_none_or(|state| state.as_str() == text));
    }

    /// A subject is always the unchanged text of the document.
    #[test]
    fn c09_c10_claims_of_any_type_are_read_or_refused(
        id_token in any_claims(),
        userinfo in prop::option::of(any_claims()),
    ) {
        let issuer = Issuer::new("https://idp.example.com");
        let evidence = Evidence::Oidc { issuer, id_token: id_token.clone(), signed: true, userinfo };
        if let Ok(claims) = slot(|_| {}).claims_from(&evidence) {
            let subject = claims.identity().subject.as_str();
            prop_assert!(!subject.is_empty());
            prop_assert_eq!(id_token.get("sub").and_then(Value::as_str), Some(subject));
            if claims.session_claims().email_verified {
                let says = |value: &Value| *value == json!(true) || *value == json!("true");
                prop_assert!(claims.email().is_some());
                let Evidence::Oidc { userinfo, .. } = &evidence else { unreachable!() };
                let sources = [Some(&id_token), userinfo.as_ref()];
                let verified = |source: &&Map<String, Value>| source.get("email_verified").is_some_and(says);
                prop_assert!(sources.into_iter().flatten().any(|source| verified(&source)));
            }
            if let Some(groups) = &claims.session_claims().groups {
                prop_assert!(groups.iter().all(|group| !group.is_empty()), "{groups:?}");
            }
        }
    }

    /// Groups of a wrong type are absent, which differs from an empty list.
    #[test]
    fn c09_groups_are_absent_unless_they_are_groups(groups in any_json()) {
        let issuer = Issuer::new("https://idp.example.com");
        let id_token = json!({ "sub": "ada", "groups": groups }).as_object().unwrap().clone();
        let evidence = Evidence::Oidc { issuer, id_token, signed: true, userinfo: None };
        let claims = slot(|_| {}).claims_from(&evidence).unwrap();
        let found = claims.session_claims().groups.as_deref();
        match &groups {
            Value::Null | Value::Bool(_) | Value::Number(_) => prop_assert_eq!(found, None),
            Value::Array(items) if items.is_empty() => prop_assert_eq!(found, Some(&[][..])),
            _ => {}
        }
    }

    /// Dots, slashes and tildes in a plain name have no meaning.
    #[test]
    fn c17_a_plain_name_is_taken_literally(
        name in "[^/].{0,20}",
        value in any_json(),
        others in any_claims(),
    ) {
        let mut document = others;
        document.insert(name.clone(), value.clone());
        let found = ClaimPath::parse(&name).unwrap();
        prop_assert_eq!(found.find(&document), Some(&value).filter(|value| !value.is_null()));
        document.remove(&name);
        prop_assert_eq!(found.find(&document), None);
    }

    #[test]
    fn c17_a_pointer_finds_what_the_specification_says(
        path in "(/[a-z~01/]{0,4}){1,3}",
        document in any_claims(),
    ) {
        let whole = Value::Object(document.clone());
        let expected = whole.pointer(&path).filter(|value| !value.is_null());
        prop_assert_eq!(ClaimPath::parse(&path).unwrap().find(&document), expected);
    }

    #[test]
    fn h22_a_template_stands_for_tenants_and_nothing_else(
        text in "[ -~]{0,60}",
        tenant in prop_oneof!["[ -~]{0,40}", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"],
    ) {
        let issuer = Issuer::new("https://login.example.com/{tenantid}/v2.0");
        let filled = issuer.of_tenant(Some(&tenant)).map(std::borrow::Cow::into_owned);
        prop_assert_eq!(filled.is_some(), is_tenant_id(&tenant));
        let tenants = [tenant.clone()];
        prop_assert_eq!(issuer.is_named(&text, &tenants), filled.as_deref() == Some(text.as_str()));
        if let Some(filled) = filled {
            prop_assert!(issuer.is_named(&filled, &tenants));
            prop_assert!(!issuer.is_named(issuer.as_str(), &tenants));
        }
    }
}
