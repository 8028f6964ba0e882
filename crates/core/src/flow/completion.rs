//! A person has arrived, vouched for by a provider: which account they are, and what begins.

use url::Url;

use super::{Broker, Finished, Tokens};
use crate::account::{AccountId, Candidates, Decision, Refusal, adoptable_name, decide, decide_link};
use crate::audit::AuditEvent;
use crate::claims::Claims;
use crate::clock::Entropy;
use crate::error::StoreError;
use crate::error::{LoginError, SessionError};
use crate::pending_login::Intent;
use crate::provider::Slot;
use crate::session::{
    Caller, HAND_OFF_LIFETIME, NewHandOff, NewSession, OneTimeCode, RefreshToken, SessionId,
};
use crate::store::{Committed, CommittedLogin, LoginCommit, SessionKind, SessionWithAccount};
use crate::text::clean;

/// Who came, from where and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoginCompletion<'a> {
    pub(super) slot: &'a Slot,
    pub(super) claims: &'a Claims,
    pub(super) intent: Intent,
    /// The session that the browser has already.
    pub(super) browser: Option<SessionId>,
    pub(super) caller: &'a Caller,
}

impl Broker {
    /// Finds or makes the account and writes what begins.
    pub(super) async fn complete(
        &self,
        completion: &LoginCompletion<'_>,
        return_to: Url,
    ) -> Result<Finished, LoginError> {
        let session_claims = completion.claims.session_claims();
        if session_claims.groups_overage {
            tracing::warn!(slot = %completion.slot.id(), "the provider left a person's groups out: they are too many");
        }
        completion.slot.access.check(session_claims)?;
        match completion.intent {
            Intent::SignIn => {
                let refresh = RefreshToken::first(Entropy);
                let session = self.new_session(&refresh, completion.caller);
                let id_token = completion
                    .claims
                    .id_token()
                    .map(|token| self.seal_id_token(session.id.0.as_bytes(), token));
                let session = NewSession { id_token, ..session };
                let CommittedLogin { account, session, .. } =
                    self.write(completion, SessionKind::Session(&session)).await?;
                let session =
                    session.ok_or(LoginError::Internal("a login was written without its session"))?;
                let tokens = self
                    .tokens(SessionWithAccount { session, account }, refresh)
                    .map_err(LoginError::Internal)?;
                Ok(Finished::SignedIn { tokens: Box::new(tokens), return_to })
            }
            Intent::HandOff(challenge) => {
                let code = OneTimeCode::random(Entropy);
                let expires_at = self.config.clock.now().plus(HAND_OFF_LIFETIME);
                let id_token =
                    completion.claims.id_token().map(|token| self.seal_id_token(&code.hash().0, token));
                let handoff = NewHandOff { code: code.hash(), challenge, id_token, expires_at };
                self.write(completion, SessionKind::HandOff(&handoff)).await?;
                let mut return_to = return_to;
                return_to.query_pairs_mut().append_pair("code", code.reveal());
                Ok(Finished::HandedOff { return_to })
            }
            Intent::Link(_) => {
                self.write(completion, SessionKind::Nothing).await?;
                Ok(Finished::Linked { return_to })
            }
        }
    }

    /// A session that begins now.
    pub(super) fn new_session(&self, refresh: &RefreshToken, caller: &Caller) -> NewSession {
        let now = self.config.clock.now();
        NewSession {
            id: SessionId(Entropy.id(now)),
            created_at: now,
            expires_at: now.plus(self.config.lifetimes.session),
            refresh: refresh.hash(),
            id_token: None,
            caller: caller.clone(),
        }
    }

    /// Decides and writes. When somebody was faster, looks again, once.
    async fn write(
        &self,
        completion: &LoginCompletion<'_>,
        session_kind: SessionKind<'_>,
    ) -> Result<CommittedLogin, LoginError> {
        let LoginCompletion { slot, claims, .. } = completion;
        for _ in 0..2 {
            let name = adoptable_name(claims).filter(|_| slot.name_fallback);
            let found = self.config.store.find_candidates(claims.identity(), name.as_deref()).await?;
            let decision = self.decide(completion, &found).await?;
            if let Committed::Done(written) = self.write_as(completion, &decision, session_kind).await? {
                written.events.iter().for_each(AuditEvent::announce);
                self.forget(&decision, completion.browser).await;
                return Ok(*written);
            }
        }
        Err(StoreError::Unavailable("two settlements in a row met a conflict".into()).into())
    }

    async fn decide(
        &self,
        completion: &LoginCompletion<'_>,
        found: &Candidates,
    ) -> Result<Decision, LoginError> {
        let decision = match completion.intent {
            Intent::Link(session) => decide_link(self.account_of(session).await?, found),
            Intent::SignIn | Intent::HandOff(_) => {
                decide(&self.config.policy, completion.slot.name_fallback, completion.claims, found, Entropy)
            }
        };
        decision.map_err(|refusal| match refusal {
            Refusal::NotActive(account) => LoginError::AccountDisabled(account),
            Refusal::Taken(account) => LoginError::IdentityConflict(account),
        })
    }

    /// The account that asked for a link, if its session is still live.
    async fn account_of(&self, session: SessionId) -> Result<AccountId, LoginError> {
        let ended = LoginError::StateInvalid("the session that asked for the link has ended");
        let Some(entry) = self.config.store.find_session(session).await? else { return Err(ended) };
        match self.check_present(&entry) {
            Ok(()) => Ok(entry.account.id),
            Err(SessionError::AccountDisabled(account)) => Err(LoginError::AccountDisabled(account)),
            Err(_) => Err(ended),
        }
    }

    async fn write_as(
        &self,
        completion: &LoginCompletion<'_>,
        decision: &Decision,
        session_kind: SessionKind<'_>,
    ) -> Result<Committed, StoreError> {
        let now = self.config.clock.now();
        let label = completion.claims.name().and_then(|name| clean(&name.text));
        let commit = LoginCommit {
            decision,
            new_account: AccountId(Entropy.id(now)),
            new_identity: Entropy.id(now),
            claims: completion.claims,
            label: label.as_deref(),
            session_kind,
            browser: completion.browser,
            policy: &self.config.policy,
            default_group: self.default_group(completion.claims),
            caller: completion.caller,
            now,
        };
        self.config.store.commit_login(&commit).await
    }

    /// The group that a first login grants locally when the provider sent none at all.
    fn default_group(&self, claims: &Claims) -> Option<&str> {
        let none_sent = claims.session_claims().groups.is_none() && !claims.groups_unknown();
        self.config.default_group.as_deref().filter(|_| none_sent)
    }

    /// Sessions that ended with the settlement are not believed from the cache.
    async fn forget(&self, decision: &Decision, browser: Option<SessionId>) {
        match decision {
            Decision::Adopt(account) | Decision::Link(account) => self.forget_sessions_of(*account),
            Decision::Use(_) | Decision::Create(_) => {}
        }
        if let Some(ended) = browser {
            self.sessions.invalidate(&ended).await;
        }
    }

    /// Exchanges a hand-off code for a session (section 2.4 of the contract). The code is gone whatever comes of it.
    pub async fn redeem(&self, code: &str, verifier: &str, caller: &Caller) -> Result<Tokens, SessionError> {
        let code = OneTimeCode::parse(code).ok_or(SessionError::HandoffInvalid("it is no hand-off code"))?;
        let found = self.config.store.take_handoff(&code.hash()).await?;
        let handoff =
            found.ok_or(SessionError::HandoffInvalid("the hand-off code is unknown or was used"))?;
        if handoff.expires_at <= self.config.clock.now() {
            return Err(SessionError::HandoffInvalid("the hand-off code has expired"));
        }
        if !handoff.challenge.fits(verifier) {
            return Err(SessionError::HandoffInvalid("the verifier does not fit the challenge"));
        }
        if !self.admits(handoff.slot, &handoff.session_claims) {
            return Err(SessionError::HandoffInvalid("the slot no longer lets this person in"));
        }
        let refresh = RefreshToken::first(Entropy);
        let session = self.new_session(&refresh, caller);
        let kept = handoff.id_token.as_deref().and_then(|sealed| self.open_id_token(&code.hash().0, sealed));
        let id_token = kept.map(|token| self.seal_id_token(session.id.0.as_bytes(), &token));
        let session = NewSession { created_at: handoff.created_at, id_token, ..session };
        let begun = self.config.store.begin_session(&handoff, &session).await?;
        let entry = begun.ok_or(SessionError::AccountDisabled(handoff.account))?;
        self.tokens(entry, refresh).map_err(SessionError::Internal)
    }
}
