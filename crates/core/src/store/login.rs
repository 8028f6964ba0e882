//! Arguments and results of [`LoginStore`](super::LoginStore).

use uuid::Uuid;

use super::session::SessionWithAccount;
use crate::account::{Account, AccountId, Decision, NamePolicy};
use crate::audit::AuditEvent;
use crate::claims::Claims;
use crate::clock::Timestamp;
use crate::session::{Caller, NewHandOff, NewSession, Session, SessionId};

/// Whether a pending login was still unspent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// This call spent it.
    Now,
    /// An earlier callback spent it.
    Before,
}

/// What a committed login starts.
#[derive(Debug, Clone, Copy)]
pub enum SessionKind<'a> {
    /// A session of this browser.
    Session(&'a NewSession),
    /// A hand-off code that the application exchanges for a session later.
    HandOff(&'a NewHandOff),
    /// Nothing: the login linked an identity within an existing session.
    Nothing,
}

/// A login to be written in one transaction.
#[derive(Debug)]
pub struct LoginCommit<'a> {
    /// The chosen account. The transaction checks every premise of the decision again.
    pub decision: &'a Decision,
    /// The identifier of the account if one is created.
    pub new_account: AccountId,
    /// The identifier of the identity if it is new.
    pub new_identity: Uuid,
    /// The verified claims of the person.
    pub claims: &'a Claims,
    /// The display label, already cleaned.
    pub label: Option<&'a str>,
    /// What the login starts.
    pub session_kind: SessionKind<'a>,
    /// The session that the same browser presented. A login ends it. For [`Decision::Link`] it must be live
    /// and belong to the account, and it is the only session of the account that stays live.
    pub browser: Option<SessionId>,
    /// Names the roles whose accounts are never adopted.
    pub policy: &'a NamePolicy,
    /// A local group that is granted when the account is created or adopted.
    pub default_group: Option<&'a str>,
    /// The client that sent the request.
    pub caller: &'a Caller,
    /// The current time.
    pub now: Timestamp,
}

/// The result of [`LoginStore::commit_login`](super::LoginStore::commit_login).
#[derive(Debug)]
pub enum Committed {
    /// Everything is written.
    Done(Box<CommittedLogin>),
    /// A premise no longer holds because another transaction came first. Nothing is written; read the
    /// candidates again.
    Conflict,
}

/// A login that is written.
#[derive(Debug)]
pub struct CommittedLogin {
    /// The account after the login.
    pub account: Account,
    /// The session, if one was created.
    pub session: Option<Session>,
    /// The audit events written in the same transaction.
    pub events: Vec<AuditEvent>,
}

/// The result of redeeming a break-glass code.
#[derive(Debug, Clone)]
pub enum BreakGlassRedemption {
    /// A session was created. The code is deleted.
    SessionStarted(Box<SessionWithAccount>),
    /// The account is disabled or deleted. The code is deleted.
    Refused(AccountId),
    /// The code does not exist: it was never issued, was redeemed or replaced, or has expired.
    Unknown,
}

/// The result of unlinking an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlinked {
    /// The identity is deleted and the sessions that it started are revoked.
    Done,
    /// It is the last identity of the account; nothing is written.
    Last,
    /// The account has no such identity, or is not active.
    Unknown,
}
