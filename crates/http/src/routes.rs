//! The tables of paths: which path and method lead to which handler.

use std::future::ready;

use actix_web::dev::Handler;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig, ServiceConfig};
use actix_web::{FromRequest, HttpResponse, Resource, Responder, Route};
use tracing_actix_web::TracingLogger;

use crate::error::{ApiError, Cause};
use crate::guard::guard;
use crate::handlers::{
    backchannel_logout, break_glass, handoff, health, keys, login, login_page, openapi, providers,
    proxy_probe, self_service, session, verify,
};
use crate::root_span::RootSpan;

/// The largest body, in bytes (threats 10).
const LARGEST_BODY: usize = 64 * 1024;

/// The public table. `base` is the path of the public URL as the router sees it.
pub(crate) fn public(config: &mut ServiceConfig, base: &str) {
    // The router tries paths in this order. Paths with parameters are regular expressions, so the others come
    // first, the most frequent at the top.
    let everything = web::scope("")
        .configure(|config| fixed_paths(config, base))
        .configure(|config| paths_with_parameters(config, base))
        .default_service(web::to(|| ready(Err::<HttpResponse, ApiError>(Cause::NotFound.into()))))
        .wrap(from_fn(guard))
        .wrap(TracingLogger::<RootSpan>::new());
    config.app_data(PayloadConfig::new(LARGEST_BODY)).service(everything);
}

fn fixed_paths(config: &mut ServiceConfig, base: &str) {
    let at = |path: &str| format!("{base}{path}");
    config
        .service(only(Method::GET, &at("/auth/session"), session::show))
        .service(web::resource(at("/auth/verify")).to(verify::verify))
        .service(only(Method::POST, &at("/auth/refresh"), session::refresh))
        .service(only(Method::GET, &at("/.well-known/jwks.json"), keys::jwks))
        .service(only(Method::GET, &at("/.well-known/openid-configuration"), keys::metadata))
        .service(only(Method::GET, &at("/auth/providers"), providers::providers))
        .service(only(Method::GET, &at("/auth/"), login_page::login_page))
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
                .route(web::post().to(break_glass::redeem))
                .default_service(refuse("GET, POST")),
        )
        .service(only(Method::GET, &at("/auth/mirror"), proxy_probe::answer_probe))
        .service(only(Method::GET, &at("/openapi.json"), openapi::openapi));
}

fn paths_with_parameters(config: &mut ServiceConfig, base: &str) {
    let at = |path: &str| format!("{base}{path}");
    config
        .service(web::resource(at("/auth/verify/{rest:.*}")).to(verify::verify))
        .service(only(Method::GET, &at("/auth/{protocol}/{slot}/login"), login::start_login))
        .service(
            web::resource(at("/auth/{protocol}/{slot}/callback"))
                .route(web::get().to(login::complete_login))
                .route(web::post().to(login::complete_login))
                .default_service(web::to(login::refuse_method)),
        )
        .service(only(Method::POST, &at("/auth/{protocol}/{slot}/link"), self_service::link))
        .service(only(
            Method::POST,
            &at("/auth/{protocol:oidc}/{slot}/backchannel-logout"),
            backchannel_logout::backchannel_logout,
        ))
        .service(only(Method::DELETE, &at("/auth/identities/{id}"), self_service::unlink))
        .service(only(Method::DELETE, &at("/auth/sessions/{id}"), self_service::end_session));
}

/// The operator's table.
pub(crate) fn operator(config: &mut ServiceConfig) {
    config
        .route("/livez", web::get().to(health::livez))
        .route("/readyz", web::get().to(health::readyz))
        .route("/metrics", web::get().to(health::metrics));
}

/// A path with one method. Any other method is 405 and reaches no handler (threats M19: HEAD, too).
fn only<F, Arguments>(method: Method, path: &str, handler: F) -> Resource
where
    F: Handler<Arguments>,
    Arguments: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let refusal = refuse(method.as_str());
    web::resource(path).route(web::method(method).to(handler)).default_service(refusal)
}

/// Refuses all methods but those allowed.
fn refuse(allowed: &str) -> Route {
    let allowed = allowed.to_owned();
    web::to(move || ready(Err::<HttpResponse, _>(ApiError::method_not_allowed(&allowed))))
}

#[cfg(test)]
mod tests;
