//! What all handlers share: the broker, and the parts of the surface that need no broker.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use ipnet::IpNet;
use portico_core::flow::Broker;
use portico_core::public_url::PublicUrl;
use portico_core::return_to::WebOrigin;
use portico_core::slot::SlotId;
use url::Url;

use crate::client::Proxies;
use crate::cookies::CookieRules;
use crate::error::{ApiError, Cause};
use crate::icons::Icons;
use crate::limits::Limits;
use crate::proxy_probe::ProxyProbe;

/// Everything that the handlers share.
pub struct Portico {
    broker: Arc<Broker>,
    front: Arc<Front>,
    icons: Icons,
    proxy_probe: Option<ProxyProbe>,
}

/// The parts of the surface that need no broker.
pub(crate) struct Front {
    pub(crate) public_url: PublicUrl,
    /// The application's own route for failed logins.
    pub(crate) error_url: Option<Url>,
    pub(crate) cookies: CookieRules,
    /// Origins of other frontends that use the session cookies.
    pub(crate) cors: Vec<WebOrigin>,
    /// Origins of other frontends that a login may lead back to.
    pub(crate) return_origins: Vec<WebOrigin>,
    pub(crate) proxies: Proxies,
    pub(crate) limits: Limits,
}

/// The settings of the surface.
#[derive(Debug, Clone, Default)]
pub struct Surface {
    /// The application's own page for failed logins of a browser; `None` shows a page of Portico.
    pub error_url: Option<Url>,
    /// Origins of other frontends that may use the session cookies.
    pub cors: Vec<WebOrigin>,
    /// Peers whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Requests per minute and client of each kind that is counted; 0 is no limit.
    pub rate_limit: u64,
    /// Answers the requests of `portico check --live`; `None` answers them with 404.
    pub proxy_probe: Option<ProxyProbe>,
}

impl Portico {
    /// Combines a broker and a surface.
    pub fn new(broker: Arc<Broker>, surface: Surface) -> Self {
        let limits = Limits::new(surface.rate_limit, broker.clock().clone());
        Self::with_limits(broker, surface, limits)
    }

    /// Replaces `before`. The rate limits keep the spent requests of each client.
    pub fn after(before: &Self, broker: Arc<Broker>, surface: Surface) -> Self {
        let limits = before.front.limits.with(surface.rate_limit);
        Self::with_limits(broker, surface, limits)
    }

    fn with_limits(broker: Arc<Broker>, mut surface: Surface, limits: Limits) -> Self {
        let icons = Icons::load(broker.slots().iter().map(|slot| slot.settings.button.icon.as_str()));
        let return_origins = broker.return_origins().to_vec();
        let proxy_probe = surface.proxy_probe.take();
        let front = Front::new(broker.public_url().clone(), surface, return_origins, limits);
        Self { broker, front: Arc::new(front), icons, proxy_probe }
    }

    /// The state that serves a request.
    pub(crate) fn serving(request: &HttpRequest) -> Result<&Self, ApiError> {
        let data = request.app_data::<Data<Self>>();
        data.map(Data::get_ref).ok_or_else(|| Cause::Internal("the application is not configured").into())
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// The parts of the surface that need no broker.
    pub(crate) fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// Answers the requests of `portico check --live`.
    pub(crate) fn proxy_probe(&self) -> Option<&ProxyProbe> {
        self.proxy_probe.as_ref()
    }

    /// The shapes of the buttons' icons.
    pub(crate) fn icons(&self) -> &Icons {
        &self.icons
    }

    /// The shape of a slot's icon: the `d` of an SVG path in a box of 24 by 24.
    pub fn icon_path(&self, slot: SlotId) -> &str {
        self.icons.path(self.broker.slots().find(slot).map_or("", |slot| slot.settings.button.icon.as_str()))
    }

    /// The configured icon names that do not exist; their buttons show `mdi:account-key`.
    pub fn unknown_icons(&self) -> impl Iterator<Item = &str> {
        self.icons.unknown()
    }
}

impl Front {
    pub(crate) fn new(
        public_url: PublicUrl,
        surface: Surface,
        return_origins: Vec<WebOrigin>,
        limits: Limits,
    ) -> Self {
        let Surface { error_url, cors, trusted_proxies, .. } = surface;
        Self {
            cookies: CookieRules::new(&public_url),
            public_url,
            error_url,
            cors,
            return_origins,
            proxies: Proxies::new(trusted_proxies),
            limits,
        }
    }
}
