//! The checks of an ID token, in the order of OpenID Connect Core 3.1.3.7.
//!
//! `jsonwebtoken` verifies signatures. All other checks are here, because that crate skips missing claims,
//! does not check `azp`, `nonce` and `at_hash`, and ignores `crit`. A claim of the wrong type fails its check
//! and is not treated as absent. The header of the token selects neither the algorithm, which must be on the
//! slot's list, nor the key, which must be the provider's. `jwk`, `jku`, `x5u` and `x5c` are ignored (RFC
//! 8725 3.1, 3.10).

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico_core::clock::Timestamp;
use portico_core::error::Check;
use portico_core::provider::{Issuer, NonceMode, SigningAlg};
use portico_outbound::json;
use serde_json::{Map, Value};

use crate::keys::{KeySet, jws};

/// The largest accepted header, payload and signature, in bytes.
const MAX_SIZES: [usize; 3] = [8 << 10, 256 << 10, 2 << 10];

/// The parts of a JWT. Nothing in it is verified yet.
pub(crate) struct UnverifiedToken<'a> {
    /// The signing input (RFC 7515 5.1).
    signed: &'a str,
    signature: &'a str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// The accepted issuers and the audience of a token.
pub(crate) struct Parties<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) issuer: &'a Issuer,
    pub(crate) aliases: &'a [Issuer],
}

impl<'a> UnverifiedToken<'a> {
    /// Parses a compact JWS (RFC 7515 3.1).
    ///
    /// # Errors
    /// The token is malformed, too large, has critical extensions, or is encrypted (OIDC Core 3.1.3.7 (1)).
    pub(crate) fn parse(text: &'a str) -> Result<Self, Check> {
        let parts: Vec<&str> = text.split('.').take(6).collect();
        let [header, payload, signature] = parts[..] else {
            let received = if parts.len() == 5 { "an encrypted one" } else { "something else" };
            return Err(Check::failed("form", "a signed JWT", received));
        };
        let [largest_header, largest_payload, largest_signature] = MAX_SIZES;
        let header = document("header", header, largest_header)?;
        let claims = document("payload", payload, largest_payload)?;
        if signature.len() > largest_signature / 3 * 4 {
            return Err(Check::failed("signature", "at most 2 KiB", "more"));
        }
        // RFC 7515 4.1.11: a token with unsupported critical extensions is invalid. Portico supports none.
        if header.contains_key("crit") {
            return Err(Check::failed("crit", "no critical extensions", "some"));
        }
        let signed = text.get(..text.len() - signature.len() - 1).unwrap_or_default();
        Ok(Self { signed, signature, header, claims })
    }

    /// Refuses other kinds of tokens, such as access tokens and logout tokens (RFC 8725 3.11, 3.12).
    pub(crate) fn check_kind(&self) -> Result<(), Check> {
        if let Some(typ) = text(&self.header, "typ")?
            && typ.to_ascii_lowercase().ends_with("+jwt")
        {
            return Err(Check::failed("typ", "JWT", typ));
        }
        if self.claims.contains_key("events") {
            return Err(Check::failed("events", "none, as this is a login", "some"));
        }
        Ok(())
    }

    /// Checks issuer and audience (OIDC Core 3.1.3.7 (2) to (5)). Returns the issuer of the stored identity:
    /// that of the slot, or for a template that of the token's tenant.
    pub(crate) fn check_parties(&self, parties: &Parties<'_>) -> Result<Issuer, Check> {
        let issuer = self.check_issuer(parties)?;
        self.check_audience(parties)?;
        // (4), (5): if `azp` is present, it is the client.
        match text(&self.claims, "azp")? {
            Some(azp) if azp != parties.client_id => Err(Check::failed("azp", parties.client_id, azp)),
            _ => Ok(issuer),
        }
    }

    /// Checks issuer and audience of signed userinfo, as far as they are present (OIDC Core 5.3.2).
    pub(crate) fn check_named_parties(&self, parties: &Parties<'_>) -> Result<(), Check> {
        if self.claims.contains_key("iss") {
            self.check_issuer(parties)?;
        }
        if self.claims.contains_key("aud") {
            self.check_audience(parties)?;
        }
        Ok(())
    }

    /// Checks the issuer (2) as plain text. The placeholder of a template is replaced by the token's `tid`.
    /// The access rule checks later whether the tenant is allowed.
    fn check_issuer(&self, parties: &Parties<'_>) -> Result<Issuer, Check> {
        let iss = required("iss", text(&self.claims, "iss")?)?;
        let many = parties.issuer.is_template();
        let tenant = if many { Some(required("tid", text(&self.claims, "tid")?)?) } else { None };
        let own = parties.issuer.of_tenant(tenant).ok_or_else(|| {
            Check::failed("tid", "a tenant's GUID in lower case", tenant.unwrap_or_default())
        })?;
        let aliases = parties.aliases.iter().filter_map(|alias| alias.of_tenant(tenant));
        if std::iter::once(own.clone()).chain(aliases).any(|known| known == iss) {
            return Ok(Issuer::new(own));
        }
        Err(Check::failed("iss", own, iss))
    }

    /// Checks the audience (3): a text, or a list of texts only.
    fn check_audience(&self, parties: &Parties<'_>) -> Result<(), Check> {
        let received = required("aud", self.claims.get("aud"))?;
        let names: Option<Vec<&str>> = match received {
            Value::String(one) => Some(vec![one]),
            Value::Array(many) => many.iter().map(Value::as_str).collect(),
            _ => None,
        };
        match names {
            Some(names) if names.contains(&parties.client_id) => Ok(()),
            _ => Err(Check::failed("aud", parties.client_id, received.to_string())),
        }
    }

    /// The algorithm of the token, which must be on the slot's list (OIDC Core 3.1.3.7 (7)).
    pub(crate) fn algorithm(&self, allowed: &[SigningAlg]) -> Result<SigningAlg, Check> {
        let named = required("alg", text(&self.header, "alg")?)?;
        allowed.iter().copied().find(|alg| alg.as_str() == named).ok_or_else(|| {
            let all: Vec<_> = allowed.iter().map(|alg| alg.as_str()).collect();
            Check::failed("alg", all.join(", "), named)
        })
    }

    /// Verifies the signature with the provider's keys for this algorithm (OIDC Core 3.1.3.7 (6)).
    pub(crate) fn check_signature(&self, keys: &KeySet, alg: SigningAlg) -> Result<(), Check> {
        let kid = text(&self.header, "kid")?;
        let verifies = |key| {
            let verified =
                jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, jws(alg));
            verified.unwrap_or(false)
        };
        let mut candidates = keys.candidates(alg, kid).peekable();
        if candidates.peek().is_none() {
            let received = format!("kid {:?} and alg {}", kid.unwrap_or("(none)"), alg.as_str());
            return Err(Check::failed("signature", "the kid of a published key", received));
        }
        if candidates.any(verifies) {
            return Ok(());
        }
        Err(Check::failed("signature", "one by a published key", "another one"))
    }

    /// The time of issue by the provider's clock, in seconds since 1970; `None` if it is missing or
    /// malformed.
    pub(crate) fn issued_at(&self) -> Option<i64> {
        time(&self.claims, "iat").ok().flatten().map(Timestamp::unix)
    }

    /// Checks `exp`, `iat` and `nbf` (OIDC Core 3.1.3.7 (9), (10); RFC 7519 4.1.5) with this clock skew.
    pub(crate) fn check_times(&self, now: Timestamp, skew: Duration) -> Result<(), Check> {
        let exp = required("exp", time(&self.claims, "exp")?)?;
        let iat = required("iat", time(&self.claims, "iat")?)?;
        if exp <= now.minus(skew) {
            return Err(Check::failed(
                "exp",
                format!("after {}", now.minus(skew).unix()),
                exp.unix().to_string(),
            ));
        }
        let latest = now.plus(skew);
        for (name, begins) in [("iat", Some(iat)), ("nbf", time(&self.claims, "nbf")?)] {
            if let Some(begins) = begins.filter(|begins| *begins > latest) {
                let expected = format!("not after {}", latest.unix());
                return Err(Check::failed(name, expected, begins.unix().to_string()));
            }
        }
        Ok(())
    }

    /// Compares the nonce with that of the login (OIDC Core 3.1.3.7 (11)), by the rule of the settings.
    pub(crate) fn check_nonce(&self, mode: NonceMode, own: &str) -> Result<(), Check> {
        match (mode, text(&self.claims, "nonce")?) {
            (NonceMode::Required, None) => Err(Check::failed("nonce", "this login's", "nothing")),
            (NonceMode::IfPresent | NonceMode::Never, None) | (NonceMode::Never, Some("")) => Ok(()),
            (NonceMode::Never, Some(_)) => Err(Check::failed("nonce", "none, as none was sent", "one")),
            (NonceMode::Required | NonceMode::IfPresent, Some(nonce)) => {
                verify_slices_are_equal(nonce.as_bytes(), own.as_bytes())
                    .map_err(|_| Check::failed("nonce", "this login's", "another one"))
            }
        }
    }

    /// Checks the hash of the access token, if it is present (OIDC Core 3.1.3.8). The hash function follows
    /// from the algorithm of the token. Without a supported algorithm, which only an unverified token can
    /// have, the check passes.
    pub(crate) fn check_access_token(&self, access_token: &str) -> Result<(), Check> {
        let Some(received) = text(&self.claims, "at_hash")? else { return Ok(()) };
        let alg = self.header.get("alg").and_then(Value::as_str).and_then(SigningAlg::parse);
        let Some(alg) = alg else { return Ok(()) };
        let hash = digest::digest(hash_of(alg), access_token.as_bytes());
        let left = hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default();
        verify_slices_are_equal(received.as_bytes(), URL_SAFE_NO_PAD.encode(left).as_bytes())
            .map_err(|_| Check::failed("at_hash", "that of the access token", "another one"))
    }

    /// The header.
    pub(crate) fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// The claims, which the other checks may still refuse.
    pub(crate) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The claims, for use after all checks.
    pub(crate) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

/// Decodes a part of a JWT, of at most this size in bytes.
fn document(name: &'static str, encoded: &str, largest: usize) -> Result<Map<String, Value>, Check> {
    let decoded =
        URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Check::failed(name, "base64url", "something else"))?;
    if decoded.len() > largest {
        return Err(Check::failed(name, format!("at most {largest} bytes"), decoded.len().to_string()));
    }
    json::object(&decoded).map_err(|error| Check::failed(name, "a JSON object", error.to_string()))
}

/// The value of a required claim.
pub(crate) fn required<T>(name: &'static str, value: Option<T>) -> Result<T, Check> {
    value.ok_or_else(|| Check::failed(name, "one", "nothing"))
}

/// The failed check of a claim with the wrong type.
pub(crate) fn wrong_type(name: &'static str, expected: &str) -> Check {
    Check::failed(name, expected, "another type")
}

/// A text; `None` if the member is absent.
///
/// # Errors
/// The member has another type.
pub(crate) fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, Check> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| wrong_type(name, "a text")),
    }
}

/// A `NumericDate` (RFC 7519 2); `None` if the claim is absent. A number outside of the range becomes the
/// nearest time.
///
/// # Errors
/// The claim has another type.
pub(crate) fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, Check> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(wrong_type(name, "a number")) };
    #[expect(clippy::cast_possible_truncation, reason = "a cast from float to integer saturates")]
    let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
    seconds.map(|seconds| Some(Timestamp::from_unix(seconds))).ok_or_else(|| wrong_type(name, "a number"))
}

/// The hash function of `at_hash` for this algorithm (OIDC Core 3.1.3.6).
fn hash_of(alg: SigningAlg) -> &'static digest::Algorithm {
    match alg {
        SigningAlg::RS256 | SigningAlg::PS256 | SigningAlg::ES256 => &digest::SHA256,
        SigningAlg::RS384 | SigningAlg::PS384 | SigningAlg::ES384 => &digest::SHA384,
        // Ed25519 uses SHA-512 (RFC 8032 5.1).
        SigningAlg::RS512 | SigningAlg::PS512 | SigningAlg::EdDSA => &digest::SHA512,
    }
}

#[cfg(test)]
mod tests;
