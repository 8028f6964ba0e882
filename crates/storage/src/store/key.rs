//! Signing keys.

use async_trait::async_trait;
use portico_core::audit::AuditEvent;
use portico_core::clock::Timestamp;
use portico_core::error::StoreError;
use portico_core::keys::StoredKey;
use portico_core::store::KeyStore;

use crate::audit::record;
use crate::backend::{Backend, DbError, query};
use crate::pool::Sql;
use crate::{rows, sql};

#[async_trait]
impl<DB: Backend> KeyStore for Sql<DB> {
    async fn list_keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let mut connection = self.read().await?;
        let keys = query::<DB>(&mut connection, sql::KEYS).rows().await?;
        Ok(keys.iter().map(rows::key::<DB>).collect::<Result<_, _>>()?)
    }

    async fn add_key(&self, key: &StoredKey) -> Result<bool, StoreError> {
        let mut connection = self.write().await?;
        let added = query::<DB>(&mut connection, sql::ADD_KEY)
            .with(key.kid.clone())
            .with(key.alg.as_str().to_owned())
            .with(key.state.as_str().to_owned())
            .with(key.public_jwk.clone())
            .with(key.sealed.clone())
            .with(key.created_at.unix())
            .with(key.retires_at.map(Timestamp::unix))
            .execute()
            .await?;
        Ok(added)
    }

    async fn promote_key(
        &self,
        kid: &str,
        retires_at: Timestamp,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        again!(self.promote(kid, retires_at, event))
    }

    async fn reseal_key(&self, kid: &str, before: &[u8], after: &[u8]) -> Result<(), StoreError> {
        let mut connection = self.write().await?;
        let reseal = query::<DB>(&mut connection, sql::RESEAL_KEY).with(kid.to_owned());
        reseal.with(before.to_vec()).with(after.to_vec()).execute().await?;
        Ok(())
    }

    async fn discard_key(&self, kid: &str, sealed: &[u8], event: &AuditEvent) -> Result<bool, StoreError> {
        again!(self.discard(kid, sealed, event))
    }
}

impl<DB: Backend> Sql<DB> {
    async fn promote(&self, kid: &str, retires_at: Timestamp, event: &AuditEvent) -> Result<bool, DbError> {
        let mut transaction = self.begin().await?;
        let retire = query::<DB>(&mut transaction, sql::RETIRE_KEYS).with(kid.to_owned());
        retire.with(retires_at.unix()).rows().await?;
        if !query::<DB>(&mut transaction, sql::PROMOTE_KEY).with(kid.to_owned()).execute().await? {
            return Ok(false);
        }
        record::<DB>(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn discard(&self, kid: &str, sealed: &[u8], event: &AuditEvent) -> Result<bool, DbError> {
        let mut transaction = self.begin().await?;
        let discard = query::<DB>(&mut transaction, sql::DISCARD_KEY).with(kid.to_owned());
        if !discard.with(sealed.to_vec()).execute().await? {
            return Ok(false);
        }
        record::<DB>(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
