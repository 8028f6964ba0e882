//! Sessions and their refresh tokens.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::account::AccountId;
use crate::claims::Facts;
use crate::clock::{Entropy, Timestamp};
use crate::seal::{Purpose, SealKey, Seals, base64url, sha256};
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
    /// The slot the person came through.
    pub slot: SlotId,
    /// What the provider said at the login.
    pub facts: Facts,
    /// When the person logged in.
    pub created_at: Timestamp,
    /// The last refresh, or the login.
    pub last_used_at: Timestamp,
    /// The end of its absolute life.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// A session about to begin.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its identifier.
    pub id: SessionId,
    /// The end of its absolute life.
    pub expires_at: Timestamp,
    /// The hash of its first refresh token.
    pub refresh: TokenHash,
    /// Who asked, for the owner's list of sessions.
    pub caller: Caller,
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

/// How many successions are followed from a superseded token to the current one within the grace.
const MAX_SUCCESSIONS: usize = 32;

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

    /// Follows the line of successors to the token with this hash. The line may have begun under a previous key and
    /// gone on under the current one.
    pub fn follow(&self, session: SessionId, seals: &Seals, current: TokenHash) -> Option<Self> {
        seals.keys().find_map(|key| {
            self.line(session, key).find_map(|start| {
                let mut line = start.line(session, seals.current()).skip(1);
                if start.hash() == current { Some(start) } else { line.find(|token| token.hash() == current) }
            })
        })
    }

    fn line<'a>(&self, session: SessionId, key: &'a SealKey) -> impl Iterator<Item = Self> + use<'a> {
        std::iter::successors(Some(self.clone()), move |token| Some(token.successor(session, key)))
            .take(MAX_SUCCESSIONS + 1)
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
    fn successors_are_followed_to_the_current_token_also_over_a_change_of_the_secret_key() {
        let old = Seals::new(b"old", &[]);
        let new = Seals::new(b"new", &[b"old".to_vec()]);
        let first = RefreshToken::first(Entropy);
        let second = first.successor(SESSION, old.current());
        let third = second.successor(SESSION, new.current());
        assert_eq!(first.follow(SESSION, &old, second.hash()).unwrap().reveal(), second.reveal());
        assert_eq!(first.follow(SESSION, &new, third.hash()).unwrap().reveal(), third.reveal());
        assert_eq!(second.follow(SESSION, &new, third.hash()).unwrap().reveal(), third.reveal());
        assert!(third.follow(SESSION, &new, second.hash()).is_none(), "never backwards");
        assert!(
            first.follow(SessionId(Uuid::from_u128(2)), &old, second.hash()).is_none(),
            "never into another session"
        );
    }
}
