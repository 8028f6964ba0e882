//! The one order of things: how a login begins and finishes, how a session goes on and ends.

mod sessions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use url::Url;

use crate::account::{AccountId, Candidates, NamePolicy, NotActive, adoptable_name, clean, decide};
use crate::claims::Claims;
use crate::clock::{Clock, Entropy};
use crate::error::{LoginError, UpstreamError};
use crate::keys::Keys;
use crate::login::{
    LOGIN_LIFETIME, PendingLogin, ReturnTo, SPENT_MARGIN, SealedLogin, Sealing, State, memory_of,
};
use crate::provider::{Ask, Finish, Health, ProtocolClient, Reply, Slot};
use crate::public_url::PublicUrl;
use crate::seal::Seals;
use crate::session::{Caller, Lifetimes, NewSession, RefreshToken, SessionId};
use crate::slot::SlotId;
use crate::store::{AuditEvent, Present, Settled, Settlement, Spent, Store, StoreError};
use crate::token::{AccessClaims, Issuance, issue};

/// How long a revocation on another replica may go unnoticed here.
pub const REVOCATION_DELAY: Duration = Duration::from_secs(5);

/// Everything a broker is made of.
pub struct Parts {
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
    /// The audience of our tokens.
    pub audience: Vec<String>,
    /// Where the provider sends the browser after its own logout.
    pub post_logout_redirect: Option<Url>,
}

/// The login broker.
pub struct Broker {
    parts: Parts,
    places: HashMap<SlotId, usize>,
    sessions: Cache<SessionId, Arc<Present>>,
    /// Access tokens whose signature was verified a moment ago, by hash.
    believed: moka::sync::Cache<[u8; 32], Arc<AccessClaims>>,
}

/// A login that has begun.
#[derive(Debug)]
pub struct Begun {
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
    pub reply: Reply,
    /// The session that the browser has already.
    pub replaces: Option<SessionId>,
    /// Who sent it.
    pub caller: Caller,
}

/// A login that has finished.
#[derive(Debug)]
pub struct Finished {
    /// The new session's tokens.
    pub tokens: Tokens,
    /// Where the browser goes.
    pub return_to: Url,
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
    pub present: Present,
}

/// A request whose access token was believed and whose session is live.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The token's claims.
    pub claims: Arc<AccessClaims>,
    /// The session and its account, at most [`REVOCATION_DELAY`] old.
    pub present: Arc<Present>,
}

impl Broker {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let places = parts.slots.iter().enumerate().map(|(place, (slot, _))| (slot.id(), place)).collect();
        let sessions = Cache::builder().max_capacity(10_000).time_to_live(REVOCATION_DELAY).build();
        let believed =
            moka::sync::Cache::builder().max_capacity(10_000).time_to_live(REVOCATION_DELAY).build();
        Self { parts, places, sessions, believed }
    }

    /// Our address.
    pub fn public_url(&self) -> &PublicUrl {
        &self.parts.public_url
    }

    /// The enabled slots in the order of their buttons, each with its client.
    pub fn slots(&self) -> impl Iterator<Item = (&Slot, &dyn ProtocolClient)> {
        self.parts.slots.iter().map(|(slot, client)| (slot, client.as_ref()))
    }

    /// Our signing keys.
    pub fn keys(&self) -> &Keys {
        &self.parts.keys
    }

    /// Reads the signing keys again.
    ///
    /// # Errors
    /// When the store fails; the keys known so far stay.
    pub async fn reload_keys(&self) -> Result<(), crate::keys::KeyError> {
        self.parts.keys.reload(self.parts.store.as_ref(), &self.parts.seals, self.parts.clock.now()).await
    }

    /// The memory.
    pub fn store(&self) -> &dyn Store {
        self.parts.store.as_ref()
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// How long things last.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.parts.lifetimes
    }

    fn place(&self, id: SlotId) -> Result<&(Slot, Arc<dyn ProtocolClient>), LoginError> {
        self.places.get(&id).and_then(|place| self.parts.slots.get(*place)).ok_or(LoginError::ProviderUnknown)
    }

    /// Whether a slot's provider can be used at the moment.
    pub fn health(&self, id: SlotId) -> Health {
        match (self.check_rivals(id), self.place(id)) {
            (Ok(()), Ok((_, client))) => client.health(),
            _ => Health::Down,
        }
    }

    /// Two slots with one issuer must mean one provider: the same discovery document. The later one is down otherwise.
    fn check_rivals(&self, id: SlotId) -> Result<(), LoginError> {
        let (slot, client) = self.place(id)?;
        let Some(issuer) = client.issuer() else { return Ok(()) };
        let earlier = self.parts.slots.iter().take_while(|(other, _)| other.id() != id);
        for (other, rival) in earlier {
            if rival.issuer().as_ref() == Some(&issuer) && other.discovery_url() != slot.discovery_url() {
                let problem = format!(
                    "the issuer {issuer} is that of {} already, under another discovery_url",
                    other.id()
                );
                return Err(UpstreamError::Metadata(problem).into());
            }
        }
        Ok(())
    }

    /// Begins a login: nothing is written anywhere but into the browser's cookie.
    pub async fn begin(&self, id: SlotId, return_to: Option<&str>) -> Result<Begun, LoginError> {
        let return_to = ReturnTo::parse(return_to, &self.parts.public_url).map_err(LoginError::BadRequest)?;
        let (slot, client) = self.place(id)?;
        let state = State::random(Entropy);
        let memory = memory_of(&state, &self.parts.seals);
        let redirect_uri = self.parts.public_url.callback(id);
        let ask = Ask { redirect_uri: &redirect_uri, state: state.as_str(), memory: &memory };
        let started = client.start(ask).await?;
        self.check_rivals(id)?;
        let sealing = Sealing {
            slot: id,
            state: &state,
            started: self.parts.clock.now(),
            return_to: &return_to,
            settings: slot.fingerprint(),
            provider: started.frozen,
        };
        Ok(Begun { location: started.location, cookie: sealing.seal(&self.parts.seals, Entropy) })
    }

    /// Finishes a login. Up to and including the spending of the login no other host is asked anything; from there on
    /// the login can never be tried again, however it ends.
    pub async fn finish(&self, callback: Callback) -> Result<Finished, LoginError> {
        let (slot, client) = self.place(callback.slot)?;
        let now = self.parts.clock.now();
        let pending =
            PendingLogin::open(&callback.cookie, callback.slot, &callback.state, now, &self.parts.seals)
                .map_err(LoginError::StateInvalid)?;
        if pending.settings != slot.fingerprint() {
            return Err(LoginError::StateInvalid("the slot's settings changed since the login started"));
        }
        let forget_at = callback.cookie.tag.started().plus(LOGIN_LIFETIME).plus(SPENT_MARGIN);
        match self.parts.store.spend_login(&callback.state.hash(), forget_at).await? {
            Spent::Now => {}
            Spent::Before => return Err(LoginError::StateInvalid("the login was spent before")),
        }
        let return_to = pending.return_to.url(&self.parts.public_url).map_err(LoginError::Internal)?;
        let finish = Finish {
            redirect_uri: self.parts.public_url.callback(callback.slot),
            memory: pending.memory,
            frozen: pending.provider,
            reply: callback.reply,
            now,
        };
        let claims = match self.check_rivals(callback.slot) {
            Ok(()) => client.finish(finish).await.map_err(LoginError::from),
            Err(down) => Err(down),
        };
        let signed_in = match claims {
            Ok(claims) => self.settle(slot, &claims, callback.replaces, &callback.caller).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &signed_in {
            self.record_failure(callback.slot, error, &callback.caller).await;
        }
        Ok(Finished { tokens: signed_in?, return_to })
    }

    /// Finds or makes the account and begins its session. When somebody was faster, looks again, once.
    async fn settle(
        &self,
        slot: &Slot,
        claims: &Claims,
        replaces: Option<SessionId>,
        caller: &Caller,
    ) -> Result<Tokens, LoginError> {
        let refresh = RefreshToken::first(Entropy);
        for _ in 0..2 {
            let name = adoptable_name(claims).filter(|_| slot.name_fallback);
            let found = self.parts.store.find_candidates(claims.identity(), name.as_deref()).await?;
            if let Settled::Done(present) =
                self.settle_as(slot, claims, &found, (replaces, caller, &refresh)).await?
            {
                if let Some(ended) = replaces {
                    self.sessions.invalidate(&ended).await;
                }
                return self.tokens(*present, refresh).map_err(LoginError::Internal);
            }
        }
        Err(StoreError::Unavailable("two settlements in a row met a conflict".into()).into())
    }

    async fn settle_as(
        &self,
        slot: &Slot,
        claims: &Claims,
        found: &Candidates,
        (replaces, caller, refresh): (Option<SessionId>, &Caller, &RefreshToken),
    ) -> Result<Settled, LoginError> {
        let now = self.parts.clock.now();
        let decision = decide(&self.parts.policy, slot.name_fallback, claims, found, Entropy)
            .map_err(|NotActive(account)| LoginError::AccountDisabled(account))?;
        let session = NewSession {
            id: SessionId(Entropy.id(now)),
            expires_at: now.plus(self.parts.lifetimes.session),
            refresh: refresh.hash(),
            caller: caller.clone(),
        };
        let label = claims.name().and_then(|name| clean(&name.text));
        let settlement = Settlement {
            decision: &decision,
            new_account: AccountId(Entropy.id(now)),
            new_identity: Entropy.id(now),
            claims,
            label: label.as_deref(),
            session: &session,
            replaces,
            policy: &self.parts.policy,
            now,
        };
        Ok(self.parts.store.settle(&settlement).await?)
    }

    /// A failed login is worth remembering; when even that fails, the log line must do.
    async fn record_failure(&self, slot: SlotId, error: &LoginError, caller: &Caller) {
        let account = match error {
            LoginError::AccountDisabled(account) => Some(*account),
            _ => None,
        };
        let reason = Some(error.code().as_str());
        let event = AuditEvent {
            account,
            slot: Some(slot),
            outcome: "failure",
            reason,
            ..self.event("login_failed", caller)
        };
        if let Err(failure) = self.parts.store.record(&event).await {
            tracing::warn!(error = %failure, "the audit event of a failed login could not be written");
        }
    }

    fn event(&self, event: &'static str, caller: &Caller) -> AuditEvent {
        let time = self.parts.clock.now();
        AuditEvent {
            id: Entropy.id(time),
            time,
            event,
            account: None,
            slot: None,
            outcome: "success",
            reason: None,
            request_id: Some(caller.request_id.clone()),
            ip: caller.ip.clone(),
        }
    }

    fn tokens(&self, present: Present, refresh: RefreshToken) -> Result<Tokens, &'static str> {
        let now = self.parts.clock.now();
        let under = Issuance {
            public_url: &self.parts.public_url,
            audience: &self.parts.audience,
            lifetimes: &self.parts.lifetimes,
            now,
            id: Entropy.id(now),
        };
        let (access, expires) = issue(&self.parts.keys.ring(), &under, &present)
            .map_err(|_| "the access token could not be signed")?;
        let expires_in = u64::try_from(expires.unix() - now.unix()).unwrap_or_default();
        Ok(Tokens { access, expires_in, refresh, present })
    }
}
