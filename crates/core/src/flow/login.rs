//! One login, from the button to the session: [`LoginService::begin`] and [`LoginService::finish`].
//!
//! ```text
//! begin   authorization redirect ─ seal the pending login into a cookie
//! finish  open the cookie ─ spend the login ─ exchange the code ─ admit the person
//!         ─ find candidates ─ decide on the account ─ commit ─ issue tokens
//! ```
//!
//! Between the two, the login exists only in the browser's cookie. No database transaction is open while the
//! provider is called.

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
use crate::error::{FlowError, LoginError, StoreError};
use crate::pending_login::{
    Intent, LOGIN_LIFETIME, PendingLogin, ReturnedLogin, SPENT_MARGIN, SealedLogin, Sealing, State,
    login_secrets,
};
use crate::provider::{Answer, AuthorizationParams, AuthorizationResponse, CodeExchange, Prompt};
use crate::return_to::ReturnTo;
use crate::session::{
    Caller, Challenge, HAND_OFF_LIFETIME, NewHandOff, NewSession, OneTimeCode, RefreshToken, SessionId,
};
use crate::slot::SlotId;
use crate::store::{Committed, CommittedLogin, LoginCommit, SessionKind, SessionWithAccount, Spent};
use crate::text::clean;

/// How many times the account of a login is decided. A decision is repeated if another request changed
/// its premises before the commit.
const ATTEMPTS: usize = 2;

/// Begins and finishes logins.
pub struct LoginService {
    config: Arc<BrokerConfig>,
    sessions: Arc<SessionService>,
}

/// A login that was started.
#[derive(Debug)]
pub struct LoginStarted {
    /// Where the browser is redirected.
    pub location: Url,
    /// The login cookie to set.
    pub cookie: SealedLogin,
}

/// A request to a slot's callback.
#[derive(Debug)]
pub struct Callback {
    /// The slot in its path.
    pub slot: SlotId,
    /// Its `state` parameter (RFC 6749 4.1.2) and the login cookie of that state.
    pub login: ReturnedLogin,
    /// The provider's authorization response.
    pub response: AuthorizationResponse,
    /// The session tokens in the browser's cookies.
    pub browser: PresentedTokens,
    /// The client that sent it.
    pub caller: Caller,
}

/// The result of a finished login.
#[derive(Debug)]
pub enum Finished {
    /// The browser has a new session.
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

/// A login whose claims are verified and admitted: what is written, and for whom.
struct LoginCompletion<'a> {
    slot: &'a EnabledSlot,
    claims: &'a Claims,
    intent: Intent,
    /// The session that the browser had before.
    browser: Option<SessionId>,
    caller: &'a Caller,
}

impl LoginService {
    pub(super) fn new(config: Arc<BrokerConfig>, sessions: Arc<SessionService>) -> Self {
        Self { config, sessions }
    }

    /// Begins a login. Nothing is written to the store. With a `challenge` the login ends with a hand-off.
    ///
    /// # Errors
    /// [`LoginError::ProviderUnknown`] if the slot is not enabled, [`LoginError::Upstream`] if its
    /// provider cannot be used.
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

    /// Begins a login that links one more identity to the account of a session.
    ///
    /// # Errors
    /// [`LoginError::BadRequest`] if `return_to` is on another site;
    /// [`FlowError::ReauthenticationRequired`] unless the session started with a provider's login in the
    /// last ten minutes; otherwise as [`LoginService::begin`].
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

    /// Requests the authorization redirect and seals the login into a cookie.
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

    /// Finishes a login. Portico calls the provider only after the login is spent, and a spent login
    /// cannot be tried again, whatever its result is.
    ///
    /// # Errors
    /// Any [`LoginError`]. An error after the login was spent is also written as an audit event.
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

    /// Opens the pending login of a callback. Checks that the slot's settings, the provider and the
    /// allowed origins are still those of its start.
    fn open(&self, slot: &EnabledSlot, callback: &Callback) -> Result<PendingLogin, LoginError> {
        let BrokerConfig { seals, public_url, return_origins, .. } = &*self.config;
        let now = self.config.now();
        let pending = PendingLogin::open(&callback.login, callback.slot, now, seals)
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

    /// Records in the store that the login is spent. The record outlives the cookie.
    async fn spend(&self, callback: &Callback) -> Result<(), LoginError> {
        let forget_at = callback.login.tag().started().plus(LOGIN_LIFETIME).plus(SPENT_MARGIN);
        match self.config.store.spend_login(&callback.login.state().hash(), forget_at).await? {
            Spent::Now => Ok(()),
            Spent::Before => Err(LoginError::StateInvalid("the login was spent before")),
        }
    }

    /// Exchanges the authorization code at the provider for verified claims.
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

    /// Writes the login, together with the session or hand-off that it starts. A link starts neither.
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

    /// Writes the login with a new session, and issues the session's tokens.
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

    /// Writes the login with a new hand-off, and returns its code.
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

    /// Finds the candidate accounts, decides, and commits. If another request changed a premise of the
    /// decision, the three steps are repeated, [`ATTEMPTS`] times in all.
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
                self.sessions.forget_after_login(&decision, completion.browser).await;
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
            Intent::Link(session) => decide_link(self.sessions.account_to_link(session).await?, found),
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
            default_group: self.config.default_group_for(claims),
            caller,
            now,
        };
        store.commit_login(&commit).await
    }
}

/// Applies the slot's access rule. For a person whom it refuses, nothing but an audit event is written.
fn admit(slot: &EnabledSlot, claims: &Claims) -> Result<(), LoginError> {
    let session_claims = claims.session_claims();
    if session_claims.groups_overage {
        let slot = slot.settings.id();
        tracing::warn!(%slot, "the provider omitted the groups because there are too many");
    }
    Ok(slot.settings.access.check(session_claims)?)
}
