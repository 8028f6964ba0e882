//! What all services share: settings, store, secret keys and clock.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::slots::EnabledSlots;
use crate::account::NamePolicy;
use crate::admission::RoleMap;
use crate::audit::{AuditEvent, Event};
use crate::claims::Claims;
use crate::clock::{Clock, Timestamp};
use crate::error::{FlowError, LoginError};
use crate::public_url::PublicUrl;
use crate::return_to::WebOrigin;
use crate::seal::Seals;
use crate::session::{Caller, Lifetimes};
use crate::slot::SlotId;
use crate::store::Store;

/// Settings and ports of the services. Built once per set of settings and never changed.
pub struct BrokerConfig {
    /// The address of this installation: the issuer of its tokens and the base of its own URLs.
    pub public_url: PublicUrl,
    /// The enabled slots, in the order of their buttons.
    pub slots: EnabledSlots,
    /// The database.
    pub store: Arc<dyn Store>,
    /// The operator's secret keys, which seal cookies, tokens and signing keys.
    pub seals: Seals,
    /// The current time.
    pub clock: Clock,
    /// Lifetimes of sessions and tokens.
    pub lifetimes: Lifetimes,
    /// Rules about account names and adoption.
    pub policy: NamePolicy,
    /// Which groups grant which roles.
    pub roles: RoleMap,
    /// The group granted locally at a first login if the provider sent no groups.
    pub default_group: Option<String>,
    /// The audience of access tokens.
    pub audience: Vec<String>,
    /// Where the provider redirects the browser after its own logout.
    pub post_logout_redirect: Option<Url>,
    /// Origins beside the public one that a login may return to.
    pub return_origins: Vec<WebOrigin>,
    /// How long audit events are retained; zero retains them for ever.
    pub audit_retention: Duration,
}

impl BrokerConfig {
    /// The current time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new audit event with the current time.
    pub(super) fn event(&self, event: Event) -> AuditEvent {
        AuditEvent::new(event, self.now())
    }

    /// The group that a first login grants locally. `None` if the provider sent groups or may have
    /// omitted them.
    pub(super) fn default_group_for(&self, claims: &Claims) -> Option<&str> {
        let none_sent = claims.session_claims().groups.is_none() && !claims.groups_unknown();
        self.default_group.as_deref().filter(|_| none_sent)
    }

    /// Writes the audit event of a failed login. If the store fails, a warning is logged in its place.
    pub(super) async fn record_failure(&self, slot: Option<SlotId>, error: &LoginError, caller: &Caller) {
        let event = AuditEvent { slot, ..self.event(Event::LoginFailed).by(caller).failed() };
        let event = event.because(error.code().as_str());
        let event = match error {
            LoginError::Flow(FlowError::AccountDisabled(account)) => event.about(*account),
            _ => event,
        };
        match self.store.record(&event).await {
            Ok(()) => event.announce(),
            Err(failure) => {
                tracing::warn!(error = %failure, "the audit event of a failed login could not be written");
            }
        }
    }
}
