//! Opens a database by its URL. No message here repeats the URL, which may have a password in it.

use std::error::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use portico_core::store::Store;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Postgres, Sqlite};

use crate::backend::Backend;
use crate::pool::Sql;

/// How long a request waits for a connection, and SQLite for another process's write.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two tries to open an SQLite file that another process is just setting up.
const SHORT_REST: Duration = Duration::from_millis(10);

/// How long PostgreSQL may take to accept the first connection.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);

/// Connections to PostgreSQL. More of them wait for one another rather than do more.
const POSTGRES_CONNECTIONS: u32 = 8;

/// Connections that read an SQLite file beside its one writer.
const SQLITE_READERS: u32 = 4;

/// The parameters of a PostgreSQL URL that the driver heeds.
const KNOWN_PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no database that Portico knows.
    #[error("the storage URL cannot be used: {0}")]
    Url(String),
    /// Another process serves this SQLite file.
    #[error("{} is served by another process; several need PostgreSQL", .0.display())]
    Locked(PathBuf),
    /// A file cannot be opened or made.
    #[error("{} cannot be opened", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database does not answer, or answers nonsense.
    #[error("the database cannot be used")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
    /// A migration failed; the database is as it was before.
    #[error("the database could not be migrated")]
    Migration(#[source] Box<dyn Error + Send + Sync>),
    /// A newer version has changed the database in a way that this one does not understand.
    #[error(
        "the database is newer than this version of Portico: it has migration {0}; use the newer version, or restore the backup from before it"
    )]
    Newer(String),
    /// A migration was applied that differs from the one of this name here.
    #[error("migration {0} was applied to the database in another form")]
    Altered(String),
}

/// An open database.
pub struct Storage {
    database: Arc<dyn Opened>,
    /// Held until the end of service.
    _lock: Option<File>,
}

/// A store with its schema.
#[async_trait]
trait Opened: Store {
    async fn migrate(&self) -> Result<usize, OpenError>;
    async fn pending(&self) -> Result<usize, OpenError>;
    async fn verify(&self) -> Result<(), OpenError>;
    async fn close(&self);
}

#[async_trait]
impl<DB: Backend> Opened for Sql<DB> {
    async fn migrate(&self) -> Result<usize, OpenError> {
        Self::migrate(self).await
    }

    async fn pending(&self) -> Result<usize, OpenError> {
        Self::pending(self).await
    }

    async fn verify(&self) -> Result<(), OpenError> {
        Self::verify(self).await
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}

impl Storage {
    /// Opens a database for a command, which may share an SQLite file with the service. A missing file is made, a
    /// missing folder is not. The runtime that calls this drives the connections.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Ok(Self { database: opened(Address::parse(url)?).await?, _lock: None })
    }

    /// Opens a database for the service: nobody else serves the same SQLite file until this is closed or dropped.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when somebody does; otherwise as [`Storage::open`].
    pub async fn open_for_serving(url: &str) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        let lock = match &address {
            Address::File(options) => Some(lock(options.get_filename())?),
            Address::LoginSecrets(_) | Address::Server(_) => None,
        };
        Ok(Self { database: opened(address).await?, _lock: lock })
    }

    /// Brings the database to this version's schema; how many migrations that took. Several processes may try at once.
    ///
    /// # Errors
    /// When a migration fails, or the database is newer than this version and not merely added to.
    pub async fn migrate(&self) -> Result<usize, OpenError> {
        self.database.migrate().await
    }

    /// How many migrations the database lacks.
    ///
    /// # Errors
    /// When the database is newer than this version and not merely added to.
    pub async fn pending(&self) -> Result<usize, OpenError> {
        self.database.pending().await
    }

    /// Lets the database check every statement of this version against its schema.
    ///
    /// # Errors
    /// When one does not fit.
    pub async fn verify(&self) -> Result<(), OpenError> {
        self.database.verify().await
    }

    /// The store in it.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.database) as _
    }

    /// Waits until every connection is closed, and gives the lock back.
    pub async fn close(self) {
        self.database.close().await;
    }
}

/// Where a database is.
enum Address {
    /// SQLite in this process alone, gone with it.
    LoginSecrets(SqliteConnectOptions),
    /// An SQLite file.
    File(SqliteConnectOptions),
    /// PostgreSQL.
    Server(PgConnectOptions),
}

impl Address {
    fn parse(url: &str) -> Result<Self, OpenError> {
        let wrong = |error: sqlx::Error| OpenError::Url(error.to_string());
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            warn_of_unknown_parameters(url);
            return Ok(Self::Server(url.parse().map_err(wrong)?));
        }
        let Some(place) = url.strip_prefix("sqlite:") else {
            return Err(OpenError::Url("it begins neither with sqlite: nor with postgres:".to_owned()));
        };
        let options: SqliteConnectOptions = url.parse().map_err(wrong)?;
        let (path, query) = place.split_once('?').unwrap_or((place, ""));
        if path.trim_start_matches("//") == ":memory:" || query.split('&').any(|part| part == "mode=memory") {
            return Ok(Self::LoginSecrets(options));
        }
        if options.get_filename().as_os_str().is_empty() {
            return Err(OpenError::Url("it names no file".to_owned()));
        }
        Ok(Self::File(options))
    }
}

async fn opened(address: Address) -> Result<Arc<dyn Opened>, OpenError> {
    Ok(match address {
        Address::LoginSecrets(options) => Arc::new(open_memory(options).await?),
        Address::File(options) => Arc::new(open_file(options).await?),
        Address::Server(options) => Arc::new(open_server(options).await?),
    })
}

/// Everything goes over one connection, whose end is the database's.
async fn open_memory(options: SqliteConnectOptions) -> Result<Sql<Sqlite>, OpenError> {
    let only = writer().connect_with(options.foreign_keys(true)).await.map_err(unusable)?;
    Ok(Sql::new(only.clone(), only))
}

/// One connection writes: several would mostly wait for one another's locks. `FULL` makes a commit last through a loss of
/// power, so that neither a revocation nor a spent login comes back.
async fn open_file(options: SqliteConnectOptions) -> Result<Sql<Sqlite>, OpenError> {
    make_file(options.get_filename())?;
    let options = options.foreign_keys(true).busy_timeout(PATIENCE);
    let writing = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
        .optimize_on_close(true, None);
    let writer = in_turn(|| writer().connect_with(writing.clone())).await.map_err(unusable)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .connect_lazy_with(options.read_only(true).pragma("query_only", "on"));
    Ok(Sql::new(writer, readers))
}

/// Tries until nobody else is in the way. SQLite waits for its turn by itself, but not where two who read want to write, which
/// is how those who open a new file at once meet over its journal.
async fn in_turn<T, F>(mut open: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        match open().await {
            Err(error) if is_busy(&error) && Instant::now() < until => tokio::time::sleep(SHORT_REST).await,
            done => return done,
        }
    }
}

/// Whether an error is SQLite's `SQLITE_BUSY`, of whatever kind: the lowest byte of its code is 5.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

fn writer() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(2 * PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// A file that is made here can be read by its owner only; SQLite gives the files beside it the same rights.
fn make_file(path: &Path) -> Result<(), OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    Ok(())
}

/// Takes the lock beside the file, by whatever name the file is reached.
fn lock(database: &Path) -> Result<File, OpenError> {
    let failed = |path: &Path, source| OpenError::File { path: path.to_owned(), source };
    make_file(database)?;
    let mut path = database.canonicalize().map_err(|error| failed(database, error))?.into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| failed(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(database.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(&path, error)),
    }
}

/// Connects once without a pool, which would hide why it cannot. A statement that hangs, waits for a lock or leaves its
/// transaction open is ended by the server.
async fn open_server(options: PgConnectOptions) -> Result<Sql<Postgres>, OpenError> {
    warn_of_plain_text(&options);
    let options = options.application_name("portico").options([
        ("statement_timeout", "5s"),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ]);
    let first = tokio::time::timeout(FIRST_CONNECTION, options.connect()).await;
    let first = first.map_err(|late| OpenError::Unusable(Box::new(late)))?.map_err(unusable)?;
    first.close().await.map_err(unusable)?;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options);
    Ok(Sql::new(pool.clone(), pool))
}

/// The driver ignores parameters that it does not know, such as a mistyped `sslmode`. Neither the name nor the value is
/// told: where a password has a question mark in it, they are its second half.
fn warn_of_unknown_parameters(url: &str) {
    let known = |name: &str| KNOWN_PARAMETERS.contains(&name) || name.starts_with("options[");
    let parameters = url.split_once('?').map_or("", |(_, query)| query).split(['&', '#']);
    let names = parameters.map(|parameter| parameter.split_once('=').map_or(parameter, |(name, _)| name));
    for (number, _) in names.enumerate().filter(|(_, name)| !name.is_empty() && !known(name)) {
        let parameter = number + 1;
        tracing::warn!(parameter, "the storage URL has a parameter that is not known and so is ignored");
    }
}

/// Over a network only a verified connection keeps others from reading along and from answering in the server's place.
fn warn_of_plain_text(options: &PgConnectOptions) {
    let host = options.get_host();
    let local = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if !local && !matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
        tracing::warn!(
            "the connection to PostgreSQL is not verified: put sslmode=verify-full into the storage URL"
        );
    }
}

fn unusable(error: sqlx::Error) -> OpenError {
    OpenError::Unusable(Box::new(error))
}
