//! Access tokens (RFC 9068): their claims, how they are issued and how they are verified.

use jsonwebtoken::{Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::TokenError;
use crate::keys::KeyRing;
use crate::pending_login::REPLICA_SKEW;
use crate::public_url::PublicUrl;
use crate::session::{Lifetimes, SessionId};
use crate::store::SessionWithAccount;

/// The maximum length of an access token, in bytes. It must fit into a cookie.
pub const MAX_TOKEN: usize = 3500;

/// The claims of an access token: those of RFC 9068 2.2, and Portico's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The issuer: the public URL.
    pub iss: String,
    /// The audience.
    pub aud: Vec<String>,
    /// The identifier of the account.
    pub sub: Uuid,
    /// Expiry, Unix seconds.
    pub exp: i64,
    /// Issue, Unix seconds.
    pub iat: i64,
    /// Not before, Unix seconds.
    pub nbf: i64,
    /// The identifier of the token.
    pub jti: Uuid,
    /// The identifier of the session.
    pub sid: Uuid,
    /// The time of the login to Portico, Unix seconds.
    pub auth_time: i64,
    /// The display label.
    pub name: String,
    /// The account name.
    pub preferred_username: String,
    /// The e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the provider calls the e-mail verified; absent if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// The groups; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Whether groups were removed because the token would be too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub groups_truncated: bool,
    /// Whether the provider omitted the groups because there are too many.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub groups_overage: bool,
    /// The roles in the application.
    pub roles: Vec<String>,
    /// The slot, such as `oidc/provider1`, or `break-glass`.
    pub idp: String,
    /// The authentication methods that the provider sent (RFC 8176).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    /// The authentication context class that the provider sent (OIDC Core 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
}

/// The parameters of a new access token.
#[derive(Debug)]
pub struct Issuance<'a> {
    /// The issuer.
    pub public_url: &'a PublicUrl,
    /// The audience.
    pub audience: &'a [String],
    /// The roles of the person.
    pub roles: Vec<String>,
    /// The configured lifetimes.
    pub lifetimes: &'a Lifetimes,
    /// The current time.
    pub now: Timestamp,
    /// The identifier of the token.
    pub id: Uuid,
}

/// All groups of a person: those of the provider and those granted locally. `None` if the provider sent
/// none and none was granted.
pub fn groups_of(entry: &SessionWithAccount) -> Option<Vec<String>> {
    let local = &entry.account.groups;
    match &entry.session.session_claims.groups {
        None if local.is_empty() => None,
        sent => {
            let mut groups = sent.clone().unwrap_or_default();
            groups.extend(local.iter().filter(|group| !groups.contains(group)).cloned().collect::<Vec<_>>());
            Some(groups)
        }
    }
}

/// Issues an access token and returns it with its expiry, which is never later than that of its session.
///
/// # Errors
/// If the cryptographic library fails.
pub fn issue(
    ring: &KeyRing,
    under: &Issuance<'_>,
    entry: &SessionWithAccount,
) -> Result<(String, Timestamp), jsonwebtoken::errors::Error> {
    let expires = under.now.plus(under.lifetimes.access_token).min(entry.session.expires_at);
    let mut claims = claims_of(under, entry, expires);
    truncate(&mut claims);
    Ok((ring.sign(&claims)?, expires))
}

fn claims_of(under: &Issuance<'_>, entry: &SessionWithAccount, expires: Timestamp) -> AccessClaims {
    let SessionWithAccount { session, account } = entry;
    AccessClaims {
        iss: under.public_url.as_str().to_owned(),
        aud: under.audience.to_vec(),
        sub: account.id.0,
        exp: expires.unix(),
        iat: under.now.unix(),
        nbf: under.now.unix(),
        jti: under.id,
        sid: session.id.0,
        auth_time: session.created_at.unix(),
        name: account.label.clone(),
        preferred_username: account.name.clone(),
        email: account.email.as_ref().map(|email| email.address.clone()),
        email_verified: account.email.as_ref().and_then(|email| email.verified),
        groups: groups_of(entry),
        groups_truncated: false,
        groups_overage: session.session_claims.groups_overage,
        roles: under.roles.clone(),
        idp: session.idp(),
        amr: session.session_claims.amr.clone(),
        acr: session.session_claims.acr.clone(),
    }
}

/// Removes groups, from the end, until the token is within [`MAX_TOKEN`]. If it is still too long,
/// removes or shortens claims that are only informative.
fn truncate(claims: &mut AccessClaims) {
    /// The length of header and signature in base64url with the two dots, for RS256, whose signature is
    /// the longest.
    const HEADER_AND_SIGNATURE: usize = 480;
    let room = (MAX_TOKEN - HEADER_AND_SIGNATURE) / 4 * 3;
    let size = |claims: &AccessClaims| serde_json::to_vec(claims).map_or(0, |json| json.len());
    let Some(mut excess) = size(claims).checked_sub(room).filter(|excess| *excess > 0) else { return };
    excess += r#","groups_truncated":true"#.len();
    if let Some(groups) = &mut claims.groups {
        claims.groups_truncated = true;
        while let Some(group) = groups.pop() {
            let freed = serde_json::to_vec(&group).map_or(0, |json| json.len() + 1);
            excess = excess.saturating_sub(freed);
            if excess == 0 {
                break;
            }
        }
    }
    // The claims may still be too long if names, address and roles have their maximum lengths.
    let shorten: [fn(&mut AccessClaims); 3] = [
        |claims| (claims.amr, claims.acr) = (None, None),
        |claims| (claims.email, claims.email_verified) = (None, None),
        |claims| claims.name = claims.name.chars().take(32).collect(),
    ];
    for shorten in shorten {
        if size(claims) > room {
            shorten(claims);
        }
    }
}

/// Verifies an access token (RFC 9068 4): length, `typ`, no `crit`, signature by a published key with
/// the only algorithm of that key, issuer, audience and times.
///
/// # Errors
/// [`TokenError`] for the first check that fails.
pub fn verify(
    ring: &KeyRing,
    token: &str,
    issuer: &PublicUrl,
    audience: &[String],
    now: Timestamp,
) -> Result<AccessClaims, TokenError> {
    if token.len() > 2 * MAX_TOKEN {
        return Err(TokenError::Invalid("the access token is too long"));
    }
    let header = decode_header(token).map_err(|_| TokenError::Invalid("the access token is not a JWT"))?;
    if header.typ.as_deref() != Some("at+jwt") {
        return Err(TokenError::Invalid("the token's typ is not at+jwt"));
    }
    if header.crit.is_some() {
        return Err(TokenError::Invalid("the token's header has crit"));
    }
    let kid = header.kid.as_deref().ok_or(TokenError::Invalid("the token names no key"))?;
    let (key, alg) = ring.find(kid).ok_or(TokenError::UnknownKey)?;
    let mut checks = Validation::new(alg);
    // Issuer, audience and times are checked below, against Portico's clock.
    checks.required_spec_claims.clear();
    checks.validate_exp = false;
    checks.validate_aud = false;
    let claims = decode::<AccessClaims>(token, key, &checks)
        .map_err(|_| TokenError::Invalid("the token's signature or claims are wrong"))?
        .claims;
    if claims.iss != issuer.as_str() {
        return Err(TokenError::Invalid("the token has another issuer"));
    }
    if !claims.aud.iter().any(|aud| audience.contains(aud)) {
        return Err(TokenError::Invalid("the token has another audience"));
    }
    claims.check_times(now)?;
    Ok(claims)
}

impl AccessClaims {
    /// Checks the times of the token. The expiry is exact; the start has a tolerance of [`REPLICA_SKEW`].
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if the token has expired or is not valid yet.
    pub fn check_times(&self, now: Timestamp) -> Result<(), TokenError> {
        if self.exp <= now.unix() {
            return Err(TokenError::Invalid("the access token has expired"));
        }
        if self.nbf > now.plus(REPLICA_SKEW).unix() {
            return Err(TokenError::Invalid("the access token is not valid yet"));
        }
        Ok(())
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        SessionId(self.sid)
    }
}

#[cfg(test)]
mod tests;
