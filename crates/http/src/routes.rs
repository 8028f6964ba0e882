//! Which path leads to which handler, and how our own addresses are spelled.

use std::future::ready;

use actix_web::dev::{self, Handler};
use actix_web::http::{Method, Uri, header};
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig, ServiceConfig};
use actix_web::{FromRequest, HttpResponse, Resource, Responder, Route};
use portico_core::public_url::PublicUrl;
use portico_core::slot::SlotId;
use tracing_actix_web::TracingLogger;
use url::Url;

use crate::error::{ApiError, Cause};
use crate::telemetry::{RootSpan, answer};
use crate::{
    backchannel, break_glass, handoff, health, keys, login, openapi, pages, proxy_probe, self_service,
    session, verify,
};

/// The largest body, in bytes (threats 10).
const LARGEST_BODY: usize = 64 * 1024;

/// The public table. `base` is the path of the public URL as the router sees it.
pub(crate) fn public(config: &mut ServiceConfig, base: &str) {
    let at = |path: &str| format!("{base}{path}");
    // Paths are tried in this order, and those with parameters by regular expressions: the others come first, the busiest
    // before all.
    let everything = web::scope("")
        .service(only(Method::GET, &at("/auth/session"), session::show))
        .service(web::resource(at("/auth/verify")).to(verify::verify))
        .service(only(Method::POST, &at("/auth/refresh"), session::refresh))
        .service(only(Method::GET, &at("/.well-known/jwks.json"), keys::jwks))
        .service(only(Method::GET, &at("/.well-known/openid-configuration"), keys::metadata))
        .service(only(Method::GET, &at("/auth/providers"), login::providers))
        .service(only(Method::GET, &at("/auth/"), pages::login))
        .service(only(Method::POST, &at("/auth/token"), handoff::token))
        .service(only(Method::POST, &at("/auth/logout"), session::sign_out))
        .service(only(Method::GET, &at("/auth/identities"), self_service::identities))
        .service(
            web::resource(at("/auth/sessions"))
                .route(web::get().to(self_service::sessions))
                .route(web::delete().to(self_service::end_sessions))
                .default_service(refuse("GET, DELETE")),
        )
        .service(
            web::resource(at("/auth/break-glass"))
                .route(web::get().to(break_glass::page))
                .route(web::post().to(break_glass::enter))
                .default_service(refuse("GET, POST")),
        )
        .service(only(Method::GET, &at("/auth/mirror"), proxy_probe::answer_probe))
        .service(only(Method::GET, &at("/openapi.json"), openapi::openapi))
        .service(web::resource(at("/auth/verify/{rest:.*}")).to(verify::verify))
        .service(only(Method::GET, &at("/auth/{protocol}/{slot}/login"), login::start))
        .service(
            web::resource(at("/auth/{protocol}/{slot}/callback"))
                .route(web::get().to(login::finish))
                .route(web::post().to(login::finish))
                .default_service(refuse("GET")),
        )
        .service(only(Method::POST, &at("/auth/{protocol}/{slot}/link"), self_service::link))
        .service(only(
            Method::POST,
            &at("/auth/{protocol:oidc}/{slot}/backchannel-logout"),
            backchannel::backchannel_logout,
        ))
        .service(only(Method::DELETE, &at("/auth/identities/{id}"), self_service::unlink))
        .service(only(Method::DELETE, &at("/auth/sessions/{id}"), self_service::end_session))
        .default_service(web::to(|| ready(Err::<HttpResponse, ApiError>(Cause::NotFound.into()))))
        .wrap(from_fn(answer))
        .wrap(TracingLogger::<RootSpan>::new());
    config.app_data(PayloadConfig::new(LARGEST_BODY)).service(everything);
}

/// The operator's table.
pub(crate) fn operator(config: &mut ServiceConfig) {
    config
        .route("/livez", web::get().to(health::livez))
        .route("/readyz", web::get().to(health::readyz))
        .route("/metrics", web::get().to(health::metrics));
}

/// A path that has one method. Every other one is 405 and reaches nothing (threats M19: HEAD too).
fn only<F, Arguments>(method: Method, path: &str, handler: F) -> Resource
where
    F: Handler<Arguments>,
    Arguments: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let refusal = refuse(method.as_str());
    web::resource(path).route(web::method(method).to(handler)).default_service(refusal)
}

/// The answer to every method but these.
fn refuse(allowed: &str) -> Route {
    let allowed = allowed.to_owned();
    web::to(move || {
        let refusal = ApiError::from(Cause::MethodNotAllowed).with(header::ALLOW, allowed.as_str());
        ready(Err::<HttpResponse, _>(refusal))
    })
}

/// A path as the router compares it: percent-encoded only where it must be.
pub(crate) fn routed(path: &str) -> String {
    path.parse::<Uri>().map_or_else(|_| path.to_owned(), |uri| dev::Url::new(uri).path().to_owned())
}

/// Where a login through this slot begins.
pub(crate) fn login_url(public: &PublicUrl, slot: SlotId) -> Url {
    public.at(&format!("/auth/{slot}/login"))
}

/// Our own page with the login buttons.
pub(crate) fn login_page(public: &PublicUrl) -> Url {
    public.at("/auth/")
}

/// The keys that our tokens are verified with.
pub(crate) fn jwks_url(public: &PublicUrl) -> Url {
    public.at("/.well-known/jwks.json")
}

#[cfg(test)]
mod tests;
