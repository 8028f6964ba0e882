//! The access token: what it says, and what makes us believe one.

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

/// The longest access token, in bytes: it must fit a cookie.
pub const MAX_TOKEN: usize = 3500;

/// The claims of an access token (RFC 9068 2.2 and the product's own).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The public URL.
    pub iss: String,
    /// Who the token is for.
    pub aud: Vec<String>,
    /// The account.
    pub sub: Uuid,
    /// Expiry, Unix seconds.
    pub exp: i64,
    /// Issue, Unix seconds.
    pub iat: i64,
    /// Not before, Unix seconds.
    pub nbf: i64,
    /// Unique per token.
    pub jti: Uuid,
    /// The session.
    pub sid: Uuid,
    /// The time of our login, Unix seconds.
    pub auth_time: i64,
    /// Display label.
    pub name: String,
    /// Account name.
    pub preferred_username: String,
    /// E-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What the provider said of the e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Groups; left out when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Some groups did not fit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub groups_truncated: bool,
    /// The provider left groups out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub groups_overage: bool,
    /// Roles of the application.
    pub roles: Vec<String>,
    /// The slot, such as `oidc/provider1`, or `break-glass`.
    pub idp: String,
    /// Authentication methods the provider named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    /// Authentication context class the provider named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
}

/// Everything a token is issued under.
#[derive(Debug)]
pub struct Issuance<'a> {
    /// Our issuer.
    pub public_url: &'a PublicUrl,
    /// The audience.
    pub audience: &'a [String],
    /// The person's roles.
    pub roles: Vec<String>,
    /// How long.
    pub lifetimes: &'a Lifetimes,
    /// Now.
    pub now: Timestamp,
    /// Unique per token.
    pub id: Uuid,
}

/// All groups of a person: the provider's and those granted locally; `None` when neither is known.
pub fn groups_of(entry: &SessionWithAccount) -> Option<Vec<String>> {
    let local = &entry.account.groups;
    match &entry.session.session_claims.groups {
        None if local.is_empty() => None,
        said => {
            let mut groups = said.clone().unwrap_or_default();
            groups.extend(local.iter().filter(|group| !groups.contains(group)).cloned().collect::<Vec<_>>());
            Some(groups)
        }
    }
}

/// Issues an access token. It never outlives its session.
///
/// # Errors
/// When the cryptographic library refuses.
pub fn issue(
    ring: &KeyRing,
    under: &Issuance<'_>,
    entry: &SessionWithAccount,
) -> Result<(String, Timestamp), jsonwebtoken::errors::Error> {
    let expires = under.now.plus(under.lifetimes.access_token).min(entry.session.expires_at);
    let mut claims = claims_of(under, entry, expires);
    fit(&mut claims);
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

/// Leaves groups out, from the end, until the token fits; then, if need be, what is only informative.
fn fit(claims: &mut AccessClaims) {
    /// Header and signature of the largest algorithm, RS256, in base64url with the two dots.
    const AROUND: usize = 480;
    let room = (MAX_TOKEN - AROUND) / 4 * 3;
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
    // What is left may still be too long when every name, address and role is as long as it may be.
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

/// Verifies an access token: signature by a published key and the one algorithm of that key, `typ`, no
/// `crit`, issuer, audience, times (no leeway for the expiry; for the beginning, what two replicas' clocks may be apart).
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
    // Issuer, audience and times are checked below, against our own clock.
    checks.required_spec_claims.clear();
    checks.validate_exp = false;
    checks.validate_aud = false;
    let claims = decode::<AccessClaims>(token, key, &checks)
        .map_err(|_| TokenError::Invalid("the token's signature or claims are wrong"))?
        .claims;
    if claims.iss != issuer.as_str() {
        return Err(TokenError::Invalid("the token's issuer is not us"));
    }
    if !claims.aud.iter().any(|aud| audience.contains(aud)) {
        return Err(TokenError::Invalid("the token's audience is not ours"));
    }
    claims.check_times(now)?;
    Ok(claims)
}

impl AccessClaims {
    /// Whether the token is valid at this moment.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if it is not.
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
