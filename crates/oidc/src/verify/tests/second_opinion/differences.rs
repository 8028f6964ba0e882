//! The known differences between the results of Portico and of `openidconnect`, with their reasons.

use super::*;

/// A difference between the results of Portico and of `openidconnect`.
pub(super) struct Difference {
    pub(super) what: &'static str,
    pub(super) explains: fn(&Judgement<'_>) -> bool,
    /// A token with this difference, the rules of the slot, and the published keys.
    pub(super) example: fn() -> (Rules, String, Vec<Value>),
}

/// Claims that Portico does not check and that have a type in `openidconnect`.
const FOREIGN: [&str; 6] = ["acr", "address", "amr", "auth_time", "email_verified", "updated_at"];

/// All differences. First the tokens that only Portico accepts, then those that only `openidconnect` accepts.
pub(super) const DIFFERENCES: [Difference; 15] = [
    Difference {
        what: "`cty` describes the payload, which Portico always parses as claims; it has no effect",
        explains: |it| {
            it.header.get("cty").is_some()
                && (it.is_unsupported_only("content") || it.is_unsupported_only("nested"))
        },
        example: || with_header("cty", json!("JWT")),
    },
    Difference {
        what: "some providers have their own `typ`; Portico refuses those of other tokens (`+jwt`)",
        explains: |it| it.header.get("typ").is_some() && it.is_unsupported_only("JWT type"),
        example: || with_header("typ", json!("id_token")),
    },
    Difference {
        what: "a `kid` that is published twice, or none: Portico tries each key for the algorithm, up to ten",
        explains: |it| {
            use ClaimsVerificationError::SignatureVerification;
            use SignatureVerificationError::AmbiguousKeyId;
            it.ours.is_ok()
                && matches!(&it.theirs, Opinion::Refuses(SignatureVerification(AmbiguousKeyId(_))))
        },
        example: || {
            let (rules, token, _) = with_claim("sub", json!("ada"));
            (rules, token, vec![OTHER.published("k1"), EC.published("k1")])
        },
    },
    Difference {
        what: "claims without a check may have any type; later code decides on their use",
        explains: |it| FOREIGN.iter().any(|name| it.claims.get(name).is_some()) && it.is_unreadable_only(),
        example: || with_claim("address", json!("1 Example Street")),
    },
    Difference {
        what: "`sub` is read with the other claims, and its absence has an error code of its own",
        explains: |it| it.claims.get("sub").is_none_or(|sub| !sub.is_string()) && it.is_unreadable_only(),
        example: || with_claim("sub", json!(7)),
    },
    Difference {
        what: "a time beyond the calendar of `chrono` becomes the nearest time in Portico",
        explains: |it| {
            let beyond = |name: &str| it.claims[name].as_f64().is_some_and(|time| time.abs() > 8e12);
            ["exp", "iat"].into_iter().any(beyond) && it.is_unreadable_only()
        },
        example: || with_claim("exp", json!(u64::MAX)),
    },
    Difference {
        what: "an issuer may be any text, such as Google's alias; `openidconnect` requires a URL",
        explains: |it| {
            it.claims["iss"].as_str().is_some_and(|iss| Url::parse(iss).is_err()) && it.is_unreadable_only()
        },
        example: || {
            let (rules, token, keys) = with_claim("iss", json!("idp.example"));
            (Rules { aliases: vec![Issuer::new("idp.example")], ..rules }, token, keys)
        },
    },
    Difference {
        what: "`openidconnect` does not check `nbf` (RFC 7519 4.1.5)",
        explains: |it| it.claims.get("nbf").is_some() && it.fails_only("nbf"),
        example: || with_claim("nbf", json!(NOW + 3600)),
    },
    Difference {
        what: "`openidconnect` leaves `azp` to its caller (OIDC Core 3.1.3.7 (5))",
        explains: |it| it.claims.get("azp").is_some() && it.fails_only("azp"),
        example: || with_claim("azp", json!("other")),
    },
    Difference {
        what: "`openidconnect` leaves `at_hash` to its caller (OIDC Core 3.1.3.8)",
        explains: |it| it.claims.get("at_hash").is_some() && it.fails_only("at_hash"),
        example: || with_claim("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    },
    Difference {
        what: "a logout token is no ID token (OIDC Back-Channel Logout 1.0, 2.4), which only Portico checks",
        explains: |it| it.claims.get("events").is_some() && it.fails_only("events"),
        example: || with_claim("events", json!({})),
    },
    Difference {
        what: "a member that is null has the wrong type in Portico, and is absent in `openidconnect`",
        explains: |it| {
            let null = |members: &Value, name: &str| members.get(name) == Some(&Value::Null);
            ["crit", "kid", "typ"].iter().any(|name| null(&it.header, name) && it.fails_only(name))
                || null(&it.claims, "nonce") && it.fails_only("nonce")
        },
        example: || with_header("crit", json!(null)),
    },
    Difference {
        what: "Portico requires zero for the unused bits of a signature's last character (RFC 4648 3.5)",
        explains: |it| {
            let signature = it.token.rsplit('.').next().unwrap_or_default();
            URL_SAFE_NO_PAD.decode(signature).is_err() && it.fails_only("signature")
        },
        example: || {
            let (rules, mut token, keys) = with_claim("sub", json!("ada"));
            // The last character of 64 encoded bytes has two used and four unused bits.
            let last = token.pop().unwrap();
            token.push(char::from(last as u8 + 1));
            (rules, token, keys)
        },
    },
    Difference {
        what: "Portico refuses two members of one name (RFC 7519 4)",
        explains: |it| it.token.contains(&URL_SAFE_NO_PAD.encode(DOUBLED)) && it.fails_only("payload"),
        example: || {
            let mut draft = Draft::honest(SigningAlg::ES256);
            let claims = draft.claims.take().to_string().replacen('{', DOUBLED, 1);
            let message = format!("{}.{}", encoded(&draft.header), URL_SAFE_NO_PAD.encode(claims));
            let signature =
                jsonwebtoken::crypto::sign(message.as_bytes(), &EC.private, Algorithm::ES256).unwrap();
            (Rules::default(), format!("{message}.{signature}"), vec![EC.published("k1")])
        },
    },
    Difference {
        what: "Portico refuses a too large token before it verifies the signature",
        explains: |it| it.token.len() > 8 << 10 && it.fails_only("payload"),
        example: || with_claim("padding", json!("x".repeat(256 << 10))),
    },
];

/// The start of claims with a doubled member. Its length is a multiple of three.
const DOUBLED: &str = r#"{"twin":1,"twin":2, "#;

pub(super) fn with_claim(name: &str, value: Value) -> (Rules, String, Vec<Value>) {
    let mut draft = Draft::honest(SigningAlg::ES256);
    draft.claims[name] = value;
    (Rules::default(), draft.signed(&EC), vec![EC.published("k1")])
}

fn with_header(name: &str, value: Value) -> (Rules, String, Vec<Value>) {
    let mut draft = Draft::honest(SigningAlg::ES256);
    draft.header[name] = value;
    (Rules::default(), draft.signed(&EC), vec![EC.published("k1")])
}
