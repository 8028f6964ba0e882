//! Properties of all tokens, key sets and changes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A valid token.
static HONEST: LazyLock<String> = LazyLock::new(|| Draft::honest(SigningAlg::ES256).signed(&EC));

fn published() -> Published {
    set(&[EC.published("k1"), RSA.published("k2")])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every change of a signed token is refused.
    #[test]
    fn c02_no_change_of_a_token_passes(
        at in any::<prop::sample::Index>(),
        put in prop_oneof!["[A-Za-z0-9_=.-]", any::<char>().prop_map(String::from), Just(String::new())],
        kind in 0..3_u8,
    ) {
        let honest = HONEST.as_str();
        prop_assert_eq!(Rules::default().judge(honest, &published()), Ok(()));
        let at = at.index(honest.len());
        let changed = match kind {
            0 => format!("{}{put}{}", &honest[..at], &honest[at + 1..]),
            1 => format!("{}{put}{}", &honest[..at], &honest[at..]),
            _ => honest[..at].to_owned(),
        };
        if changed != honest {
            prop_assert!(Rules::default().judge(&changed, &published()).is_err(), "{changed}");
        }
    }

    /// Parts of valid tokens do not form another valid token.
    #[test]
    fn c02_nothing_passes_that_was_not_signed(
        text in prop_oneof![
            any::<String>(),
            "[A-Za-z0-9_-]{0,30}\\.[A-Za-z0-9_-]{0,30}\\.[A-Za-z0-9_-]{0,90}",
            vec("[A-Za-z0-9_-]{0,8}", 0..8).prop_map(|parts| parts.join(".")),
        ],
        header in prop::option::of(any::<bool>()),
    ) {
        let mut parts = HONEST.split('.');
        let (own_header, own_claims) = (parts.next().unwrap(), parts.next().unwrap());
        let token = match header {
            None => text,
            Some(false) => format!("{own_header}.{text}"),
            Some(true) => format!("{own_header}.{own_claims}.{text}"),
        };
        prop_assume!(token != *HONEST);
        prop_assert!(Rules::default().judge(&token, &published()).is_err(), "{token}");
    }

    /// A claim with a wrong value of any type is refused.
    #[test]
    fn c03_c09_h15_m08_each_claim_is_right_or_the_token_is_refused(
        name in prop::sample::select(&["iss", "aud", "nonce", "at_hash", "exp", "iat"][..]),
        value in prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            vec(any::<String>(), 0..3).prop_map(Value::from),
            Just(json!({ "portico": "portico" })),
        ],
    ) {
        let own = Draft::honest(SigningAlg::ES256).claims[name].clone();
        let passes = judge_claim(name, Some(value.clone())).is_ok();
        let may = match name {
            // Every time within the clock skew passes.
            "exp" => value.as_f64().is_some_and(|time| time > 1_899_999_939.0),
            "iat" => value.as_f64().is_some_and(|time| time < 1_900_000_061.0),
            "at_hash" => value == own || value.is_null(),
            "aud" => value == own || value == json!(["portico"]),
            _ => value == own,
        };
        prop_assert!(!passes || may, "{name}: {value}");
    }

    /// A key set is parsed or refused. It is not empty and has no short key and no key of an unsupported
    /// type.
    #[test]
    fn m06_m07_h08_a_key_set_has_strong_keys_or_none(
        keys in vec(
            (
                prop::sample::select(&["RSA", "EC", "OKP", "oct", "", "rsa"][..]),
                prop::sample::select(&["P-256", "P-384", "P-521", "Ed25519", "X25519", ""][..]),
                prop::sample::select(&[0_usize, 1, 31, 32, 33, 48, 127, 128, 255, 256, 257, 1024, 1025][..]),
                prop::sample::select(&["RS256", "PS512", "ES256", "HS256", "none", "EdDSA"][..]),
                any::<bool>(),
            ),
            0..120,
        ),
    ) {
        let members = keys.iter().map(|(kty, crv, size, alg, has_alg)| {
            let number = URL_SAFE_NO_PAD.encode(vec![0xb5; *size]);
            let mut key = json!({ "kty": kty, "crv": crv, "e": "AQAB" });
            for name in ["n", "x", "y", "k"] {
                key[name] = json!(number);
            }
            if *has_alg {
                key["alg"] = json!(alg);
            }
            key
        });
        let document = json!({ "keys": members.collect::<Vec<_>>() });
        let strong = |(kty, crv, size, ..): &(&str, &str, usize, &str, bool)| match *kty {
            "RSA" => (256..=1024).contains(size),
            "EC" => matches!((*crv, size), ("P-256", 32) | ("P-384", 48)),
            "OKP" => (*crv, *size) == ("Ed25519", 32),
            _ => false,
        };
        let usable = keys.iter().filter(|key| strong(key)).count();
        match KeySet::from_document(document.as_object().unwrap()) {
            Err(_) => prop_assert!(keys.len() > 100 || keys.iter().all(|key| !strong(key) || key.4)),
            Ok(read) => {
                prop_assert!(keys.len() <= 100 && usable > 0);
                for alg in SigningAlg::ALL {
                    prop_assert!(read.candidates(alg, None).count() <= usable.min(10));
                }
            }
        }
    }
}
