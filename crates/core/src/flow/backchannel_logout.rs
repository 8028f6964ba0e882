//! Back-channel logout: a provider reports sessions that ended there (OIDC Back-Channel Logout 1.0).

use std::sync::Arc;

use secrecy::SecretString;

use super::config::BrokerConfig;
use super::sessions::SessionService;
use crate::audit::AuditEvent;
use crate::error::{Check, LoginError, UpstreamError};
use crate::session::Caller;
use crate::slot::SlotId;

/// Processes logout tokens of providers.
pub struct BackchannelLogout {
    config: Arc<BrokerConfig>,
    sessions: Arc<SessionService>,
}

impl BackchannelLogout {
    pub(super) fn new(config: Arc<BrokerConfig>, sessions: Arc<SessionService>) -> Self {
        Self { config, sessions }
    }

    /// Verifies a logout token and ends the sessions that it names (OIDC Back-Channel Logout 1.0, 2.7).
    /// Returns how many of them were live.
    ///
    /// # Errors
    /// [`LoginError::ProviderUnknown`] if the slot is not enabled or does not support back-channel
    /// logout; [`crate::error::FlowError::Store`] if the store fails; [`LoginError::Upstream`] if the
    /// token is not valid, was used before, or cannot be verified now.
    pub async fn receive(
        &self,
        slot: SlotId,
        token: &SecretString,
        caller: &Caller,
    ) -> Result<usize, LoginError> {
        let slot = self.config.slots.get(slot)?;
        self.config.slots.check_issuer_conflict(slot)?;
        let now = self.config.now();
        let verified = slot.client.verify_logout_token(token, now).await?;
        let logout_token = verified.ok_or(LoginError::ProviderUnknown)?;
        let Some(ended) = self.config.store.backchannel_logout(&logout_token, caller, now).await? else {
            let used = Check::failed("jti", "one that was not used before", "one that was");
            return Err(UpstreamError::TokenInvalid(used).into());
        };
        ended.events.iter().for_each(AuditEvent::announce);
        for session in &ended.sessions {
            self.sessions.forget(*session).await;
        }
        Ok(ended.sessions.len())
    }
}
