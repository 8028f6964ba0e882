//! The one order of things: how a login begins and finishes, how a session goes on and ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use url::Url;

use crate::account::{AccountId, Candidates, NamePolicy, NotActive, Standing, adoptable_name, clean, decide};
use crate::claims::Claims;
use crate::clock::{Clock, Entropy};
use crate::error::{LoginError, SessionError, UpstreamError};
use crate::keys::Keys;
use crate::login::{
    LOGIN_LIFETIME, PendingLogin, ReturnTo, SPENT_MARGIN, SealedLogin, Sealing, State, memory_of,
};
use crate::provider::{Ask, Finish, Health, ProtocolClient, Reply, Slot};
use crate::public_url::PublicUrl;
use crate::seal::{Purpose, Seals, base64url, from_base64url, same, sha256};
use crate::session::{Caller, Lifetimes, NewSession, REFRESH_GRACE, RefreshToken, SessionId};
use crate::slot::SlotId;
use crate::store::{AuditEvent, Present, Rotate, Rotation, Settled, Settlement, Spent, Store, StoreError};
use crate::token::{AccessClaims, Issuance, issue, verify};

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

    /// Goes on with a session: a new access token, and the refresh token's successor. A token superseded within
    /// [`REFRESH_GRACE`] is answered with the current one; any other superseded token ends the session (RFC 9700 4.14).
    pub async fn refresh(&self, presented: &RefreshToken, caller: &Caller) -> Result<Tokens, SessionError> {
        let store = &self.parts.store;
        let now = self.parts.clock.now();
        let unknown = SessionError::Invalid("the refresh token is unknown");
        let Some(session) = store.find_refresh(&presented.hash()).await? else { return Err(unknown) };
        let Some(present) = store.find_session(session).await? else { return Err(unknown) };
        self.check_live(&present, caller).await?;
        let next = presented.successor(session, self.parts.seals.current());
        let rotate = Rotate { presented: presented.hash(), session, next: next.hash(), now };
        match store.rotate_refresh(&rotate).await? {
            Rotation::Rotated(present) => self.tokens(present, next).map_err(SessionError::Internal),
            Rotation::Superseded { present, at, current } => {
                let recent = now <= at.plus(REFRESH_GRACE);
                match presented.follow(session, &self.parts.seals, current).filter(|_| recent) {
                    Some(token) => self.tokens(present, token).map_err(SessionError::Internal),
                    None => self.end_reused(&present, caller).await,
                }
            }
            Rotation::Unknown => Err(SessionError::Invalid("the session ended while it was refreshed")),
        }
    }

    async fn end_reused<T>(&self, present: &Present, caller: &Caller) -> Result<T, SessionError> {
        self.end(present, "refresh_reused", Some("refresh_reused"), caller).await?;
        Err(SessionError::Invalid("a superseded refresh token was used again; the session is revoked"))
    }

    /// Whether a session may go on: not revoked, within both limits, of an active account, through a slot that is still
    /// enabled.
    async fn check_live(&self, present: &Present, caller: &Caller) -> Result<(), SessionError> {
        self.check_present(present)?;
        if self.parts.clock.now() > present.session.last_used_at.plus(self.parts.lifetimes.idle) {
            return Err(SessionError::Invalid("the session was idle for too long"));
        }
        if !self.places.contains_key(&present.session.slot) {
            self.end(present, "session_revoked", Some("slot_disabled"), caller).await?;
            return Err(SessionError::Invalid("the session's slot is no longer enabled"));
        }
        Ok(())
    }

    fn check_present(&self, present: &Present) -> Result<(), SessionError> {
        match present.account.standing {
            Standing::Active => {}
            Standing::Disabled | Standing::Deleted => {
                return Err(SessionError::AccountDisabled(present.account.id));
            }
        }
        if present.session.revoked_at.is_some() {
            return Err(SessionError::Invalid("the session is revoked"));
        }
        if present.session.expires_at <= self.parts.clock.now() {
            return Err(SessionError::Invalid("the session has expired"));
        }
        Ok(())
    }

    /// Believes an access token, and makes sure its session is still there. A revocation elsewhere is noticed within
    /// [`REVOCATION_DELAY`], one here at once.
    pub async fn signed_in(&self, access: &str) -> Result<SignedIn, SessionError> {
        let claims = self.believe(access)?;
        let id = claims.session();
        let load = async {
            let found = self.parts.store.find_session(id).await?;
            found.map(Arc::new).ok_or(SessionError::Invalid("the session is unknown"))
        };
        let present = self.sessions.try_get_with(id, load).await.map_err(|error| match error.as_ref() {
            SessionError::Invalid(why) => SessionError::Invalid(why),
            other => SessionError::Store(StoreError::Unavailable(other.to_string().into())),
        })?;
        match self.check_present(&present) {
            Err(SessionError::AccountDisabled(_)) => {
                Err(SessionError::Invalid("the account is disabled or deleted"))
            }
            other => other,
        }?;
        Ok(SignedIn { claims, present })
    }

    /// Believes an access token without asking the store. A signature is verified once in a while, the times always.
    ///
    /// # Errors
    /// [`SessionError::Invalid`], always.
    pub fn believe(&self, access: &str) -> Result<Arc<AccessClaims>, SessionError> {
        let now = self.parts.clock.now();
        let hash = sha256(&[access.as_bytes()]);
        if let Some(claims) = self.believed.get(&hash) {
            claims.check_times(now).map_err(SessionError::Invalid)?;
            return Ok(claims);
        }
        let ring = self.parts.keys.ring();
        let claims = verify(&ring, access, &self.parts.public_url, &self.parts.audience, now);
        let claims = Arc::new(claims.map_err(SessionError::Invalid)?);
        self.believed.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }

    /// The session that a browser's cookies belong to, by refresh token or else by access token.
    pub async fn session_of(
        &self,
        access: Option<&str>,
        refresh: Option<&RefreshToken>,
    ) -> Result<Option<SessionId>, StoreError> {
        if let Some(refresh) = refresh
            && let Some(session) = self.parts.store.find_refresh(&refresh.hash()).await?
        {
            return Ok(Some(session));
        }
        Ok(access.and_then(|access| self.believe(access).ok()).map(|claims| claims.session()))
    }

    /// Ends a session. The answer is where the browser ends the session at the provider too, when it can.
    pub async fn sign_out(&self, id: SessionId, caller: &Caller) -> Result<Option<Url>, SessionError> {
        let Some(present) = self.parts.store.find_session(id).await? else { return Ok(None) };
        self.end(&present, "logout", None, caller).await?;
        let client = self.places.get(&present.session.slot).and_then(|place| self.parts.slots.get(*place));
        Ok(client.and_then(|(_, client)| client.end_session(self.parts.post_logout_redirect.as_ref())))
    }

    async fn end(
        &self,
        present: &Present,
        event: &'static str,
        reason: Option<&'static str>,
        caller: &Caller,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            account: Some(present.account.id),
            slot: Some(present.session.slot),
            reason,
            ..self.event(event, caller)
        };
        self.parts.store.revoke_session(present.session.id, &event).await?;
        self.sessions.invalidate(&present.session.id).await;
        Ok(())
    }

    /// A value against cross-site request forgery that is valid for one session only.
    pub fn csrf(&self, session: SessionId) -> String {
        let random = Entropy.bytes::<16>();
        let mac = self.parts.seals.current().mac(Purpose::Csrf, &[session.0.as_bytes(), &random]);
        format!("{}.{}", base64url(&random), base64url(&mac))
    }

    /// Whether such a value belongs to this session.
    pub fn csrf_belongs_to(&self, value: &str, session: SessionId) -> bool {
        let parts = value
            .split_once('.')
            .and_then(|(random, mac)| Some((from_base64url(random)?, from_base64url(mac)?)));
        parts.is_some_and(|(random, mac)| {
            self.parts
                .seals
                .keys()
                .any(|key| same(&key.mac(Purpose::Csrf, &[session.0.as_bytes(), &random]), &mac))
        })
    }
}
