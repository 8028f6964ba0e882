//! The checks of an ID token, in the order of OpenID Connect Core 3.1.3.7.
//!
//! Signatures are verified by `jsonwebtoken`; everything else is checked here, because that crate skips what is
//! missing, knows no `azp`, `nonce` or `at_hash`, and does not mind `crit`. A claim of the wrong type is wrong, never
//! absent. The token's header chooses nothing: not the algorithm, which must be on the slot's list, and not the key,
//! which is the provider's; `jwk`, `jku`, `x5u` and `x5c` are not even looked at (RFC 8725 3.1, 3.10).

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico_core::clock::Timestamp;
use portico_core::error::Check;
use portico_core::provider::{Issuer, NonceMode, SigningAlg};
use portico_oauth2::json;
use serde_json::{Map, Value};

use crate::keys::{KeySet, jws};

/// The largest header, payload and signature, in bytes.
const LARGEST: [usize; 3] = [8 << 10, 256 << 10, 2 << 10];

/// A JWT taken apart; nothing in it is verified yet.
pub(crate) struct UnverifiedToken<'a> {
    /// What the signature is over (RFC 7515 5.1).
    signed: &'a str,
    signature: &'a str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// Who may have issued a token for whom.
pub(crate) struct Parties<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) issuer: &'a Issuer,
    pub(crate) aliases: &'a [Issuer],
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a compact JWS apart (RFC 7515 3.1). An encrypted token is refused (OIDC Core 3.1.3.7 (1)).
    pub(crate) fn parse(text: &'a str) -> Result<Self, Check> {
        let parts: Vec<&str> = text.split('.').take(6).collect();
        let [header, payload, signature] = parts[..] else {
            let received = if parts.len() == 5 { "an encrypted one" } else { "something else" };
            return Err(Check::failed("form", "a signed JWT", received));
        };
        let [largest_header, largest_payload, largest_signature] = LARGEST;
        let header = document("header", header, largest_header)?;
        let claims = document("payload", payload, largest_payload)?;
        if signature.len() > largest_signature / 3 * 4 {
            return Err(Check::failed("signature", "at most 2 KiB", "more"));
        }
        // RFC 7515 4.1.11: extensions that must be understood; we understand none.
        if header.contains_key("crit") {
            return Err(Check::failed("crit", "no critical extensions", "some"));
        }
        let signed = text.get(..text.len() - signature.len() - 1).unwrap_or_default();
        Ok(Self { signed, signature, header, claims })
    }

    /// RFC 8725 3.11, 3.12: access tokens, logout tokens and their like are no ID tokens.
    pub(crate) fn check_kind(&self) -> Result<(), Check> {
        if let Some(typ) = text(&self.header, "typ")? {
            let own = typ.to_ascii_lowercase();
            if own.ends_with("+jwt") {
                return Err(Check::failed("typ", "JWT", typ));
            }
        }
        if self.claims.contains_key("events") {
            return Err(Check::failed("events", "none, as this is a login", "some"));
        }
        Ok(())
    }

    /// OIDC Core 3.1.3.7 (2) to (5): from this provider, for us. The answer is the issuer in whose name the identity is
    /// stored: the slot's own, or for a template that of the token's tenant.
    pub(crate) fn check_parties(&self, parties: &Parties<'_>) -> Result<Issuer, Check> {
        let issuer = self.check_issuer(parties)?;
        self.check_audience(parties)?;
        // (4), (5): when azp is there, it is us.
        match text(&self.claims, "azp")? {
            Some(azp) if azp != parties.client_id => Err(Check::failed("azp", parties.client_id, azp)),
            _ => Ok(issuer),
        }
    }

    /// OIDC Core 5.3.2: signed userinfo may name issuer and audience, and is then held to them.
    pub(crate) fn check_named_parties(&self, parties: &Parties<'_>) -> Result<(), Check> {
        if self.claims.contains_key("iss") {
            self.check_issuer(parties)?;
        }
        if self.claims.contains_key("aud") {
            self.check_audience(parties)?;
        }
        Ok(())
    }

    /// (2): compared as raw text. A template is filled with the token's own `tid`; whether that tenant may come in is
    /// the access rule's business.
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

    /// (3): one text, or a list of nothing but texts.
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

    /// OIDC Core 3.1.3.7 (7): an algorithm of the slot's list.
    pub(crate) fn algorithm(&self, allowed: &[SigningAlg]) -> Result<SigningAlg, Check> {
        let named = required("alg", text(&self.header, "alg")?)?;
        allowed.iter().copied().find(|alg| alg.as_str() == named).ok_or_else(|| {
            let all: Vec<_> = allowed.iter().map(|alg| alg.as_str()).collect();
            Check::failed("alg", all.join(", "), named)
        })
    }

    /// OIDC Core 3.1.3.7 (6): signed by one of the provider's keys that is made for this algorithm.
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

    /// When the provider says it was issued, by the provider's clock.
    pub(crate) fn issued_at(&self) -> Option<i64> {
        time(&self.claims, "iat").ok().flatten().map(Timestamp::unix)
    }

    /// OIDC Core 3.1.3.7 (9), (10), and RFC 7519 4.1.5 for `nbf`.
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

    /// OIDC Core 3.1.3.7 (11): the nonce of this login, as strictly as the operator wants it.
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

    /// OIDC Core 3.1.3.8: the hash of the access token, when there is one. Its function is that of the token's own
    /// algorithm; a token without one that we know, which only an unverified token can be, says nothing.
    pub(crate) fn check_access_token(&self, access_token: &str) -> Result<(), Check> {
        let Some(received) = text(&self.claims, "at_hash")? else { return Ok(()) };
        let alg = self.header.get("alg").and_then(Value::as_str).and_then(SigningAlg::parse);
        let Some(alg) = alg else { return Ok(()) };
        let hash = digest::digest(hash_of(alg), access_token.as_bytes());
        let left = hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default();
        verify_slices_are_equal(received.as_bytes(), URL_SAFE_NO_PAD.encode(left).as_bytes())
            .map_err(|_| Check::failed("at_hash", "that of the access token", "another one"))
    }

    pub(crate) fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    pub(crate) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The claims, once everything was checked.
    pub(crate) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

fn document(name: &'static str, encoded: &str, largest: usize) -> Result<Map<String, Value>, Check> {
    let decoded =
        URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Check::failed(name, "base64url", "something else"))?;
    if decoded.len() > largest {
        return Err(Check::failed(name, format!("at most {largest} bytes"), decoded.len().to_string()));
    }
    json::object(&decoded).map_err(|error| Check::failed(name, "a JSON object", error.to_string()))
}

pub(crate) fn required<T>(name: &'static str, value: Option<T>) -> Result<T, Check> {
    value.ok_or_else(|| Check::failed(name, "one", "nothing"))
}

pub(crate) fn wrong_type(name: &'static str, expected: &str) -> Check {
    Check::failed(name, expected, "another type")
}

pub(crate) fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, Check> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| wrong_type(name, "a text")),
    }
}

/// A `NumericDate` (RFC 7519 2); what lies beyond our numbers is the end or the beginning of time.
pub(crate) fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, Check> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(wrong_type(name, "a number")) };
    #[expect(clippy::cast_possible_truncation, reason = "a cast from float to integer saturates")]
    let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
    seconds.map(|seconds| Some(Timestamp::from_unix(seconds))).ok_or_else(|| wrong_type(name, "a number"))
}

fn hash_of(alg: SigningAlg) -> &'static digest::Algorithm {
    match alg {
        SigningAlg::RS256 | SigningAlg::PS256 | SigningAlg::ES256 => &digest::SHA256,
        SigningAlg::RS384 | SigningAlg::PS384 | SigningAlg::ES384 => &digest::SHA384,
        // Ed25519 hashes with SHA-512 (RFC 8032 5.1).
        SigningAlg::RS512 | SigningAlg::PS512 | SigningAlg::EdDSA => &digest::SHA512,
    }
}

#[cfg(test)]
mod tests;
