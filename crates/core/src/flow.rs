//! Login and session flows. Each service is one file; [`Broker`] builds the services and gives access to
//! them.
//!
//! ```text
//! login               begin and finish a login
//! sessions            refresh, verify and sign out
//! handoff             redeem the one-time code of a frontend on another site
//! break_glass         redeem an operator's one-time code
//! backchannel_logout  process a provider's logout token
//! self_service        a person's own identities and sessions
//! keys                load, rotate and publish the signing keys
//!
//! config              the settings and ports that the services share
//! slots               the enabled slots with the clients of their providers
//! tokens              issues the tokens of a session
//! issuer_drift        counts identities that the settings no longer match
//! ```

mod backchannel_logout;
mod break_glass;
mod config;
mod handoff;
mod issuer_drift;
mod keys;
mod login;
mod self_service;
mod sessions;
mod slots;
mod tokens;

use std::sync::Arc;

use crate::clock::{Clock, Entropy};
use crate::error::StoreError;
use crate::keys::{KeyError, TokenAlg};
use crate::pending_login::{State, login_secrets};
use crate::provider::{AuthorizationParams, Finding, Prompt};
use crate::public_url::PublicUrl;
use crate::return_to::WebOrigin;
use crate::slot::SlotId;
use crate::store::Retention;

pub use backchannel_logout::BackchannelLogout;
pub use break_glass::BreakGlassService;
pub use config::BrokerConfig;
pub use handoff::HandOffService;
pub use issuer_drift::OrphanedIdentities;
pub use keys::{KEY_NOTICE, KeyService};
pub use login::{Callback, Finished, LoginService, LoginStarted};
pub use self_service::SelfService;
pub use sessions::{PresentedTokens, REVOCATION_DELAY, SessionService, SignedIn};
pub use slots::{EnabledSlot, EnabledSlots};
pub use tokens::Tokens;

/// The login broker.
pub struct Broker {
    config: Arc<BrokerConfig>,
    keys: Arc<KeyService>,
    sessions: Arc<SessionService>,
    login: LoginService,
    handoff: HandOffService,
    break_glass: BreakGlassService,
    backchannel_logout: BackchannelLogout,
    self_service: SelfService,
}

impl Broker {
    /// Reads the signing keys and builds the services. `alg` is the algorithm of the access tokens.
    ///
    /// # Errors
    /// If the store fails or the current signing key does not open.
    pub async fn load(config: BrokerConfig, alg: TokenAlg) -> Result<Self, KeyError> {
        let config = Arc::new(config);
        let keys = Arc::new(KeyService::load(Arc::clone(&config), alg).await?);
        let sessions = Arc::new(SessionService::new(Arc::clone(&config), Arc::clone(&keys)));
        Ok(Self {
            login: LoginService::new(Arc::clone(&config), Arc::clone(&sessions)),
            handoff: HandOffService::new(Arc::clone(&config), Arc::clone(&sessions)),
            break_glass: BreakGlassService::new(Arc::clone(&config), Arc::clone(&sessions)),
            backchannel_logout: BackchannelLogout::new(Arc::clone(&config), Arc::clone(&sessions)),
            self_service: SelfService::new(Arc::clone(&config), Arc::clone(&sessions)),
            config,
            keys,
            sessions,
        })
    }

    /// The address of this installation.
    pub fn public_url(&self) -> &PublicUrl {
        &self.config.public_url
    }

    /// Origins beside the public one that a login may return to.
    pub fn return_origins(&self) -> &[WebOrigin] {
        &self.config.return_origins
    }

    /// The enabled slots.
    pub fn slots(&self) -> &EnabledSlots {
        &self.config.slots
    }

    /// Begins and finishes logins.
    pub fn login(&self) -> &LoginService {
        &self.login
    }

    /// Refreshes, verifies and ends sessions.
    pub fn sessions(&self) -> &SessionService {
        &self.sessions
    }

    /// Redeems hand-off codes.
    pub fn handoff(&self) -> &HandOffService {
        &self.handoff
    }

    /// Redeems break-glass codes.
    pub fn break_glass(&self) -> &BreakGlassService {
        &self.break_glass
    }

    /// Processes logout tokens of providers.
    pub fn backchannel_logout(&self) -> &BackchannelLogout {
        &self.backchannel_logout
    }

    /// A signed-in person's own identities and sessions.
    pub fn self_service(&self) -> &SelfService {
        &self.self_service
    }

    /// The current time.
    pub fn clock(&self) -> &Clock {
        &self.config.clock
    }

    /// The signing keys.
    pub fn keys(&self) -> &KeyService {
        &self.keys
    }

    /// Succeeds if the store can be read.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn check_store(&self) -> Result<(), StoreError> {
        self.config.store.ping().await
    }

    /// Checks a slot's provider without a login, in less than five seconds. Empty if the slot is not enabled.
    pub async fn inspect(&self, id: SlotId) -> Vec<Finding> {
        let BrokerConfig { slots, seals, public_url, .. } = &*self.config;
        let Some(slot) = slots.find(id) else { return Vec::new() };
        let state = State::random(Entropy);
        let params = AuthorizationParams {
            redirect_uri: &public_url.callback(id),
            state: state.as_str(),
            login_secrets: &login_secrets(&state, seals),
            prompt: Prompt::None,
        };
        slot.client.inspect(params, self.config.now()).await
    }

    /// Counts the accounts that a first login could still adopt by name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_adoptable(&self) -> Result<u64, StoreError> {
        self.config.store.count_adoptable(&self.config.policy).await
    }

    /// The slots that have identities which their settings no longer match. A slot whose issuer is not
    /// known yet is omitted.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn orphaned_identities(&self) -> Result<Vec<OrphanedIdentities>, StoreError> {
        let identities = self.config.store.count_identities().await?;
        let slots = self.config.slots.iter().map(|slot| OrphanedIdentities::count(slot, &identities));
        Ok(slots.filter(OrphanedIdentities::any).collect())
    }

    /// Deletes rows that expired long ago, and audit events past their retention. Returns the number of
    /// deleted rows.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let now = self.config.now();
        let retention = self.config.audit_retention;
        let audit_before = (!retention.is_zero()).then(|| now.minus(retention));
        self.config.store.sweep(&Retention { audit_before, now }).await
    }
}
