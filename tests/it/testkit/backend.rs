//! The databases that the tests run on.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

/// The database system of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// The server on which the tests may create PostgreSQL databases.
fn postgres() -> Option<Url> {
    #[expect(clippy::disallowed_methods, reason = "tests read their own environment")]
    let url = std::env::var("PORTICO_TEST_POSTGRES_URL").ok()?;
    Some(Url::parse(&url).expect("PORTICO_TEST_POSTGRES_URL must be a URL"))
}

impl Backend {
    /// Whether this database system is available. If not, the test prints `SKIPPED`; with `CI=true` it fails.
    pub fn is_here(self, test: &str) -> bool {
        if self == Self::Sqlite || postgres().is_some() {
            return true;
        }
        #[expect(clippy::disallowed_methods, reason = "tests read their own environment")]
        let gate = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!gate, "{test} needs PORTICO_TEST_POSTGRES_URL");
        eprintln!("SKIPPED {test}: PORTICO_TEST_POSTGRES_URL is not set");
        false
    }

    /// Creates an empty database for one test.
    pub async fn fresh(self) -> Database {
        match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", folder.path().join("portico.db").display());
                Database { backend: self, url, _folder: Some(folder) }
            }
            Self::Postgres => {
                let mut url = postgres().unwrap();
                let name = format!("portico_it_{}", Uuid::new_v4().simple());
                let mut admin = PgConnection::connect(url.as_str()).await.unwrap();
                let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
                sqlx::raw_sql(create).execute(&mut admin).await.unwrap();
                url.set_path(&name);
                Database { backend: self, url: url.into(), _folder: None }
            }
        }
    }
}

/// The database of one test, deleted on drop.
#[derive(Debug)]
pub struct Database {
    pub backend: Backend,
    /// The value of `STORAGE_URL`.
    pub url: String,
    _folder: Option<TempDir>,
}

impl Database {
    /// An existing SQLite file, which the caller removes.
    pub fn of_file(path: &Path) -> Self {
        Self { backend: Backend::Sqlite, url: format!("sqlite://{}", path.display()), _folder: None }
    }

    /// Creates a PostgreSQL user with this password that owns the database. Returns the URL for this user.
    pub async fn with_password(&self, password: &str) -> String {
        let mut url = Url::parse(&self.url).unwrap();
        let user = url.path().trim_start_matches('/').to_owned();
        self.execute(&format!(
            "CREATE ROLE {user} LOGIN PASSWORD '{password}'; ALTER DATABASE {user} OWNER TO {user}"
        ))
        .await;
        url.set_username(&user).unwrap();
        url.set_password(Some(password)).unwrap();
        url.into()
    }

    /// Executes statements directly, without the application.
    pub async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.backend {
            Backend::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Backend::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// The first column of every row; it must be text.
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

    /// The number of rows of a table that meet this condition.
    pub async fn count(&self, table: &str, condition: &str) -> usize {
        let text = match self.backend {
            Backend::Sqlite => "CAST(count(*) AS TEXT)",
            Backend::Postgres => "count(*)::text",
        };
        let counted = self.texts(&format!("SELECT {text} FROM {table} WHERE {condition}")).await;
        counted[0].parse().unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.backend == Backend::Sqlite {
            return;
        }
        let url = self.url.clone();
        // A separate runtime: this code may run on the runtime of the test.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let name = Url::parse(&url).unwrap().path().trim_start_matches('/').to_owned();
                let mut admin = PgConnection::connect(postgres().unwrap().as_str()).await?;
                let sql = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                sqlx::raw_sql(sql).execute(&mut admin).await?;
                let sql = AssertSqlSafe(format!("DROP ROLE IF EXISTS {name}"));
                sqlx::raw_sql(sql).execute(&mut admin).await
            })
        });
        if let Ok(Err(error)) = dropping.join() {
            eprintln!("a test database could not be dropped: {error}");
        }
    }
}
