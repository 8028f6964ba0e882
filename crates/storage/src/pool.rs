//! Connections, lent for a statement or a transaction.
//!
//! All of them live on one runtime, the one that opened the store: there they are opened, there they wait, and there they are
//! given back. HTTP workers, which borrow them, have a thread each; a connection of theirs would stand still whenever they do.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool, Transaction};
use tokio::runtime::Handle;

use crate::backend::{Backend, DbError};

/// A store in one of the databases.
pub(crate) struct Sql<DB: Database> {
    writer: Pool<DB>,
    reader: Pool<DB>,
    home: Handle,
}

impl<DB: Backend> Sql<DB> {
    /// `reader` may be `writer`. The runtime that calls this is the connections' own.
    pub(crate) fn new(writer: Pool<DB>, reader: Pool<DB>) -> Self {
        Self { writer, reader, home: Handle::current() }
    }

    pub(crate) fn writer(&self) -> &Pool<DB> {
        &self.writer
    }

    /// A connection for a single statement that writes nothing.
    pub(crate) async fn read(&self) -> Result<RuntimeBound<PoolConnection<DB>>, DbError> {
        let pool = self.reader.clone();
        lend(&self.home, async move { pool.acquire().await }).await
    }

    /// A connection for a single statement that writes.
    pub(crate) async fn write(&self) -> Result<RuntimeBound<PoolConnection<DB>>, DbError> {
        let pool = self.writer.clone();
        lend(&self.home, async move { pool.acquire().await }).await
    }

    /// A transaction that may write; dropped, it is undone.
    pub(crate) async fn begin(&self) -> Result<RuntimeBound<Transaction<'static, DB>>, DbError> {
        let pool = self.writer.clone();
        lend(&self.home, async move { pool.begin_with(DB::BEGIN).await }).await
    }

    pub(crate) async fn close(&self) {
        // The last connection of an SQLite file tidies up, which one that may only read cannot.
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// Something of the pool, which goes back on its own runtime.
pub(crate) struct RuntimeBound<T> {
    /// Present until it goes back.
    lent: Option<T>,
    home: Handle,
}

async fn lend<T: Send + 'static>(
    home: &Handle,
    taking: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<RuntimeBound<T>, DbError> {
    // A runtime that has ended answers nobody.
    let taken = home.spawn(taking).await.map_err(|_| sqlx::Error::WorkerCrashed)?;
    Ok(RuntimeBound { lent: Some(taken?), home: home.clone() })
}

impl<DB: Backend> RuntimeBound<Transaction<'static, DB>> {
    /// Makes what was written last.
    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        let Some(transaction) = self.lent.take() else { return Ok(()) };
        let done = self.home.spawn(transaction.commit()).await;
        Ok(done.map_err(|_| sqlx::Error::WorkerCrashed)??)
    }
}

#[expect(clippy::expect_used, reason = "taken out only by what consumes or drops the whole")]
impl<T> Deref for RuntimeBound<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.lent.as_ref().expect("it is lent")
    }
}

#[expect(clippy::expect_used, reason = "taken out only by what consumes or drops the whole")]
impl<T> DerefMut for RuntimeBound<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.lent.as_mut().expect("it is lent")
    }
}

impl<T> Drop for RuntimeBound<T> {
    fn drop(&mut self) {
        // sqlx gives back in a task of whichever runtime is at hand.
        let _home = self.home.enter();
        drop(self.lent.take());
    }
}
