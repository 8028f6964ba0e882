//! Arguments and results of [`SessionStore`](super::SessionStore).

use std::collections::HashSet;

use crate::account::{Account, AccountId};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::session::{Session, SessionId, TokenHash};

/// A session together with its account.
#[derive(Debug, Clone)]
pub struct SessionWithAccount {
    /// The session.
    pub session: Session,
    /// Its account.
    pub account: Account,
}

/// The result of presenting a refresh token.
#[derive(Debug)]
pub enum Rotation {
    /// The token was the current one; its successor replaces it now.
    Rotated(SessionWithAccount),
    /// The token was superseded earlier; nothing is written.
    Superseded {
        /// The session that the token belongs to.
        entry: SessionWithAccount,
        /// When the token was superseded.
        at: Timestamp,
        /// The current token of the session.
        current: TokenHash,
        /// All tokens of the session that were superseded at that time or later, unordered.
        since: HashSet<TokenHash>,
    },
    /// The token is unknown, or its session is over.
    Unknown,
}

/// A refresh token presented for rotation.
#[derive(Debug, Clone, Copy)]
pub struct Rotate {
    /// The presented token.
    pub presented: TokenHash,
    /// The session of the token; see [`SessionStore::find_refresh`](super::SessionStore::find_refresh).
    pub session: SessionId,
    /// The successor of the token.
    pub next: TokenHash,
    /// The current time.
    pub now: Timestamp,
}

/// Selects sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionSelection {
    /// One session.
    One(SessionId),
    /// All sessions of an account.
    Of(AccountId),
    /// All sessions.
    All,
}

/// Which sessions to list. Only sessions that are neither revoked nor expired are listed, sorted by
/// identifier, which is the order of creation.
#[derive(Debug, Clone, Copy)]
pub struct SessionFilter {
    /// Only sessions of this account.
    pub account: Option<AccountId>,
    /// Only sessions that were used at this time or later.
    pub used_since: Timestamp,
    /// The current time.
    pub now: Timestamp,
    /// Only sessions after this one.
    pub after: Option<SessionId>,
    /// The maximum number of sessions.
    pub limit: u32,
}

/// Sessions that a provider ended.
#[derive(Debug, Default)]
pub struct EndedSessions {
    /// The sessions that were live.
    pub sessions: Vec<SessionId>,
    /// The events written in the same transaction.
    pub events: Vec<AuditEvent>,
}
