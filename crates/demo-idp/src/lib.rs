//! A small real OIDC provider and OAuth 2.0 server on loopback.
//!
//! `portico demo` starts it as the login page of the demonstration. The tests and the benchmark start it as
//! an identity provider whose responses a test can change.
//!
//! The provider follows the specifications. A code works once, for 60 seconds, and only with the client,
//! redirect URI and PKCE challenge it was issued for. Redirect URIs are compared byte by byte. A client must
//! authenticate with its registered method. Keys can be rotated, and calls are counted.
//!
//! The crate depends neither on Portico's crates nor on the OIDC library that Portico uses. An error in
//! either is therefore not repeated here, and the tests detect it.
//!
//! One port serves several *realms*: `/oidc/<name>` is an OIDC issuer, `/oauth2/<name>` a plain OAuth 2.0
//! server.
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
mod bounded_map;
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
mod random;
mod realm;
mod server;
mod state;
mod sync;
mod token;
mod traffic;
mod userinfo;

pub use config::{
    Client, ClientAuth, IdpConfig, Person, RealmConfig, RealmKind, SlotEndpoints, SlotSettings,
};
pub use keys::{KeyError, OldKeys, SigningAlgorithm};
pub use realm::{Issued, Realm};
pub use server::DemoIdp;
pub use traffic::{CapturedRequest, Counters, Endpoint};
