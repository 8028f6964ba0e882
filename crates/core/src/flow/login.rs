//! One login, from the button to the session: [`LoginService::begin`] and [`LoginService::finish`].
//!
//! ```text
//! begin   slot ─ authorization redirect ─ sealed cookie
//! finish  open the pending login ─ spend it ─ exchange the code ─ admit ─ candidates ─ decide ─ commit ─ tokens
//! ```
//!
//! No database transaction is open while the provider is asked.

use std::sync::Arc;

use url::Url;

use super::config::BrokerConfig;
use super::sessions::{PresentedTokens, SessionService, SignedIn};
use super::slots::EnabledSlot;
use super::tokens::Tokens;
use crate::account::{
    AccountId, Candidates, Decision, NameSuffix, Refusal, adoptable_name, decide, decide_link,
};
use crate::audit::AuditEvent;
use crate::claims::Claims;
use crate::clock::Entropy;
use crate::error::{FlowError, LoginError, SessionError, StoreError};
use crate::pending_login::{
    Intent, LOGIN_LIFETIME, PendingLogin, SPENT_MARGIN, SealedLogin, Sealing, State, login_secrets,
};
use crate::provider::{Answer, AuthorizationParams, AuthorizationResponse, CodeExchange, Prompt};
use crate::return_to::ReturnTo;
use crate::session::{
    Caller, Challenge, HAND_OFF_LIFETIME, NewHandOff, NewSession, OneTimeCode, RefreshToken, SessionId,
};
use crate::slot::SlotId;
use crate::store::{Committed, CommittedLogin, LoginCommit, SessionKind, SessionWithAccount, Spent};
use crate::text::clean;

/// How often a login is decided anew if another request changed what the decision was based on.
const ATTEMPTS: usize = 2;

/// Logins: how they begin and how they finish.
pub struct LoginService {
    config: Arc<BrokerConfig>,
    sessions: Arc<SessionService>,
}

/// A login that has started.
#[derive(Debug)]
pub struct LoginStarted {
    /// Where the browser is redirected.
    pub location: Url,
    /// The cookie to set.
    pub cookie: SealedLogin,
}

/// The parts of a callback.
#[derive(Debug)]
pub struct Callback {
    /// The slot of its path.
    pub slot: SlotId,
    /// The state it names.
    pub state: State,
    /// The login cookie of that state.
    pub cookie: SealedLogin,
    /// The provider's authorization response.
    pub response: AuthorizationResponse,
    /// The session tokens that the browser sent along.
    pub browser: PresentedTokens,
    /// Who sent it.
    pub caller: Caller,
}

/// A login that has finished.
#[derive(Debug)]
pub enum Finished {
    /// A session of this browser started.
    SignedIn {
        /// The new session's tokens.
        tokens: Box<Tokens>,
        /// Where the browser is redirected.
        return_to: Url,
    },
    /// A one-time code was issued to a frontend on another site.
    HandedOff {
        /// Where the browser is redirected, with the code in the query.
        return_to: Url,
    },
    /// The browser's account has one more identity.
    Linked {
        /// Where the browser is redirected.
        return_to: Url,
    },
}

/// A person whose claims are verified, and what the login is for.
struct LoginCompletion<'a> {
    slot: &'a EnabledSlot,
    claims: &'a Claims,
    intent: Intent,
    /// The session that the browser has already.
    browser: Option<SessionId>,
    caller: &'a Caller,
}

impl LoginService {
    pub(super) fn new(config: Arc<BrokerConfig>, sessions: Arc<SessionService>) -> Self {
        Self { config, sessions }
    }

    /// Begins a login. Its state is stored in the browser's cookie only. A `challenge` asks for a hand-off.
    ///
    /// # Errors
    /// If the slot is not enabled, or its provider cannot be used.
    pub async fn begin(
        &self,
        slot: SlotId,
        return_to: &ReturnTo,
        challenge: Option<Challenge>,
        prompt: Prompt,
    ) -> Result<LoginStarted, LoginError> {
        let intent = challenge.map_or(Intent::SignIn, Intent::HandOff);
        self.start(slot, return_to, intent, prompt).await
    }

    /// Begins to link one more identity to the account of a session.
    ///
    /// # Errors
    /// [`FlowError::ReauthenticationRequired`] unless the session started with a provider's login in the last ten
    /// minutes; otherwise as [`LoginService::begin`].
    pub async fn begin_link(
        &self,
        slot: SlotId,
        return_to: &ReturnTo,
        signed_in: &SignedIn,
    ) -> Result<LoginStarted, LoginError> {
        if !return_to.is_same_site(&self.config.public_url) {
            return Err(LoginError::BadRequest("return_to is on another site, and a link has no hand-off"));
        }
        self.config.slots.get(slot)?;
        self.sessions.check_recent_login(signed_in)?;
        self.start(slot, return_to, Intent::Link(signed_in.session().id), Prompt::AsConfigured).await
    }

    async fn start(
        &self,
        id: SlotId,
        return_to: &ReturnTo,
        intent: Intent,
        prompt: Prompt,
    ) -> Result<LoginStarted, LoginError> {
        let BrokerConfig { slots, seals, public_url, .. } = &*self.config;
        let slot = slots.get(id)?;
        let state = State::random(Entropy);
        let params = AuthorizationParams {
            redirect_uri: &public_url.callback(id),
            state: state.as_str(),
            login_secrets: &login_secrets(&state, seals),
            prompt,
        };
        let redirect = slot.client.authorization_redirect(params).await?;
        slots.load_issuers_of_same_origin(slot).await;
        slots.check_issuer_conflict(slot)?;
        let sealing = Sealing {
            slot: id,
            state: &state,
            started: self.config.now(),
            intent,
            return_to,
            settings: slot.settings.fingerprint(),
            provider: redirect.fingerprint,
        };
        Ok(LoginStarted { location: redirect.location, cookie: sealing.seal(seals) })
    }

    /// Finishes a login. No other host is asked before the login is spent; from then on it cannot be tried again,
    /// whatever the result is.
    ///
    /// # Errors
    /// Every reason for which no session starts; after the login was spent, each is also an audit event.
    pub async fn finish(&self, callback: Callback) -> Result<Finished, LoginError> {
        let slot = self.config.slots.get(callback.slot)?;
        let pending = self.open(slot, &callback)?;
        let browser = self.sessions.session_of(&callback.browser).await?;
        if let Intent::Link(session) = pending.intent
            && browser != Some(session)
        {
            let why = "the browser's session is not the one that asked for the link";
            return Err(LoginError::StateInvalid(why));
        }
        let return_to = pending.return_to.url(&self.config.public_url).map_err(FlowError::Internal)?;
        self.spend(&callback).await?;
        let (intent, caller) = (pending.intent, &callback.caller);
        let finished = async {
            let claims = self.exchange(slot, pending, callback.response).await?;
            admit(slot, &claims)?;
            let completion = LoginCompletion { slot, claims: &claims, intent, browser, caller };
            self.complete(&completion, return_to).await
        };
        let finished = finished.await;
        if let Err(error) = &finished {
            self.config.record_failure(Some(callback.slot), error, caller).await;
        }
        finished
    }

    /// Opens the callback's pending login, and checks that nothing it depends on has changed since it started.
    fn open(&self, slot: &EnabledSlot, callback: &Callback) -> Result<PendingLogin, LoginError> {
        let BrokerConfig { seals, public_url, return_origins, .. } = &*self.config;
        let now = self.config.now();
        let pending = PendingLogin::open(&callback.cookie, callback.slot, &callback.state, now, seals)
            .map_err(LoginError::StateInvalid)?;
        if pending.settings != slot.settings.fingerprint() {
            return Err(LoginError::StateInvalid("the slot's settings changed since the login started"));
        }
        if slot.client.fingerprint().is_some_and(|known| known != pending.provider) {
            return Err(LoginError::StateInvalid("the provider changed since the login started"));
        }
        if !pending.return_to.is_allowed(public_url, return_origins) {
            return Err(LoginError::StateInvalid("the login returns to an origin that is no longer allowed"));
        }
        Ok(pending)
    }

    /// Marks the login as spent. The mark outlives the cookie.
    async fn spend(&self, callback: &Callback) -> Result<(), LoginError> {
        let forget_at = callback.cookie.tag.started().plus(LOGIN_LIFETIME).plus(SPENT_MARGIN);
        match self.config.store.spend_login(&callback.state.hash(), forget_at).await? {
            Spent::Now => Ok(()),
            Spent::Before => Err(LoginError::StateInvalid("the login was spent before")),
        }
    }

    /// Exchanges the code at the provider for verified claims.
    async fn exchange(
        &self,
        slot: &EnabledSlot,
        pending: PendingLogin,
        response: AuthorizationResponse,
    ) -> Result<Claims, LoginError> {
        if matches!(response.answer, Answer::Nothing) {
            return Err(LoginError::BadRequest("the callback has neither a code nor an error"));
        }
        self.config.slots.check_issuer_conflict(slot)?;
        let exchange = CodeExchange {
            redirect_uri: self.config.public_url.callback(slot.settings.id()),
            login_secrets: pending.login_secrets,
            fingerprint: pending.provider,
            response,
            now: self.config.now(),
        };
        Ok(slot.client.exchange_code(exchange).await?)
    }

    /// Writes the login, and what starts with it: a session, a hand-off, or nothing for a link.
    async fn complete(
        &self,
        completion: &LoginCompletion<'_>,
        return_to: Url,
    ) -> Result<Finished, LoginError> {
        match completion.intent {
            Intent::SignIn => {
                let tokens = Box::new(self.sign_in(completion).await?);
                Ok(Finished::SignedIn { tokens, return_to })
            }
            Intent::HandOff(challenge) => {
                let code = self.hand_off(completion, challenge).await?;
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

    async fn sign_in(&self, completion: &LoginCompletion<'_>) -> Result<Tokens, LoginError> {
        let issuer = self.sessions.issuer();
        let refresh = RefreshToken::first(Entropy);
        let session = issuer.new_session(&refresh, completion.caller);
        let id_token = completion.claims.id_token();
        let id_token = id_token.map(|token| issuer.seal_id_token(session.id.0.as_bytes(), token));
        let session = NewSession { id_token, ..session };
        let CommittedLogin { account, session, .. } =
            self.write(completion, SessionKind::Session(&session)).await?;
        let session = session.ok_or(FlowError::Internal("a login was written without its session"))?;
        Ok(issuer.issue(SessionWithAccount { session, account }, refresh)?)
    }

    async fn hand_off(
        &self,
        completion: &LoginCompletion<'_>,
        challenge: Challenge,
    ) -> Result<OneTimeCode, LoginError> {
        let code = OneTimeCode::random(Entropy);
        let expires_at = self.config.now().plus(HAND_OFF_LIFETIME);
        let id_token = completion.claims.id_token();
        let id_token = id_token.map(|token| self.sessions.issuer().seal_id_token(&code.hash().0, token));
        let handoff = NewHandOff { code: code.hash(), challenge, id_token, expires_at };
        self.write(completion, SessionKind::HandOff(&handoff)).await?;
        Ok(code)
    }

    /// Candidates, decision, commit. On a conflict with another request, decides once more.
    async fn write(
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

    /// The account that asked for a link, if its session is still live.
    async fn account_of(&self, session: SessionId) -> Result<AccountId, LoginError> {
        let ended = LoginError::StateInvalid("the session that asked for the link has ended");
        let Some(entry) = self.config.store.find_session(session).await? else { return Err(ended) };
        match self.sessions.check_not_ended(&entry) {
            Ok(()) => Ok(entry.account.id),
            Err(SessionError::Flow(error @ FlowError::AccountDisabled(_))) => Err(error.into()),
            Err(_) => Err(ended),
        }
    }

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

    /// The group that a first login grants locally if the provider sent none at all.
    fn default_group(&self, claims: &Claims) -> Option<&str> {
        let none_sent = claims.session_claims().groups.is_none() && !claims.groups_unknown();
        self.config.default_group.as_deref().filter(|_| none_sent)
    }

    /// Removes the sessions that the login ended from the cache.
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

/// Applies the slot's access rule. Nothing is written for a person whom it refuses.
fn admit(slot: &EnabledSlot, claims: &Claims) -> Result<(), LoginError> {
    let session_claims = claims.session_claims();
    if session_claims.groups_overage {
        tracing::warn!(slot = %slot.settings.id(), "the provider sent no groups because the person has too many");
    }
    Ok(slot.settings.access.check(session_claims)?)
}
