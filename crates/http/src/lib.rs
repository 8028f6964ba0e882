//! Portico's HTTP surface: a request becomes one call on the broker, and what the broker says becomes an answer.
//!
//! This crate knows no database and no provider. Where things are:
//!
//! ```text
//! routes     which path leads to which handler        login, glass, handoff, session, backchannel, own, verify, keys, pages, mirror, openapi, health   handlers
//! asker, client   who is asking, and from where; limits   how often     extract, callback, query, cookies, csrf, cors   what a request brings
//! telemetry  around every request: span, limits, headers                error               what a refusal looks like
//! meter      what is counted of requests
//! live       the surface of the moment, which a reload replaces
//! ```

mod backchannel;
mod break_glass;
mod callback;
mod client;
mod cookies;
mod cors;
mod csrf;
mod error;
mod extract;
mod handoff;
mod health;
mod icons;
mod keys;
mod limits;
mod live;
mod login;
mod meter;
mod openapi;
mod pages;
mod proxy_probe;
mod query;
mod request_context;
mod routes;
mod self_service;
mod session;
mod telemetry;
mod verify;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use chrono::{DateTime, SecondsFormat, Utc};
use ipnet::IpNet;
use portico_core::clock::Timestamp;
use portico_core::flow::Broker;
use portico_core::public_url::PublicUrl;
use portico_core::return_to::WebOrigin;
use portico_core::slot::SlotId;
use url::Url;

use crate::client::Proxies;
use crate::cookies::CookieRules;
use crate::error::ApiError;
use crate::icons::Icons;
use crate::limits::Limits;

pub use crate::live::Live;
pub use crate::openapi::description;

/// Everything that the handlers share.
pub struct Portico {
    broker: Arc<Broker>,
    front: Arc<Front>,
    icons: Icons,
}

/// What of us can be seen from outside without asking the broker.
struct Front {
    public_url: PublicUrl,
    /// The application's own route for failed logins.
    error_url: Option<Url>,
    cookies: CookieRules,
    /// Origins of frontends elsewhere that use our cookies.
    cors: Vec<WebOrigin>,
    /// Origins of frontends elsewhere that a login may lead back to.
    returns: Vec<WebOrigin>,
    proxies: Proxies,
    limits: Limits,
}

/// What the settings say of the surface.
#[derive(Debug, Clone, Default)]
pub struct Surface {
    /// The application's own page for failed logins of a browser; without one, a page of ours.
    pub error_url: Option<Url>,
    /// Origins of frontends elsewhere that may use our cookies.
    pub cors: Vec<WebOrigin>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Requests per minute and client of each kind that is counted; 0 is no limit.
    pub rate_limit: u64,
}

impl Portico {
    /// Puts a surface before a broker.
    pub fn new(broker: Arc<Broker>, surface: Surface) -> Self {
        let limits = Limits::new(surface.rate_limit, broker.clock().clone());
        Self::limited(broker, surface, limits)
    }

    /// The same in the place of another one, whose clients have spent what they have spent.
    pub fn after(before: &Self, broker: Arc<Broker>, surface: Surface) -> Self {
        let limits = before.front.limits.with(surface.rate_limit);
        Self::limited(broker, surface, limits)
    }

    fn limited(broker: Arc<Broker>, surface: Surface, limits: Limits) -> Self {
        let icons = Icons::load(broker.slots().map(|(slot, _)| slot.button.icon.as_str()));
        let returns = broker.return_origins().to_vec();
        let front = Front::new(broker.public_url().clone(), surface, returns, limits);
        Self { broker, front: Arc::new(front), icons }
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// The shape of a slot's icon: the `d` of an SVG path in a box of 24 by 24.
    pub fn icon_path(&self, slot: SlotId) -> &str {
        let button =
            self.broker.slots().find(|(own, _)| own.id() == slot).map(|(own, _)| own.button.icon.as_str());
        self.icons.path(button.unwrap_or_default())
    }

    /// The configured icon names that there are no icons of; their buttons show `mdi:account-key`.
    pub fn unknown_icons(&self) -> impl Iterator<Item = &str> {
        self.icons.unknown()
    }
}

impl Front {
    fn new(public_url: PublicUrl, surface: Surface, returns: Vec<WebOrigin>, limits: Limits) -> Self {
        let Surface { error_url, cors, trusted_proxies, rate_limit: _ } = surface;
        Self {
            cookies: CookieRules::of(&public_url),
            public_url,
            error_url,
            cors,
            returns,
            proxies: Proxies::new(trusted_proxies),
            limits,
        }
    }

    /// Takes a request from its client's budget.
    fn take(&self, kind: limits::RateLimitKind, request: &HttpRequest) -> Result<(), ApiError> {
        self.limits.take(kind, self.proxies.client(request))
    }
}

/// Everything public, below the path of the public URL. Every other path is answered as well: with 404.
pub fn configure(live: &Arc<Live>) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let live = Arc::clone(live);
    move |config| {
        let base = routes::routed(live.now().front.public_url.base_path());
        serve(config, live, |config| routes::public(config, &base));
    }
}

/// Writes down all metrics, in the text format of Prometheus.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the operator's listener serves.
pub fn configure_operator(live: &Arc<Live>, metrics: &Metrics) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let (live, metrics) = (Arc::clone(live), Arc::clone(metrics));
    move |config| {
        config.app_data(Data::new(metrics));
        serve(config, live, routes::operator);
    }
}

/// Routes whose requests get the surface of the moment.
fn serve(config: &mut ServiceConfig, live: Arc<Live>, routes: impl FnOnce(&mut ServiceConfig)) {
    config.app_data(Data::from(live)).service(web::scope("").wrap(from_fn(live::attach)).configure(routes));
}

/// A moment as answers show it: RFC 3339 in UTC, to the second.
pub fn rfc3339(time: Timestamp) -> String {
    let time = DateTime::from_timestamp(time.unix(), 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_769_850_000, "2026-01-31T09:00:00Z"),
            (i64::MAX, "+262142-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_unix(seconds)), text);
        }
    }
}
