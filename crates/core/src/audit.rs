//! What is worth remembering: a closed list of events, each with who, what, when, from where. Never a secret.

use std::borrow::Cow;

use uuid::Uuid;

use crate::account::AccountId;
use crate::clock::{Entropy, Timestamp};
use crate::session::{Caller, Session};
use crate::slot::SlotId;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event { $($(#[$doc])* $variant,)* }

        impl Event {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word in the store, the log and in answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

events! {
    /// A person came in.
    LoginSucceeded = "login_succeeded",
    /// A login that had begun was refused or failed.
    LoginFailed = "login_failed",
    /// An account was made, by a login or by an operator.
    AccountCreated = "account_created",
    /// A first login took over a local account of the same name.
    AccountAdopted = "account_adopted",
    /// An operator switched an account off.
    AccountDisabled = "account_disabled",
    /// An operator switched an account on again.
    AccountEnabled = "account_enabled",
    /// An operator deleted an account.
    AccountDeleted = "account_deleted",
    /// An operator released the identities of a deleted account.
    AccountReleased = "account_released",
    /// An operator merged an account into another.
    AccountMerged = "account_merged",
    /// An identity was linked to an account.
    IdentityLinked = "identity_linked",
    /// An identity was taken away from an account.
    IdentityUnlinked = "identity_unlinked",
    /// A role or group was granted locally.
    RoleGranted = "role_granted",
    /// A role or group granted locally was taken back.
    RoleRevoked = "role_revoked",
    /// A session was ended by somebody or something else than its own logout.
    SessionRevoked = "session_revoked",
    /// A superseded refresh token was used again.
    RefreshReused = "refresh_reused",
    /// A person logged out.
    Logout = "logout",
    /// Another key signs from now on.
    KeyRotated = "key_rotated",
    /// A one-time login link was made.
    BreakGlassIssued = "break_glass_issued",
    /// A one-time login link was used.
    BreakGlassUsed = "break_glass_used",
}

impl Event {
    /// The event of that word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.as_str() == text)
    }

    /// Whether an operator should be woken by it rather than find it.
    const fn is_alarming(self) -> bool {
        matches!(
            self,
            Self::AccountAdopted | Self::RefreshReused | Self::BreakGlassIssued | Self::BreakGlassUsed
        )
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused or failed.
    Failure,
}

impl Outcome {
    /// The word in the store, the log and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    /// The outcome of that word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Success, Self::Failure].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its identifier, which sorts by time.
    pub id: Uuid,
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: Event,
    /// Whose account.
    pub account: Option<AccountId>,
    /// Through which slot.
    pub slot: Option<SlotId>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, as a stable code, or what it was about, such as a role; never a secret or a foreign text.
    pub reason: Option<Cow<'static, str>>,
    /// The request it happened in.
    pub request_id: Option<String>,
    /// From where.
    pub ip: Option<String>,
}

impl AuditEvent {
    /// An event that succeeded, now, about nobody in particular yet.
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

    /// The same, in this person's request.
    #[must_use]
    pub fn by(self, caller: &Caller) -> Self {
        Self { request_id: Some(caller.request_id.clone()), ip: caller.ip.clone(), ..self }
    }

    /// The same, about this account.
    #[must_use]
    pub fn about(self, account: AccountId) -> Self {
        Self { account: Some(account), ..self }
    }

    /// In a session, through whatever it came.
    #[must_use]
    pub fn of(self, session: &Session) -> Self {
        Self { slot: session.slot, ..self }
    }

    /// The same, through this slot.
    #[must_use]
    pub fn through(self, slot: SlotId) -> Self {
        Self { slot: Some(slot), ..self }
    }

    /// The same, for this reason.
    #[must_use]
    pub fn because(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// The same, but it failed.
    #[must_use]
    pub fn failed(self) -> Self {
        Self { outcome: Outcome::Failure, ..self }
    }

    /// Writes it to the log, once it is in the store.
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

/// What to list of the events. Sorted by identifier, which is the order of time.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only from then on.
    pub since: Option<Timestamp>,
    /// Only these.
    pub event: Option<Event>,
    /// Only about this account.
    pub account: Option<AccountId>,
    /// Only after this one.
    pub after: Option<Uuid>,
    /// At most so many.
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
