//! The running provider: one listener on loopback, served by actix-web on background threads.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, rt, web};

use crate::config::{IdpConfig, RealmKind, SlotSettings};
use crate::grants::{Consent, Scope};
use crate::keys::KeyError;
use crate::random::random_id;
use crate::realm::Realm;
use crate::state::ProviderState;
use crate::sync::lock;
use crate::{authorize, discovery, logout, mint, pages, token, userinfo};

/// The maximum size of a request body, in bytes.
const MAX_BODY_BYTES: usize = 32 * 1024;

/// A running provider. Dropping it stops the server.
pub struct DemoIdp {
    state: web::Data<ProviderState>,
    handle: ServerHandle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl DemoIdp {
    /// Binds 127.0.0.1 and serves from background threads. Connections are accepted when it returns.
    ///
    /// The caller needs no async runtime. A call from inside a runtime is allowed.
    pub fn start(config: IdpConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", config.port))?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let state = web::Data::new(ProviderState::new(base_url, config.realms).map_err(io::Error::other)?);
        let (sender, receiver) = mpsc::channel();
        let shared = state.clone();
        let workers = config.workers.max(1);
        let thread = std::thread::Builder::new()
            .name("demo-idp".to_owned())
            .spawn(move || serve(shared, listener, workers, &sender))?;
        let handle = receiver.recv().map_err(io::Error::other)??;
        Ok(Self { state, handle, thread: Mutex::new(Some(thread)) })
    }

    /// `http://127.0.0.1:<port>`, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.state.base_url
    }

    /// The OIDC realm of this name.
    pub fn oidc(&self, name: &str) -> Option<Arc<Realm>> {
        self.state.find(RealmKind::Oidc, name)
    }

    /// The plain OAuth 2.0 realm of this name.
    pub fn oauth2(&self, name: &str) -> Option<Arc<Realm>> {
        self.state.find(RealmKind::OAuth2, name)
    }

    /// All realms in the order of the configuration.
    pub fn realms(&self) -> &[Arc<Realm>] {
        self.state.realms()
    }

    /// The settings with which Portico uses the realms as its slots, in the order of the configuration.
    pub fn slot_settings(&self) -> Vec<SlotSettings> {
        self.realms().iter().filter_map(|realm| realm.slot_settings()).collect()
    }

    /// A URL that a correct client never calls. Each call is counted.
    pub fn canary_url(&self) -> String {
        format!("{}/canary", self.state.base_url)
    }

    /// The number of calls of the canary URL.
    pub fn canary_calls(&self) -> u64 {
        self.state.canary_calls.load(Ordering::SeqCst)
    }

    /// Issues an ID token without a login, with the current knobs applied.
    ///
    /// The scope is `openid profile email`; the token has no `at_hash`. The result is `None` if the client or
    /// the person is unknown, or if the knobs suppress the ID token.
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
            sid: random_id().simple().to_string(),
        };
        mint::id_token(&self.state, realm, &consent, None)
    }

    /// Issues a logout token (OIDC Back-Channel Logout 1.0, 2.4) for a client, with the current knobs
    /// applied.
    ///
    /// The token names a person (`sub`), one of their sessions (`sid`), or both.
    ///
    /// # Errors
    /// Fails if the realm has no key that the knobs require.
    pub fn mint_logout_token(
        &self,
        realm: &Realm,
        client_id: &str,
        sub: Option<&str>,
        sid: Option<&str>,
    ) -> Result<String, KeyError> {
        mint::logout_token(&self.state, realm, client_id, (sub, sid))
    }

    /// Stops the server, aborts requests in flight and frees the port. Further calls do nothing.
    pub fn stop(&self) {
        let Some(thread) = lock(&self.thread).take() else { return };
        // `stop` sends the command immediately. Its future only waits for completion, as does the join.
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
        f.debug_struct("DemoIdp").field("base_url", &self.state.base_url).finish_non_exhaustive()
    }
}

fn serve(
    state: web::Data<ProviderState>,
    listener: TcpListener,
    workers: usize,
    started: &mpsc::Sender<io::Result<ServerHandle>>,
) {
    rt::System::new().block_on(async move {
        let app = move || App::new().app_data(state.clone()).configure(routes);
        let server =
            HttpServer::new(app).workers(workers).disable_signals().shutdown_timeout(1).listen(listener);
        match server.map(HttpServer::run) {
            Ok(server) => {
                let _ = started.send(Ok(server.handle()));
                if let Err(error) = server.await {
                    tracing::error!(%error, "demo identity provider stopped");
                }
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

fn routes(app: &mut web::ServiceConfig) {
    app.app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
        .route("/assets/demo-idp.css", web::get().to(pages::style))
        .route("/assets/form-post.js", web::get().to(pages::script))
        .route("/canary", web::to(canary))
        .route("/canary/{rest:.*}", web::to(canary))
        .service(
            web::scope("/{kind}/{realm}")
                .route("/.well-known/openid-configuration", web::get().to(discovery::document))
                .route("/apps/oidc/openid-configuration", web::get().to(discovery::document))
                .route("/jwks", web::get().to(discovery::jwks))
                .route("/authorize", web::get().to(authorize::show_login))
                .route("/authorize", web::post().to(authorize::choose_person))
                .route("/token", web::post().to(token::exchange))
                .route("/userinfo", web::get().to(userinfo::userinfo))
                .route("/userinfo", web::post().to(userinfo::userinfo))
                .route("/emails", web::get().to(userinfo::emails))
                .route("/groups", web::get().to(userinfo::groups))
                .route("/end_session", web::get().to(logout::end_session))
                .route("/end_session", web::post().to(logout::end_session)),
        );
}

async fn canary(state: web::Data<ProviderState>) -> HttpResponse {
    state.canary_calls.fetch_add(1, Ordering::SeqCst);
    HttpResponse::Ok().json(serde_json::json!({}))
}
