//! Why a database cannot be opened or migrated. No message repeats the URL, which may contain a password.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no database that Portico supports.
    #[error("the storage URL cannot be used: {0}")]
    Url(String),
    /// Another process serves this SQLite file.
    #[error("{} is served by another process; several need PostgreSQL", .0.display())]
    Locked(PathBuf),
    /// A file cannot be opened or created.
    #[error("{} cannot be opened", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database does not answer, or returns data that cannot be read.
    #[error("the database cannot be used")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
    /// A migration failed; the database is unchanged.
    #[error("the database could not be migrated")]
    Migration(#[source] Box<dyn Error + Send + Sync>),
    /// A newer version applied a migration that this version cannot work with.
    #[error(
        "the database is newer than this version of Portico: it has migration {0}; use the newer version, or \
         restore the backup from before it"
    )]
    Newer(String),
    /// A migration of this name was applied with other contents.
    #[error("migration {0} was applied to the database in another form")]
    Altered(String),
}
