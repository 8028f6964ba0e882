//! Hand-off: a frontend on another site exchanges a one-time code for the tokens of a session.

use std::sync::Arc;

use super::config::BrokerConfig;
use super::sessions::SessionService;
use super::tokens::Tokens;
use crate::clock::Entropy;
use crate::error::{FlowError, SessionError};
use crate::session::{Caller, NewSession, OneTimeCode, RefreshToken};

/// Redeems hand-off codes.
pub struct HandOffService {
    config: Arc<BrokerConfig>,
    sessions: Arc<SessionService>,
}

impl HandOffService {
    pub(super) fn new(config: Arc<BrokerConfig>, sessions: Arc<SessionService>) -> Self {
        Self { config, sessions }
    }

    /// Exchanges a hand-off code for a session (section 2.4 of the contract). The code is deleted,
    /// whatever the result is. The session counts from the login, not from the exchange.
    ///
    /// # Errors
    /// [`SessionError::HandoffInvalid`] if code or verifier is wrong, the code was used or has expired,
    /// or the slot no longer admits the person. [`FlowError::AccountDisabled`] if the account is not
    /// active or no longer has the identity. [`FlowError::Store`] if the store fails.
    pub async fn redeem(&self, code: &str, verifier: &str, caller: &Caller) -> Result<Tokens, SessionError> {
        let invalid = SessionError::HandoffInvalid;
        let code = OneTimeCode::parse(code).ok_or(invalid("it is no hand-off code"))?;
        let found = self.config.store.take_handoff(&code.hash()).await?;
        let handoff = found.ok_or(invalid("the hand-off code is unknown or was used"))?;
        if handoff.expires_at <= self.config.now() {
            return Err(invalid("the hand-off code has expired"));
        }
        if !handoff.challenge.matches(verifier) {
            return Err(invalid("the verifier does not match the challenge"));
        }
        if !self.config.slots.admits(handoff.slot, &handoff.session_claims) {
            return Err(invalid("the slot no longer admits this person"));
        }
        let issuer = self.sessions.issuer();
        let refresh = RefreshToken::first(Entropy);
        let session = issuer.new_session(&refresh, caller);
        let sealed = handoff.id_token.as_deref();
        let id_token = sealed
            .and_then(|sealed| issuer.open_id_token(&code.hash().0, sealed))
            .map(|token| issuer.seal_id_token(session.id.0.as_bytes(), &token));
        let session = NewSession { created_at: handoff.created_at, id_token, ..session };
        let started = self.config.store.begin_session(&handoff, &session).await?;
        let entry = started.ok_or(FlowError::AccountDisabled(handoff.account))?;
        Ok(issuer.issue(entry, refresh)?)
    }
}
