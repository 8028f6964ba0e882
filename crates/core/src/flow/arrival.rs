//! A person has arrived, vouched for by a provider: which account they are, and what begins.

use url::Url;

use super::{Broker, Finished, Tokens};
use crate::account::{AccountId, Candidates, Decision, Refusal, adoptable_name, clean, decide, decide_link};
use crate::audit::AuditEvent;
use crate::claims::Claims;
use crate::clock::Entropy;
use crate::error::{LoginError, SessionError};
use crate::login::Intent;
use crate::provider::Slot;
use crate::session::{
    Caller, HAND_OFF_LIFETIME, NewHandOff, NewSession, OneTimeCode, RefreshToken, SessionId,
};
use crate::store::{Begins, Present, Settled, Settlement, StoreError, Written};

/// Who came, from where and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) slot: &'a Slot,
    pub(super) claims: &'a Claims,
    pub(super) intent: Intent,
    /// The session that the browser has already.
    pub(super) browser: Option<SessionId>,
    pub(super) caller: &'a Caller,
}

impl Broker {
    /// Finds or makes the account and writes what begins.
    pub(super) async fn settle(&self, arrival: &Arrival<'_>, return_to: Url) -> Result<Finished, LoginError> {
        let facts = arrival.claims.facts();
        if facts.groups_overage {
            tracing::warn!(slot = %arrival.slot.id(), "the provider left a person's groups out: they are too many");
        }
        arrival.slot.access.check(facts)?;
        match arrival.intent {
            Intent::SignIn => {
                let refresh = RefreshToken::first(Entropy);
                let session = self.new_session(&refresh, arrival.caller);
                let id_token =
                    arrival.claims.id_token().map(|token| self.seal_id_token(session.id.0.as_bytes(), token));
                let session = NewSession { id_token, ..session };
                let Written { account, session, .. } = self.write(arrival, Begins::Session(&session)).await?;
                let session =
                    session.ok_or(LoginError::Internal("a login was written without its session"))?;
                let tokens =
                    self.tokens(Present { session, account }, refresh).map_err(LoginError::Internal)?;
                Ok(Finished::SignedIn { tokens: Box::new(tokens), return_to })
            }
            Intent::HandOff(challenge) => {
                let code = OneTimeCode::random(Entropy);
                let expires_at = self.parts.clock.now().plus(HAND_OFF_LIFETIME);
                let id_token =
                    arrival.claims.id_token().map(|token| self.seal_id_token(&code.hash().0, token));
                let handoff = NewHandOff { code: code.hash(), challenge, id_token, expires_at };
                self.write(arrival, Begins::HandOff(&handoff)).await?;
                let mut return_to = return_to;
                return_to.query_pairs_mut().append_pair("code", code.reveal());
                Ok(Finished::HandedOff { return_to })
            }
            Intent::Link(_) => {
                self.write(arrival, Begins::Nothing).await?;
                Ok(Finished::Linked { return_to })
            }
        }
    }

    /// A session that begins now.
    pub(super) fn new_session(&self, refresh: &RefreshToken, caller: &Caller) -> NewSession {
        let now = self.parts.clock.now();
        NewSession {
            id: SessionId(Entropy.id(now)),
            created_at: now,
            expires_at: now.plus(self.parts.lifetimes.session),
            refresh: refresh.hash(),
            id_token: None,
            caller: caller.clone(),
        }
    }

    /// Decides and writes. When somebody was faster, looks again, once.
    async fn write(&self, arrival: &Arrival<'_>, begins: Begins<'_>) -> Result<Written, LoginError> {
        let Arrival { slot, claims, .. } = arrival;
        for _ in 0..2 {
            let name = adoptable_name(claims).filter(|_| slot.name_fallback);
            let found = self.parts.store.find_candidates(claims.identity(), name.as_deref()).await?;
            let decision = self.decide(arrival, &found).await?;
            if let Settled::Done(written) = self.write_as(arrival, &decision, begins).await? {
                written.events.iter().for_each(AuditEvent::announce);
                self.forget(&decision, arrival.browser).await;
                return Ok(*written);
            }
        }
        Err(StoreError::Unavailable("two settlements in a row met a conflict".into()).into())
    }

    async fn decide(&self, arrival: &Arrival<'_>, found: &Candidates) -> Result<Decision, LoginError> {
        let decision = match arrival.intent {
            Intent::Link(session) => decide_link(self.account_of(session).await?, found),
            Intent::SignIn | Intent::HandOff(_) => {
                decide(&self.parts.policy, arrival.slot.name_fallback, arrival.claims, found, Entropy)
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
        let Some(present) = self.parts.store.find_session(session).await? else { return Err(ended) };
        match self.check_present(&present) {
            Ok(()) => Ok(present.account.id),
            Err(SessionError::AccountDisabled(account)) => Err(LoginError::AccountDisabled(account)),
            Err(_) => Err(ended),
        }
    }

    async fn write_as(
        &self,
        arrival: &Arrival<'_>,
        decision: &Decision,
        begins: Begins<'_>,
    ) -> Result<Settled, StoreError> {
        let now = self.parts.clock.now();
        let label = arrival.claims.name().and_then(|name| clean(&name.text));
        let settlement = Settlement {
            decision,
            new_account: AccountId(Entropy.id(now)),
            new_identity: Entropy.id(now),
            claims: arrival.claims,
            label: label.as_deref(),
            begins,
            browser: arrival.browser,
            policy: &self.parts.policy,
            default_group: self.default_group(arrival.claims),
            caller: arrival.caller,
            now,
        };
        self.parts.store.settle(&settlement).await
    }

    /// The group that a first login grants locally when the provider sent none at all.
    fn default_group(&self, claims: &Claims) -> Option<&str> {
        let none_sent = claims.facts().groups.is_none() && !claims.groups_unknown();
        self.parts.default_group.as_deref().filter(|_| none_sent)
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
        let found = self.parts.store.take_handoff(&code.hash()).await?;
        let handoff =
            found.ok_or(SessionError::HandoffInvalid("the hand-off code is unknown or was used"))?;
        if handoff.expires_at <= self.parts.clock.now() {
            return Err(SessionError::HandoffInvalid("the hand-off code has expired"));
        }
        if !handoff.challenge.fits(verifier) {
            return Err(SessionError::HandoffInvalid("the verifier does not fit the challenge"));
        }
        if !self.admits(handoff.slot, &handoff.facts) {
            return Err(SessionError::HandoffInvalid("the slot no longer lets this person in"));
        }
        let refresh = RefreshToken::first(Entropy);
        let session = self.new_session(&refresh, caller);
        let kept = handoff.id_token.as_deref().and_then(|sealed| self.open_id_token(&code.hash().0, sealed));
        let id_token = kept.map(|token| self.seal_id_token(session.id.0.as_bytes(), &token));
        let session = NewSession { created_at: handoff.created_at, id_token, ..session };
        let begun = self.parts.store.begin_session(&handoff, &session).await?;
        let present = begun.ok_or(SessionError::AccountDisabled(handoff.account))?;
        self.tokens(present, refresh).map_err(SessionError::Internal)
    }
}
