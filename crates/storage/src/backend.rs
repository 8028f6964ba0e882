//! The differences between SQLite and PostgreSQL. The rest of the crate is generic over them.

use std::pin::Pin;

use portico_core::claims::IdentityKey;
use portico_core::error::StoreError;
use sqlx::error::BoxDynError;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{
    Arguments as _, ColumnIndex, Connection as _, Database, Decode, Encode, Executor, IntoArguments, Pool,
    Postgres, Row as _, SqlSafeStr as _, Sqlite, Type,
};
use uuid::Uuid;

/// A future boxed by sqlx.
type Running<'c, T> = Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'c>>;

/// A database that can store values of type `T`. The blanket implementation frees generic code of long lists
/// of bounds.
pub(crate) trait Stores<T>: Database {
    /// Adds the value of the next parameter.
    fn bind(arguments: &mut Self::Arguments, value: T) -> Result<(), BoxDynError>;

    /// Reads a column.
    fn column(row: &Self::Row, column: &'static str) -> Result<T, sqlx::Error>;
}

impl<DB, T> Stores<T> for DB
where
    DB: Database,
    T: for<'v> Encode<'v, DB> + for<'v> Decode<'v, DB> + Type<DB>,
    for<'n> &'n str: ColumnIndex<DB::Row>,
{
    fn bind(arguments: &mut DB::Arguments, value: T) -> Result<(), BoxDynError> {
        arguments.add(value)
    }

    fn column(row: &DB::Row, column: &'static str) -> Result<T, sqlx::Error> {
        row.try_get(column)
    }
}

/// A database that runs statements. Every statement of this crate returns rows; a writing one returns a row
/// for each row that it wrote.
pub(crate) trait Runs: Database {
    /// Runs a statement and returns all its rows.
    fn run<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static str,
        arguments: Self::Arguments,
    ) -> Running<'c, Vec<Self::Row>>;

    /// Asks the database to check a statement against its schema.
    fn prepare<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> Running<'c, Self::Statement>;
}

impl<DB> Runs for DB
where
    DB: Database<Arguments: IntoArguments<DB>>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    fn run<'c>(
        connection: &'c mut DB::Connection,
        sql: &'static str,
        arguments: DB::Arguments,
    ) -> Running<'c, Vec<DB::Row>> {
        connection.fetch_all(sqlx::query_with(sql, arguments))
    }

    fn prepare<'c>(connection: &'c mut DB::Connection, sql: &'static str) -> Running<'c, DB::Statement> {
        connection.prepare(sql.into_sql_str())
    }
}

/// A migration: one script per database. It never changes once released.
pub(crate) struct Step {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

/// One of the two databases.
pub(crate) trait Backend:
    Database<Connection: Migrate>
    + Runs
    + Stores<Uuid>
    + Stores<Option<Uuid>>
    + Stores<String>
    + Stores<Option<String>>
    + Stores<i64>
    + Stores<Option<i64>>
    + Stores<Option<bool>>
    + Stores<Vec<u8>>
    + Stores<Option<Vec<u8>>>
{
    /// The statement that begins a transaction that may write.
    const BEGIN: &'static str;

    /// Returns a row if the table of applied migrations exists.
    const HAS_MIGRATIONS: &'static str;

    /// The script of this database in a migration.
    fn script(step: &Step) -> &'static str;

    /// Runs migrations. Of several concurrent processes one runs them and the others wait.
    fn migrate(
        pool: &Pool<Self>,
        migrator: &Migrator,
    ) -> impl Future<Output = Result<(), MigrateError>> + Send;
}

impl Backend for Sqlite {
    /// Takes the write lock of the file immediately, so that no transaction upgrades a read lock later.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    const HAS_MIGRATIONS: &'static str =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";

    fn script(step: &Step) -> &'static str {
        step.sqlite
    }

    /// sqlx takes no lock for SQLite; the surrounding transaction serves as the lock.
    async fn migrate(pool: &Pool<Self>, migrator: &Migrator) -> Result<(), MigrateError> {
        let mut transaction = pool.begin_with(Self::BEGIN).await?;
        migrator.run_direct(None, &mut *transaction, false).await?;
        transaction.commit().await?;
        Ok(())
    }
}

impl Backend for Postgres {
    /// A guard that waited for another transaction must see what that transaction wrote, whatever the
    /// server's default is.
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED";

    const HAS_MIGRATIONS: &'static str =
        "SELECT relname::text FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')";

    fn script(step: &Step) -> &'static str {
        step.postgres
    }

    /// sqlx takes an advisory lock. The connection has no timeouts, so it is closed afterwards; closing it
    /// also releases the lock after an error.
    async fn migrate(pool: &Pool<Self>, migrator: &Migrator) -> Result<(), MigrateError> {
        let mut connection = pool.acquire().await?.detach();
        sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut connection).await?;
        let done = migrator.run_direct(None, &mut connection, false).await;
        connection.close().await?;
        done
    }
}

/// Prepares a statement; its values follow in the order of `$1`, `$2`, …
pub(crate) fn query<'c, DB: Backend>(
    connection: &'c mut DB::Connection,
    sql: &'static str,
) -> Statement<'c, DB> {
    Statement { connection, sql, arguments: Ok(DB::Arguments::default()) }
}

/// A statement of [`crate::sql`] with the values bound so far.
pub(crate) struct Statement<'c, DB: Database> {
    connection: &'c mut DB::Connection,
    sql: &'static str,
    arguments: Result<DB::Arguments, BoxDynError>,
}

impl<DB: Backend> Statement<'_, DB> {
    /// Binds the next value.
    pub(crate) fn with<T>(mut self, value: T) -> Self
    where
        DB: Stores<T>,
    {
        self.arguments = self.arguments.and_then(|mut arguments| {
            DB::bind(&mut arguments, value)?;
            Ok(arguments)
        });
        self
    }

    /// Binds the three texts of an identity key.
    pub(crate) fn with_identity(self, key: &IdentityKey) -> Self {
        self.with(key.protocol.as_str().to_owned())
            .with(key.issuer.clone())
            .with(key.subject.as_str().to_owned())
    }

    /// Runs the statement and returns every row.
    pub(crate) async fn rows(self) -> Result<Vec<DB::Row>, DbError> {
        let arguments = self.arguments.map_err(sqlx::Error::Encode)?;
        Ok(DB::run(self.connection, self.sql, arguments).await?)
    }

    /// Runs the statement and returns the first row, if any.
    pub(crate) async fn row(self) -> Result<Option<DB::Row>, DbError> {
        Ok(self.rows().await?.into_iter().next())
    }

    /// Runs the statement and returns whether it found or wrote a row.
    pub(crate) async fn execute(self) -> Result<bool, DbError> {
        Ok(!self.rows().await?.is_empty())
    }
}

/// Why a statement or a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error("corrupt {row}: {problem}")]
    Corrupt { row: &'static str, problem: String },
}

impl DbError {
    /// Whether another transaction came first: a unique constraint was violated, or the database rolled this
    /// one back (SQLSTATE 40001, 40P01).
    pub(crate) fn lost_a_race(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return false };
        error.is_unique_violation() || matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Sql(error) => Self::Unavailable(Box::new(error)),
            DbError::Corrupt { row, problem } => Self::Corrupt { row, problem },
        }
    }
}
