//! Opens a database by its URL. No message repeats the URL, which may contain a password.

use std::fs::{File, OpenOptions, TryLockError};
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
use crate::error::OpenError;
use crate::pool::Sql;

/// How long a request waits for a connection, and SQLite for a write of another process.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two attempts to open an SQLite file that another process is setting up.
const SHORT_REST: Duration = Duration::from_millis(10);

/// How long PostgreSQL may take to accept the first connection.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);

/// The maximum number of connections to PostgreSQL. More of them would only wait for each other.
const POSTGRES_CONNECTIONS: u32 = 8;

/// The number of connections that read an SQLite file beside its only writer.
const SQLITE_READERS: u32 = 4;

/// The parameters of a PostgreSQL URL that the driver uses.
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

/// An open database.
pub struct Storage {
    database: Arc<dyn Opened>,
    /// The lock beside an SQLite file, held while the file is served.
    _lock: Option<File>,
}

/// A store and the management of its schema.
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
    /// Opens a database for a command, which may share an SQLite file with the service. A missing file is
    /// created, a missing folder is not. The calling runtime drives the connections.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Ok(Self { database: opened(Address::parse(url)?).await?, _lock: None })
    }

    /// Opens a database for the service. No other process can serve the same SQLite file until this storage
    /// is closed or dropped.
    ///
    /// # Errors
    /// [`OpenError::Locked`] if another process serves the file; otherwise as [`Storage::open`].
    pub async fn open_for_serving(url: &str) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        let lock = match &address {
            Address::File(options) => Some(lock(options.get_filename())?),
            Address::InMemory(_) | Address::Server(_) => None,
        };
        Ok(Self { database: opened(address).await?, _lock: lock })
    }

    /// Migrates the database to the schema of this version. Returns how many migrations ran. Several
    /// processes may call this concurrently.
    ///
    /// # Errors
    /// If a migration fails, or a newer version applied a migration that is not additive.
    pub async fn migrate(&self) -> Result<usize, OpenError> {
        self.database.migrate().await
    }

    /// Returns how many migrations the database lacks.
    ///
    /// # Errors
    /// If a newer version applied a migration that is not additive.
    pub async fn pending(&self) -> Result<usize, OpenError> {
        self.database.pending().await
    }

    /// Asks the database to check every statement of this version against its schema.
    ///
    /// # Errors
    /// If a statement does not fit.
    pub async fn verify(&self) -> Result<(), OpenError> {
        self.database.verify().await
    }

    /// The store in this database.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.database) as _
    }

    /// Closes every connection and releases the lock.
    pub async fn close(self) {
        self.database.close().await;
    }
}

/// The location of a database.
enum Address {
    /// SQLite in the memory of this process.
    InMemory(SqliteConnectOptions),
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
        let Some(location) = url.strip_prefix("sqlite:") else {
            return Err(OpenError::Url("it starts with neither sqlite: nor postgres:".to_owned()));
        };
        let options: SqliteConnectOptions = url.parse().map_err(wrong)?;
        let (path, query) = location.split_once('?').unwrap_or((location, ""));
        if path.trim_start_matches("//") == ":memory:" || query.split('&').any(|part| part == "mode=memory") {
            return Ok(Self::InMemory(options));
        }
        if options.get_filename().as_os_str().is_empty() {
            return Err(OpenError::Url("it names no file".to_owned()));
        }
        Ok(Self::File(options))
    }
}

async fn opened(address: Address) -> Result<Arc<dyn Opened>, OpenError> {
    Ok(match address {
        Address::InMemory(options) => Arc::new(open_memory(options).await?),
        Address::File(options) => Arc::new(open_file(options).await?),
        Address::Server(options) => Arc::new(open_server(options).await?),
    })
}

/// Uses a single connection, because the database ends with its connection.
async fn open_memory(options: SqliteConnectOptions) -> Result<Sql<Sqlite>, OpenError> {
    let only = writer().connect_with(options.foreign_keys(true)).await.map_err(unusable)?;
    Ok(Sql::new(only.clone(), only))
}

/// One connection writes; several would mostly wait for each other's locks. With `FULL`, a commit survives a
/// loss of power, so that no revoked session or spent login becomes valid again.
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

/// Retries while the file is busy. SQLite waits for locks by itself, but not if two readers want to write.
/// Concurrent processes that set the journal mode of a new file meet in this way.
#[expect(clippy::disallowed_methods, reason = "measures the duration of the retries")]
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

/// Whether an error is `SQLITE_BUSY` or one of its extended codes: the lowest byte of the code is 5.
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

/// Creates the file if it is missing, readable only by its owner. SQLite gives the files beside it the same
/// mode.
fn make_file(path: &Path) -> Result<(), OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    Ok(())
}

/// Takes the lock beside the canonical path of the file.
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

/// Connects once without a pool, because a pool would hide the reason of a failure. The server ends a
/// statement that hangs or waits for a lock, and a transaction that stays idle.
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

/// The driver ignores unknown parameters, such as a mistyped `sslmode`. The warning contains neither name nor
/// value: if a password contains a question mark, they are its second half.
fn warn_of_unknown_parameters(url: &str) {
    let known = |name: &str| KNOWN_PARAMETERS.contains(&name) || name.starts_with("options[");
    let parameters = url.split_once('?').map_or("", |(_, query)| query).split(['&', '#']);
    let names = parameters.map(|parameter| parameter.split_once('=').map_or(parameter, |(name, _)| name));
    for (number, _) in names.enumerate().filter(|(_, name)| !name.is_empty() && !known(name)) {
        let parameter = number + 1;
        tracing::warn!(parameter, "the storage URL has a parameter that is not known and is ignored");
    }
}

/// Over a network, only a verified connection protects against eavesdropping and against a false server.
fn warn_of_plain_text(options: &PgConnectOptions) {
    let host = options.get_host();
    let local = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if !local && !matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
        tracing::warn!(
            "the connection to PostgreSQL is not verified: add sslmode=verify-full to the storage URL"
        );
    }
}

fn unusable(error: sqlx::Error) -> OpenError {
    OpenError::Unusable(Box::new(error))
}
