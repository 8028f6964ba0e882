//! Configuration of a provider: its realms, their clients and their people.

use std::fmt;

use serde::Serialize;

use crate::keys::SigningAlgorithm;
use crate::knobs::Knobs;
use crate::random::random_id;

/// The protocol of a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RealmKind {
    /// OpenID Connect: discovery, keys, ID tokens.
    Oidc,
    /// Plain OAuth 2.0: opaque access tokens and a userinfo endpoint.
    OAuth2,
}

impl RealmKind {
    /// The first segment of the realm's paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::OAuth2 => "oauth2",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Oidc, Self::OAuth2].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Configuration of a provider: one port, several realms.
#[derive(Debug, Clone)]
pub struct IdpConfig {
    /// The port on 127.0.0.1; 0 selects a free port.
    pub port: u16,
    /// The number of worker threads.
    pub workers: usize,
    /// The realms. A later realm replaces an earlier one with the same kind and name.
    pub realms: Vec<RealmConfig>,
}

/// One issuer (OIDC) or one authorization server (OAuth 2.0), under `/<kind>/<name>`.
#[derive(Debug, Clone)]
pub struct RealmConfig {
    /// The protocol of the realm.
    pub kind: RealmKind,
    /// The name in the paths; letters, digits, `-` and `_`.
    pub name: String,
    /// The title on the login page.
    pub title: String,
    /// The icon that the slot settings name, as `mdi:<name>`.
    pub icon: String,
    /// The algorithm of the first signing key.
    pub algorithm: SigningAlgorithm,
    /// The registered clients.
    pub clients: Vec<Client>,
    /// The people who can log in.
    pub people: Vec<Person>,
    /// The initial knobs.
    pub knobs: Knobs,
}

impl RealmConfig {
    /// A realm with the three default people and no client.
    pub fn new(kind: RealmKind, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            kind,
            title: name.clone(),
            name,
            icon: "mdi:account-key".to_owned(),
            algorithm: SigningAlgorithm::default(),
            clients: Vec::new(),
            people: Person::examples(),
            knobs: Knobs::default(),
        }
    }
}

/// The authentication method of a client at the token endpoint. Every other method is refused.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// `none`: a public client, which must use PKCE and must not send a secret.
    Public,
    /// `client_secret_basic`, with any of these secrets.
    Basic(Vec<String>),
    /// `client_secret_post`, with any of these secrets.
    Post(Vec<String>),
    /// `private_key_jwt` with ES256 and this public key, an uncompressed point on P-256.
    PrivateKey(Vec<u8>),
}

impl ClientAuth {
    /// `client_secret_basic` with one secret.
    pub fn basic(secret: impl Into<String>) -> Self {
        Self::Basic(vec![secret.into()])
    }

    /// `client_secret_post` with one secret.
    pub fn post(secret: impl Into<String>) -> Self {
        Self::Post(vec![secret.into()])
    }

    /// The name in the IANA registry of authentication methods.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Public => "none",
            Self::Basic(_) => "client_secret_basic",
            Self::Post(_) => "client_secret_post",
            Self::PrivateKey(_) => "private_key_jwt",
        }
    }

    /// The first secret, if the method has one.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Public | Self::PrivateKey(_) => None,
            Self::Basic(secrets) | Self::Post(secrets) => secrets.first().map(String::as_str),
        }
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())
    }
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The `client_id`.
    pub id: String,
    /// The authentication method and its secrets.
    pub auth: ClientAuth,
    /// The registered redirect URIs; compared byte by byte.
    pub redirect_uris: Vec<String>,
    /// The registered post-logout redirect URIs; compared byte by byte.
    pub post_logout_redirect_uris: Vec<String>,
    /// Whether a login without PKCE is refused. PKCE is always required for public clients.
    pub pkce_required: bool,
}

impl Client {
    /// A client with one redirect URI.
    pub fn new(id: impl Into<String>, auth: ClientAuth, redirect_uri: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            auth,
            redirect_uris: vec![redirect_uri.into()],
            post_logout_redirect_uris: Vec::new(),
            pkce_required: false,
        }
    }
}

/// A fictitious person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// `sub`, the identifier that never changes.
    pub sub: String,
    /// `name`.
    pub name: Option<String>,
    /// `preferred_username`.
    pub preferred_username: Option<String>,
    /// `email`.
    pub email: Option<String>,
    /// `email_verified`; sent only with an e-mail address.
    pub email_verified: bool,
    /// `groups`.
    pub groups: Vec<String>,
    /// `picture`.
    pub picture: Option<String>,
}

impl Person {
    /// A person with a name and a verified address at example.com.
    pub fn new(sub: impl Into<String>, name: impl Into<String>) -> Self {
        let (sub, name) = (sub.into(), name.into());
        let login = name.split_whitespace().next().unwrap_or("someone").to_lowercase();
        Self {
            sub,
            name: Some(name),
            email: Some(format!("{login}@example.com")),
            preferred_username: Some(login),
            email_verified: true,
            groups: Vec::new(),
            picture: None,
        }
    }

    /// The three default people of each realm: `ada-1`, `bruno-2` and `chidi-3`.
    pub fn examples() -> Vec<Self> {
        let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        vec![
            Self { groups: groups(&["engineering", "admins"]), ..Self::new("ada-1", "Ada Example") },
            Self { groups: groups(&["engineering"]), ..Self::new("bruno-2", "Bruno Beispiel") },
            Self {
                groups: groups(&["support"]),
                email_verified: false,
                ..Self::new("chidi-3", "Chidi Sample")
            },
        ]
    }
}

impl IdpConfig {
    /// Six realms with one client each, one realm per slot of a Portico at this public URL.
    ///
    /// The realms differ in client authentication (header, body or none), in the source of the profile claims
    /// (ID token or userinfo) and in the signature algorithm. Each call generates new secrets.
    pub fn demo(portico_public_url: &str) -> Self {
        let public = portico_public_url.trim_end_matches('/');
        let mut realms = vec![
            demo_realm(RealmKind::Oidc, "provider1", "Example Identity", "mdi:shield-account", basic()),
            demo_realm(RealmKind::Oidc, "provider2", "Sample Directory", "mdi:domain", ClientAuth::Public),
            demo_realm(RealmKind::Oidc, "google", "Google (demo)", "mdi:google", post()),
            demo_realm(RealmKind::OAuth2, "provider1", "Example Forge", "mdi:source-branch", basic()),
            demo_realm(RealmKind::OAuth2, "provider2", "Sample Chat", "mdi:chat-outline", post()),
            demo_realm(RealmKind::OAuth2, "google", "Google (demo)", "mdi:google", post()),
        ];
        for realm in &mut realms {
            let callback = format!("{public}/auth/{}/{}/callback", realm.kind.as_str(), realm.name);
            for client in &mut realm.clients {
                client.redirect_uris = vec![callback.clone()];
                client.post_logout_redirect_uris = vec![format!("{public}/"), public.to_owned()];
            }
            match (realm.kind, realm.name.as_str()) {
                (RealmKind::Oidc, "provider2") => {
                    realm.algorithm = SigningAlgorithm::EdDsa;
                    realm.knobs.id_token.profile_only_at_userinfo = true;
                }
                (RealmKind::Oidc, "google") => realm.algorithm = SigningAlgorithm::Rs256,
                (RealmKind::Oidc | RealmKind::OAuth2, _) => {}
            }
        }
        Self { port: 0, workers: 1, realms }
    }
}

fn demo_realm(kind: RealmKind, name: &str, title: &str, icon: &str, auth: ClientAuth) -> RealmConfig {
    let id = format!("portico-{}-{name}", kind.as_str());
    let client = Client { redirect_uris: Vec::new(), ..Client::new(id, auth, "") };
    RealmConfig {
        title: title.to_owned(),
        icon: icon.to_owned(),
        clients: vec![client],
        ..RealmConfig::new(kind, name)
    }
}

fn basic() -> ClientAuth {
    ClientAuth::basic(new_secret())
}

fn post() -> ClientAuth {
    ClientAuth::post(new_secret())
}

fn new_secret() -> String {
    format!("demo-{}", random_id().simple())
}

/// The settings with which a Portico slot uses the first client of a realm.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SlotSettings {
    /// The protocol of the slot.
    pub protocol: RealmKind,
    /// The name of the slot, equal to the name of the realm.
    pub slot: String,
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`; `None` for a public client.
    pub client_secret: Option<String>,
    /// `token_endpoint_auth_method`.
    pub token_endpoint_auth_method: &'static str,
    /// `display_label`.
    pub display_label: String,
    /// `icon`.
    pub icon: String,
    /// The URLs of the realm.
    #[serde(flatten)]
    pub endpoints: SlotEndpoints,
}

impl fmt::Debug for SlotSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotSettings")
            .field("protocol", &self.protocol)
            .field("slot", &self.slot)
            .field("client_id", &self.client_id)
            .field("token_endpoint_auth_method", &self.token_endpoint_auth_method)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// The URLs in the configuration of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SlotEndpoints {
    /// An OIDC slot reads its endpoints from the discovery document.
    Discovery {
        /// `discovery_url`.
        discovery_url: String,
    },
    /// An OAuth 2.0 slot has a setting for each endpoint.
    Endpoints {
        /// `authorization_url`.
        authorization_url: String,
        /// `token_url`.
        token_url: String,
        /// `userinfo_url`.
        userinfo_url: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_six_slots_with_exact_callbacks() {
        let config = IdpConfig::demo("http://127.0.0.1:8000/portico/");
        let callbacks: Vec<&str> =
            config.realms.iter().map(|realm| realm.clients[0].redirect_uris[0].as_str()).collect();
        assert_eq!(callbacks.len(), 6);
        assert!(callbacks.contains(&"http://127.0.0.1:8000/portico/auth/oauth2/provider2/callback"));
    }

    #[test]
    fn no_secret_is_in_a_debug_text() {
        let config = IdpConfig::demo("http://127.0.0.1:8000");
        let secret = config.realms[0].clients[0].auth.secret().unwrap().to_owned();
        assert!(!format!("{config:?}").contains(&secret));
    }
}
