//! Sessions: refresh, verify and sign out.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use url::Url;

use super::config::BrokerConfig;
use super::keys::KeyService;
use super::tokens::{TokenIssuer, Tokens};
use crate::account::{Account, AccountId, AccountStatus, Decision};
use crate::audit::Event;
use crate::cache::count_lookup;
use crate::clock::Entropy;
use crate::error::{FlowError, LoginError, SessionError, StoreError, TokenError};
use crate::seal::{Purpose, SealKey, base64url, from_base64url, same, sha256};
use crate::session::{Caller, REFRESH_GRACE, RefreshToken, Session, SessionId};
use crate::store::{Rotate, Rotation, SessionSelection, SessionWithAccount};
use crate::token::{AccessClaims, verify};

/// How long this replica may accept a session that another replica revoked: the age of its cached entries.
pub const REVOCATION_DELAY: Duration = Duration::from_secs(5);

/// How old a login may be for changes to the account's identities.
const RECENT_LOGIN: Duration = Duration::from_mins(10);

/// The maximum number of cached sessions, and of cached access tokens.
const MAX_CACHED: u64 = 10_000;

/// Refreshes, verifies and ends sessions.
pub struct SessionService {
    config: Arc<BrokerConfig>,
    keys: Arc<KeyService>,
    issuer: TokenIssuer,
    sessions: Cache<SessionId, Arc<SessionWithAccount>>,
    /// Access tokens whose signature was verified within [`REVOCATION_DELAY`], by hash.
    verified_tokens: moka::sync::Cache<[u8; 32], Arc<AccessClaims>>,
}

/// The session tokens that a browser sent, not verified yet.
#[derive(Debug, Default)]
pub struct PresentedTokens {
    /// An access token.
    pub access: Option<String>,
    /// A refresh token.
    pub refresh: Option<RefreshToken>,
}

/// A request whose access token is verified and whose session is live.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The token's claims.
    pub claims: Arc<AccessClaims>,
    /// The session and its account, at most [`REVOCATION_DELAY`] old.
    pub entry: Arc<SessionWithAccount>,
}

impl SignedIn {
    /// The session.
    pub fn session(&self) -> &Session {
        &self.entry.session
    }

    /// The session's account.
    pub fn account(&self) -> &Account {
        &self.entry.account
    }
}

impl SessionService {
    pub(super) fn new(config: Arc<BrokerConfig>, keys: Arc<KeyService>) -> Self {
        let sessions = Cache::builder()
            .max_capacity(MAX_CACHED)
            .time_to_live(REVOCATION_DELAY)
            .support_invalidation_closures()
            .build();
        let verified_tokens =
            moka::sync::Cache::builder().max_capacity(MAX_CACHED).time_to_live(REVOCATION_DELAY).build();
        let issuer = TokenIssuer::new(Arc::clone(&config), Arc::clone(&keys));
        Self { config, keys, issuer, sessions, verified_tokens }
    }

    pub(super) fn issuer(&self) -> &TokenIssuer {
        &self.issuer
    }

    /// Issues a new access token and the successor of the refresh token.
    ///
    /// A token that was superseded within [`REFRESH_GRACE`] gets the session's current refresh token.
    /// Any other superseded token ends the session (RFC 9700 4.14).
    ///
    /// # Errors
    /// [`SessionError::Invalid`] if the token is unknown or reused, or the session is over;
    /// [`FlowError::AccountDisabled`] if its account is not active; [`FlowError::Store`] if the store
    /// fails.
    pub async fn refresh(&self, presented: &RefreshToken, caller: &Caller) -> Result<Tokens, SessionError> {
        let store = &self.config.store;
        let now = self.config.now();
        let unknown = SessionError::Invalid("the refresh token is unknown");
        let Some(session) = store.find_refresh(&presented.hash()).await? else { return Err(unknown) };
        let Some(entry) = store.find_session(session).await? else { return Err(unknown) };
        self.check_refreshable(&entry, caller).await?;
        let next = presented.successor(session, self.config.seals.current());
        let rotate = Rotate { presented: presented.hash(), session, next: next.hash(), now };
        match store.rotate_refresh(&rotate).await? {
            Rotation::Rotated(entry) => Ok(self.issuer.issue(entry, next)?),
            Rotation::Superseded { entry, at, current, since } => {
                let recent = now <= at.plus(REFRESH_GRACE);
                match presented.follow(session, &self.config.seals, current, &since) {
                    Some(token) if recent => Ok(self.issuer.issue(entry, token)?),
                    // Another replica issued the successor under a secret key that this one does not
                    // have yet. This is not reuse.
                    None if recent => {
                        Err(SessionError::Invalid("the token's successor was made under another secret key"))
                    }
                    Some(_) | None => self.end_reused(&entry, caller).await,
                }
            }
            Rotation::Unknown => Err(SessionError::Invalid("the session ended while it was refreshed")),
        }
    }

    async fn end_reused<T>(&self, entry: &SessionWithAccount, caller: &Caller) -> Result<T, SessionError> {
        self.end(entry, Event::RefreshReused, Some("refresh_reused"), caller).await?;
        Err(SessionError::Invalid("a superseded refresh token was used again; the session is revoked"))
    }

    /// Checks that a session is live, not idle for too long, and that its slot is enabled and still
    /// admits the person. If the slot does not, the session is revoked.
    async fn check_refreshable(
        &self,
        entry: &SessionWithAccount,
        caller: &Caller,
    ) -> Result<(), SessionError> {
        self.check_not_ended(entry)?;
        if self.config.now() > entry.session.last_used_at.plus(self.config.lifetimes.idle) {
            return Err(SessionError::Invalid("the session was idle for too long"));
        }
        // A break-glass session has no slot, so no access rule applies to it.
        if let Some(slot) = entry.session.slot
            && !self.config.slots.admits(slot, &entry.session.session_claims)
        {
            self.end(entry, Event::SessionRevoked, Some("login_not_allowed"), caller).await?;
            return Err(SessionError::Invalid("the session's slot no longer admits this person"));
        }
        Ok(())
    }

    /// Checks that a session is neither revoked nor expired, and that its account is active.
    pub(super) fn check_not_ended(&self, entry: &SessionWithAccount) -> Result<(), SessionError> {
        match entry.account.status {
            AccountStatus::Active => {}
            AccountStatus::Disabled | AccountStatus::Deleted => {
                return Err(FlowError::AccountDisabled(entry.account.id).into());
            }
        }
        if entry.session.revoked_at.is_some() {
            return Err(SessionError::Invalid("the session is revoked"));
        }
        if entry.session.expires_at <= self.config.now() {
            return Err(SessionError::Invalid("the session has expired"));
        }
        Ok(())
    }

    /// Checks that the session started with a provider's login within [`RECENT_LOGIN`]. A break-glass
    /// session never passes: it ends within the hour, and must not add an identity that outlasts it.
    pub(super) fn check_recent_login(&self, signed_in: &SignedIn) -> Result<(), FlowError> {
        let session = signed_in.session();
        let recent = session.slot.is_some() && self.config.now() <= session.created_at.plus(RECENT_LOGIN);
        if recent { Ok(()) } else { Err(FlowError::ReauthenticationRequired) }
    }

    /// Verifies an access token and checks that its session is live. A revocation on this replica takes
    /// effect at once, one on another replica within [`REVOCATION_DELAY`].
    ///
    /// # Errors
    /// [`SessionError::Invalid`] if the token is not valid, the session is over or its account is not active;
    /// [`FlowError::Store`] if the store fails.
    pub async fn signed_in(&self, access: &str) -> Result<SignedIn, SessionError> {
        let claims = match self.verify(access) {
            Err(TokenError::UnknownKey) => {
                self.keys.reload_for_unknown_key().await;
                self.verify(access)?
            }
            other => other?,
        };
        let entry = self.cached_session(claims.session()).await?;
        match self.check_not_ended(&entry) {
            Err(SessionError::Flow(FlowError::AccountDisabled(_))) => {
                Err(SessionError::Invalid("the account is disabled or deleted"))
            }
            other => other,
        }?;
        Ok(SignedIn { claims, entry })
    }

    /// The session of this identifier, at most [`REVOCATION_DELAY`] old. Concurrent requests share one query.
    async fn cached_session(&self, id: SessionId) -> Result<Arc<SessionWithAccount>, SessionError> {
        let load = async {
            let found = self.config.store.find_session(id).await?;
            found.map(Arc::new).ok_or(SessionError::Invalid("the session is unknown"))
        };
        let entry = self.sessions.entry(id).or_try_insert_with(load).await;
        let entry = entry.map_err(|error| match error.as_ref() {
            SessionError::Invalid(why) => SessionError::Invalid(why),
            other => StoreError::Unavailable(other.to_string().into()).into(),
        })?;
        count_lookup("sessions", !entry.is_fresh());
        Ok(entry.into_value())
    }

    /// Verifies an access token without a query to the store. The result of the signature check is cached for
    /// [`REVOCATION_DELAY`]; the times are checked on each call.
    ///
    /// # Errors
    /// [`TokenError`] for the first check that fails.
    pub fn verify(&self, access: &str) -> Result<Arc<AccessClaims>, TokenError> {
        let now = self.config.now();
        let ring = self.keys.ring();
        let hash = sha256(&[ring.fingerprint(), access.as_bytes()]);
        let known = self.verified_tokens.get(&hash);
        count_lookup("access_tokens", known.is_some());
        if let Some(claims) = known {
            claims.check_times(now)?;
            return Ok(claims);
        }
        let claims = Arc::new(verify(&ring, access, &self.config.public_url, &self.config.audience, now)?);
        self.verified_tokens.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }

    /// The session that a browser's tokens belong to, live or not: by refresh token, or else by a valid
    /// access token.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn session_of(&self, presented: &PresentedTokens) -> Result<Option<SessionId>, StoreError> {
        if let Some(refresh) = &presented.refresh
            && let Some(session) = self.session_of_refresh(refresh).await?
        {
            return Ok(Some(session));
        }
        let access = presented.access.as_deref();
        Ok(access.and_then(|access| self.verify(access).ok()).map(|claims| claims.session()))
    }

    /// The session that a refresh token belongs to, live or not.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn session_of_refresh(&self, refresh: &RefreshToken) -> Result<Option<SessionId>, StoreError> {
        self.config.store.find_refresh(&refresh.hash()).await
    }

    /// Whether a session is live, by a query to the store.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn is_live(&self, id: SessionId) -> Result<bool, StoreError> {
        let found = self.config.store.find_session(id).await?;
        Ok(found.is_some_and(|entry| self.check_not_ended(&entry).is_ok()))
    }

    /// All roles of a session's person, by the current role map.
    pub fn roles(&self, entry: &SessionWithAccount) -> Vec<String> {
        self.issuer.roles(entry)
    }

    /// Ends a live session. Returns the provider's logout URL for the browser, if the provider has one.
    /// A session that is over is left as it is.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sign_out(&self, id: SessionId, caller: &Caller) -> Result<Option<Url>, SessionError> {
        let found = self.config.store.find_session(id).await?;
        let Some(entry) = found.filter(|entry| self.check_not_ended(entry).is_ok()) else {
            return Ok(None);
        };
        let sealed = self.config.store.find_id_token(id).await?;
        self.end(&entry, Event::Logout, None, caller).await?;
        let hint = sealed.and_then(|sealed| self.issuer.open_id_token(id.0.as_bytes(), &sealed));
        let back = self.config.post_logout_redirect.as_ref();
        let slot = entry.session.slot.and_then(|slot| self.config.slots.find(slot));
        Ok(slot.and_then(|slot| slot.client.end_session(back, hint.as_ref())))
    }

    /// Revokes a session, announces the event if the session was live, and removes it from the cache.
    pub(super) async fn end(
        &self,
        entry: &SessionWithAccount,
        event: Event,
        reason: Option<&'static str>,
        caller: &Caller,
    ) -> Result<(), StoreError> {
        let event = self.config.event(event).by(caller).about(entry.account.id).in_session(&entry.session);
        let event = match reason {
            Some(reason) => event.because(reason),
            None => event,
        };
        let selection = SessionSelection::One(entry.session.id);
        if self.config.store.revoke_sessions(selection, &event).await? > 0 {
            event.announce();
        }
        self.forget(entry.session.id).await;
        Ok(())
    }

    /// The account of the session that asked for a link.
    ///
    /// # Errors
    /// [`LoginError::StateInvalid`] if the session has ended, [`FlowError::AccountDisabled`] if the
    /// account is not active.
    pub(super) async fn account_to_link(&self, session: SessionId) -> Result<AccountId, LoginError> {
        let ended = LoginError::StateInvalid("the session that asked for the link has ended");
        let Some(entry) = self.config.store.find_session(session).await? else { return Err(ended) };
        match self.check_not_ended(&entry) {
            Ok(()) => Ok(entry.account.id),
            Err(SessionError::Flow(error @ FlowError::AccountDisabled(_))) => Err(error.into()),
            Err(_) => Err(ended),
        }
    }

    /// Removes the sessions that the login ended from the session cache.
    pub(super) async fn forget_after_login(&self, decision: &Decision, browser: Option<SessionId>) {
        match decision {
            Decision::Adopt(account) | Decision::Link(account) => self.forget_account(*account),
            Decision::Use(_) | Decision::Create(_) => {}
        }
        if let Some(ended) = browser {
            self.forget(ended).await;
        }
    }

    /// Removes a session from the cache.
    pub(super) async fn forget(&self, id: SessionId) {
        self.sessions.invalidate(&id).await;
    }

    /// Removes all sessions of an account from the cache.
    pub(super) fn forget_account(&self, account: AccountId) {
        let of_account = move |_: &SessionId, entry: &Arc<SessionWithAccount>| entry.account.id == account;
        // Fails only if the cache was built without support for closures.
        if self.sessions.invalidate_entries_if(of_account).is_err() {
            self.sessions.invalidate_all();
        }
    }

    /// A new CSRF token for one session: random bytes and their message authentication code.
    pub fn csrf(&self, session: SessionId) -> String {
        let random = Entropy.bytes::<16>();
        let mac = self.config.seals.current().mac(Purpose::Csrf, &[session.0.as_bytes(), &random]);
        format!("{}.{}", base64url(&random), base64url(&mac))
    }

    /// Whether a CSRF token was made for this session, under the current or a previous secret key.
    pub fn csrf_belongs_to(&self, value: &str, session: SessionId) -> bool {
        let parts = value
            .split_once('.')
            .and_then(|(random, mac)| Some((from_base64url(random)?, from_base64url(mac)?)));
        let Some((random, mac)) = parts else { return false };
        let expected = |key: &SealKey| key.mac(Purpose::Csrf, &[session.0.as_bytes(), &random]);
        self.config.seals.keys().any(|key| same(&expected(key), &mac))
    }
}
