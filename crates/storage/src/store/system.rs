//! Health, audit and cleanup.

use std::time::Duration;

use async_trait::async_trait;
use portico_core::audit::AuditEvent;
use portico_core::clock::Timestamp;
use portico_core::error::StoreError;
use portico_core::store::{Retention, SystemStore};

use crate::audit::record;
use crate::backend::{Backend, DbError, query};
use crate::pool::Sql;
use crate::sql;

/// How long a session is retained after its end, for later questions about it.
const ENDED_SESSIONS_KEPT: Duration = Duration::from_hours(30 * 24);

/// How long a signing key is retained after every token that it signed has expired.
const RETIRED_KEYS_KEPT: Duration = Duration::from_hours(24);

/// How many rows one statement deletes, so that it does not block SQLite's only writer for long.
const BATCH: u32 = 500;

/// The maximum number of batches in one sweep; the next sweep continues.
const BATCHES: usize = 100;

#[async_trait]
impl<DB: Backend> SystemStore for Sql<DB> {
    async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.read().await?;
        query::<DB>(&mut connection, sql::PING).execute().await?;
        Ok(())
    }

    async fn record(&self, event: &AuditEvent) -> Result<(), StoreError> {
        let mut connection = self.write().await?;
        Ok(record::<DB>(&mut connection, event).await?)
    }

    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError> {
        let now = retention.now;
        let mut gone = self.forget(sql::FORGET_LOGINS, now).await?;
        gone += self.forget(sql::FORGET_HAND_OFFS, now).await?;
        gone += self.forget(sql::FORGET_BREAK_GLASS, now).await?;
        gone += self.forget(sql::FORGET_SESSIONS, now.minus(ENDED_SESSIONS_KEPT)).await?;
        gone += self.forget(sql::FORGET_KEYS, now.minus(RETIRED_KEYS_KEPT)).await?;
        if let Some(end) = retention.audit_before {
            gone += self.forget(sql::FORGET_EVENTS, end).await?;
        }
        Ok(gone)
    }
}

impl<DB: Backend> Sql<DB> {
    /// Deletes rows that ended before `end`, in batches. Returns the number of deleted rows.
    async fn forget(&self, statement: &'static str, end: Timestamp) -> Result<u64, DbError> {
        let mut gone = 0;
        for _ in 0..BATCHES {
            let mut connection = self.write().await?;
            let batch = query::<DB>(&mut connection, statement)
                .with(end.unix())
                .with(i64::from(BATCH))
                .rows()
                .await?
                .len();
            gone += batch as u64;
            if batch < BATCH as usize {
                break;
            }
        }
        Ok(gone)
    }
}
