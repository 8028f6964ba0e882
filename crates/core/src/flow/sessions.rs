//! How a session goes on, is believed, and ends.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Broker, SignedIn, Tokens};
use crate::account::AccountStatus;
use crate::audit::{AuditEvent, Event};
use crate::cache::count_lookup;
use crate::claims::SessionClaims;
use crate::clock::Entropy;
use crate::error::StoreError;
use crate::error::{Check, LoginError, SessionError, UpstreamError};
use crate::seal::{Purpose, base64url, from_base64url, same, sha256};
use crate::session::{Caller, REFRESH_GRACE, RefreshToken, SessionId};
use crate::slot::SlotId;
use crate::store::{Rotate, Rotation, SessionSelection, SessionWithAccount};
use crate::token::{AccessClaims, UNKNOWN_KEY, verify};

impl Broker {
    /// Goes on with a session: a new access token, and the refresh token's successor. A token superseded within
    /// [`REFRESH_GRACE`] is answered with the current one; any other superseded token ends the session (RFC 9700 4.14).
    pub async fn refresh(&self, presented: &RefreshToken, caller: &Caller) -> Result<Tokens, SessionError> {
        let store = &self.config.store;
        let now = self.config.clock.now();
        let unknown = SessionError::Invalid("the refresh token is unknown");
        let Some(session) = store.find_refresh(&presented.hash()).await? else { return Err(unknown) };
        let Some(entry) = store.find_session(session).await? else { return Err(unknown) };
        self.check_live(&entry, caller).await?;
        let next = presented.successor(session, self.config.seals.current());
        let rotate = Rotate { presented: presented.hash(), session, next: next.hash(), now };
        match store.rotate_refresh(&rotate).await? {
            Rotation::Rotated(entry) => self.tokens(entry, next).map_err(SessionError::Internal),
            Rotation::Superseded { entry, at, current, since } => {
                let recent = now <= at.plus(REFRESH_GRACE);
                match presented.follow(session, &self.config.seals, current, &since) {
                    Some(token) if recent => self.tokens(entry, token).map_err(SessionError::Internal),
                    // Another replica went on under a secret key that is not known here yet: no reuse, only no answer.
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

    /// Whether a session may go on: not revoked, within both limits, of an active account, through a slot that is still
    /// enabled.
    async fn check_live(&self, entry: &SessionWithAccount, caller: &Caller) -> Result<(), SessionError> {
        self.check_present(entry)?;
        if self.config.clock.now() > entry.session.last_used_at.plus(self.config.lifetimes.idle) {
            return Err(SessionError::Invalid("the session was idle for too long"));
        }
        // Whom an operator's link let in came through no slot that could keep them out.
        if let Some(slot) = entry.session.slot
            && !self.admits(slot, &entry.session.session_claims)
        {
            self.end(entry, Event::SessionRevoked, Some("login_not_allowed"), caller).await?;
            return Err(SessionError::Invalid("the session's slot no longer lets this person in"));
        }
        Ok(())
    }

    /// Whether a slot is still enabled and its access rule still lets this person in.
    pub(super) fn admits(&self, slot: SlotId, session_claims: &SessionClaims) -> bool {
        self.enabled_slot(slot).is_ok_and(|(slot, _)| slot.access.check(session_claims).is_ok())
    }

    pub(super) fn check_present(&self, entry: &SessionWithAccount) -> Result<(), SessionError> {
        match entry.account.status {
            AccountStatus::Active => {}
            AccountStatus::Disabled | AccountStatus::Deleted => {
                return Err(SessionError::AccountDisabled(entry.account.id));
            }
        }
        if entry.session.revoked_at.is_some() {
            return Err(SessionError::Invalid("the session is revoked"));
        }
        if entry.session.expires_at <= self.config.clock.now() {
            return Err(SessionError::Invalid("the session has expired"));
        }
        Ok(())
    }

    /// Believes an access token, and makes sure its session is still there. A revocation elsewhere is noticed within
    /// [`super::REVOCATION_DELAY`], one here at once.
    pub async fn signed_in(&self, access: &str) -> Result<SignedIn, SessionError> {
        let claims = match self.verify_access_token(access) {
            Err(SessionError::Invalid(UNKNOWN_KEY)) => {
                self.look_for_keys().await;
                self.verify_access_token(access)?
            }
            other => other?,
        };
        let id = claims.session();
        let load = async {
            let found = self.config.store.find_session(id).await?;
            found.map(Arc::new).ok_or(SessionError::Invalid("the session is unknown"))
        };
        let entry = self.sessions.entry(id).or_try_insert_with(load).await;
        let entry = entry.map_err(|error| match error.as_ref() {
            SessionError::Invalid(why) => SessionError::Invalid(why),
            other => SessionError::Store(StoreError::Unavailable(other.to_string().into())),
        })?;
        count_lookup("sessions", !entry.is_fresh());
        let entry = entry.into_value();
        match self.check_present(&entry) {
            Err(SessionError::AccountDisabled(_)) => {
                Err(SessionError::Invalid("the account is disabled or deleted"))
            }
            other => other,
        }?;
        Ok(SignedIn { claims, entry })
    }

    /// Believes an access token without asking the store. A signature is verified once in a while, the times always.
    ///
    /// # Errors
    /// [`SessionError::Invalid`], always.
    pub fn verify_access_token(&self, access: &str) -> Result<Arc<AccessClaims>, SessionError> {
        let now = self.config.clock.now();
        let ring = self.config.keys.ring();
        let hash = sha256(&[ring.fingerprint(), access.as_bytes()]);
        let known = self.verified_tokens.get(&hash);
        count_lookup("access_tokens", known.is_some());
        if let Some(claims) = known {
            claims.check_times(now).map_err(SessionError::Invalid)?;
            return Ok(claims);
        }
        let claims = verify(&ring, access, &self.config.public_url, &self.config.audience, now);
        let claims = Arc::new(claims.map_err(SessionError::Invalid)?);
        self.verified_tokens.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }

    /// The session that a browser's cookies belong to, by refresh token or else by access token.
    pub async fn session_of(
        &self,
        access: Option<&str>,
        refresh: Option<&RefreshToken>,
    ) -> Result<Option<SessionId>, StoreError> {
        if let Some(refresh) = refresh
            && let Some(session) = self.config.store.find_refresh(&refresh.hash()).await?
        {
            return Ok(Some(session));
        }
        Ok(access.and_then(|access| self.verify_access_token(access).ok()).map(|claims| claims.session()))
    }

    /// Whether a session could go on, as far as the store says.
    pub async fn is_live(&self, id: SessionId) -> Result<bool, StoreError> {
        let found = self.config.store.find_session(id).await?;
        Ok(found.is_some_and(|entry| self.check_present(&entry).is_ok()))
    }

    /// Ends a session that is live. The answer is where the browser ends the session at the provider too, when it can.
    pub async fn sign_out(&self, id: SessionId, caller: &Caller) -> Result<Option<Url>, SessionError> {
        let found = self.config.store.find_session(id).await?;
        let Some(entry) = found.filter(|entry| self.check_present(entry).is_ok()) else {
            return Ok(None);
        };
        let sealed = self.config.store.find_id_token(id).await?;
        self.end(&entry, Event::Logout, None, caller).await?;
        let hint = sealed.and_then(|sealed| self.open_id_token(id.0.as_bytes(), &sealed));
        let back = self.config.post_logout_redirect.as_ref();
        let client = entry.session.slot.and_then(|slot| self.enabled_slot(slot).ok());
        Ok(client.and_then(|(_, client)| client.end_session(back, hint.as_ref())))
    }

    /// Seals an ID token for one session or one hand-off code, and for nothing else.
    pub(super) fn seal_id_token(&self, of: &[u8], token: &SecretString) -> Vec<u8> {
        self.config.seals.seal(Purpose::IdToken, &[of], token.expose_secret().as_bytes(), Entropy)
    }

    /// Without the key that sealed it, an ID token is lost, and only a hint with it.
    pub(super) fn open_id_token(&self, of: &[u8], sealed: &[u8]) -> Option<SecretString> {
        let (plain, _) = self.config.seals.open(Purpose::IdToken, &[of], sealed).ok()?;
        String::from_utf8(plain).ok().map(Into::into)
    }

    /// Ends the sessions that a provider says have ended there (OIDC Back-Channel Logout 1.0, 2.7); how many were live.
    ///
    /// # Errors
    /// [`LoginError::ProviderUnknown`] where nobody may say so, [`LoginError::Store`] when nothing could be written, and
    /// anything else when the token does not pass.
    pub async fn backchannel_logout(
        &self,
        slot: SlotId,
        token: &SecretString,
        caller: &Caller,
    ) -> Result<usize, LoginError> {
        let (_, client) = self.enabled_slot(slot)?;
        self.check_issuer_conflict(slot)?;
        let now = self.config.clock.now();
        let logout_token =
            client.verify_logout_token(token, now).await?.ok_or(LoginError::ProviderUnknown)?;
        let Some(ended) = self.config.store.backchannel_logout(&logout_token, caller, now).await? else {
            let used = Check::failed("jti", "one that was not used before", "one that was");
            return Err(UpstreamError::TokenInvalid(used).into());
        };
        ended.events.iter().for_each(AuditEvent::announce);
        for session in &ended.sessions {
            self.sessions.invalidate(session).await;
        }
        Ok(ended.sessions.len())
    }

    pub(super) async fn end(
        &self,
        entry: &SessionWithAccount,
        event: Event,
        reason: Option<&'static str>,
        caller: &Caller,
    ) -> Result<(), StoreError> {
        let event = self.event(event).by(caller).about(entry.account.id).of(&entry.session);
        let event = match reason {
            Some(reason) => event.because(reason),
            None => event,
        };
        if self.config.store.revoke_sessions(SessionSelection::One(entry.session.id), &event).await? > 0 {
            event.announce();
        }
        self.sessions.invalidate(&entry.session.id).await;
        Ok(())
    }

    /// A value against cross-site request forgery that is valid for one session only.
    pub fn csrf(&self, session: SessionId) -> String {
        let random = Entropy.bytes::<16>();
        let mac = self.config.seals.current().mac(Purpose::Csrf, &[session.0.as_bytes(), &random]);
        format!("{}.{}", base64url(&random), base64url(&mac))
    }

    /// Whether such a value belongs to this session.
    pub fn csrf_belongs_to(&self, value: &str, session: SessionId) -> bool {
        let parts = value
            .split_once('.')
            .and_then(|(random, mac)| Some((from_base64url(random)?, from_base64url(mac)?)));
        parts.is_some_and(|(random, mac)| {
            self.config
                .seals
                .keys()
                .any(|key| same(&key.mac(Purpose::Csrf, &[session.0.as_bytes(), &random]), &mac))
        })
    }
}
