//! How a session goes on, is believed, and ends.

use std::sync::Arc;

use url::Url;

use super::{Broker, SignedIn, Tokens};
use crate::account::Standing;
use crate::audit::Event;
use crate::claims::Facts;
use crate::clock::Entropy;
use crate::error::SessionError;
use crate::seal::{Purpose, base64url, from_base64url, same, sha256};
use crate::session::{Caller, REFRESH_GRACE, RefreshToken, SessionId};
use crate::slot::SlotId;
use crate::store::{Present, Rotate, Rotation, Sessions, StoreError};
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
        if !self.admits(present.session.slot, &present.session.facts) {
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
        self.end(&present, Event::Logout, None, caller).await?;
        let client = self.places.get(&present.session.slot).and_then(|place| self.parts.slots.get(*place));
        Ok(client.and_then(|(_, client)| client.end_session(self.parts.post_logout_redirect.as_ref())))
    }

    async fn end(
        &self,
        present: &Present,
        event: Event,
        reason: Option<&'static str>,
        caller: &Caller,
    ) -> Result<(), StoreError> {
        let event = self.event(event).by(caller).about(present.account.id).through(present.session.slot);
        let event = match reason {
            Some(reason) => event.because(reason),
            None => event,
        };
        if self.parts.store.revoke_sessions(Sessions::One(present.session.id), &event).await? > 0 {
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
