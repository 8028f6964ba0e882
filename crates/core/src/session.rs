//! Sessions, refresh tokens, and the one-time codes that start sessions.

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

/// The identifier of a session: the `sid` of Portico's access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The identifier.
    pub id: SessionId,
    /// The account.
    pub account: AccountId,
    /// The identity that logged in; `None` for a break-glass session.
    pub identity: Option<Uuid>,
    /// The slot of the login; `None` for a break-glass session.
    pub slot: Option<SlotId>,
    /// The provider's claims at the login.
    pub session_claims: SessionClaims,
    /// When the login was.
    pub created_at: Timestamp,
    /// When the last refresh was, or the login.
    pub last_used_at: Timestamp,
    /// When the session ends, however often it is refreshed.
    pub expires_at: Timestamp,
    /// When the session was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// The client's address at the login, for the owner's list of sessions.
    pub ip: Option<String>,
    /// The `User-Agent` at the login, shortened; for the owner's list of sessions.
    pub user_agent: Option<String>,
}

/// The word in place of a slot for break-glass sessions: in tokens (`idp` and `amr`), responses and the
/// store.
pub const BREAK_GLASS: &str = "break-glass";

/// The lifetime of a break-glass code.
pub const BREAK_GLASS_LIFETIME: Duration = Duration::from_mins(10);

/// The maximum lifetime of a break-glass session.
pub const BREAK_GLASS_SESSION: Duration = Duration::from_hours(1);

/// A new break-glass code. It replaces an earlier one of the same account.
#[derive(Debug, Clone)]
pub struct NewBreakGlass {
    /// The hash of the code.
    pub code: TokenHash,
    /// The account of the session that it starts.
    pub account: AccountId,
    /// When the code expires.
    pub expires_at: Timestamp,
}

impl Session {
    /// The slot as it is written in tokens and responses, or [`BREAK_GLASS`].
    pub fn idp(&self) -> String {
        self.slot.map_or_else(|| BREAK_GLASS.to_owned(), |slot| slot.to_string())
    }
}

/// A new session, before it is written.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The identifier.
    pub id: SessionId,
    /// When the login was.
    pub created_at: Timestamp,
    /// When the session ends, however often it is refreshed.
    pub expires_at: Timestamp,
    /// The hash of the first refresh token.
    pub refresh: TokenHash,
    /// The ID token of the login, sealed for this session.
    pub id_token: Option<Vec<u8>>,
    /// The client, for the owner's list of sessions.
    pub caller: Caller,
}

/// A finished login whose session starts when a frontend redeems the hand-off code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOff {
    /// The account.
    pub account: AccountId,
    /// The identity that logged in.
    pub identity: Uuid,
    /// The slot of the login.
    pub slot: SlotId,
    /// The provider's claims at the login.
    pub session_claims: SessionClaims,
    /// What the verifier must hash to.
    pub challenge: Challenge,
    /// The ID token of the login, sealed for this code.
    pub id_token: Option<Vec<u8>>,
    /// When the login was.
    pub created_at: Timestamp,
    /// When the code expires.
    pub expires_at: Timestamp,
}

/// A new hand-off code. The login that is written with it supplies the rest of the [`HandOff`].
#[derive(Debug, Clone)]
pub struct NewHandOff {
    /// The hash of the code.
    pub code: TokenHash,
    /// What the verifier must hash to.
    pub challenge: Challenge,
    /// The ID token of the login, sealed for this code.
    pub id_token: Option<Vec<u8>>,
    /// When the code expires.
    pub expires_at: Timestamp,
}

/// A code that starts one session, for hand-off or break-glass: 256 random bits in 43 characters of
/// base64url.
#[derive(Debug)]
pub struct OneTimeCode(RefreshToken);

impl OneTimeCode {
    /// A new code.
    pub fn random(entropy: Entropy) -> Self {
        Self(RefreshToken::first(entropy))
    }

    /// Parses a presented code. `None` if it does not have the form of a code.
    pub fn parse(text: &str) -> Option<Self> {
        RefreshToken::parse(text).map(Self)
    }

    /// The code itself, for the client that redeems it.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// The hash under which it is stored.
    pub fn hash(&self) -> TokenHash {
        self.0.hash()
    }
}

/// The lifetime of a hand-off code.
pub const HAND_OFF_LIFETIME: Duration = Duration::from_mins(1);

/// What a frontend's verifier must hash to (RFC 7636 4.2, S256), shortened to 128 bits to fit into a
/// login cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge(pub [u8; 16]);

impl Challenge {
    /// Parses a `code_challenge` of method S256: 32 bytes in base64url.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = from_base64url(text).filter(|bytes| bytes.len() == 32)?;
        bytes.first_chunk().copied().map(Self)
    }

    /// Whether this verifier (RFC 7636 4.1) belongs to the challenge.
    pub fn matches(&self, verifier: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let well_formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(allowed);
        well_formed
            && sha256(&[verifier.as_bytes()]).first_chunk::<16>().is_some_and(|hash| same(hash, &self.0))
    }
}

/// The client that sent a request, for audit events and lists of sessions only.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The address.
    pub ip: Option<String>,
    /// The `User-Agent`, shortened.
    pub user_agent: Option<String>,
    /// The identifier of the request.
    pub request_id: String,
}

/// The configured lifetimes.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of an access token.
    pub access_token: Duration,
    /// Of a session, however often it is refreshed.
    pub session: Duration,
    /// Of a session that is not refreshed.
    pub idle: Duration,
}

/// How long a superseded refresh token still yields the current one. Covers lost responses, retries and
/// several tabs.
pub const REFRESH_GRACE: Duration = Duration::from_secs(30);

/// The SHA-256 hash of a refresh token or one-time code. The store has only this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// An opaque refresh token: 256 bits, in 43 characters of base64url.
#[derive(Clone)]
pub struct RefreshToken(SecretString);

impl RefreshToken {
    /// A new token, the first of its session.
    pub fn first(entropy: Entropy) -> Self {
        Self(base64url(&entropy.bytes::<32>()).into())
    }

    /// Parses a presented token. `None` if it does not have the form of a token.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        well_formed.then(|| Self(text.into()))
    }

    /// The token itself, for the client that it belongs to.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// The hash under which it is stored.
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256(&[self.reveal().as_bytes()]))
    }

    /// The successor of this token in its session. It is derived, so that it can be issued again without
    /// being stored.
    #[must_use]
    pub fn successor(&self, session: SessionId, key: &SealKey) -> Self {
        Self(
            base64url(&key.mac(Purpose::RefreshToken, &[self.reveal().as_bytes(), session.0.as_bytes()]))
                .into(),
        )
    }

    /// Derives the successors of this superseded token up to the current one, whose hash is `current`.
    /// Each successor may have been derived under any of the secret keys. `since` has the tokens that
    /// were superseded in the meantime: a derived token that is not among them was derived under the
    /// wrong key.
    ///
    /// `None` if no sequence of successors leads to the current token.
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
        assert!(challenge.matches(verifier), "RFC 7636 appendix B");
        for wrong in ["", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", &verifier[..42], &"a".repeat(129)] {
            assert!(!challenge.matches(wrong), "{wrong}");
        }
        for wrong in
            ["", "x", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", &"A".repeat(44), &"A".repeat(42)]
        {
            assert!(Challenge::parse(wrong).is_none(), "{wrong}");
        }
    }
}
