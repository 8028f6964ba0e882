//! Audit events: a closed list of kinds, each with time, account, slot, outcome and client. They contain
//! no secrets.

use std::borrow::Cow;

use uuid::Uuid;

use crate::account::AccountId;
use crate::clock::{Entropy, Timestamp};
use crate::session::{Caller, Session};
use crate::slot::SlotId;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// The kind of an audit event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event { $($(#[$doc])* $variant,)* }

        impl Event {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word in the store, the log and in responses.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

events! {
    /// A login succeeded.
    LoginSucceeded = "login_succeeded",
    /// A login was refused or failed after it had started.
    LoginFailed = "login_failed",
    /// An account was created, by a login or by an operator.
    AccountCreated = "account_created",
    /// A first login adopted a local account of the same name.
    AccountAdopted = "account_adopted",
    /// An operator disabled an account.
    AccountDisabled = "account_disabled",
    /// An operator enabled an account again.
    AccountEnabled = "account_enabled",
    /// An operator deleted an account.
    AccountDeleted = "account_deleted",
    /// An operator released the identities of a deleted account.
    AccountReleased = "account_released",
    /// An operator merged an account into another.
    AccountMerged = "account_merged",
    /// An identity was linked to an account.
    IdentityLinked = "identity_linked",
    /// An identity was removed from an account.
    IdentityUnlinked = "identity_unlinked",
    /// A role or group was granted locally.
    RoleGranted = "role_granted",
    /// A role or group that had been granted locally was revoked.
    RoleRevoked = "role_revoked",
    /// A session was revoked by anything but its own logout.
    SessionRevoked = "session_revoked",
    /// A superseded refresh token was used again.
    RefreshReused = "refresh_reused",
    /// A person logged out.
    Logout = "logout",
    /// Another signing key became current.
    KeyRotated = "key_rotated",
    /// A break-glass code was created.
    BreakGlassIssued = "break_glass_issued",
    /// A break-glass code was redeemed.
    BreakGlassUsed = "break_glass_used",
}

impl Event {
    /// The kind with this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.as_str() == text)
    }

    /// Whether the event is logged as a warning, so that an alert can be raised.
    const fn is_alarming(self) -> bool {
        matches!(
            self,
            Self::AccountAdopted | Self::RefreshReused | Self::BreakGlassIssued | Self::BreakGlassUsed
        )
    }
}

/// The outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The action was done.
    Success,
    /// The action was refused or failed.
    Failure,
}

impl Outcome {
    /// The word in the store, the log and in responses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    /// The outcome with this word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Success, Self::Failure].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// An audit event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// The identifier; identifiers sort by time.
    pub id: Uuid,
    /// The time of the event.
    pub time: Timestamp,
    /// The kind.
    pub event: Event,
    /// The account that the event concerns.
    pub account: Option<AccountId>,
    /// The slot that the event concerns.
    pub slot: Option<SlotId>,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason as a stable code, or the object of the event such as a role. Never a secret, never
    /// foreign text.
    pub reason: Option<Cow<'static, str>>,
    /// The identifier of the request that caused it.
    pub request_id: Option<String>,
    /// The client's address.
    pub ip: Option<String>,
}

impl AuditEvent {
    /// A successful event at this time, without account, slot, reason and client.
    pub fn new(event: Event, now: Timestamp) -> Self {
        Self {
            id: Entropy.id(now),
            time: now,
            event,
            account: None,
            slot: None,
            outcome: Outcome::Success,
            reason: None,
            request_id: None,
            ip: None,
        }
    }

    /// Adds the client and the request that caused the event.
    #[must_use]
    pub fn by(self, caller: &Caller) -> Self {
        Self { request_id: Some(caller.request_id.clone()), ip: caller.ip.clone(), ..self }
    }

    /// Adds the account.
    #[must_use]
    pub fn about(self, account: AccountId) -> Self {
        Self { account: Some(account), ..self }
    }

    /// Adds the slot of a session; a break-glass session has none.
    #[must_use]
    pub fn in_session(self, session: &Session) -> Self {
        Self { slot: session.slot, ..self }
    }

    /// Adds the slot.
    #[must_use]
    pub fn through(self, slot: SlotId) -> Self {
        Self { slot: Some(slot), ..self }
    }

    /// Adds the reason.
    #[must_use]
    pub fn because(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// Sets the outcome to failure.
    #[must_use]
    pub fn failed(self) -> Self {
        Self { outcome: Outcome::Failure, ..self }
    }

    /// Writes the event to the log. Called after the event is in the store.
    pub fn announce(&self) {
        let (account, slot) = (self.account.map(|id| id.to_string()), self.slot.map(|slot| slot.to_string()));
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "portico::audit",
                    event = self.event.as_str(),
                    outcome = self.outcome.as_str(),
                    reason = self.reason.as_deref(),
                    account,
                    idp = slot,
                    request_id = self.request_id.as_deref(),
                    ip = self.ip.as_deref(),
                    "{}",
                    self.event.as_str()
                )
            };
        }
        if self.event.is_alarming() { line!(warn) } else { line!(info) }
    }
}

/// Which events to list. They are sorted by identifier, which is the order of time.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only events at this time or later.
    pub since: Option<Timestamp>,
    /// Only events of this kind.
    pub event: Option<Event>,
    /// Only events that concern this account.
    pub account: Option<AccountId>,
    /// Only events after this one.
    pub after: Option<Uuid>,
    /// The maximum number of events.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_names_one_event() {
        for event in Event::ALL {
            assert_eq!(Event::parse(event.as_str()), Some(*event));
        }
        assert_eq!(Event::parse("Logout"), None);
    }
}
