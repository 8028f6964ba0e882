//! Sessions and their refresh tokens.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::account::AccountId;
use crate::claims::SessionClaims;
use crate::clock::{Entropy, Timestamp};
use crate::seal::{Purpose, SealKey, Seals, base64url, from_base64url, same, sha256};
use crate::slot::SlotId;

/// The identifier of a session: the `sid` of our tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A person's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its identifier.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// The identity it began with; `None` when it began without one.
    pub identity: Option<Uuid>,
    /// The slot the person came through; `None` when an operator's break-glass link let them in.
    pub slot: Option<SlotId>,
    /// What the provider said at the login.
    pub session_claims: SessionClaims,
    /// When the person logged in.
    pub created_at: Timestamp,
    /// The last refresh, or the login.
    pub last_used_at: Timestamp,
    /// The end of its absolute life.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Where it began, for its owner's list.
    pub ip: Option<String>,
    /// The `User-Agent` it began with, shortened; for its owner's list.
    pub user_agent: Option<String>,
}

/// What stands for the slot of a session that began without one: in tokens (`idp` and `amr`), answers and the store.
pub const BREAK_GLASS: &str = "break-glass";

/// How long a break-glass link is good.
pub const BREAK_GLASS_LIFETIME: Duration = Duration::from_mins(10);

/// How long a session lasts at most that a break-glass link began.
pub const BREAK_GLASS_SESSION: Duration = Duration::from_hours(1);

/// A break-glass link about to be remembered; it takes the place of an earlier one of the same account.
#[derive(Debug, Clone)]
pub struct NewBreakGlass {
    /// What the store knows the code by.
    pub code: TokenHash,
    /// Whose session it begins.
    pub account: AccountId,
    /// It is good for nothing from then on.
    pub expires_at: Timestamp,
}

impl Session {
    /// The slot as tokens and answers name it, or [`BREAK_GLASS`].
    pub fn idp(&self) -> String {
        self.slot.map_or_else(|| BREAK_GLASS.to_owned(), |slot| slot.to_string())
    }
}

/// A session about to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its identifier.
    pub id: SessionId,
    /// When the person logged in.
    pub created_at: Timestamp,
    /// The end of its absolute life.
    pub expires_at: Timestamp,
    /// The hash of its first refresh token.
    pub refresh: TokenHash,
    /// The ID token it began with, sealed for this session.
    pub id_token: Option<Vec<u8>>,
    /// Who asked, for the owner's list of sessions.
    pub caller: Caller,
}

/// What a hand-off code is good for: a session of a person who logged in elsewhere a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOff {
    /// Whose session it will be.
    pub account: AccountId,
    /// The identity the person came with.
    pub identity: Uuid,
    /// The slot the person came through.
    pub slot: SlotId,
    /// What the provider said at the login.
    pub session_claims: SessionClaims,
    /// What the verifier must hash to.
    pub challenge: Challenge,
    /// The ID token of the login, sealed for this code.
    pub id_token: Option<Vec<u8>>,
    /// When the person logged in.
    pub created_at: Timestamp,
    /// The code is good for nothing from then on.
    pub expires_at: Timestamp,
}

/// A hand-off code about to be remembered. Everything else of it is the settlement's.
#[derive(Debug, Clone)]
pub struct NewHandOff {
    /// What the store knows the code by.
    pub code: TokenHash,
    /// What the verifier must hash to.
    pub challenge: Challenge,
    /// The ID token of the login, sealed for this code.
    pub id_token: Option<Vec<u8>>,
    /// The code is good for nothing from then on.
    pub expires_at: Timestamp,
}

/// A code that begins one session, of a hand-off or of a break-glass link: 256 bits, in 43 characters of base64url.
#[derive(Debug)]
pub struct OneTimeCode(RefreshToken);

impl OneTimeCode {
    /// A new one.
    pub fn random(entropy: Entropy) -> Self {
        Self(RefreshToken::first(entropy))
    }

    /// Takes what a client presents; anything that cannot be a code is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        RefreshToken::parse(text).map(Self)
    }

    /// The code itself, for whom it is meant.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// What the store knows it by.
    pub fn hash(&self) -> TokenHash {
        self.0.hash()
    }
}

/// How long a hand-off code is good.
pub const HAND_OFF_LIFETIME: Duration = Duration::from_mins(1);

/// What a frontend's verifier must hash to (RFC 7636 4.2, S256), shortened to the 128 bits that a login cookie has
/// room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge(pub [u8; 16]);

impl Challenge {
    /// Takes a `code_challenge` of method S256: 32 bytes in base64url.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = from_base64url(text).filter(|bytes| bytes.len() == 32)?;
        bytes.first_chunk().copied().map(Self)
    }

    /// Whether this verifier (RFC 7636 4.1) belongs to it.
    pub fn fits(&self, verifier: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let fits = (43..=128).contains(&verifier.len()) && verifier.bytes().all(allowed);
        fits && sha256(&[verifier.as_bytes()]).first_chunk::<16>().is_some_and(|hash| same(hash, &self.0))
    }
}

/// Who sent a request, for the record only.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The client's address.
    pub ip: Option<String>,
    /// The `User-Agent`, shortened.
    pub user_agent: Option<String>,
    /// The request's identifier.
    pub request_id: String,
}

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of an access token.
    pub access_token: Duration,
    /// Of a session, whatever its use.
    pub session: Duration,
    /// Of a session nobody refreshes.
    pub idle: Duration,
}

/// How long a superseded refresh token is still answered with the current one: a lost answer, two tabs, a retry.
pub const REFRESH_GRACE: Duration = Duration::from_secs(30);

/// What the store keeps of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// An opaque refresh token: 256 bits, in 43 characters of base64url.
#[derive(Clone)]
pub struct RefreshToken(SecretString);

impl RefreshToken {
    /// A fresh token, first of its line.
    pub fn first(entropy: Entropy) -> Self {
        Self(base64url(&entropy.bytes::<32>()).into())
    }

    /// Takes what a client presents; anything that cannot be a token is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let fits =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        fits.then(|| Self(text.into()))
    }

    /// The token itself, for the person it belongs to.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the store knows it by.
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256(&[self.reveal().as_bytes()]))
    }

    /// The one token that follows this one in its session: derived, so that it need not be stored to be given again.
    #[must_use]
    pub fn successor(&self, session: SessionId, key: &SealKey) -> Self {
        Self(
            base64url(&key.mac(Purpose::RefreshToken, &[self.reveal().as_bytes(), session.0.as_bytes()]))
                .into(),
        )
    }

    /// Follows the line of successors from this superseded token to the current one. Each step may have been made under
    /// any of the keys; `since` are the tokens superseded meanwhile, so that a wrong turn is noticed at once.
    pub fn follow(
        &self,
        session: SessionId,
        seals: &Seals,
        current: TokenHash,
        since: &HashSet<TokenHash>,
    ) -> Option<Self> {
        let mut token = self.clone();
        for _ in 0..=since.len() {
            if token.hash() == current {
                return Some(token);
            }
            token = seals.keys().map(|key| token.successor(session, key)).find(|next| {
                let hash = next.hash();
                hash == current || since.contains(&hash)
            })?;
        }
        None
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SESSION: SessionId = SessionId(Uuid::from_u128(1));

    #[test]
    fn a_token_is_43_characters_of_base64url() {
        let token = RefreshToken::first(Entropy);
        assert_eq!(RefreshToken::parse(token.reveal()).unwrap().hash(), token.hash());
        for bad in [
            "",
            "x",
            &"x".repeat(42),
            &"x".repeat(44),
            &format!("{}=", "x".repeat(42)),
            &format!("{}\0", "x".repeat(42)),
        ] {
            assert!(RefreshToken::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn successors_are_followed_to_the_current_token_also_over_changes_of_the_secret_key() {
        let old = Seals::new(b"old", &[b"new".to_vec()]);
        let new = Seals::new(b"new", &[b"old".to_vec()]);
        let first = RefreshToken::first(Entropy);
        let second = first.successor(SESSION, old.current());
        let third = second.successor(SESSION, new.current());
        let fourth = third.successor(SESSION, old.current());
        let since: HashSet<_> = [&first, &second, &third].map(RefreshToken::hash).into();
        for (seals, from) in
            [(&old, &first), (&new, &first), (&new, &second), (&old, &third), (&old, &fourth)]
        {
            let found = from.follow(SESSION, seals, fourth.hash(), &since).unwrap();
            assert_eq!(found.reveal(), fourth.reveal());
        }
        let later: HashSet<_> = [third.hash()].into();
        assert!(third.follow(SESSION, &new, second.hash(), &later).is_none(), "never backwards");
        let other = SessionId(Uuid::from_u128(2));
        assert!(first.follow(other, &old, fourth.hash(), &since).is_none(), "never into another session");
        let without = HashSet::from([first.hash(), third.hash()]);
        assert!(first.follow(SESSION, &new, fourth.hash(), &without).is_none(), "only over known tokens");
    }

    #[test]
    fn a_verifier_fits_its_own_challenge_only() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert!(challenge.fits(verifier), "RFC 7636 appendix B");
        for wrong in ["", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", &verifier[..42], &"a".repeat(129)] {
            assert!(!challenge.fits(wrong), "{wrong}");
        }
        for wrong in
            ["", "x", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", &"A".repeat(44), &"A".repeat(42)]
        {
            assert!(Challenge::parse(wrong).is_none(), "{wrong}");
        }
    }
}
