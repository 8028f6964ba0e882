//! What an operator reads and writes.

use async_trait::async_trait;
use portico_core::account::{Account, AccountId, NamePolicy};
use portico_core::audit::{AuditEvent, AuditFilter};
use portico_core::clock::Timestamp;
use portico_core::error::StoreError;
use portico_core::session::NewBreakGlass;
use portico_core::store::{
    AccountChange, AccountChanged, AccountFilter, AdminStore, IdentityCount, LocalAccount, Merged,
};

use crate::audit::record;
use crate::backend::{Backend, query};
use crate::pool::Sql;
use crate::{rows, sql};

#[async_trait]
impl<DB: Backend> AdminStore for Sql<DB> {
    async fn create_account(
        &self,
        account: &LocalAccount,
        event: &AuditEvent,
    ) -> Result<Option<Account>, StoreError> {
        let mut transaction = self.begin().await?;
        let free = query::<DB>(&mut transaction, sql::CREATE_ACCOUNT)
            .with(account.id.0)
            .with(account.name.clone())
            .with(account.label.clone())
            .with(account.email.clone())
            .with(None::<bool>)
            .with(None::<i64>)
            .with(event.time.unix())
            .with(None::<i64>)
            .execute()
            .await?;
        if !free {
            return Ok(None);
        }
        for role in &account.roles {
            query::<DB>(&mut transaction, sql::GRANT_ROLE)
                .with(account.id.0)
                .with(role.clone())
                .execute()
                .await?;
        }
        record::<DB>(&mut transaction, event).await?;
        let made = query::<DB>(&mut transaction, sql::ACCOUNT_BY_ID).with(account.id.0).row().await?;
        transaction.commit().await?;
        Ok(made.as_ref().map(rows::account::<DB>).transpose()?)
    }

    async fn list_accounts(&self, filter: &AccountFilter) -> Result<Vec<Account>, StoreError> {
        let mut connection = self.read().await?;
        let found = query::<DB>(&mut connection, sql::ACCOUNTS)
            .with(filter.status.map(|status| status.as_str().to_owned()))
            .with(filter.name.clone())
            .with(filter.role.clone())
            .with(filter.after.map(|after| after.0))
            .with(i64::from(filter.limit))
            .rows()
            .await?;
        Ok(found.iter().map(rows::account::<DB>).collect::<Result<_, _>>()?)
    }

    async fn change_account(
        &self,
        account: AccountId,
        change: &AccountChange,
        event: &AuditEvent,
    ) -> Result<AccountChanged, StoreError> {
        again!(self.change(account, change, event))
    }

    async fn merge_accounts(
        &self,
        from: AccountId,
        into: AccountId,
        event: &AuditEvent,
    ) -> Result<Merged, StoreError> {
        again!(self.merge(from, into, event))
    }

    async fn create_break_glass(&self, link: &NewBreakGlass, event: &AuditEvent) -> Result<bool, StoreError> {
        Ok(self.create_break_glass_code(link, event).await?)
    }

    async fn count_identities(&self) -> Result<Vec<IdentityCount>, StoreError> {
        let mut connection = self.read().await?;
        let found = query::<DB>(&mut connection, sql::ACQUAINTED).rows().await?;
        Ok(found.iter().map(rows::identity_count::<DB>).collect::<Result<_, _>>()?)
    }

    async fn count_adoptable(&self, policy: &NamePolicy) -> Result<u64, StoreError> {
        let mut connection = self.read().await?;
        let unlinked = query::<DB>(&mut connection, sql::ADOPTABLE).rows().await?;
        let mut count = 0;
        for row in &unlinked {
            let account = rows::account::<DB>(row)?;
            let reserved = policy.reserved.iter().any(|name| name.eq_ignore_ascii_case(&account.name));
            count += u64::from(!reserved && !policy.is_privileged(&account));
        }
        Ok(count)
    }

    async fn list_events(&self, filter: &AuditFilter) -> Result<Vec<AuditEvent>, StoreError> {
        let mut connection = self.read().await?;
        let found = query::<DB>(&mut connection, sql::EVENTS)
            .with(filter.since.map(Timestamp::unix))
            .with(filter.event.map(|event| event.as_str().to_owned()))
            .with(filter.account.map(|account| account.0))
            .with(filter.after)
            .with(i64::from(filter.limit))
            .rows()
            .await?;
        Ok(found.iter().map(rows::event::<DB>).collect::<Result<_, _>>()?)
    }
}
