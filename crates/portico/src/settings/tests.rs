//! Tests of the settings as a whole: variables and a file in, typed values and mistakes out.

mod access;
mod client_auth;
mod origin;
mod properties;
mod slots;
mod warnings;
mod whole;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use portico_core::admission::RoleMap;
use portico_core::keys::TokenAlg;
use portico_core::provider::{
    ClientAuth, NonceMode, OAuth2Settings, OidcSettings, Pkce, ProviderKind, ResponseMode, SignatureCheck,
    SigningAlg, Slot, UserinfoMethod, UserinfoUse,
};
use portico_core::session::Lifetimes;
use portico_core::slot::SlotName;
use serde_json::{Value as Json, json};
use url::Url;

use super::*;

const KEY: &str = "b3RoZXItc2VjcmV0LWtleS1vZi10aGUtdGVzdHMtMDI=";

/// The required settings of every service.
const LEAST: [(&str, &str); 2] =
    [("PORTICO_PUBLIC_URL", "https://login.example.com"), ("PORTICO_SECURITY_SECRET_KEY", KEY)];

/// A complete slot of each kind.
const OIDC: [(&str, &str); 3] = [
    ("PORTICO_SECURITY_OIDC_PROVIDERS", "provider1"),
    ("PORTICO_OIDC_PROVIDER1_CLIENT_ID", "client"),
    ("PORTICO_OIDC_PROVIDER1_DISCOVERY_URL", "https://idp.example.com"),
];
const OAUTH2: [(&str, &str); 5] = [
    ("PORTICO_SECURITY_OAUTH2_PROVIDERS", "provider1"),
    ("PORTICO_OAUTH2_PROVIDER1_CLIENT_ID", "client"),
    ("PORTICO_OAUTH2_PROVIDER1_AUTHORIZATION_URL", "https://git.example.com/authorize"),
    ("PORTICO_OAUTH2_PROVIDER1_TOKEN_URL", "https://git.example.com/token?a=b"),
    ("PORTICO_OAUTH2_PROVIDER1_USERINFO_URL", "https://git.example.com/user"),
];
const GOOGLE: [(&str, &str); 6] = [
    ("PORTICO_SECURITY_OIDC_PROVIDERS", "google"),
    ("PORTICO_OIDC_GOOGLE_CLIENT_ID", "client"),
    ("PORTICO_OIDC_GOOGLE_CLIENT_SECRET", "hush"),
    ("PORTICO_SECURITY_OAUTH2_PROVIDERS", "google"),
    ("PORTICO_OAUTH2_GOOGLE_CLIENT_ID", "client"),
    ("PORTICO_OAUTH2_GOOGLE_CLIENT_SECRET", "hush"),
];

/// A file that is deleted on drop.
struct TempFile(PathBuf);

impl TempFile {
    fn new(content: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("portico-settings-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn variables(groups: &[&[(&str, &str)]]) -> BTreeMap<String, String> {
    groups.concat().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Loads the required settings and these variables.
fn load(groups: &[&[(&str, &str)]]) -> Result<Loaded, Vec<String>> {
    let mut all = variables(&[&LEAST]);
    all.extend(variables(groups));
    load_exactly(all)
}

fn load_exactly(variables: BTreeMap<String, String>) -> Result<Loaded, Vec<String>> {
    Loaded::load(&Sources::from_variables(variables))
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

/// The only mistake.
#[track_caller]
fn mistake(groups: &[&[(&str, &str)]]) -> String {
    let mistakes = load(groups).map(|_| ()).expect_err("a mistake");
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    mistakes[0].clone()
}

#[track_caller]
fn fine(groups: &[&[(&str, &str)]]) -> Loaded {
    load(groups).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

#[track_caller]
fn slot(groups: &[&[(&str, &str)]]) -> Slot {
    fine(groups).settings.slots.into_iter().next().expect("a slot")
}

fn oidc(slot: &Slot) -> &OidcSettings {
    match &slot.kind {
        ProviderKind::Oidc(oidc) => oidc,
        ProviderKind::OAuth2(_) => panic!("an OAuth 2.0 slot"),
    }
}

fn oauth2(slot: &Slot) -> &OAuth2Settings {
    match &slot.kind {
        ProviderKind::OAuth2(oauth2) => oauth2,
        ProviderKind::Oidc(_) => panic!("an OpenID Connect slot"),
    }
}
