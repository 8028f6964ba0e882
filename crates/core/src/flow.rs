//! The one order of things: how a login begins and finishes, how a session goes on and ends.

mod break_glass;
mod completion;
mod issuer_drift;
mod keys;
mod self_service;
mod sessions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use url::Url;

use crate::account::NamePolicy;
use crate::admission::RoleMap;
use crate::audit::{AuditEvent, Event};
use crate::clock::{Clock, Entropy};
use crate::error::StoreError;
use crate::error::{LoginError, UpstreamError};
use crate::keys::Keys;
use crate::pending_login::{
    Intent, LOGIN_LIFETIME, PendingLogin, SPENT_MARGIN, SealedLogin, Sealing, State, login_secrets,
};
use crate::provider::inspection::Finding;
use crate::provider::{
    Answer, AuthorizationParams, AuthorizationResponse, CodeExchange, Health, Prompt, ProtocolClient, Slot,
};
use crate::proxy_probe::{ObservedRequest, ProbeRequest};
use crate::public_url::PublicUrl;
use crate::return_to::{LoginParams, ReturnTo, WebOrigin};
use crate::seal::Seals;
use crate::session::{Caller, Lifetimes, RefreshToken, SessionId};
use crate::slot::SlotId;
use crate::store::{Retention, SessionWithAccount, Spent, Store};
use crate::token::{AccessClaims, Issuance, issue};

use completion::LoginCompletion;
pub use issuer_drift::OrphanedIdentities;
pub use keys::KEY_NOTICE;

/// How long a revocation on another replica may go unnoticed here.
pub const REVOCATION_DELAY: Duration = Duration::from_secs(5);

/// Everything a broker is made of.
pub struct BrokerConfig {
    /// Our address.
    pub public_url: PublicUrl,
    /// The enabled slots in the order of their buttons, each with its client.
    pub slots: Vec<(Slot, Arc<dyn ProtocolClient>)>,
    /// The memory.
    pub store: Arc<dyn Store>,
    /// Our signing keys.
    pub keys: Keys,
    /// The operator's secret keys.
    pub seals: Seals,
    /// The time.
    pub clock: Clock,
    /// How long things last.
    pub lifetimes: Lifetimes,
    /// Rules about names and adoption.
    pub policy: NamePolicy,
    /// Which groups bring which roles.
    pub roles: RoleMap,
    /// Granted locally at a first login when the provider sent no groups.
    pub default_group: Option<String>,
    /// The audience of our tokens.
    pub audience: Vec<String>,
    /// Where the provider sends the browser after its own logout.
    pub post_logout_redirect: Option<Url>,
    /// Origins beside the public one that a login may lead back to.
    pub return_origins: Vec<WebOrigin>,
    /// How long audit events are kept; zero is for ever.
    pub audit_retention: Duration,
}

/// The login broker.
pub struct Broker {
    config: BrokerConfig,
    slot_index: HashMap<SlotId, usize>,
    sessions: Cache<SessionId, Arc<SessionWithAccount>>,
    /// Access tokens whose signature was verified a moment ago, by hash.
    verified_tokens: moka::sync::Cache<[u8; 32], Arc<AccessClaims>>,
    /// Looks for keys that a token named and nobody knew, by the short span of time they fell into.
    key_looks: Cache<i64, ()>,
}

/// A login that has begun.
#[derive(Debug)]
pub struct LoginStarted {
    /// Where to send the browser.
    pub location: Url,
    /// The cookie to set.
    pub cookie: SealedLogin,
}

/// A callback, taken apart.
#[derive(Debug)]
pub struct Callback {
    /// The slot of its path.
    pub slot: SlotId,
    /// The state it names.
    pub state: State,
    /// The login cookie of that state.
    pub cookie: SealedLogin,
    /// What the provider answers.
    pub response: AuthorizationResponse,
    /// What the browser has of a session already.
    pub browser: PresentedTokens,
    /// Who sent it.
    pub caller: Caller,
}

/// What a browser holds of a session, believed in nothing yet.
#[derive(Debug, Default)]
pub struct PresentedTokens {
    /// An access token.
    pub access: Option<String>,
    /// A refresh token.
    pub refresh: Option<RefreshToken>,
}

/// A login that has finished.
#[derive(Debug)]
pub enum Finished {
    /// A session of this browser has begun.
    SignedIn {
        /// The new session's tokens.
        tokens: Box<Tokens>,
        /// Where the browser goes.
        return_to: Url,
    },
    /// A one-time code waits for its frontend.
    HandedOff {
        /// Where the browser goes, the code in the query.
        return_to: Url,
    },
    /// The browser's account has one more identity.
    Linked {
        /// Where the browser goes.
        return_to: Url,
    },
}

/// What a session is used with.
#[derive(Debug)]
pub struct Tokens {
    /// The signed JWT.
    pub access: String,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// The opaque refresh token.
    pub refresh: RefreshToken,
    /// The session and its account.
    pub entry: SessionWithAccount,
}

/// A request whose access token was believed and whose session is live.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The token's claims.
    pub claims: Arc<AccessClaims>,
    /// The session and its account, at most [`REVOCATION_DELAY`] old.
    pub entry: Arc<SessionWithAccount>,
}

impl Broker {
    /// Puts the parts together.
    pub fn new(config: BrokerConfig) -> Self {
        let slot_index =
            config.slots.iter().enumerate().map(|(index, (slot, _))| (slot.id(), index)).collect();
        let sessions = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(REVOCATION_DELAY)
            .support_invalidation_closures()
            .build();
        let verified_tokens =
            moka::sync::Cache::builder().max_capacity(10_000).time_to_live(REVOCATION_DELAY).build();
        Self { config, slot_index, sessions, verified_tokens, key_looks: Cache::new(2) }
    }

    /// Our address.
    pub fn public_url(&self) -> &PublicUrl {
        &self.config.public_url
    }

    /// The enabled slots in the order of their buttons, each with its client.
    pub fn slots(&self) -> impl Iterator<Item = (&Slot, &dyn ProtocolClient)> {
        self.config.slots.iter().map(|(slot, client)| (slot, client.as_ref()))
    }

    /// The client of a slot.
    pub fn client(&self, slot: SlotId) -> Option<&Arc<dyn ProtocolClient>> {
        self.config.slots.get(*self.slot_index.get(&slot)?).map(|(_, client)| client)
    }

    /// Answers a question of our own with how it arrived; to anybody else's there is no answer.
    pub fn answer_probe(&self, probe: &str, seen: impl FnOnce() -> ObservedRequest) -> Option<String> {
        let BrokerConfig { seals, public_url, clock, .. } = &self.config;
        let probe = ProbeRequest::parse(probe, seals, public_url, clock.now())?;
        Some(probe.answer(seals, &seen()))
    }

    /// Looks at a slot's provider without a person, in less than five seconds.
    pub async fn inspect(&self, id: SlotId) -> Vec<Finding> {
        let Ok((_, client)) = self.enabled_slot(id) else { return Vec::new() };
        let state = State::random(Entropy);
        let login_secrets = login_secrets(&state, &self.config.seals);
        let redirect_uri = self.config.public_url.callback(id);
        let params = AuthorizationParams {
            redirect_uri: &redirect_uri,
            state: state.as_str(),
            login_secrets: &login_secrets,
            prompt: Prompt::Nobody,
        };
        client.inspect(params, self.config.clock.now()).await
    }

    /// Origins beside the public one that a login may lead back to.
    pub fn return_origins(&self) -> &[WebOrigin] {
        &self.config.return_origins
    }

    /// Our signing keys.
    pub fn keys(&self) -> &Keys {
        &self.config.keys
    }

    /// The memory.
    pub fn store(&self) -> &dyn Store {
        self.config.store.as_ref()
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.config.clock
    }

    /// How long things last.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.config.lifetimes
    }

    fn enabled_slot(&self, id: SlotId) -> Result<&(Slot, Arc<dyn ProtocolClient>), LoginError> {
        self.slot_index
            .get(&id)
            .and_then(|index| self.config.slots.get(*index))
            .ok_or(LoginError::ProviderUnknown)
    }

    /// Whether a slot's provider can be used at the moment.
    pub fn health(&self, id: SlotId) -> Health {
        match (self.check_issuer_conflict(id), self.enabled_slot(id)) {
            (Ok(()), Ok((_, client))) => client.health(),
            _ => Health::Down,
        }
    }

    /// Two slots with one issuer must mean one provider: the same discovery document. The later one is down otherwise.
    fn check_issuer_conflict(&self, id: SlotId) -> Result<(), LoginError> {
        let (slot, client) = self.enabled_slot(id)?;
        let Some(issuer) = client.issuer() else { return Ok(()) };
        let earlier = self.config.slots.iter().take_while(|(other, _)| other.id() != id);
        for (other, other_client) in earlier {
            if other_client.issuer().as_ref() == Some(&issuer)
                && other.discovery_url() != slot.discovery_url()
            {
                let problem = format!(
                    "the issuer {issuer} is that of {} already, under another discovery_url",
                    other.id()
                );
                return Err(UpstreamError::Metadata(problem).into());
            }
        }
        Ok(())
    }

    /// Learns the issuers of the slots before this one that could be its rivals: those of the same origin, because an issuer
    /// that nobody pinned has the origin of its document. One that cannot be asked has nobody to be taken for.
    async fn load_issuers_of_same_origin(&self, id: SlotId) {
        let Ok((slot, _)) = self.enabled_slot(id) else { return };
        let Some(own) = slot.discovery_url() else { return };
        for (other, other_client) in self.config.slots.iter().take_while(|(other, _)| other.id() != id) {
            let same = other.discovery_url().is_some_and(|url| url != own && url.origin() == own.origin());
            if same && other_client.issuer().is_none() {
                other_client.load_metadata().await;
            }
        }
    }

    /// Begins a login: nothing is written anywhere but into the browser's cookie.
    pub async fn begin(
        &self,
        id: SlotId,
        login_params: &LoginParams<'_>,
        prompt: Prompt,
    ) -> Result<LoginStarted, LoginError> {
        let checked = login_params.check(&self.config.public_url, &self.config.return_origins);
        let (return_to, challenge) = checked.map_err(LoginError::BadRequest)?;
        self.start(id, &return_to, challenge.map_or(Intent::SignIn, Intent::HandOff), prompt).await
    }

    async fn start(
        &self,
        id: SlotId,
        return_to: &ReturnTo,
        intent: Intent,
        prompt: Prompt,
    ) -> Result<LoginStarted, LoginError> {
        let (slot, client) = self.enabled_slot(id)?;
        let state = State::random(Entropy);
        let login_secrets = login_secrets(&state, &self.config.seals);
        let redirect_uri = self.config.public_url.callback(id);
        let params = AuthorizationParams {
            redirect_uri: &redirect_uri,
            state: state.as_str(),
            login_secrets: &login_secrets,
            prompt,
        };
        let started = client.authorization_redirect(params).await?;
        self.load_issuers_of_same_origin(id).await;
        self.check_issuer_conflict(id)?;
        let sealing = Sealing {
            slot: id,
            state: &state,
            started: self.config.clock.now(),
            intent,
            return_to,
            settings: slot.fingerprint(),
            provider: started.fingerprint,
        };
        Ok(LoginStarted { location: started.location, cookie: sealing.seal(&self.config.seals) })
    }

    /// Finishes a login. Up to and including the spending of the login no other host is asked anything; from there on
    /// the login can never be tried again, however it ends.
    pub async fn finish(&self, callback: Callback) -> Result<Finished, LoginError> {
        let (slot, client) = self.enabled_slot(callback.slot)?;
        let pending = self.open(slot, client.as_ref(), &callback)?;
        let presented = &callback.browser;
        let browser = self.session_of(presented.access.as_deref(), presented.refresh.as_ref()).await?;
        if let Intent::Link(session) = pending.intent
            && browser != Some(session)
        {
            let why = "the browser's session is not the one that asked for the link";
            return Err(LoginError::StateInvalid(why));
        }
        let return_to = pending.return_to.url(&self.config.public_url).map_err(LoginError::Internal)?;
        let forget_at = callback.cookie.tag.started().plus(LOGIN_LIFETIME).plus(SPENT_MARGIN);
        match self.config.store.spend_login(&callback.state.hash(), forget_at).await? {
            Spent::Now => {}
            Spent::Before => return Err(LoginError::StateInvalid("the login was spent before")),
        }
        let finish = CodeExchange {
            redirect_uri: self.config.public_url.callback(callback.slot),
            login_secrets: pending.login_secrets,
            fingerprint: pending.provider,
            response: callback.response,
            now: self.config.clock.now(),
        };
        let (caller, intent) = (&callback.caller, pending.intent);
        let finished = async {
            if matches!(finish.response.answer, Answer::Nothing) {
                return Err(LoginError::BadRequest("the callback has neither a code nor an error"));
            }
            self.check_issuer_conflict(callback.slot)?;
            let claims = client.exchange_code(finish).await?;
            self.complete(&LoginCompletion { slot, claims: &claims, intent, browser, caller }, return_to)
                .await
        };
        let finished = finished.await;
        if let Err(error) = &finished {
            self.record_failure(Some(callback.slot), error, caller).await;
        }
        finished
    }

    /// Opens the callback's login, and makes sure that nothing it rests on has changed since it began.
    fn open(
        &self,
        slot: &Slot,
        client: &dyn ProtocolClient,
        callback: &Callback,
    ) -> Result<PendingLogin, LoginError> {
        let now = self.config.clock.now();
        let pending =
            PendingLogin::open(&callback.cookie, callback.slot, &callback.state, now, &self.config.seals)
                .map_err(LoginError::StateInvalid)?;
        if pending.settings != slot.fingerprint() {
            return Err(LoginError::StateInvalid("the slot's settings changed since the login started"));
        }
        if client.fingerprint().is_some_and(|known| known != pending.provider) {
            return Err(LoginError::StateInvalid("the provider changed since the login started"));
        }
        if !pending.return_to.is_allowed(&self.config.public_url, &self.config.return_origins) {
            return Err(LoginError::StateInvalid("the login leads to an origin that is no longer allowed"));
        }
        Ok(pending)
    }

    /// A failed login is worth remembering; when even that fails, the log line must do.
    async fn record_failure(&self, slot: Option<SlotId>, error: &LoginError, caller: &Caller) {
        let event = AuditEvent { slot, ..self.event(Event::LoginFailed).by(caller).failed() };
        let event = event.because(error.code().as_str());
        let event = match error {
            LoginError::AccountDisabled(account) => event.about(*account),
            _ => event,
        };
        match self.config.store.record(&event).await {
            Ok(()) => event.announce(),
            Err(failure) => {
                tracing::warn!(error = %failure, "the audit event of a failed login could not be written");
            }
        }
    }

    /// Forgets what ended long ago, and audit events past their retention; how many rows went.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let now = self.config.clock.now();
        let kept = self.config.audit_retention;
        let audit_before = (!kept.is_zero()).then(|| now.minus(kept));
        self.config.store.sweep(&Retention { audit_before, now }).await
    }

    fn event(&self, event: Event) -> AuditEvent {
        AuditEvent::new(event, self.config.clock.now())
    }

    /// All roles of a person, by the map as it is now.
    pub fn roles(&self, entry: &SessionWithAccount) -> Vec<String> {
        let groups = entry.session.session_claims.groups.as_deref();
        self.config.roles.roles(entry.session.slot, groups, &entry.account.roles)
    }

    fn tokens(&self, entry: SessionWithAccount, refresh: RefreshToken) -> Result<Tokens, &'static str> {
        let now = self.config.clock.now();
        let under = Issuance {
            public_url: &self.config.public_url,
            audience: &self.config.audience,
            roles: self.roles(&entry),
            lifetimes: &self.config.lifetimes,
            now,
            id: Entropy.id(now),
        };
        let (access, expires) = issue(&self.config.keys.ring(), &under, &entry)
            .map_err(|_| "the access token could not be signed")?;
        let expires_in = u64::try_from(expires.unix() - now.unix()).unwrap_or_default();
        Ok(Tokens { access, expires_in, refresh, entry })
    }
}
