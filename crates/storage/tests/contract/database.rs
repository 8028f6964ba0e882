//! The two databases, with access that bypasses the store.

use std::collections::BTreeMap;
use std::io::Write as _;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// The tables whose rows [`Database::rows`] compares.
const TABLES: [&str; 9] = [
    "accounts",
    "account_roles",
    "account_groups",
    "identities",
    "sessions",
    "refresh_tokens",
    "spent_logins",
    "signing_keys",
    "audit_events",
];

/// Makes two tests of each function, `<function>::sqlite` and `<function>::postgres`. The first argument is
/// the function that prepares a database and runs the test.
macro_rules! on_both_databases {
    ($run:path; $($test:ident),* $(,)?) => {$(
        mod $test {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn sqlite() {
                $run(crate::database::Backend::Sqlite, super::$test).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn postgres() {
                if crate::database::Backend::Postgres.is_here(module_path!()) {
                    $run(crate::database::Backend::Postgres, super::$test).await;
                }
            }
        }
    )*};
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests read their own environment")]
    std::env::var(name).ok()
}

fn postgres() -> Option<String> {
    variable("PORTICO_TEST_POSTGRES_URL")
}

impl Backend {
    /// Whether this database can be used. A skipped test prints that it is skipped; with `CI=true` it fails.
    pub fn is_here(self, test: &str) -> bool {
        if self == Self::Sqlite || postgres().is_some() {
            return true;
        }
        assert!(variable("CI").is_none_or(|value| value != "true"), "{test} needs PORTICO_TEST_POSTGRES_URL");
        // The test harness captures `eprintln!`, and would hide this line.
        let line = format!("SKIPPED {test}: PORTICO_TEST_POSTGRES_URL is not set\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        false
    }

    /// Creates an empty database.
    pub async fn fresh(self) -> Database {
        match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", folder.path().join("portico.db").display());
                Database { backend: self, url, name: String::new(), folder: Some(folder) }
            }
            Self::Postgres => {
                let server = postgres().unwrap();
                let name = format!("portico_contract_{}", Uuid::new_v4().simple());
                run_on_server(&format!("CREATE DATABASE {name}")).await.unwrap();
                let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
                Database { backend: self, url, name, folder: None }
            }
        }
    }
}

async fn run_on_server(sql: &str) -> Result<(), sqlx::Error> {
    let mut admin = PgConnection::connect(&postgres().unwrap()).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut admin).await?;
    admin.close().await
}

/// The database of one test; dropping this value deletes it.
#[derive(Debug)]
pub struct Database {
    pub backend: Backend,
    pub url: String,
    name: String,
    pub folder: Option<TempDir>,
}

/// Runs a test on an empty database.
pub async fn on_empty_database(backend: Backend, test: impl AsyncFnOnce(Database)) {
    Box::pin(test(backend.fresh().await)).await;
}

impl Database {
    /// Runs statements directly.
    pub async fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.backend {
            Backend::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await?;
                let done = sqlx::raw_sql(sql).execute(&mut connection).await;
                connection.close().await?;
                done.map(|_| ())
            }
            Backend::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await?;
                let done = sqlx::raw_sql(sql).execute(&mut connection).await;
                connection.close().await?;
                done.map(|_| ())
            }
        }
    }

    /// The first column of every row, which must be text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.backend {
            Backend::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Backend::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// Counts the rows of a table that match a condition.
    pub async fn count(&self, table: &str, condition: &str) -> usize {
        let found = self.texts(&format!("SELECT '' FROM {table} WHERE {condition}")).await;
        found.len()
    }

    /// All rows of all tables.
    pub async fn rows(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut all = BTreeMap::new();
        for table in TABLES {
            let sql = match self.backend {
                Backend::Postgres => format!("SELECT t::text FROM {table} t ORDER BY 1"),
                Backend::Sqlite => {
                    let columns = self.texts(&format!("SELECT name FROM pragma_table_info('{table}')")).await;
                    let quoted: Vec<_> = columns.iter().map(|column| format!("quote({column})")).collect();
                    format!("SELECT {} FROM {table} ORDER BY 1", quoted.join(" || ' | ' || "))
                }
            };
            all.insert(table, self.texts(&sql).await);
        }
        all
    }

    /// The audit events so far, oldest first, each with its reason.
    pub async fn events(&self) -> Vec<String> {
        self.texts(
            "SELECT event || coalesce(' ' || reason, '') FROM audit_events ORDER BY time, event, reason",
        )
        .await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.backend == Backend::Sqlite {
            return;
        }
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A new runtime, because the runtime of the test is running this.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run_on_server(&drop))
        });
        if let Ok(Err(error)) = dropping.join() {
            eprintln!("a test database was not deleted: {error}");
        }
    }
}
