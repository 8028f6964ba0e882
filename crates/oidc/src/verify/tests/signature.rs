//! Checks of the format, the algorithm, the key and the signature of a token.

use aws_lc_rs::hmac;

use super::*;

#[test]
fn c02_an_honest_token_of_every_algorithm_on_the_list_passes() {
    let p384 = Pair::ec(&ECDSA_P384_SHA384_FIXED_SIGNING, SigningAlg::ES384);
    let ed = Pair::ed();
    for alg in SigningAlg::ALL {
        let pair = match alg {
            SigningAlg::ES256 => &*EC,
            SigningAlg::ES384 => &p384,
            SigningAlg::EdDSA => &ed,
            _ => &*RSA,
        };
        let token = Draft::honest(alg).signed_as(pair, jws(alg));
        let keys = set(&[EC.published("x"), RSA.published("y"), pair.published("k1")]);
        assert_eq!(Rules::default().judge(&token, &keys), Ok(()), "{alg:?}");
        let others = SigningAlg::ALL.into_iter().filter(|other| *other != alg).collect();
        let rules = Rules { algs: others, ..Rules::default() };
        assert_eq!(rules.judge(&token, &keys), Err("alg"), "{alg:?} is not on the list");
    }
}

#[test]
fn c02_a_signature_must_be_by_a_published_key() {
    let honest = Draft::honest(SigningAlg::ES256);
    let published = || set(&[EC.published("k1")]);
    let message = honest.message();
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let foreign = honest.signed(&OTHER);
    let foreign = foreign.rsplit_once('.').unwrap().1;
    for (what, signature) in [
        ("none", ""),
        ("zeros", zeros.as_str()),
        ("another key's", foreign),
        ("no base64", "%%%"),
        ("padded", "AAA="),
        ("short", "AA"),
    ] {
        let token = format!("{message}.{signature}");
        assert_eq!(Rules::default().judge(&token, &published()), Err("signature"), "{what}");
    }
    // A valid signature with another message.
    let good = honest.signed(&EC);
    let signature = good.rsplit_once('.').unwrap().1;
    let mut other = Draft::honest(SigningAlg::ES256);
    other.claims["sub"] = json!("eve");
    let token = format!("{}.{signature}", other.message());
    assert_eq!(Rules::default().judge(&token, &published()), Err("signature"));
    assert_eq!(Rules::default().judge(&good, &published()), Ok(()));
    // A key of the right type whose `alg` is another one, and a key for encryption.
    let rsa = Draft::honest(SigningAlg::PS256).signed_as(&RSA, Algorithm::PS256);
    for (name, value, expected) in
        [("alg", "RS256", Err("signature")), ("alg", "PS256", Ok(())), ("use", "sig", Ok(()))]
    {
        let mut jwk = RSA.published("k1");
        jwk[name] = json!(value);
        assert_eq!(Rules::default().judge(&rsa, &set(&[jwk])), expected, "{name} {value}");
    }
    // RS256 in the header of a PS256 signature, and the reverse.
    let mut swapped = Draft::honest(SigningAlg::RS256);
    swapped.header["alg"] = json!("RS256");
    let token = swapped.signed_as(&RSA, Algorithm::PS256);
    assert_eq!(Rules::default().judge(&token, &set(&[RSA.published("k1")])), Err("signature"));
}

#[test]
fn c02_the_header_chooses_neither_algorithm_nor_key() {
    for alg in
        [json!("none"), json!("NoNe"), json!(""), json!("HS256"), json!("ES512"), json!(null), json!(7)]
    {
        assert_eq!(judge_header("alg", Some(alg.clone())), Err("alg"), "{alg}");
    }
    assert_eq!(judge_header("alg", None), Err("alg"));
    for alg in ["RS256", "ES384", "EdDSA"] {
        assert_eq!(judge_header("alg", Some(json!(alg))), Err("signature"), "{alg}: no key of that kind");
    }
    // HMAC with public values.
    let mut draft = Draft::honest(SigningAlg::ES256);
    draft.header["alg"] = json!("HS256");
    for secret in [EC.jwk.to_string(), String::new()] {
        let message = draft.message();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
        let token = format!("{message}.{signature}");
        assert_eq!(Rules::default().judge(&token, &set(&[EC.published("k1")])), Err("alg"));
    }
    // A key in the header of the token.
    for name in ["jwk", "jku", "x5u", "x5c"] {
        let mut draft = Draft::honest(SigningAlg::ES256);
        draft.header[name] =
            if name == "jwk" { OTHER.published("k1") } else { json!("https://evil.example") };
        let keys = set(&[EC.published("k1")]);
        assert_eq!(Rules::default().judge(&draft.signed(&OTHER), &keys), Err("signature"), "{name}");
        assert_eq!(Rules::default().judge(&draft.signed(&EC), &keys), Ok(()), "{name} is not looked at");
    }
}

#[test]
fn m07_q_x_4_the_kid_finds_the_key_and_without_one_all_that_fit_are_tried() {
    let [good, other] = [&*EC, &*OTHER].map(|pair| move |kid: &str| pair.published(kid));
    for (kid, keys, expected) in [
        (Some(json!("k1")), vec![other("k0"), good("k1")], Ok(())),
        (Some(json!("k1")), vec![other("k1"), good("k1")], Ok(())),
        (Some(json!("k1")), vec![good("k0"), other("k1")], Err("signature")),
        (Some(json!("k1")), vec![good("k0")], Err("signature")),
        (Some(json!("K1")), vec![good("k1")], Err("signature")),
        (Some(json!(7)), vec![good("k1")], Err("kid")),
        (Some(json!(null)), vec![good("k1")], Err("kid")),
        (None, vec![other("k0"), RSA.published("k2"), good("k1")], Ok(())),
        (None, vec![other("k0")], Err("signature")),
        (None, [vec![other("k0"); 9], vec![good("k1")]].concat(), Ok(())),
        (None, [vec![other("k0"); 10], vec![good("k1")]].concat(), Err("signature")),
    ] {
        let mut draft = Draft::honest(SigningAlg::ES256);
        match &kid {
            Some(kid) => draft.header["kid"] = kid.clone(),
            None => drop(draft.header.as_object_mut().unwrap().remove("kid")),
        }
        assert_eq!(
            Rules::default().judge(&draft.signed(&EC), &set(&keys)),
            expected,
            "{kid:?} {}",
            keys.len()
        );
    }
}

#[test]
fn m09_h08_q_x_22_only_a_plain_signed_token_of_sane_size_is_taken_apart() {
    let honest = Draft::honest(SigningAlg::ES256);
    let good = honest.signed(&EC);
    let (header, payload) = (encoded(&honest.header), encoded(&honest.claims));
    let sized = |size: usize| URL_SAFE_NO_PAD.encode(format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8)));
    let doubled = URL_SAFE_NO_PAD.encode(r#"{"sub":"a","sub":"b"}"#);
    for (what, token, expected) in [
        ("the honest one", good.clone(), None),
        ("nothing", String::new(), Some("form")),
        ("one part", "x".to_owned(), Some("form")),
        ("two parts", format!("{header}.{payload}"), Some("form")),
        ("four parts", format!("{good}.x"), Some("form")),
        ("an encrypted one", "a.b.c.d.e".to_owned(), Some("form")),
        ("many parts", "a.".repeat(10_000), Some("form")),
        ("empty parts", "..".to_owned(), Some("header")),
        ("no base64", format!("%.{payload}.AA"), Some("header")),
        ("padded", format!("{header}=.{payload}.AA"), Some("header")),
        ("a header that is no object", format!("{}.{payload}.AA", encoded(&json!([]))), Some("header")),
        ("a doubled header", format!("{doubled}.{payload}.AA"), Some("header")),
        ("a doubled payload", format!("{header}.{doubled}.AA"), Some("payload")),
        (
            "a payload that is no JSON",
            format!("{header}.{}.AA", URL_SAFE_NO_PAD.encode("x")),
            Some("payload"),
        ),
        ("a large header", format!("{}.{payload}.AA", sized(8 * 1024 + 1)), Some("header")),
        ("a large payload", format!("{header}.{}.AA", sized(256 * 1024 + 1)), Some("payload")),
        ("a large signature", format!("{header}.{payload}.{}", "A".repeat(4000)), Some("signature")),
    ] {
        let found = UnverifiedToken::parse(&token).err().map(|check| check.name);
        assert_eq!(found, expected, "{what}");
        let judged = Rules::default().judge(&token, &set(&[EC.published("k1")]));
        assert_eq!(judged.err(), expected, "{what}");
    }
    assert!(UnverifiedToken::parse(&format!("{}.{}.AA", sized(8 * 1024), sized(256 * 1024))).is_ok());
    for crit in [json!(["b64"]), json!([]), json!(null)] {
        assert_eq!(judge_header("crit", Some(crit)), Err("crit"));
    }
}
