//! The tokens of a session, and the service that issues them.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::config::BrokerConfig;
use super::keys::KeyService;
use crate::clock::{Entropy, Timestamp};
use crate::error::FlowError;
use crate::seal::Purpose;
use crate::session::{Caller, NewSession, RefreshToken, SessionId};
use crate::store::SessionWithAccount;
use crate::token::{Issuance, issue};

/// The tokens of a session.
#[derive(Debug)]
pub struct Tokens {
    /// The signed JWT.
    pub access: String,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// The opaque refresh token.
    pub refresh: RefreshToken,
    /// Seconds until the session ends.
    pub session_expires_in: u64,
    /// The session and its account.
    pub entry: SessionWithAccount,
}

/// Issues tokens, and prepares the sessions that they belong to.
pub(super) struct TokenIssuer {
    config: Arc<BrokerConfig>,
    keys: Arc<KeyService>,
}

impl TokenIssuer {
    pub(super) fn new(config: Arc<BrokerConfig>, keys: Arc<KeyService>) -> Self {
        Self { config, keys }
    }

    /// Issues an access token for a session, and returns it with the refresh token.
    ///
    /// # Errors
    /// [`FlowError::Internal`] if the access token cannot be signed.
    pub(super) fn issue(
        &self,
        entry: SessionWithAccount,
        refresh: RefreshToken,
    ) -> Result<Tokens, FlowError> {
        let now = self.config.now();
        let under = Issuance {
            public_url: &self.config.public_url,
            audience: &self.config.audience,
            roles: self.roles(&entry),
            lifetimes: &self.config.lifetimes,
            now,
            id: Entropy.id(now),
        };
        let (access, expires) = issue(&self.keys.ring(), &under, &entry)
            .map_err(|_| FlowError::Internal("the access token could not be signed"))?;
        let seconds_until = |time: Timestamp| u64::try_from(time.unix() - now.unix()).unwrap_or_default();
        let session_expires_in = seconds_until(entry.session.expires_at);
        Ok(Tokens { access, expires_in: seconds_until(expires), refresh, session_expires_in, entry })
    }

    /// All roles of a session's person: those that groups grant by the current role map, and those
    /// granted locally.
    pub(super) fn roles(&self, entry: &SessionWithAccount) -> Vec<String> {
        let groups = entry.session.session_claims.groups.as_deref();
        self.config.roles.roles(entry.session.slot, groups, &entry.account.roles)
    }

    /// A new session that starts now, without an ID token.
    pub(super) fn new_session(&self, refresh: &RefreshToken, caller: &Caller) -> NewSession {
        let now = self.config.now();
        NewSession {
            id: SessionId(Entropy.id(now)),
            created_at: now,
            expires_at: now.plus(self.config.lifetimes.session),
            refresh: refresh.hash(),
            id_token: None,
            caller: caller.clone(),
        }
    }

    /// Seals an ID token for one session or one hand-off code, whose identifier is `owner`. It opens for
    /// that owner only.
    pub(super) fn seal_id_token(&self, owner: &[u8], token: &SecretString) -> Vec<u8> {
        let BrokerConfig { seals, .. } = &*self.config;
        seals.seal(Purpose::IdToken, &[owner], token.expose_secret().as_bytes(), Entropy)
    }

    /// Opens the sealed ID token of `owner`. `None` if its secret key is no longer configured.
    pub(super) fn open_id_token(&self, owner: &[u8], sealed: &[u8]) -> Option<SecretString> {
        let (plain, _) = self.config.seals.open(Purpose::IdToken, &[owner], sealed).ok()?;
        String::from_utf8(plain).ok().map(Into::into)
    }
}
