//! The second half of a login: which account the person enters, and the transaction that writes it.

use std::sync::Arc;

use super::config::BrokerConfig;
use super::sessions::SessionService;
use super::slots::EnabledSlot;
use crate::account::{
    AccountId, Candidates, Decision, NameSuffix, Refusal, adoptable_name, decide, decide_link,
};
use crate::audit::AuditEvent;
use crate::claims::Claims;
use crate::clock::Entropy;
use crate::error::{FlowError, LoginError, SessionError, StoreError};
use crate::pending_login::Intent;
use crate::session::{Caller, SessionId};
use crate::store::{Committed, CommittedLogin, LoginCommit, SessionKind};
use crate::text::clean;

/// How many times the account of a login is decided. A decision is repeated if another request changed
/// its premises before the commit.
const ATTEMPTS: usize = 2;

/// A login whose claims are verified and admitted: what is written, and for whom.
pub(super) struct LoginCompletion<'a> {
    pub(super) slot: &'a EnabledSlot,
    pub(super) claims: &'a Claims,
    pub(super) intent: Intent,
    /// The session that the browser had before.
    pub(super) browser: Option<SessionId>,
    pub(super) caller: &'a Caller,
}

/// Decides which account a login enters, and writes the login.
pub(super) struct LoginCommitter {
    config: Arc<BrokerConfig>,
    sessions: Arc<SessionService>,
}

impl LoginCommitter {
    pub(super) fn new(config: Arc<BrokerConfig>, sessions: Arc<SessionService>) -> Self {
        Self { config, sessions }
    }

    /// Finds the candidate accounts, decides, and commits. If another request changed a premise of the
    /// decision, the three steps are repeated, [`ATTEMPTS`] times in all.
    pub(super) async fn write(
        &self,
        completion: &LoginCompletion<'_>,
        session_kind: SessionKind<'_>,
    ) -> Result<CommittedLogin, LoginError> {
        let LoginCompletion { slot, claims, .. } = completion;
        for _ in 0..ATTEMPTS {
            let name = adoptable_name(claims).filter(|_| slot.settings.name_fallback);
            let found = self.config.store.find_candidates(claims.identity(), name.as_deref()).await?;
            let decision = self.decide(completion, &found).await?;
            if let Committed::Done(written) = self.commit(completion, &decision, session_kind).await? {
                written.events.iter().for_each(AuditEvent::announce);
                self.forget_ended_sessions(&decision, completion.browser).await;
                return Ok(*written);
            }
        }
        Err(StoreError::Unavailable("the login met a conflict at each attempt".into()).into())
    }

    /// Decides which account the login enters. A link enters the account of its session only.
    async fn decide(
        &self,
        completion: &LoginCompletion<'_>,
        found: &Candidates,
    ) -> Result<Decision, LoginError> {
        let decision = match completion.intent {
            Intent::Link(session) => decide_link(self.account_of(session).await?, found),
            Intent::SignIn | Intent::HandOff(_) => {
                let suffix = NameSuffix::random(Entropy);
                let fallback = completion.slot.settings.name_fallback;
                decide(&self.config.policy, fallback, completion.claims, found, &suffix)
            }
        };
        decision.map_err(|refusal| match refusal {
            Refusal::NotActive(account) => FlowError::AccountDisabled(account).into(),
            Refusal::Taken(account) => LoginError::IdentityConflict(account),
        })
    }

    /// The account of the session that asked for a link.
    ///
    /// # Errors
    /// [`LoginError::StateInvalid`] if the session has ended, [`FlowError::AccountDisabled`] if the
    /// account is not active.
    async fn account_of(&self, session: SessionId) -> Result<AccountId, LoginError> {
        let ended = LoginError::StateInvalid("the session that asked for the link has ended");
        let Some(entry) = self.config.store.find_session(session).await? else { return Err(ended) };
        match self.sessions.check_not_ended(&entry) {
            Ok(()) => Ok(entry.account.id),
            Err(SessionError::Flow(error @ FlowError::AccountDisabled(_))) => Err(error.into()),
            Err(_) => Err(ended),
        }
    }

    /// Writes the decision in one transaction.
    async fn commit(
        &self,
        completion: &LoginCompletion<'_>,
        decision: &Decision,
        session_kind: SessionKind<'_>,
    ) -> Result<Committed, StoreError> {
        let BrokerConfig { policy, store, .. } = &*self.config;
        let LoginCompletion { claims, browser, caller, .. } = completion;
        let now = self.config.now();
        let label = claims.name().and_then(|name| clean(&name.text));
        let commit = LoginCommit {
            decision,
            new_account: AccountId(Entropy.id(now)),
            new_identity: Entropy.id(now),
            claims,
            label: label.as_deref(),
            session_kind,
            browser: *browser,
            policy,
            default_group: self.default_group(claims),
            caller,
            now,
        };
        store.commit_login(&commit).await
    }

    /// The group that a first login grants locally. `None` if the provider sent groups or may have
    /// omitted them.
    fn default_group(&self, claims: &Claims) -> Option<&str> {
        let none_sent = claims.session_claims().groups.is_none() && !claims.groups_unknown();
        self.config.default_group.as_deref().filter(|_| none_sent)
    }

    /// Removes the sessions that the login ended from the session cache.
    async fn forget_ended_sessions(&self, decision: &Decision, browser: Option<SessionId>) {
        match decision {
            Decision::Adopt(account) | Decision::Link(account) => self.sessions.forget_account(*account),
            Decision::Use(_) | Decision::Create(_) => {}
        }
        if let Some(ended) = browser {
            self.sessions.forget(ended).await;
        }
    }
}
