//! Break-glass: an operator's one-time code starts a session without a provider, for example while it is
//! down.

use std::sync::Arc;

use super::config::BrokerConfig;
use super::sessions::{PresentedTokens, SessionService};
use super::tokens::Tokens;
use crate::audit::Event;
use crate::clock::Entropy;
use crate::error::{FlowError, LoginError};
use crate::session::{BREAK_GLASS_SESSION, Caller, NewSession, OneTimeCode, RefreshToken};
use crate::store::BreakGlassRedemption;

/// Redeems break-glass codes.
pub struct BreakGlassService {
    config: Arc<BrokerConfig>,
    sessions: Arc<SessionService>,
}

impl BreakGlassService {
    pub(super) fn new(config: Arc<BrokerConfig>, sessions: Arc<SessionService>) -> Self {
        Self { config, sessions }
    }

    /// Starts the session of a break-glass code and ends the session that the browser had before. The code is
    /// deleted, whatever the result is. The new session lasts at most [`BREAK_GLASS_SESSION`].
    ///
    /// # Errors
    /// [`LoginError::StateInvalid`] if the code is not valid, [`FlowError::AccountDisabled`] if its
    /// account is disabled or deleted, [`FlowError::Store`] if the store fails.
    pub async fn redeem(
        &self,
        code: &str,
        browser: &PresentedTokens,
        caller: &Caller,
    ) -> Result<Tokens, LoginError> {
        let redeemed = self.start_session(code, browser, caller).await;
        match &redeemed {
            // A wrong code concerns no account, and any client can send many. It is logged but not audited.
            Ok(_) | Err(LoginError::StateInvalid(_)) => {}
            Err(error) => self.config.record_failure(None, error, caller).await,
        }
        redeemed
    }

    async fn start_session(
        &self,
        code: &str,
        browser: &PresentedTokens,
        caller: &Caller,
    ) -> Result<Tokens, LoginError> {
        let code = OneTimeCode::parse(code).ok_or(LoginError::StateInvalid("it is no break-glass code"))?;
        let replaced = self.sessions.session_of(browser).await?;
        let issuer = self.sessions.issuer();
        let refresh = RefreshToken::first(Entropy);
        let session = issuer.new_session(&refresh, caller);
        let expires_at = session.expires_at.min(session.created_at.plus(BREAK_GLASS_SESSION));
        let session = NewSession { expires_at, ..session };
        let event = self.config.event(Event::BreakGlassUsed).by(caller);
        let store = &self.config.store;
        let entry = match store.redeem_break_glass(&code.hash(), &session, &event).await? {
            BreakGlassRedemption::SessionStarted(entry) => *entry,
            BreakGlassRedemption::Refused(account) => {
                return Err(FlowError::AccountDisabled(account).into());
            }
            BreakGlassRedemption::Unknown => {
                let why = "the break-glass code is unknown, used, replaced or expired";
                return Err(LoginError::StateInvalid(why));
            }
        };
        event.about(entry.account.id).announce();
        if let Some(replaced) = replaced
            && let Some(replaced) = store.find_session(replaced).await?
        {
            self.sessions.end(&replaced, Event::SessionRevoked, Some("replaced"), caller).await?;
        }
        Ok(issuer.issue(entry, refresh)?)
    }
}
