//! A realm: one issuer or authorization server with its clients, people, keys, knobs and grants.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::config::{Client, Person, RealmConfig, RealmKind, SlotEndpoints, SlotSettings};
use crate::grants::Grants;
use crate::keys::{KeyError, KeyRing, OldKeys, SigningAlgorithm};
use crate::knobs::Knobs;
use crate::random::random_id;
use crate::sync::lock;
use crate::traffic::{CapturedRequest, Counters, Endpoint, Traffic};

/// The tokens a realm issued last, for tests that search other output for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The access token.
    pub access_token: String,
    /// The ID token, if one was issued.
    pub id_token: Option<String>,
    /// The `sub` of the person the tokens belong to.
    pub sub: String,
}

/// One issuer (OIDC) or authorization server (OAuth 2.0). Clients, people, keys and knobs can change at run
/// time.
pub struct Realm {
    kind: RealmKind,
    name: String,
    title: String,
    icon: String,
    url: String,
    first_client: Option<String>,
    clients: Mutex<HashMap<String, Arc<Client>>>,
    people: Mutex<BTreeMap<String, Arc<Person>>>,
    initial_knobs: Arc<Knobs>,
    knobs: Mutex<Arc<Knobs>>,
    keys: Mutex<KeyRing>,
    last_issued: Mutex<Option<Issued>>,
    visitor_count: AtomicU64,
    used_jtis: Mutex<HashSet<String>>,
    pub(crate) grants: Grants,
    pub(crate) traffic: Traffic,
}

impl Realm {
    pub(crate) fn new(config: RealmConfig, base_url: &str) -> Result<Self, KeyError> {
        let url = format!("{base_url}/{}/{}", config.kind.as_str(), config.name);
        let initial_knobs = Arc::new(config.knobs);
        let first_client = config.clients.first().map(|client| client.id.clone());
        let clients = config.clients.into_iter().map(|client| (client.id.clone(), Arc::new(client)));
        let people = config.people.into_iter().map(|person| (person.sub.clone(), Arc::new(person)));
        Ok(Self {
            kind: config.kind,
            name: config.name,
            title: config.title,
            icon: config.icon,
            url,
            first_client,
            clients: Mutex::new(clients.collect()),
            people: Mutex::new(people.collect()),
            knobs: Mutex::new(Arc::clone(&initial_knobs)),
            initial_knobs,
            keys: Mutex::new(KeyRing::generate(config.algorithm)?),
            last_issued: Mutex::new(None),
            visitor_count: AtomicU64::new(0),
            used_jtis: Mutex::default(),
            grants: Grants::default(),
            traffic: Traffic::default(),
        })
    }

    /// The protocol of the realm.
    pub fn kind(&self) -> RealmKind {
        self.kind
    }

    /// The name of the realm in its paths.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The title on the login page.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The issuer identifier: the base URL of all endpoints.
    pub fn issuer(&self) -> &str {
        &self.url
    }

    /// The URL of the discovery document.
    pub fn discovery_url(&self) -> String {
        self.at("/.well-known/openid-configuration")
    }

    /// The URL of the JWKS.
    pub fn jwks_url(&self) -> String {
        self.at("/jwks")
    }

    /// The URL of the authorization endpoint.
    pub fn authorization_url(&self) -> String {
        self.at("/authorize")
    }

    /// The URL of the token endpoint.
    pub fn token_url(&self) -> String {
        self.at("/token")
    }

    /// The URL of the userinfo endpoint.
    pub fn userinfo_url(&self) -> String {
        self.at("/userinfo")
    }

    /// The URL of the list of e-mail addresses in GitHub's format; OAuth 2.0 realms only.
    pub fn emails_url(&self) -> String {
        self.at("/emails")
    }

    /// The URL of the group look-up in Google Cloud Identity's format.
    pub fn groups_url(&self) -> String {
        self.at("/groups")
    }

    /// The `issuer` of the discovery document, with the knobs applied.
    pub fn stated_issuer(&self) -> String {
        let issuer = self
            .current_knobs()
            .discovery
            .fields
            .get("issuer")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned);
        issuer.unwrap_or_else(|| self.url.clone())
    }

    /// Records the `jti` of a client assertion; false if it was recorded before.
    pub(crate) fn is_first_use(&self, jti: &str) -> bool {
        lock(&self.used_jtis).insert(jti.to_owned())
    }

    /// The URL of the logout endpoint.
    pub fn end_session_url(&self) -> String {
        self.at("/end_session")
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Changes knobs. A request uses the knobs as they were when it read them.
    pub fn knobs<T>(&self, change: impl FnOnce(&mut Knobs) -> T) -> T {
        change(Arc::make_mut(&mut lock(&self.knobs)))
    }

    /// Restores the knobs of the configuration.
    pub fn reset_knobs(&self) {
        *lock(&self.knobs) = Arc::clone(&self.initial_knobs);
    }

    pub(crate) fn current_knobs(&self) -> Arc<Knobs> {
        Arc::clone(&lock(&self.knobs))
    }

    /// The current time of the realm's clock, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.current_knobs().clock.unix_time()
    }

    /// Adds a person, or replaces the one with the same `sub`. A replacement takes effect at the next login.
    pub fn set_person(&self, person: Person) {
        lock(&self.people).insert(person.sub.clone(), Arc::new(person));
    }

    /// The person with this `sub`.
    pub fn find_person(&self, sub: &str) -> Option<Arc<Person>> {
        lock(&self.people).get(sub).cloned()
    }

    /// The people on the login page, sorted by `sub`; at most `limit`.
    pub(crate) fn people(&self, limit: usize) -> Vec<Arc<Person>> {
        lock(&self.people).values().take(limit).cloned().collect()
    }

    /// A new person with unique identifiers, who is not added to the realm.
    pub(crate) fn new_visitor(&self) -> Arc<Person> {
        let number = self.visitor_count.fetch_add(1, Ordering::Relaxed);
        let id = random_id().simple().to_string();
        let mut person = Person::new(format!("visitor-{id}"), format!("Visitor {id}-{number}"));
        person.preferred_username = Some(format!("visitor-{id}"));
        person.email = Some(format!("visitor-{id}@example.com"));
        Arc::new(person)
    }

    /// Registers a client, or replaces the one with the same identifier.
    pub fn put_client(&self, client: Client) {
        lock(&self.clients).insert(client.id.clone(), Arc::new(client));
    }

    /// The first client of the configuration, which the slot settings use.
    pub fn first_client(&self) -> Option<Arc<Client>> {
        self.find_client(self.first_client.as_deref()?)
    }

    /// The client with this identifier.
    pub fn find_client(&self, id: &str) -> Option<Arc<Client>> {
        lock(&self.clients).get(id).cloned()
    }

    /// The distinct authentication methods of the registered clients.
    pub(crate) fn client_auth_methods(&self) -> Vec<&'static str> {
        let mut methods: Vec<_> = lock(&self.clients).values().map(|client| client.auth.method()).collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }

    /// Replaces the signing key by a new one of the same algorithm.
    pub fn rotate_keys(&self, old: OldKeys) -> Result<(), KeyError> {
        let algorithm = self.key_ring().signing.algorithm;
        self.sign_with(algorithm, old)
    }

    /// Replaces the signing key by a new one of this algorithm.
    pub fn sign_with(&self, algorithm: SigningAlgorithm, old: OldKeys) -> Result<(), KeyError> {
        let mut keys = lock(&self.keys);
        *keys = keys.rotated(algorithm, old)?;
        Ok(())
    }

    /// The `kid` of the current signing key.
    pub fn signing_kid(&self) -> String {
        self.key_ring().signing.kid.clone()
    }

    pub(crate) fn key_ring(&self) -> KeyRing {
        lock(&self.keys).clone()
    }

    /// The number of calls of each endpoint.
    pub fn counters(&self) -> Counters {
        self.traffic.counters()
    }

    /// The number of calls of this endpoint.
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.traffic.calls(endpoint)
    }

    /// The last request to this endpoint.
    pub fn last_request(&self, endpoint: Endpoint) -> Option<CapturedRequest> {
        self.traffic.last(endpoint)
    }

    /// The tokens issued last.
    pub fn last_issued(&self) -> Option<Issued> {
        lock(&self.last_issued).clone()
    }

    pub(crate) fn record_issued(&self, issued: Issued) {
        *lock(&self.last_issued) = Some(issued);
    }

    /// The settings of a Portico slot for the first client; `None` if the configuration had no client.
    pub fn slot_settings(&self) -> Option<SlotSettings> {
        let client = self.first_client()?;
        let endpoints = match self.kind {
            RealmKind::Oidc => SlotEndpoints::Discovery { discovery_url: self.discovery_url() },
            RealmKind::OAuth2 => SlotEndpoints::Endpoints {
                authorization_url: self.authorization_url(),
                token_url: self.token_url(),
                userinfo_url: self.userinfo_url(),
            },
        };
        Some(SlotSettings {
            protocol: self.kind,
            slot: self.name.clone(),
            client_id: client.id.clone(),
            client_secret: client.auth.secret().map(str::to_owned),
            token_endpoint_auth_method: client.auth.method(),
            display_label: self.title.clone(),
            icon: self.icon.clone(),
            endpoints,
        })
    }
}

impl std::fmt::Debug for Realm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Realm").field("issuer", &self.url).finish_non_exhaustive()
    }
}
