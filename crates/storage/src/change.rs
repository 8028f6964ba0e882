//! Account changes by operators and users. Guards, the end of sessions and the audit event share one
//! transaction. See [`crate::locking`] for the order of locks.

use portico_core::account::{AccountId, AccountStatus};
use portico_core::audit::AuditEvent;
use portico_core::store::{AccountChange, AccountChanged, Grant, Merged, Unlinked};
use uuid::Uuid;

use crate::audit::record;
use crate::backend::{Backend, DbError, query};
use crate::locking::lock_account;
use crate::pool::Sql;
use crate::rows::{self, Fields};
use crate::sessions::end_sessions;
use crate::sql;

impl<DB: Backend> Sql<DB> {
    /// See [`portico_core::store::AdminStore::change_account`].
    pub(crate) async fn change(
        &self,
        id: AccountId,
        change: &AccountChange,
        event: &AuditEvent,
    ) -> Result<AccountChanged, DbError> {
        let mut transaction = self.begin().await?;
        let done = match change {
            AccountChange::Disable => {
                query::<DB>(&mut transaction, sql::DISABLE_ACCOUNT).with(id.0).execute().await?
            }
            AccountChange::Enable => {
                query::<DB>(&mut transaction, sql::ENABLE_ACCOUNT).with(id.0).execute().await?
            }
            AccountChange::Delete => {
                query::<DB>(&mut transaction, sql::DELETE_ACCOUNT).with(id.0).execute().await?
            }
            AccountChange::Release => {
                query::<DB>(&mut transaction, sql::RELEASE_IDENTITIES).with(id.0).execute().await?
            }
            AccountChange::Grant(what) => grant::<DB>(&mut transaction, id, what, true).await?,
            AccountChange::Revoke(what) => grant::<DB>(&mut transaction, id, what, false).await?,
        };
        if done {
            if matches!(change, AccountChange::Disable | AccountChange::Delete) {
                end_sessions::<DB>(&mut transaction, id, None, event.time).await?;
            }
            record::<DB>(&mut transaction, event).await?;
        }
        let row = query::<DB>(&mut transaction, sql::ACCOUNT_BY_ID).with(id.0).row().await?;
        let Some(row) = row else { return Ok(AccountChanged::Unknown) };
        let account = rows::account::<DB>(&row)?;
        if !done {
            return Ok(AccountChanged::Unchanged(account));
        }
        transaction.commit().await?;
        Ok(AccountChanged::Done(account))
    }

    /// See [`portico_core::store::AdminStore::merge_accounts`].
    pub(crate) async fn merge(
        &self,
        from: AccountId,
        into: AccountId,
        event: &AuditEvent,
    ) -> Result<Merged, DbError> {
        let mut transaction = self.begin().await?;
        let connection = &mut *transaction;
        for account in [from.min(into), from.max(into)] {
            if lock_account::<DB>(connection, account).await?.is_none() {
                return Ok(Merged::Unknown);
            }
        }
        if from == into
            || !query::<DB>(connection, sql::MERGE_MARK).with(into.0).with(from.0).execute().await?
            || !query::<DB>(connection, sql::DELETE_ACCOUNT).with(from.0).execute().await?
        {
            return Ok(Merged::Refused);
        }
        for statement in [sql::MERGE_IDENTITIES, sql::MERGE_ROLES, sql::MERGE_GROUPS] {
            query::<DB>(connection, statement).with(into.0).with(from.0).rows().await?;
        }
        for statement in [sql::FORGET_ROLES, sql::FORGET_GROUPS] {
            query::<DB>(connection, statement).with(from.0).rows().await?;
        }
        for account in [from, into] {
            end_sessions::<DB>(connection, account, None, event.time).await?;
        }
        record::<DB>(connection, event).await?;
        let row = query::<DB>(connection, sql::ACCOUNT_BY_ID).with(into.0).row().await?;
        transaction.commit().await?;
        Ok(match row {
            Some(row) => Merged::Done(rows::account::<DB>(&row)?),
            None => Merged::Unknown,
        })
    }

    /// See [`portico_core::store::LoginStore::unlink_identity`].
    pub(crate) async fn unlink(
        &self,
        account: AccountId,
        identity: Uuid,
        event: &AuditEvent,
    ) -> Result<Unlinked, DbError> {
        let mut transaction = self.begin().await?;
        let connection = &mut *transaction;
        // A cached session outlives the disabling of its account for a short time. Without this check its
        // user could unlink an identity and register with it as a new account.
        if lock_account::<DB>(connection, account).await? != Some(AccountStatus::Active) {
            return Ok(Unlinked::Unknown);
        }
        let identities = query::<DB>(connection, sql::IDENTITIES).with(account.0).rows().await?;
        let ids = identities.iter().map(|row| Fields::<DB>::new("identity", row).get("id"));
        let ids: Vec<Uuid> = ids.collect::<Result<_, _>>()?;
        if !ids.contains(&identity) {
            return Ok(Unlinked::Unknown);
        }
        if ids.len() == 1 {
            return Ok(Unlinked::Last);
        }
        let end = query::<DB>(connection, sql::REVOKE_SESSIONS_BY).with(identity).with(event.time.unix());
        end.rows().await?;
        query::<DB>(connection, sql::UNLINK_IDENTITY).with(identity).execute().await?;
        record::<DB>(connection, event).await?;
        transaction.commit().await?;
        Ok(Unlinked::Done)
    }
}

/// Adds or removes a grant, unless the account is deleted. Returns whether that changed anything.
async fn grant<DB: Backend>(
    connection: &mut DB::Connection,
    account: AccountId,
    what: &Grant,
    grants: bool,
) -> Result<bool, DbError> {
    if !matches!(
        lock_account::<DB>(connection, account).await?,
        Some(AccountStatus::Active | AccountStatus::Disabled)
    ) {
        return Ok(false);
    }
    let (statement, text) = match (what, grants) {
        (Grant::Role(role), true) => (sql::GRANT_ROLE, role),
        (Grant::Role(role), false) => (sql::REVOKE_ROLE, role),
        (Grant::Group(group), true) => (sql::GRANT_GROUP, group),
        (Grant::Group(group), false) => (sql::REVOKE_GROUP, group),
    };
    query::<DB>(connection, statement).with(account.0).with(text.clone()).execute().await
}
