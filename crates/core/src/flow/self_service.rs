//! Self-service: a signed-in person lists and removes their own identities and sessions.

use std::sync::Arc;

use uuid::Uuid;

use super::config::BrokerConfig;
use super::sessions::{SessionService, SignedIn};
use crate::account::{AccountId, Identity};
use crate::audit::Event;
use crate::error::SessionError;
use crate::session::{Caller, Session, SessionId};
use crate::store::{AccountRef, SessionFilter, SessionSelection, Unlinked};

/// The maximum number of listed sessions.
const MAX_LISTED: u32 = 1000;

/// A signed-in person's own identities and sessions.
pub struct SelfService {
    config: Arc<BrokerConfig>,
    sessions: Arc<SessionService>,
}

impl SelfService {
    pub(super) fn new(config: Arc<BrokerConfig>, sessions: Arc<SessionService>) -> Self {
        Self { config, sessions }
    }

    /// The identities of the person's account, oldest first.
    ///
    /// # Errors
    /// [`SessionError::Invalid`] if the account does not exist; otherwise if the store fails.
    pub async fn identities(&self, signed_in: &SignedIn) -> Result<Vec<Identity>, SessionError> {
        let account = AccountRef::Id(signed_in.account().id);
        let found = self.config.store.find_account(&account).await?;
        found.map(|(_, identities)| identities).ok_or(SessionError::Invalid("the account does not exist"))
    }

    /// Removes an identity from the person's account, and ends the sessions that started with it.
    ///
    /// # Errors
    /// [`crate::error::FlowError::ReauthenticationRequired`] unless the session started with a
    /// provider's login in the last ten minutes; [`SessionError::LastIdentity`] for the account's last
    /// identity; [`SessionError::NotFound`] if the account does not have the identity; otherwise if the
    /// store fails.
    pub async fn unlink(
        &self,
        signed_in: &SignedIn,
        identity: Uuid,
        caller: &Caller,
    ) -> Result<(), SessionError> {
        self.sessions.check_recent_login(signed_in)?;
        let account = signed_in.account().id;
        let event = self.config.event(Event::IdentityUnlinked).by(caller).about(account);
        match self.config.store.unlink_identity(account, identity, &event).await? {
            Unlinked::Done => {
                event.announce();
                self.sessions.forget_account(account);
                Ok(())
            }
            Unlinked::Last => Err(SessionError::LastIdentity),
            Unlinked::Unknown => Err(SessionError::NotFound("identity")),
        }
    }

    /// The person's live sessions, oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sessions(&self, signed_in: &SignedIn) -> Result<Vec<Session>, SessionError> {
        let now = self.config.now();
        let filter = SessionFilter {
            account: Some(signed_in.account().id),
            used_since: now.minus(self.config.lifetimes.idle),
            now,
            after: None,
            limit: MAX_LISTED,
        };
        Ok(self.config.store.list_sessions(&filter).await?)
    }

    /// Ends one of the person's own sessions.
    ///
    /// # Errors
    /// [`SessionError::NotFound`] if the account has no such session; otherwise if the store fails.
    pub async fn end_session(
        &self,
        signed_in: &SignedIn,
        session: SessionId,
        caller: &Caller,
    ) -> Result<(), SessionError> {
        let account = signed_in.account().id;
        let found = self.config.store.find_session(session).await?;
        if found.is_none_or(|found| found.account.id != account) {
            return Err(SessionError::NotFound("session"));
        }
        self.revoke(SessionSelection::One(session), account, caller).await?;
        self.sessions.forget(session).await;
        Ok(())
    }

    /// Ends all of the person's sessions, including the one of this request.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn end_sessions(&self, signed_in: &SignedIn, caller: &Caller) -> Result<(), SessionError> {
        let account = signed_in.account().id;
        self.revoke(SessionSelection::Of(account), account, caller).await?;
        self.sessions.forget_account(account);
        Ok(())
    }

    /// Revokes sessions of the account, and announces the event if any of them was live.
    async fn revoke(
        &self,
        selection: SessionSelection,
        account: AccountId,
        caller: &Caller,
    ) -> Result<(), SessionError> {
        let event = self.config.event(Event::SessionRevoked).by(caller).about(account).because("owner");
        if self.config.store.revoke_sessions(selection, &event).await? > 0 {
            event.announce();
        }
        Ok(())
    }
}
