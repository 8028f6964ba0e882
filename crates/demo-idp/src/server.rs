//! The running provider: one listener on loopback, actix-web on threads of its own.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, rt, web};
use uuid::Uuid;

use crate::config::{IdpConfig, RealmKind, SlotSettings};
use crate::grants::{Consent, Scope};
use crate::keys::KeyError;
use crate::realm::{Realm, locked};
use crate::world::World;
use crate::{authorize, discovery, logout, mint, pages, token, userinfo};

/// The largest body accepted.
const LARGEST_BODY: usize = 32 * 1024;

/// A provider that is serving. Dropping it stops it.
pub struct DemoIdp {
    world: web::Data<World>,
    handle: ServerHandle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl DemoIdp {
    /// Binds 127.0.0.1 and serves from background threads; when this returns, connections are accepted.
    ///
    /// It needs no runtime of the caller and may be called from inside one.
    pub fn start(config: IdpConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", config.port))?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let world = web::Data::new(World::new(base_url, config.realms).map_err(io::Error::other)?);
        let (sender, receiver) = mpsc::channel();
        let shared = world.clone();
        let workers = config.workers.max(1);
        let thread = std::thread::Builder::new()
            .name("demo-idp".to_owned())
            .spawn(move || serve(shared, listener, workers, &sender))?;
        let handle = receiver.recv().map_err(io::Error::other)??;
        Ok(Self { world, handle, thread: Mutex::new(Some(thread)) })
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.world.base_url
    }

    /// The OIDC realm of this name.
    pub fn oidc(&self, name: &str) -> Option<Arc<Realm>> {
        self.world.find(RealmKind::Oidc, name)
    }

    /// The plain OAuth 2.0 realm of this name.
    pub fn oauth2(&self, name: &str) -> Option<Arc<Realm>> {
        self.world.find(RealmKind::OAuth2, name)
    }

    /// All realms in the order of the configuration.
    pub fn realms(&self) -> &[Arc<Realm>] {
        self.world.realms()
    }

    /// What a Portico needs to know to use the realms as its slots, in the order of the configuration.
    pub fn slot_settings(&self) -> Vec<SlotSettings> {
        self.realms().iter().filter_map(|realm| realm.slot_settings()).collect()
    }

    /// An address nobody should ever call; every call is counted.
    pub fn canary_url(&self) -> String {
        format!("{}/canary", self.world.base_url)
    }

    /// How often the canary was called.
    pub fn canary_calls(&self) -> u64 {
        self.world.canary.load(Ordering::SeqCst)
    }

    /// An ID token as a login would yield it, knobs included, without a login. Scope is `openid profile email`; there is no `at_hash`.
    ///
    /// `None` if the client or the person is unknown or the knobs say that no ID token is due.
    pub fn mint_id_token(
        &self,
        realm: &Realm,
        client_id: &str,
        sub: &str,
        nonce: Option<&str>,
    ) -> Result<Option<String>, KeyError> {
        let (Some(client), Some(person)) = (realm.find_client(client_id), realm.find_person(sub)) else {
            return Ok(None);
        };
        let consent = Consent {
            client_id: client.id.clone(),
            person,
            scope: Scope::parse("openid profile email"),
            nonce: nonce.map(str::to_owned),
            auth_time: realm.now(),
            sid: Uuid::new_v4().simple().to_string(),
        };
        mint::id_token(&self.world, realm, &consent, None)
    }

    /// A logout token (OIDC Back-Channel Logout 1.0, 2.4) for a client, about a person, one of their sessions, or both; bent as
    /// the knobs say.
    ///
    /// # Errors
    /// When the realm has no key that the knobs ask for.
    pub fn mint_logout_token(
        &self,
        realm: &Realm,
        client_id: &str,
        sub: Option<&str>,
        sid: Option<&str>,
    ) -> Result<String, KeyError> {
        mint::logout_token(&self.world, realm, client_id, (sub, sid))
    }

    /// Stops serving and frees the port; requests in flight are cut off. Further calls do nothing.
    pub fn stop(&self) {
        let Some(thread) = locked(&self.thread).take() else { return };
        // The command is sent at once; the future would only wait for the end, and so does the join.
        drop(self.handle.stop(false));
        let _ = thread.join();
    }
}

impl Drop for DemoIdp {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for DemoIdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DemoIdp").field("base_url", &self.world.base_url).finish_non_exhaustive()
    }
}

fn serve(
    world: web::Data<World>,
    listener: TcpListener,
    workers: usize,
    started: &mpsc::Sender<io::Result<ServerHandle>>,
) {
    rt::System::new().block_on(async move {
        let app = move || App::new().app_data(world.clone()).configure(routes);
        let server =
            HttpServer::new(app).workers(workers).disable_signals().shutdown_timeout(1).listen(listener);
        match server.map(HttpServer::run) {
            Ok(server) => {
                let _ = started.send(Ok(server.handle()));
                if let Err(error) = server.await {
                    tracing::error!(%error, "the demo identity provider stopped");
                }
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

fn routes(app: &mut web::ServiceConfig) {
    app.app_data(web::PayloadConfig::new(LARGEST_BODY))
        .route("/assets/demo-idp.css", web::get().to(pages::style))
        .route("/assets/form-post.js", web::get().to(pages::script))
        .route("/canary", web::to(canary))
        .route("/canary/{rest:.*}", web::to(canary))
        .service(
            web::scope("/{kind}/{realm}")
                .route("/.well-known/openid-configuration", web::get().to(discovery::document))
                .route("/apps/oidc/openid-configuration", web::get().to(discovery::document))
                .route("/jwks", web::get().to(discovery::jwks))
                .route("/authorize", web::get().to(authorize::arrive))
                .route("/authorize", web::post().to(authorize::choose))
                .route("/token", web::post().to(token::exchange))
                .route("/userinfo", web::get().to(userinfo::userinfo))
                .route("/userinfo", web::post().to(userinfo::userinfo))
                .route("/emails", web::get().to(userinfo::emails))
                .route("/groups", web::get().to(userinfo::groups))
                .route("/end_session", web::get().to(logout::end_session))
                .route("/end_session", web::post().to(logout::end_session)),
        );
}

async fn canary(world: web::Data<World>) -> HttpResponse {
    world.canary.fetch_add(1, Ordering::SeqCst);
    HttpResponse::Ok().json(serde_json::json!({}))
}
