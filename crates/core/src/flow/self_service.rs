//! What a signed-in person does with their own identities and sessions.

use std::time::Duration;

use uuid::Uuid;

use super::{Broker, LoginStarted, SignedIn};
use crate::account::{AccountId, Identity};
use crate::audit::Event;
use crate::error::{LoginError, SessionError};
use crate::pending_login::Intent;
use crate::provider::Prompt;
use crate::return_to::LoginParams;
use crate::session::{Caller, Session, SessionId};
use crate::slot::SlotId;
use crate::store::{AccountRef, SessionFilter, SessionSelection, Unlinked};

/// How old a login may be for changes to who can log in.
const RECENT_LOGIN: Duration = Duration::from_mins(10);

/// The most sessions that are listed.
const MOST_SESSIONS: u32 = 1000;

impl Broker {
    /// Begins to link one more identity to the account of this session.
    ///
    /// # Errors
    /// [`LoginError::ReauthenticationRequired`] unless the person logged in at a provider in the last ten minutes.
    pub async fn begin_link(
        &self,
        id: SlotId,
        return_to: Option<&str>,
        signed_in: &SignedIn,
    ) -> Result<LoginStarted, LoginError> {
        let login_params = LoginParams { return_to, ..LoginParams::default() };
        let checked = login_params.check(&self.config.public_url, &self.config.return_origins);
        let (return_to, _) = checked.map_err(LoginError::BadRequest)?;
        self.enabled_slot(id)?;
        if !self.is_proven(signed_in) {
            return Err(LoginError::ReauthenticationRequired);
        }
        self.start(id, &return_to, Intent::Link(signed_in.entry.session.id), Prompt::AsConfigured).await
    }

    /// Whether a provider said a moment ago who this is. A break-glass link does not: what it begins ends within the hour, and must
    /// leave nothing behind that lets anybody in later.
    fn is_proven(&self, signed_in: &SignedIn) -> bool {
        let session = &signed_in.entry.session;
        session.slot.is_some() && self.config.clock.now() <= session.created_at.plus(RECENT_LOGIN)
    }

    /// The identities of the person's account, oldest first.
    pub async fn identities(&self, signed_in: &SignedIn) -> Result<Vec<Identity>, SessionError> {
        let account = AccountRef::Id(signed_in.entry.account.id);
        let found = self.config.store.find_account(&account).await?;
        found.map(|(_, identities)| identities).ok_or(SessionError::Invalid("the account is gone"))
    }

    /// Takes an identity away from the person's account, and ends the sessions it began.
    ///
    /// # Errors
    /// [`SessionError::ReauthenticationRequired`] as for [`Broker::begin_link`], [`SessionError::LastIdentity`] for the last one.
    pub async fn unlink(
        &self,
        signed_in: &SignedIn,
        identity: Uuid,
        caller: &Caller,
    ) -> Result<(), SessionError> {
        if !self.is_proven(signed_in) {
            return Err(SessionError::ReauthenticationRequired);
        }
        let account = signed_in.entry.account.id;
        let event = self.event(Event::IdentityUnlinked).by(caller).about(account);
        match self.config.store.unlink_identity(account, identity, &event).await? {
            Unlinked::Done => {
                event.announce();
                self.forget_sessions_of(account);
                Ok(())
            }
            Unlinked::Last => Err(SessionError::LastIdentity),
            Unlinked::Unknown => Err(SessionError::NotFound("identity")),
        }
    }

    /// The person's live sessions, oldest first.
    pub async fn own_sessions(&self, signed_in: &SignedIn) -> Result<Vec<Session>, SessionError> {
        let now = self.config.clock.now();
        let filter = SessionFilter {
            account: Some(signed_in.entry.account.id),
            used_since: now.minus(self.config.lifetimes.idle),
            now,
            after: None,
            limit: MOST_SESSIONS,
        };
        Ok(self.config.store.list_sessions(&filter).await?)
    }

    /// Ends one of the person's own sessions.
    pub async fn end_own_session(
        &self,
        signed_in: &SignedIn,
        session: SessionId,
        caller: &Caller,
    ) -> Result<(), SessionError> {
        let account = signed_in.entry.account.id;
        let found = self.config.store.find_session(session).await?;
        if found.is_none_or(|found| found.account.id != account) {
            return Err(SessionError::NotFound("session"));
        }
        self.revoke(SessionSelection::One(session), account, caller).await?;
        self.sessions.invalidate(&session).await;
        Ok(())
    }

    /// Ends all of the person's sessions, this one among them.
    pub async fn end_own_sessions(&self, signed_in: &SignedIn, caller: &Caller) -> Result<(), SessionError> {
        let account = signed_in.entry.account.id;
        self.revoke(SessionSelection::Of(account), account, caller).await?;
        self.forget_sessions_of(account);
        Ok(())
    }

    async fn revoke(
        &self,
        which: SessionSelection,
        account: AccountId,
        caller: &Caller,
    ) -> Result<(), SessionError> {
        let event = self.event(Event::SessionRevoked).by(caller).about(account).because("owner");
        if self.config.store.revoke_sessions(which, &event).await? > 0 {
            event.announce();
        }
        Ok(())
    }

    /// From now on the sessions of an account are looked up again before they are believed.
    pub(super) fn forget_sessions_of(&self, account: AccountId) {
        let theirs = move |_: &SessionId, entry: &std::sync::Arc<crate::store::SessionWithAccount>| {
            entry.account.id == account
        };
        // Fails only when the cache was built without this ability; then the entries' age still ends them.
        if self.sessions.invalidate_entries_if(theirs).is_err() {
            self.sessions.invalidate_all();
        }
    }
}
