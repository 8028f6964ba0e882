//! The real application and its environment: settings as an operator sets them, a database, the demo identity
//! provider, and listeners on free ports.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use portico_core::account::{Account, AccountId, Identity};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::{Clock, Entropy, Timestamp};
use portico_core::store::{AccountChange, AccountChanged, AccountFilter, AccountRef, LocalAccount};
use portico_demo_idp::{Counters, DemoIdp, Endpoint, IdpConfig, Realm};
use url::Url;

use super::running::Running;
use super::{Backend, Browser, CheckedOnDrop, Database, ErrorLog, Faulty, Rows};

/// The secret key of the tests. It is also a canary: it must never appear in any output.
pub const SECRET_KEY: &str = "Y2FuYXJ5LXNlY3JldC1rZXktb2YtdGhlLXRlc3RzLTAx";

/// A change of the provider's configuration before the provider starts.
type Bend = Box<dyn FnOnce(&mut IdpConfig)>;

/// The configuration that an application is started with.
pub struct Builder {
    backend: Backend,
    slots: Vec<String>,
    variables: Vec<(String, Option<String>)>,
    public_url: Option<String>,
    path: String,
    bend: Vec<Bend>,
}

impl Builder {
    /// Enables only these slots, in this order. The default is `provider1` and `provider2` of both protocols.
    #[must_use]
    pub fn slots(mut self, slots: &[&str]) -> Self {
        self.slots = slots.iter().map(|slot| (*slot).to_owned()).collect();
        self
    }

    /// Sets a variable; `name` is without the prefix `PORTICO_`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((format!("PORTICO_{name}"), Some(value.to_owned())));
        self
    }

    /// Removes a variable that is set by default; `name` is without the prefix `PORTICO_`.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.variables.push((format!("PORTICO_{name}"), None));
        self
    }

    /// Sets a public URL that differs from the listener's address, as behind a proxy.
    #[must_use]
    pub fn public_url(mut self, url: &str) -> Self {
        self.public_url = Some(url.to_owned());
        self
    }

    /// Appends a path to the public URL.
    #[must_use]
    pub fn under(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Changes the provider's configuration before the provider starts.
    #[must_use]
    pub fn provider(mut self, bend: impl FnOnce(&mut IdpConfig) + 'static) -> Self {
        self.bend.push(Box::new(bend));
        self
    }

    pub async fn start(self) -> TestApp {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let public_url = self.public_url.unwrap_or_else(|| format!("http://{at}{}", self.path));
        let clock = Arc::new(AtomicI64::new(Clock::System.now().unix()));
        let idp = provider(&public_url, &self.slots, self.bend, clock.load(Ordering::SeqCst));
        let database = self.backend.fresh().await;
        let mut variables = first_variables(&public_url, &database.url);
        variables.extend(slot_variables(&idp, &self.slots));
        for (name, value) in self.variables {
            match value {
                Some(value) => variables.insert(name, value),
                None => variables.remove(&name),
            };
        }
        let errors = ErrorLog::start();
        let at_clock = Clock::Set(Arc::clone(&clock));
        let running = Running::start(&variables, at_clock, listener.try_clone().unwrap(), &errors).await;
        TestApp {
            idp,
            store: Arc::clone(&running.store),
            public: Url::parse(&public_url).unwrap(),
            at,
            variables,
            listener,
            clock,
            running: Some(running),
            database,
            errors: CheckedOnDrop(errors),
        }
    }
}

fn provider(public_url: &str, slots: &[String], bend: Vec<Bend>, now: i64) -> DemoIdp {
    let mut config = IdpConfig::demo(public_url);
    config.realms.retain(|realm| slots.contains(&format!("{}/{}", realm.kind.as_str(), realm.name)));
    for realm in &mut config.realms {
        realm.knobs.clock.now = Some(now);
    }
    for bend in bend {
        bend(&mut config);
    }
    DemoIdp::start(config).unwrap()
}

fn first_variables(public_url: &str, storage_url: &str) -> BTreeMap<String, String> {
    let pairs = [
        ("PUBLIC_URL", public_url),
        ("STORAGE_URL", storage_url),
        ("SECURITY_SECRET_KEY", SECRET_KEY),
        // All requests of a test come from one address.
        ("SERVER_RATE_LIMIT", "0"),
    ];
    pairs.map(|(name, value)| (format!("PORTICO_{name}"), value.to_owned())).into()
}

/// The variables that connect these slots to the provider's realms of the same names.
pub fn slot_variables(idp: &DemoIdp, slots: &[String]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for protocol in ["oidc", "oauth2"] {
        let own: Vec<_> =
            slots.iter().filter_map(|slot| slot.strip_prefix(protocol)?.strip_prefix('/')).collect();
        variables.insert(format!("PORTICO_SECURITY_{}_PROVIDERS", protocol.to_uppercase()), own.join(","));
    }
    let wanted = |realm: &&Arc<Realm>| slots.contains(&format!("{}/{}", realm.kind().as_str(), realm.name()));
    for settings in idp.realms().iter().filter(wanted).filter_map(|realm| realm.slot_settings()) {
        let serde_json::Value::Object(fields) = serde_json::to_value(&settings).unwrap() else {
            unreachable!()
        };
        let prefix = format!("PORTICO_{}_{}", settings.protocol.as_str(), settings.slot).to_uppercase();
        let set = |(name, value): (String, serde_json::Value)| {
            let value = value.as_str()?.to_owned();
            (!["protocol", "slot"].contains(&name.as_str()))
                .then(|| (format!("{prefix}_{}", name.to_uppercase()), value))
        };
        variables.extend(fields.into_iter().filter_map(set));
        if settings.slot == "google" && settings.protocol == portico_demo_idp::RealmKind::Oidc {
            // The slot has Google's issuer built in.
            let issuer = idp.oidc("google").unwrap().issuer().to_owned();
            variables.insert(format!("{prefix}_ISSUER"), issuer);
            variables.insert(format!("{prefix}_ISSUER_ALIASES"), String::new());
        }
    }
    variables
}

/// A running application.
///
/// Dropping it fails the test if the application logged an `ERROR` line that the test does not expect.
pub struct TestApp {
    pub idp: DemoIdp,
    /// The application's store; a test can make its methods fail.
    pub store: Arc<Faulty>,
    /// The public URL.
    pub public: Url,
    /// The address on which the application listens.
    pub at: SocketAddr,
    /// The environment variables that configure the application.
    pub variables: BTreeMap<String, String>,
    listener: TcpListener,
    clock: Arc<AtomicI64>,
    running: Option<Running>,
    pub database: Database,
    errors: CheckedOnDrop,
}

impl TestApp {
    pub fn on(backend: Backend) -> Builder {
        let slots = ["oidc/provider1", "oidc/provider2", "oauth2/provider1", "oauth2/provider2"];
        let builder = Builder {
            backend,
            slots: Vec::new(),
            variables: Vec::new(),
            public_url: None,
            path: String::new(),
            bend: Vec::new(),
        };
        builder.slots(&slots)
    }

    /// Starts an application with the default configuration.
    pub async fn start(backend: Backend) -> Self {
        Self::on(backend).start().await
    }

    /// A new browser without cookies.
    pub fn browser(&self) -> Browser {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        Browser::new(http, self.public.clone(), self.at, Clock::Set(Arc::clone(&self.clock)))
    }

    /// The provider's realm for this slot.
    #[track_caller]
    pub fn realm(&self, slot: &str) -> Arc<Realm> {
        let (protocol, name) = slot.split_once('/').unwrap();
        let found = if protocol == "oidc" { self.idp.oidc(name) } else { self.idp.oauth2(name) };
        found.unwrap_or_else(|| panic!("no realm {slot}"))
    }

    pub fn counters(&self, slot: &str) -> Counters {
        self.realm(slot).counters()
    }

    /// How many requests the slot's token endpoint has received.
    pub fn token_calls(&self, slot: &str) -> u64 {
        self.realm(slot).calls(Endpoint::Token)
    }

    /// The current time of the application and of the provider, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Advances the clock of the application and of the provider.
    pub fn advance(&self, seconds: i64) {
        let now = self.clock.fetch_add(seconds, Ordering::SeqCst) + seconds;
        for realm in self.idp.realms() {
            realm.knobs(|knobs| knobs.clock.now = Some(now));
        }
    }

    /// Resets all knobs of the slot's realm, except its clock, which is set to the current time.
    pub fn be_honest(&self, slot: &str) {
        let now = self.now();
        self.realm(slot).reset_knobs();
        self.realm(slot).knobs(|knobs| knobs.clock.now = Some(now));
    }

    /// Restarts the application with some variables set or removed. Address and database stay the same.
    pub async fn restart(&mut self, changes: &[(&str, Option<&str>)]) {
        self.change(changes);
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        let clock = Clock::Set(Arc::clone(&self.clock));
        let listener = self.listener.try_clone().unwrap();
        let running = Running::start(&self.variables, clock, listener, &self.errors.0).await;
        self.store = Arc::clone(&running.store);
        self.running = Some(running);
    }

    /// Reloads the settings with some variables set or removed.
    ///
    /// Returns the paths of the changed settings, or the reason why the old settings stay in use.
    pub async fn reload(&mut self, changes: &[(&str, Option<&str>)]) -> Result<Vec<String>, String> {
        let before = self.variables.clone();
        self.change(changes);
        let done = self.running().reload(&self.variables).await;
        if done.is_err() {
            self.variables = before;
        }
        Ok(done?.into_iter().map(|change| change.path).collect())
    }

    fn change(&mut self, changes: &[(&str, Option<&str>)]) {
        for (name, value) in changes {
            let name = format!("PORTICO_{name}");
            match value {
                Some(value) => self.variables.insert(name, (*value).to_owned()),
                None => self.variables.remove(&name),
            };
        }
    }

    /// Starts a replica with the same database, settings and clock. Returns it and its listener's address.
    pub async fn replica(&self) -> (Running, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let clock = Clock::Set(Arc::clone(&self.clock));
        (Running::start(&self.variables, clock, listener, &self.errors.0).await, at)
    }

    /// Expects at least one `ERROR` line that contains `words`. Any other `ERROR` line fails the test.
    pub fn expect_error(&self, words: &str) {
        self.errors.0.expect(words);
    }

    /// Starts a replica if the database allows one.
    pub async fn replica_if_possible(&self) -> (Option<Running>, Option<SocketAddr>) {
        if self.database.backend == Backend::Sqlite {
            return (None, None);
        }
        let (replica, at) = self.replica().await;
        (Some(replica), Some(at))
    }

    /// The running instance.
    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// The address of the operator's listener.
    pub fn operator(&self) -> SocketAddr {
        self.running.as_ref().unwrap().operator
    }

    pub async fn rows(&self) -> Rows {
        self.database.rows().await
    }

    /// Creates a local account, as one that existed before single sign-on.
    pub async fn local_account(&self, name: &str, roles: &[&str]) -> AccountId {
        let time = Clock::Set(Arc::clone(&self.clock)).now();
        let id = AccountId(Entropy.id(time));
        let account = LocalAccount {
            id,
            name: name.to_owned(),
            label: name.to_owned(),
            email: None,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        };
        let event = AuditEvent::new(Event::AccountCreated, time).about(id).because("operator");
        self.store.create_account(&account, &event).await.unwrap().expect("the name is free");
        id
    }

    pub async fn accounts(&self) -> Vec<Account> {
        self.store.list_accounts(&AccountFilter { limit: 1000, ..AccountFilter::default() }).await.unwrap()
    }

    /// The account with this id, and its identities.
    pub async fn account(&self, id: &str) -> (Account, Vec<Identity>) {
        let id = AccountRef::Id(AccountId(id.parse().unwrap()));
        self.store.find_account(&id).await.unwrap().expect("the account exists")
    }

    /// Sets the status of an account, as the operator's command does.
    pub async fn set_status(&self, name: &str, status: &str) {
        let (change, event) = match status {
            "active" => (AccountChange::Enable, Event::AccountEnabled),
            "disabled" => (AccountChange::Disable, Event::AccountDisabled),
            "deleted" => (AccountChange::Delete, Event::AccountDeleted),
            _ => panic!("no status: {status}"),
        };
        let found = self.store.find_account(&AccountRef::Name(name.to_owned())).await.unwrap();
        let id = found.expect("the account exists").0.id;
        let event = AuditEvent::new(event, Timestamp::from_unix(self.now())).about(id).because("operator");
        let changed = self.store.change_account(id, &change, &event).await.unwrap();
        assert!(matches!(changed, AccountChanged::Done(_)), "{changed:?}");
    }

    /// Deletes the identity of this subject, even if it is the account's last one, which no command does.
    pub async fn unlink(&self, subject: &str) {
        self.database.execute(&format!("DELETE FROM identities WHERE subject = '{subject}'")).await;
    }

    /// The number of audit events of this kind.
    pub async fn audited(&self, event: &str) -> usize {
        self.database.count("audit_events", &format!("event = '{event}'")).await
    }
}
