//! A realm at run time: one issuer or authorization server with its clients, people, keys, knobs and grants.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::config::{Client, Person, RealmConfig, RealmKind, SlotEndpoints, SlotSettings};
use crate::grants::Grants;
use crate::keys::{KeyError, KeyRing, OldKeys, SigningAlgorithm};
use crate::knobs::Knobs;
use crate::traffic::{CapturedRequest, Counters, Endpoint, Traffic};

/// What a realm issued last, for tests that look for leaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The access token.
    pub access_token: String,
    /// The ID token, if one was issued.
    pub id_token: Option<String>,
    /// The subject they are about.
    pub sub: String,
}

/// One issuer (OIDC) or authorization server (OAuth 2.0). Everything about it can be changed while it runs.
pub struct Realm {
    kind: RealmKind,
    name: String,
    title: String,
    icon: String,
    url: String,
    first_client: Option<String>,
    clients: Mutex<HashMap<String, Arc<Client>>>,
    people: Mutex<BTreeMap<String, Arc<Person>>>,
    first_knobs: Arc<Knobs>,
    knobs: Mutex<Arc<Knobs>>,
    keys: Mutex<KeyRing>,
    last_issued: Mutex<Option<Issued>>,
    visitors: AtomicU64,
    statements: Mutex<HashSet<String>>,
    pub(crate) grants: Grants,
    pub(crate) traffic: Traffic,
}

impl Realm {
    pub(crate) fn new(config: RealmConfig, base_url: &str) -> Result<Self, KeyError> {
        let url = format!("{base_url}/{}/{}", config.kind.as_str(), config.name);
        let first_knobs = Arc::new(config.knobs);
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
            knobs: Mutex::new(Arc::clone(&first_knobs)),
            first_knobs,
            keys: Mutex::new(KeyRing::generate(config.algorithm)?),
            last_issued: Mutex::new(None),
            visitors: AtomicU64::new(0),
            statements: Mutex::default(),
            grants: Grants::default(),
            traffic: Traffic::default(),
        })
    }

    /// The protocol it speaks.
    pub fn kind(&self) -> RealmKind {
        self.kind
    }

    /// Its name in the path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name on the login page.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The issuer identifier: the URL all endpoints lie under.
    pub fn issuer(&self) -> &str {
        &self.url
    }

    /// The discovery document's URL.
    pub fn discovery_url(&self) -> String {
        self.at("/.well-known/openid-configuration")
    }

    /// The key set's URL.
    pub fn jwks_url(&self) -> String {
        self.at("/jwks")
    }

    /// The authorization endpoint.
    pub fn authorization_url(&self) -> String {
        self.at("/authorize")
    }

    /// The token endpoint.
    pub fn token_url(&self) -> String {
        self.at("/token")
    }

    /// The userinfo endpoint.
    pub fn userinfo_url(&self) -> String {
        self.at("/userinfo")
    }

    /// The list of e-mail addresses in GitHub's form; only on plain OAuth 2.0 realms.
    pub fn emails_url(&self) -> String {
        self.at("/emails")
    }

    /// The look-up of groups in Google Cloud Identity's form.
    pub fn groups_url(&self) -> String {
        self.at("/groups")
    }

    /// The issuer that the discovery document names, whatever the knobs made of it.
    pub fn stated_issuer(&self) -> String {
        let stated = self
            .current_knobs()
            .discovery
            .fields
            .get("issuer")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned);
        stated.unwrap_or_else(|| self.url.clone())
    }

    /// Whether a client's statement of this name comes for the first time.
    pub(crate) fn first_use_of(&self, jti: &str) -> bool {
        locked(&self.statements).insert(jti.to_owned())
    }

    /// The logout endpoint.
    pub fn end_session_url(&self) -> String {
        self.at("/end_session")
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Turns knobs. Requests that already began keep the knobs they saw.
    pub fn knobs<T>(&self, turn: impl FnOnce(&mut Knobs) -> T) -> T {
        turn(Arc::make_mut(&mut locked(&self.knobs)))
    }

    /// Turns every knob back to where it stood at the start.
    pub fn reset_knobs(&self) {
        *locked(&self.knobs) = Arc::clone(&self.first_knobs);
    }

    pub(crate) fn current_knobs(&self) -> Arc<Knobs> {
        Arc::clone(&locked(&self.knobs))
    }

    /// The time by the realm's clock, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.current_knobs().clock.read()
    }

    /// Adds a person, or changes the one with the same `sub` from the next login on.
    pub fn set_person(&self, person: Person) {
        locked(&self.people).insert(person.sub.clone(), Arc::new(person));
    }

    /// The person with this `sub`.
    pub fn find_person(&self, sub: &str) -> Option<Arc<Person>> {
        locked(&self.people).get(sub).cloned()
    }

    /// The people of the login page, by `sub`; at most `limit`.
    pub(crate) fn people(&self, limit: usize) -> Vec<Arc<Person>> {
        locked(&self.people).values().take(limit).cloned().collect()
    }

    /// Someone never seen before, who is not kept.
    pub(crate) fn new_visitor(&self) -> Arc<Person> {
        let number = self.visitors.fetch_add(1, Ordering::Relaxed);
        let id = Uuid::new_v4().simple().to_string();
        let mut person = Person::new(format!("visitor-{id}"), format!("Visitor {id}-{number}"));
        person.preferred_username = Some(format!("visitor-{id}"));
        person.email = Some(format!("visitor-{id}@example.com"));
        Arc::new(person)
    }

    /// Registers a client, or replaces the one with the same identifier.
    pub fn put_client(&self, client: Client) {
        locked(&self.clients).insert(client.id.clone(), Arc::new(client));
    }

    /// The client that slots are configured with.
    pub fn first_client(&self) -> Option<Arc<Client>> {
        self.find_client(self.first_client.as_deref()?)
    }

    /// The client with this identifier.
    pub fn find_client(&self, id: &str) -> Option<Arc<Client>> {
        locked(&self.clients).get(id).cloned()
    }

    /// The authentication methods its clients use, each once.
    pub(crate) fn client_auth_methods(&self) -> Vec<&'static str> {
        let mut methods: Vec<_> = locked(&self.clients).values().map(|client| client.auth.method()).collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }

    /// Lets a new key of the same algorithm sign from now on.
    pub fn rotate_keys(&self, old: OldKeys) -> Result<(), KeyError> {
        let algorithm = self.key_ring().signing.algorithm;
        self.sign_with(algorithm, old)
    }

    /// Lets a new key of this algorithm sign from now on.
    pub fn sign_with(&self, algorithm: SigningAlgorithm, old: OldKeys) -> Result<(), KeyError> {
        let mut keys = locked(&self.keys);
        *keys = keys.rotated(algorithm, old)?;
        Ok(())
    }

    /// The `kid` that signs at present.
    pub fn signing_kid(&self) -> String {
        self.key_ring().signing.kid.clone()
    }

    pub(crate) fn key_ring(&self) -> KeyRing {
        locked(&self.keys).clone()
    }

    /// How often each endpoint was called since the start.
    pub fn counters(&self) -> Counters {
        self.traffic.counters()
    }

    /// How often this endpoint was called since the start.
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.traffic.calls(endpoint)
    }

    /// The last request at this endpoint.
    pub fn last_request(&self, endpoint: Endpoint) -> Option<CapturedRequest> {
        self.traffic.last(endpoint)
    }

    /// What was issued last.
    pub fn last_issued(&self) -> Option<Issued> {
        locked(&self.last_issued).clone()
    }

    pub(crate) fn remember_issued(&self, issued: Issued) {
        *locked(&self.last_issued) = Some(issued);
    }

    /// What a Portico slot needs for the realm's first client; `None` if it started without one.
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

/// Locks even after another thread panicked: every value here is replaced as a whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
