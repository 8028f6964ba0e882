//! Portico's HTTP surface: a request becomes one call on the broker, and what the broker says becomes an answer.
//!
//! This crate knows no database and no provider. Where things are:
//!
//! ```text
//! routes     which path leads to which handler        login, handoff, session, own, verify, keys, pages, health   handlers
//! asker      who is asking: a person or a program     extract, callback, query, cookies, csrf, cors   what a request brings
//! telemetry  around every request: span, limits, headers                error               what a refusal looks like
//! ```

mod asker;
mod callback;
mod cookies;
mod cors;
mod csrf;
mod error;
mod extract;
mod handoff;
mod health;
mod icons;
mod keys;
mod login;
mod own;
mod pages;
mod query;
mod routes;
mod session;
mod telemetry;
mod verify;

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};
use chrono::{DateTime, SecondsFormat, Utc};
use portico_core::clock::Timestamp;
use portico_core::flow::Broker;
use portico_core::public_url::PublicUrl;
use portico_core::return_to::WebOrigin;
use portico_core::slot::SlotId;
use url::Url;

use crate::cookies::CookieRules;
use crate::icons::Icons;

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
}

impl Portico {
    /// Puts a surface before a broker. Failed logins of a browser lead to `error_url`; without one, to a page of ours.
    /// Frontends at the origins of `cors` may use our cookies.
    pub fn new(broker: Arc<Broker>, error_url: Option<Url>, cors: Vec<WebOrigin>) -> Self {
        let icons = Icons::load(broker.slots().map(|(slot, _)| slot.button.icon.as_str()));
        let returns = broker.return_origins().to_vec();
        let front = Arc::new(Front::new(broker.public_url().clone(), error_url, cors, returns));
        Self { broker, front, icons }
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
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
    fn new(
        public_url: PublicUrl,
        error_url: Option<Url>,
        cors: Vec<WebOrigin>,
        returns: Vec<WebOrigin>,
    ) -> Self {
        let cookies = CookieRules::of(&public_url);
        Self { public_url, error_url, cookies, cors, returns }
    }
}

/// Everything public, below the path of the public URL. Every other path is answered as well: with 404.
pub fn configure(app: &Arc<Portico>) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let app = Arc::clone(app);
    move |config| {
        let base = routes::routed(app.front.public_url.base_path());
        config.app_data(Data::from(Arc::clone(&app.front))).app_data(Data::from(app));
        routes::public(config, &base);
    }
}

/// What the operator's listener serves.
pub fn configure_operator(app: &Arc<Portico>) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let app = Arc::clone(app);
    move |config| {
        config.app_data(Data::from(app));
        routes::operator(config);
    }
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
