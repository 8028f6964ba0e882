//! An open store on an empty database.

use std::collections::BTreeMap;
use std::sync::Arc;

use portico_core::account::{AccountId, AccountStatus};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::{Entropy, Timestamp};
use portico_core::session::SessionId;
use portico_core::store::{AccountRef, Committed, LocalAccount, Store};
use portico_storage::Storage;

use crate::database::{Backend, Database};
use crate::people::{Person, Visit};

/// The time at which every test starts.
pub const NOON: Timestamp = Timestamp::from_unix(1_800_000_000);

/// The given number of seconds after noon.
pub fn after(seconds: i64) -> Timestamp {
    Timestamp::from_unix(NOON.unix() + seconds)
}

pub struct Bench {
    pub store: Arc<dyn Store>,
    pub database: Database,
    storage: Storage,
}

/// Runs a test on an empty database.
pub async fn on_bench(backend: Backend, test: impl AsyncFnOnce(&Bench)) {
    let bench = Bench::on(backend).await;
    Box::pin(test(&bench)).await;
    bench.close().await;
}

impl Bench {
    async fn on(backend: Backend) -> Self {
        let database = backend.fresh().await;
        let storage = Storage::open(&database.url).await.unwrap();
        assert_eq!(storage.migrate().await.unwrap(), 3);
        Self { store: storage.store(), database, storage }
    }

    async fn close(self) {
        self.storage.close().await;
    }

    /// Creates a local account.
    pub async fn local(&self, name: &str, roles: &[&str]) -> AccountId {
        let account = local(name, roles);
        self.store
            .create_account(&account, &event("account_created", NOON))
            .await
            .unwrap()
            .expect("the name is free")
            .id
    }

    /// Logs a user in for the first time, which creates an account.
    pub async fn newcomer(&self, person: Person) -> Visit {
        let visit = Visit::creating(&person, &["Ada", "Somebody"]);
        let entry = visit.succeeds(&*self.store).await;
        assert_eq!(entry.session.id, visit.session.id);
        visit
    }

    /// Asserts that the login conflicts and that nothing is written.
    #[track_caller]
    pub fn conflicts<'a>(&'a self, visit: &'a Visit) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.rows().await;
            let committed = visit.commit_login(&*self.store).await;
            assert!(matches!(committed, Committed::Conflict), "at {caller}: {committed:?}");
            assert_eq!(self.rows().await, before, "at {caller}: something was written");
        }
    }

    pub async fn rows(&self) -> BTreeMap<&'static str, Vec<String>> {
        self.database.rows().await
    }

    /// Sets the status of an account.
    pub async fn set_status(&self, account: AccountId, status: AccountStatus) {
        let id = self.id(account.0);
        let sql = format!("UPDATE accounts SET status = '{}' WHERE id = {id}", status.as_str());
        self.database.execute(&sql).await.unwrap();
    }

    /// An identifier as an SQL literal of this database.
    pub fn id(&self, id: uuid::Uuid) -> String {
        match self.database.backend {
            Backend::Sqlite => format!("x'{}'", id.simple()),
            Backend::Postgres => format!("'{id}'"),
        }
    }

    pub async fn account(&self, id: AccountId) -> portico_core::account::Account {
        self.store.find_account(&AccountRef::Id(id)).await.unwrap().expect("the account exists").0
    }

    pub async fn is_revoked(&self, session: SessionId) -> bool {
        self.store
            .find_session(session)
            .await
            .unwrap()
            .expect("the session exists")
            .session
            .revoked_at
            .is_some()
    }
}

/// A local account to create.
pub fn local(name: &str, roles: &[&str]) -> LocalAccount {
    LocalAccount {
        id: AccountId(Entropy.id(NOON)),
        name: name.to_owned(),
        label: format!("{name}'s label"),
        email: Some("local@example.com".to_owned()),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    }
}

/// An audit event with no other details.
pub fn event(name: &str, time: Timestamp) -> AuditEvent {
    AuditEvent::new(Event::parse(name).expect("the event is known"), time)
}
