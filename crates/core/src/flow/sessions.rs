//! How a session goes on, is believed, and ends.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Broker, SignedIn, Tokens};
use crate::account::AccountStatus;
use crate::audit::{AuditEvent, Event};
use crate::cache::count_lookup;
use crate::claims::Facts;
use crate::clock::Entropy;
use crate::error::{Check, LoginError, SessionError, UpstreamError};
use crate::seal::{Purpose, base64url, from_base64url, same, sha256};
use crate::session::{Caller, REFRESH_GRACE, RefreshToken, SessionId};
use crate::slot::SlotId;
use crate::store::{Present, Rotate, Rotation, SessionSelection, StoreError};
use crate::token::{AccessClaims, UNKNOWN_KEY, verify};

impl Broker {
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
            Rotation::Superseded { present, at, current, since } => {
                let recent = now <= at.plus(REFRESH_GRACE);
                match presented.follow(session, &self.parts.seals, current, &since) {
                    Some(token) if recent => self.tokens(present, token).map_err(SessionError::Internal),
                    // Another replica went on under a secret key that is not known here yet: no reuse, only no answer.
                    None if recent => {
                        Err(SessionError::Invalid("the token's successor was made under another secret key"))
                    }
                    Some(_) | None => self.end_reused(&present, caller).await,
                }
            }
            Rotation::Unknown => Err(SessionError::Invalid("the session ended while it was refreshed")),
        }
    }

    async fn end_reused<T>(&self, present: &Present, caller: &Caller) -> Result<T, SessionError> {
        self.end(present, Event::RefreshReused, Some("refresh_reused"), caller).await?;
        Err(SessionError::Invalid("a superseded refresh token was used again; the session is revoked"))
    }

    /// Whether a session may go on: not revoked, within both limits, of an active account, through a slot that is still
    /// enabled.
    async fn check_live(&self, present: &Present, caller: &Caller) -> Result<(), SessionError> {
        self.check_present(present)?;
        if self.parts.clock.now() > present.session.last_used_at.plus(self.parts.lifetimes.idle) {
            return Err(SessionError::Invalid("the session was idle for too long"));
        }
        // Whom an operator's link let in came through no slot that could keep them out.
        if let Some(slot) = present.session.slot
            && !self.admits(slot, &present.session.facts)
        {
            self.end(present, Event::SessionRevoked, Some("login_not_allowed"), caller).await?;
            return Err(SessionError::Invalid("the session's slot no longer lets this person in"));
        }
        Ok(())
    }

    /// Whether a slot is still enabled and its access rule still lets this person in.
    pub(super) fn admits(&self, slot: SlotId, facts: &Facts) -> bool {
        self.place(slot).is_ok_and(|(slot, _)| slot.access.check(facts).is_ok())
    }

    pub(super) fn check_present(&self, present: &Present) -> Result<(), SessionError> {
        match present.account.status {
            AccountStatus::Active => {}
            AccountStatus::Disabled | AccountStatus::Deleted => {
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
    /// [`super::REVOCATION_DELAY`], one here at once.
    pub async fn signed_in(&self, access: &str) -> Result<SignedIn, SessionError> {
        let claims = match self.believe(access) {
            Err(SessionError::Invalid(UNKNOWN_KEY)) => {
                self.look_for_keys().await;
                self.believe(access)?
            }
            other => other?,
        };
        let id = claims.session();
        let load = async {
            let found = self.parts.store.find_session(id).await?;
            found.map(Arc::new).ok_or(SessionError::Invalid("the session is unknown"))
        };
        let entry = self.sessions.entry(id).or_try_insert_with(load).await;
        let entry = entry.map_err(|error| match error.as_ref() {
            SessionError::Invalid(why) => SessionError::Invalid(why),
            other => SessionError::Store(StoreError::Unavailable(other.to_string().into())),
        })?;
        count_lookup("sessions", !entry.is_fresh());
        let present = entry.into_value();
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
        let ring = self.parts.keys.ring();
        let hash = sha256(&[ring.fingerprint(), access.as_bytes()]);
        let known = self.believed.get(&hash);
        count_lookup("access_tokens", known.is_some());
        if let Some(claims) = known {
            claims.check_times(now).map_err(SessionError::Invalid)?;
            return Ok(claims);
        }
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

    /// Whether a session could go on, as far as the store says.
    pub async fn is_live(&self, id: SessionId) -> Result<bool, StoreError> {
        let found = self.parts.store.find_session(id).await?;
        Ok(found.is_some_and(|present| self.check_present(&present).is_ok()))
    }

    /// Ends a session that is live. The answer is where the browser ends the session at the provider too, when it can.
    pub async fn sign_out(&self, id: SessionId, caller: &Caller) -> Result<Option<Url>, SessionError> {
        let found = self.parts.store.find_session(id).await?;
        let Some(present) = found.filter(|present| self.check_present(present).is_ok()) else {
            return Ok(None);
        };
        let sealed = self.parts.store.find_id_token(id).await?;
        self.end(&present, Event::Logout, None, caller).await?;
        let hint = sealed.and_then(|sealed| self.open_id_token(id.0.as_bytes(), &sealed));
        let back = self.parts.post_logout_redirect.as_ref();
        let client = present.session.slot.and_then(|slot| self.place(slot).ok());
        Ok(client.and_then(|(_, client)| client.end_session(back, hint.as_ref())))
    }

    /// Seals an ID token for one session or one hand-off code, and for nothing else.
    pub(super) fn seal_id_token(&self, of: &[u8], token: &SecretString) -> Vec<u8> {
        self.parts.seals.seal(Purpose::IdToken, &[of], token.expose_secret().as_bytes(), Entropy)
    }

    /// Without the key that sealed it, an ID token is lost, and only a hint with it.
    pub(super) fn open_id_token(&self, of: &[u8], sealed: &[u8]) -> Option<SecretString> {
        let (plain, _) = self.parts.seals.open(Purpose::IdToken, &[of], sealed).ok()?;
        String::from_utf8(plain).ok().map(Into::into)
    }

    /// Ends the sessions that a provider says have ended there (OIDC Back-Channel Logout 1.0, 2.7); how many were live.
    ///
    /// # Errors
    /// [`LoginError::ProviderUnknown`] where nobody may say so, [`LoginError::Store`] when nothing could be written, and
    /// anything else when the token does not pass.
    pub async fn hear_logout(
        &self,
        slot: SlotId,
        token: &SecretString,
        caller: &Caller,
    ) -> Result<usize, LoginError> {
        let (_, client) = self.place(slot)?;
        self.check_rivals(slot)?;
        let now = self.parts.clock.now();
        let notice = client.read_logout(token, now).await?.ok_or(LoginError::ProviderUnknown)?;
        let Some(ended) = self.parts.store.hear_logout(&notice, caller, now).await? else {
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
        present: &Present,
        event: Event,
        reason: Option<&'static str>,
        caller: &Caller,
    ) -> Result<(), StoreError> {
        let event = self.event(event).by(caller).about(present.account.id).of(&present.session);
        let event = match reason {
            Some(reason) => event.because(reason),
            None => event,
        };
        if self.parts.store.revoke_sessions(SessionSelection::One(present.session.id), &event).await? > 0 {
            event.announce();
        }
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
