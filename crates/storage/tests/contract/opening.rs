//! Opening, locking and migrating a database.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use portico_core::error::StoreError;
use portico_core::store::Store;
use portico_storage::{OpenError, Storage};

use crate::bench::{NOON, event, local};
use crate::database::{Backend, Database, on_empty_database};

on_both_databases!(
    on_empty_database;
    every_statement_fits_the_schema,
    migrations_are_pending_until_they_were_run,
    many_may_migrate_at_once,
    a_newer_database_is_refused_unless_it_was_only_added_to,
    an_altered_migration_is_refused,
    connections_live_on_the_runtime_that_opened_them,
);

async fn migrated(database: &Database) -> Storage {
    let storage = Storage::open(&database.url).await.unwrap();
    storage.migrate().await.unwrap();
    storage
}

/// An error as text: its message, its debug form and its causes.
fn error_text(error: &OpenError) -> String {
    let mut error_text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        error_text = format!("{error_text}: {error}");
        cause = error.source();
    }
    error_text
}

async fn refusal(url: &str) -> OpenError {
    match Storage::open(url).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error,
    }
}

async fn every_statement_fits_the_schema(database: Database) {
    let storage = migrated(&database).await;
    storage.verify().await.unwrap();
    storage.close().await;
    database.execute("ALTER TABLE sessions RENAME COLUMN user_agent TO browser").await.unwrap();
    let storage = migrated(&database).await;
    assert!(matches!(storage.verify().await, Err(OpenError::Unusable(_))));
    storage.close().await;
}

async fn migrations_are_pending_until_they_were_run(database: Database) {
    let storage = Storage::open(&database.url).await.unwrap();
    assert_eq!(storage.pending().await.unwrap(), 3);
    assert!(
        matches!(storage.store().ping().await, Err(StoreError::Unavailable(_))),
        "the tables do not exist yet"
    );
    assert_eq!(storage.pending().await.unwrap(), 3, "counting changes nothing");
    assert_eq!(storage.migrate().await.unwrap(), 3);
    assert_eq!((storage.pending().await.unwrap(), storage.migrate().await.unwrap()), (0, 0));
    storage.store().ping().await.unwrap();
    storage.close().await;
}

async fn many_may_migrate_at_once(database: Database) {
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let url = database.url.clone();
            tokio::spawn(async move {
                let storage = Storage::open(&url).await.unwrap();
                storage.migrate().await.unwrap();
                storage.store().ping().await.unwrap();
                storage.close().await;
            })
        })
        .collect();
    for started in starting {
        started.await.unwrap();
    }
}

async fn a_newer_database_is_refused_unless_it_was_only_added_to(database: Database) {
    migrated(&database).await.close().await;
    let newer = |version: i64, name: &str| {
        format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT {version}, '{name}', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1"
        )
    };
    database.execute(&newer(8, "0008_additive_notes")).await.unwrap();
    let storage = migrated(&database).await;
    assert_eq!(storage.pending().await.unwrap(), 0);
    storage.verify().await.unwrap();
    database.execute(&newer(9, "0009_other_sessions")).await.unwrap();
    for refused in [storage.pending().await, storage.migrate().await] {
        let error = refused.unwrap_err();
        assert!(matches!(&error, OpenError::Newer(name) if name == "0009_other_sessions"), "{error}");
    }
    storage.close().await;
}

async fn an_altered_migration_is_refused(database: Database) {
    let storage = migrated(&database).await;
    database.execute("UPDATE _sqlx_migrations SET version = 7 WHERE version = 1").await.unwrap();
    assert!(matches!(storage.migrate().await, Err(OpenError::Newer(_))));
    database
        .execute("UPDATE _sqlx_migrations SET version = 1, checksum = checksum || checksum WHERE version = 7")
        .await
        .unwrap();
    assert!(matches!(storage.migrate().await, Err(OpenError::Altered(_))));
    storage.close().await;
}

/// A busy HTTP worker blocks no connection that another worker needs, whether the connection was opened for
/// it or last used by it.
async fn connections_live_on_the_runtime_that_opened_them(database: Database) {
    let storage = migrated(&database).await;
    let store = storage.store();
    blocks_no_connection_after(&store, async |store| store.ping().await.unwrap()).await;
    blocks_no_connection_after(&store, async |store| {
        store.record(&event("logout", NOON)).await.unwrap();
    })
    .await;
    blocks_no_connection_after(&store, async |store| {
        store.create_account(&local("Ada", &[]), &event("account_created", NOON)).await.unwrap();
    })
    .await;
    storage.close().await;
}

async fn blocks_no_connection_after(
    store: &Arc<dyn Store>,
    act: impl AsyncFnOnce(Arc<dyn Store>) + Send + 'static,
) {
    let (busy, until_busy) = tokio::sync::oneshot::channel();
    let (done, until_done) = std::sync::mpsc::channel::<()>();
    let worker_store = Arc::clone(store);
    let worker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for _ in 0..50 {
                worker_store.ping().await.unwrap();
            }
            act(worker_store).await;
        });
        busy.send(()).unwrap();
        let _ = until_done.recv();
    });
    until_busy.await.unwrap();
    for _ in 0..10 {
        let calls = async {
            store.ping().await.unwrap();
            store.record(&event("logout", NOON)).await.unwrap();
        };
        tokio::time::timeout(Duration::from_secs(3), calls)
            .await
            .expect("a busy worker blocks no connection");
    }
    drop(done);
    tokio::task::spawn_blocking(move || worker.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_file_is_made_and_a_folder_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.db");
    Storage::open(&format!("sqlite://{}", file.display())).await.unwrap().close().await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "only the owner can read the file"
        );
    }
    let nowhere = format!("sqlite://{}/none/new.db", folder.path().display());
    let error = refusal(&nowhere).await;
    assert!(matches!(error, OpenError::File { .. }) && error_text(&error).contains("none/new.db"), "{error}");
    assert!(matches!(Storage::open_for_serving(&nowhere).await, Err(OpenError::File { .. })));
    assert!(!folder.path().join("none").exists());
}

#[tokio::test]
async fn one_process_serves_a_file_and_commands_share_it() {
    let database = Backend::Sqlite.fresh().await;
    let serving = Storage::open_for_serving(&database.url).await.unwrap();
    serving.migrate().await.unwrap();
    let second = Storage::open_for_serving(&database.url).await;
    assert!(matches!(second, Err(OpenError::Locked(path)) if path.ends_with("portico.db")));
    #[cfg(unix)]
    {
        let folder = database.folder.as_ref().unwrap().path();
        std::os::unix::fs::symlink(folder.join("portico.db"), folder.join("other.db")).unwrap();
        let other = format!("sqlite://{}", folder.join("other.db").display());
        assert!(
            matches!(Storage::open_for_serving(&other).await, Err(OpenError::Locked(_))),
            "a symbolic link names the same file"
        );
    }
    let command = Storage::open(&database.url).await.unwrap();
    command.store().ping().await.unwrap();
    command.close().await;
    serving.close().await;
    Storage::open_for_serving(&database.url).await.unwrap().close().await;
}

#[tokio::test]
async fn a_database_in_memory_is_whole_and_its_own() {
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite::memory:?cache=private"] {
        let first = Storage::open_for_serving(url).await.unwrap();
        first.migrate().await.unwrap();
        first.verify().await.unwrap();
        first.store().ping().await.unwrap();
        let second = Storage::open_for_serving(url).await.unwrap();
        assert_eq!(second.pending().await.unwrap(), 3);
        second.close().await;
        first.store().ping().await.unwrap();
        first.close().await;
    }
}

#[tokio::test]
async fn no_message_has_the_password() {
    for url in [
        "postgres://portico:CANARY@127.0.0.1:1/none",
        "postgres://portico:CANARY@127.0.0.1:port/none",
        "postgres://portico:CANARY#x@127.0.0.1/none",
        "postgres://portico@127.0.0.1:1/none?password=CANARY",
        "postgres://portico:CANARY@127.0.0.1/none?sslmode=sometimes",
        "postgres:portico:CANARY@127.0.0.1/none",
        "mysql://portico:CANARY@127.0.0.1/none",
        "CANARY",
    ] {
        let error = refusal(url).await;
        assert!(matches!(error, OpenError::Url(_) | OpenError::Unusable(_)), "{url}: {error}");
        assert!(!error_text(&error).contains("CANARY"), "{url}: {}", error_text(&error));
    }
    for url in ["", "sqlite", "sqlite:", "sqlite://", "sqlite://x.db?mode=odd", "sqlite://x.db?nonsense=1"] {
        assert!(matches!(refusal(url).await, OpenError::Url(_)), "{url}");
    }
}

#[tokio::test]
async fn an_unreachable_server_says_why() {
    let error = refusal("postgres://portico@127.0.0.1:1/none").await;
    assert!(error_text(&error).to_lowercase().contains("refused"), "{}", error_text(&error));
}

#[tokio::test]
async fn a_missing_database_says_why() {
    if Backend::Postgres.is_here("contract::opening::a_missing_database_says_why") {
        let database = Backend::Postgres.fresh().await;
        let error = refusal(&format!("{}_none", database.url)).await;
        assert!(error_text(&error).contains("does not exist"), "{}", error_text(&error));
    }
}

/// SQLite itself does not wait if two processes change the journal mode of a file at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let url = format!("sqlite://{}", folder.path().join(format!("{round}.db")).display());
        let starting: Vec<_> = (0..8)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { Storage::open(&url).await.unwrap().close().await })
            })
            .collect();
        for started in starting {
            started.await.unwrap();
        }
    }
}
