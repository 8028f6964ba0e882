//! A small real OIDC provider and OAuth 2.0 server on loopback.
//!
//! `portico demo` starts it so that a person has somewhere to log in; the tests and the benchmark start it as an identity provider
//! whose every answer can be bent. It *behaves*: codes work once, for 60 seconds, for the client, redirect URI and PKCE challenge
//! they were issued for; redirect URIs are compared byte by byte; a client must authenticate exactly as registered; keys rotate; calls
//! are counted. It knows nothing of Portico's own crates and nothing of the OIDC library Portico uses, so a mistake of either
//! cannot hide on both sides.
//!
//! One port serves several *realms*: `/oidc/<name>` is an OIDC issuer, `/oauth2/<name>` a plain OAuth 2.0 server.
//!
//! ```
//! use portico_demo_idp::{Client, ClientAuth, DemoIdp, IdpConfig, RealmKind, RealmConfig, knobs::AutoLogin};
//!
//! let mut realm = RealmConfig::new(RealmKind::Oidc, "main");
//! realm.clients.push(Client::new("app", ClientAuth::basic("secret"), "http://127.0.0.1:1/callback"));
//! let idp = DemoIdp::start(IdpConfig { port: 0, workers: 1, realms: vec![realm] })?;
//!
//! let realm = idp.oidc("main").ok_or("no such realm")?;
//! realm.knobs(|knobs| {
//!     knobs.authorize.auto_login = AutoLogin::As("ada-1".to_owned());
//!     knobs.id_token.claims.set("aud", "someone-else").remove("nonce");
//! });
//! assert_eq!(realm.counters().token, 0);
//! idp.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod assertion;
mod authorize;
mod bounded;
mod client_auth;
mod clock;
mod config;
mod discovery;
mod grants;
mod keys;
pub mod knobs;
mod logout;
mod mint;
mod pages;
mod params;
pub mod personas;
mod realm;
mod server;
mod token;
mod traffic;
mod userinfo;
mod world;

pub use config::{
    Client, ClientAuth, IdpConfig, Person, RealmConfig, RealmKind, SlotEndpoints, SlotSettings,
};
pub use keys::{KeyError, OldKeys, SigningAlgorithm};
pub use realm::{Issued, Realm};
pub use server::DemoIdp;
pub use traffic::{CapturedRequest, Counters, Endpoint};
