//! Portico's HTTP surface: handlers translate requests into calls on the broker, and its results into
//! responses.
//!
//! This crate knows no database and no provider. Its modules, from the table of paths down to what they
//! share:
//!
//! ```text
//! routes       which path and method lead to which handler
//! handlers     one module per group of endpoints
//! request      extractors: each part of a request, parsed once
//! guard        middleware: limits on size and time, panics, common headers, rendered refusals
//! root_span    middleware: the tracing span of a request
//! render       a refusal as problem document, page or redirect; error: what is refused and why
//! pages, session_response                     HTML pages; tokens in responses
//! state, live  what handlers share; replaced by a reload
//! cookies, cors, client, limits, icons        parts of the shared state
//! proxy_probe  how a request of `portico check --live` arrives
//! urls, headers, time, metrics                helpers
//! ```

mod client;
mod cookies;
mod cors;
mod error;
mod guard;
mod handlers;
mod headers;
mod icons;
mod limits;
mod live;
mod metrics;
mod pages;
pub mod proxy_probe;
mod render;
mod request;
mod root_span;
mod routes;
mod session_response;
mod state;
mod time;
mod urls;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};

pub use crate::handlers::openapi::description;
pub use crate::live::Live;
pub use crate::metrics::Metrics;
pub use crate::state::{Portico, Surface};
pub use crate::time::rfc3339;

/// Configures the public listener: all paths below that of the public URL. Any other path is answered with
/// 404.
pub fn configure(live: &Arc<Live>) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let live = Arc::clone(live);
    move |config| {
        let base = urls::routed(live.now().broker().public_url().base_path());
        serve(config, live, |config| routes::public(config, &base));
    }
}

/// Configures the operator's listener.
pub fn configure_operator(live: &Arc<Live>, metrics: &Metrics) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let (live, metrics) = (Arc::clone(live), Arc::clone(metrics));
    move |config| {
        config.app_data(Data::new(metrics));
        serve(config, live, routes::operator);
    }
}

/// Adds routes whose requests get the state that is current when they arrive.
fn serve(config: &mut ServiceConfig, live: Arc<Live>, routes: impl FnOnce(&mut ServiceConfig)) {
    config.app_data(Data::from(live)).service(web::scope("").wrap(from_fn(live::attach)).configure(routes));
}
