//! Connections, borrowed for one statement or one transaction.
//!
//! All connections belong to the runtime that opened the store: it opens them, drives them and returns them
//! to the pool. Each HTTP worker is a thread with its own runtime; a connection that belonged to it would
//! stall whenever the worker is busy.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool, Transaction};
use tokio::runtime::Handle;

use crate::backend::{Backend, DbError};

/// The store in one of the two databases.
pub(crate) struct Sql<DB: Database> {
    writer: Pool<DB>,
    reader: Pool<DB>,
    home: Handle,
}

impl<DB: Backend> Sql<DB> {
    /// `reader` may be the same pool as `writer`. The connections belong to the calling runtime.
    pub(crate) fn new(writer: Pool<DB>, reader: Pool<DB>) -> Self {
        Self { writer, reader, home: Handle::current() }
    }

    pub(crate) fn writer(&self) -> &Pool<DB> {
        &self.writer
    }

    /// Borrows a connection for statements that only read.
    pub(crate) async fn read(&self) -> Result<RuntimeBound<PoolConnection<DB>>, DbError> {
        let pool = self.reader.clone();
        lend(&self.home, async move { pool.acquire().await }).await
    }

    /// Borrows a connection for a single writing statement.
    pub(crate) async fn write(&self) -> Result<RuntimeBound<PoolConnection<DB>>, DbError> {
        let pool = self.writer.clone();
        lend(&self.home, async move { pool.acquire().await }).await
    }

    /// Begins a transaction that may write. Dropping it rolls it back.
    pub(crate) async fn begin(&self) -> Result<RuntimeBound<Transaction<'static, DB>>, DbError> {
        let pool = self.writer.clone();
        lend(&self.home, async move { pool.begin_with(DB::BEGIN).await }).await
    }

    pub(crate) async fn close(&self) {
        // The last connection to an SQLite file checkpoints its log, which a read-only connection cannot do.
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// A connection or transaction that returns to the pool on the runtime that it belongs to.
pub(crate) struct RuntimeBound<T> {
    /// Present until it returns to the pool.
    lent: Option<T>,
    home: Handle,
}

async fn lend<T: Send + 'static>(
    home: &Handle,
    taking: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<RuntimeBound<T>, DbError> {
    // The runtime has shut down.
    let taken = home.spawn(taking).await.map_err(|_| sqlx::Error::WorkerCrashed)?;
    Ok(RuntimeBound { lent: Some(taken?), home: home.clone() })
}

impl<DB: Backend> RuntimeBound<Transaction<'static, DB>> {
    /// Commits the transaction.
    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        let Some(transaction) = self.lent.take() else { return Ok(()) };
        let done = self.home.spawn(transaction.commit()).await;
        Ok(done.map_err(|_| sqlx::Error::WorkerCrashed)??)
    }
}

#[expect(clippy::expect_used, reason = "only commit and drop take the value, and both consume self")]
impl<T> Deref for RuntimeBound<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.lent.as_ref().expect("the value is present until commit or drop")
    }
}

#[expect(clippy::expect_used, reason = "only commit and drop take the value, and both consume self")]
impl<T> DerefMut for RuntimeBound<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.lent.as_mut().expect("the value is present until commit or drop")
    }
}

impl<T> Drop for RuntimeBound<T> {
    fn drop(&mut self) {
        // sqlx returns a connection in a task of the current runtime.
        let _home = self.home.enter();
        drop(self.lent.take());
    }
}
