//! `portico demo`: a complete set-up in one process.
//!
//! The process contains a database in memory, the demo identity provider on loopback, all six slots and an
//! example application. The demo sets variables of the ordinary settings and adds a page to the ordinary
//! service; the login is the same. Variables of the environment override those of the demo.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};
use portico_core::clock::{Clock, Entropy};
use portico_demo_idp::{DemoIdp, IdpConfig, SlotEndpoints, SlotSettings};
use portico_http::{Metrics, Portico};
use portico_storage::Storage;

use crate::failure::Failure;
use crate::log;
use crate::output::print_out;
use crate::service::Service;
use crate::settings::{Loaded, Sources};
use crate::telemetry;
use crate::wire::{Listeners, prepare, runtime};

/// The preferred port. If it is in use, the demo takes a free one.
const PORT: u16 = 8080;

/// Runs the demo until it is interrupted.
pub(crate) fn run() -> Result<(), Failure> {
    let failed = |what: &str, error: std::io::Error| Failure::Failed(format!("{what}: {error}"));
    let public =
        listen().map_err(|error| failed("cannot listen for the demo (PORTICO_SERVER_LISTEN)", error))?;
    let operator = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(|error| failed("cannot listen for health checks", error))?;
    let port = public.local_addr().map_err(|error| failed("cannot read the port of the demo", error))?.port();
    let public_url = format!("http://localhost:{port}");
    let idp = DemoIdp::start(IdpConfig::demo(&public_url))
        .map_err(|error| failed("cannot start the demo identity provider", error))?;
    let environment = Sources::from_process(None, None);
    let set: Vec<_> = environment.names().map(str::to_owned).collect();
    let loaded = settings(environment, &public_url, &idp)?;
    let settings = &loaded.settings;
    log::init(settings.log_format, &settings.log_filter, None)
        .map_err(|error| Failure::Configuration(format!("cannot start logging: {error}")))?;
    if !set.is_empty() {
        print_out(&format!("Overridden by the environment: {}", set.join(", ")));
    }
    serve(loaded, (public, operator), &idp)
}

/// Listens on the address of `PORTICO_SERVER_LISTEN`, or else on a free port.
fn listen() -> std::io::Result<TcpListener> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the address of the demo is part of its settings, so it is read before them"
    )]
    match std::env::var("PORTICO_SERVER_LISTEN") {
        Ok(address) => TcpListener::bind(address),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))),
    }
}

fn settings(environment: Sources, public_url: &str, idp: &DemoIdp) -> Result<Loaded, Failure> {
    let mut variables = BTreeMap::from([
        ("PORTICO_PUBLIC_URL".to_owned(), public_url.to_owned()),
        ("PORTICO_SERVER_ERROR_URL".to_owned(), format!("{public_url}/")),
        ("PORTICO_SECURITY_POST_LOGOUT_REDIRECT_URL".to_owned(), format!("{public_url}/")),
        ("PORTICO_SECURITY_SECRET_KEY".to_owned(), portico_core::seal::base64url(&Entropy.bytes::<32>())),
        ("PORTICO_STORAGE_URL".to_owned(), "sqlite::memory:".to_owned()),
        ("PORTICO_LOG_LEVEL".to_owned(), "warn".to_owned()),
    ]);
    for protocol in portico_core::slot::Protocol::ALL {
        let slots = portico_core::slot::SlotName::ALL.map(portico_core::slot::SlotName::as_str).join(",");
        variables.insert(format!("PORTICO_SECURITY_{protocol}_PROVIDERS").to_uppercase(), slots);
    }
    for slot in idp.realms().iter().filter_map(|realm| realm.slot_settings()) {
        variables.extend(slot_variables(slot));
    }
    Loaded::load(&environment.with_fallback(variables)).map_err(Failure::Mistakes)
}

fn slot_variables(slot: SlotSettings) -> Vec<(String, String)> {
    let prefix = format!("PORTICO_{}_{}", slot.protocol.as_str(), slot.slot).to_uppercase();
    let mut values = vec![
        ("CLIENT_ID", slot.client_id),
        ("TOKEN_ENDPOINT_AUTH_METHOD", slot.token_endpoint_auth_method.to_owned()),
        ("DISPLAY_LABEL", slot.display_label),
        ("ICON", slot.icon),
    ];
    values.extend(slot.client_secret.map(|secret| ("CLIENT_SECRET", secret)));
    match slot.endpoints {
        SlotEndpoints::Discovery { discovery_url } => {
            // The default issuer of a google slot is Google's.
            let issuer = discovery_url.trim_end_matches("/.well-known/openid-configuration").to_owned();
            values.push(("ISSUER", issuer));
            values.push(("DISCOVERY_URL", discovery_url));
        }
        SlotEndpoints::Endpoints { authorization_url, token_url, userinfo_url } => {
            values.push(("AUTHORIZATION_URL", authorization_url));
            values.push(("TOKEN_URL", token_url));
            values.push(("USERINFO_URL", userinfo_url));
        }
    }
    values.into_iter().map(|(name, value)| (format!("{prefix}_{name}"), value)).collect()
}

fn serve(loaded: Loaded, listeners: (TcpListener, TcpListener), idp: &DemoIdp) -> Result<(), Failure> {
    let runtime = runtime()?;
    let service = runtime.block_on(async {
        let storage = Storage::open_for_serving(&loaded.settings.storage_url).await?;
        prepare(&storage, true).await?;
        Service::begin(loaded, storage.store(), Clock::System, runtime.handle().clone()).await
    })?;
    let live = service.live();
    let icons: Arc<str> = icons(&live.now()).into();
    let page = move |config: &mut ServiceConfig| page(config, &icons);
    let recorder = telemetry::install()?;
    runtime.spawn(telemetry::run_upkeep(recorder.clone()));
    let metrics: Metrics = Arc::new(move || recorder.render());
    let failed = |error: std::io::Error| Failure::Failed(format!("a listener failed: {error}"));
    actix_web::rt::System::new().block_on(async {
        let listeners = Listeners::start(live, listeners, &metrics, page).map_err(failed)?;
        print_out(&format!(
            "Portico demo: open {}/\nDemo identity provider: {} (three invented users, no passwords)\n\
             Nothing is stored. Press Ctrl-C to stop.",
            service.loaded().settings.public_url.as_str(),
            idp.base_url()
        ));
        listeners.run().await.map_err(failed)
    })
}

/// The SVG paths of the slots' icons, by icon name.
fn icons(portico: &Portico) -> String {
    let slots = portico.broker().slots().iter().map(|slot| &slot.settings);
    let shapes = slots.map(|slot| (slot.button.icon.clone(), portico.icon_path(slot.id())));
    serde_json::Value::Object(shapes.map(|(name, path)| (name, path.into())).collect()).to_string()
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($path:literal, $kind:literal, $file:literal;)*) => {
        [$(($path, $kind, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $file)))),*]
    };
}

/// The example application: path, media type, content.
const FILES: [(&str, &str, &str); 8] = files! {
    "/", "text/html; charset=utf-8", "demo/index.html";
    "/demo/style.css", "text/css; charset=utf-8", "demo/style.css";
    "/demo/app.js", "text/javascript; charset=utf-8", "demo/app.js";
    "/demo/icon.svg", "image/svg+xml", "demo/icon.svg";
    "/demo/docs/frontend.md", "text/plain; charset=utf-8", "../../docs/frontend.md";
    "/demo/docs/login.md", "text/plain; charset=utf-8", "../../docs/login.md";
    "/demo/docs/errors.md", "text/plain; charset=utf-8", "../../docs/errors.md";
    "/demo/docs/operating.md", "text/plain; charset=utf-8", "../../docs/operating.md";
};

fn page(config: &mut ServiceConfig, icons: &Arc<str>) {
    for (path, kind, content) in FILES {
        config.route(path, web::get().to(move || async move { answer(kind).body(content) }));
    }
    let icons = Arc::clone(icons);
    let shapes = move || {
        let icons = icons.to_string();
        async move { answer("application/json").body(icons) }
    };
    config.route("/demo/icons.json", web::get().to(shapes));
}

fn answer(kind: &'static str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(kind)))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    answer
}
