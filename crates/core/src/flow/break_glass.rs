//! The way in when no provider can be asked: a link that an operator made for one person, a moment ago.

use super::{Broker, PresentedTokens, Tokens};
use crate::audit::Event;
use crate::clock::Entropy;
use crate::error::LoginError;
use crate::session::{BREAK_GLASS_SESSION, Caller, NewSession, OneTimeCode, RefreshToken};
use crate::store::BreakGlassRedemption;

impl Broker {
    /// Begins the session that a break-glass link is good for. The link is gone whatever comes of it, and so is the
    /// session that the browser had before.
    ///
    /// # Errors
    /// [`LoginError::StateInvalid`] for every link that is not good, and [`LoginError::AccountDisabled`].
    pub async fn break_glass(
        &self,
        code: &str,
        presented: &PresentedTokens,
        caller: &Caller,
    ) -> Result<Tokens, LoginError> {
        let begun = self.enter_by_link(code, presented, caller).await;
        match &begun {
            // A guess is nothing that happened to anybody, and anybody can make as many as they like: the log has it.
            Ok(_) | Err(LoginError::StateInvalid(_)) => {}
            Err(error) => self.record_failure(None, error, caller).await,
        }
        begun
    }

    async fn enter_by_link(
        &self,
        code: &str,
        presented: &PresentedTokens,
        caller: &Caller,
    ) -> Result<Tokens, LoginError> {
        let code =
            OneTimeCode::parse(code).ok_or(LoginError::StateInvalid("it is no break-glass link of ours"))?;
        let before = self.session_of(presented.access.as_deref(), presented.refresh.as_ref()).await?;
        let now = self.config.clock.now();
        let refresh = RefreshToken::first(Entropy);
        let session = self.new_session(&refresh, caller);
        let expires_at = session.expires_at.min(now.plus(BREAK_GLASS_SESSION));
        let session = NewSession { expires_at, ..session };
        let event = self.event(Event::BreakGlassUsed).by(caller);
        let entry = match self.config.store.redeem_break_glass(&code.hash(), &session, &event).await? {
            BreakGlassRedemption::SessionStarted(entry) => entry,
            BreakGlassRedemption::Refused(account) => return Err(LoginError::AccountDisabled(account)),
            BreakGlassRedemption::Unknown => {
                return Err(LoginError::StateInvalid(
                    "the break-glass link is unknown, used, replaced or expired",
                ));
            }
        };
        event.about(entry.account.id).announce();
        if let Some(before) = before
            && let Some(before) = self.config.store.find_session(before).await?
        {
            self.end(&before, Event::SessionRevoked, Some("replaced"), caller).await?;
        }
        self.tokens(*entry, refresh).map_err(LoginError::Internal)
    }
}
