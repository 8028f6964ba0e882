//! [`Store`], implemented once for both databases: each method is one statement or one transaction.

use std::time::Duration;

use async_trait::async_trait;
use portico_core::account::{Account, AccountId, Candidates, Identity, NamePolicy};
use portico_core::audit::{AuditEvent, AuditFilter};
use portico_core::claims::IdentityKey;
use portico_core::clock::Timestamp;
use portico_core::error::StoreError;
use portico_core::keys::StoredKey;
use portico_core::provider::logout::LogoutToken;
use portico_core::session::{Caller, HandOff, NewBreakGlass, NewSession, Session, SessionId, TokenHash};
use portico_core::store::EndedSessions;
use portico_core::store::{
    AccountChange, AccountChanged, AccountFilter, AccountRef, BreakGlassRedemption, Committed, IdentityCount,
    LocalAccount, LoginCommit, Merged, Retention, Rotate, Rotation, SessionFilter, SessionSelection,
    SessionWithAccount, Spent, Store, Unlinked,
};
use uuid::Uuid;

use crate::backend::{Backend, DbError, query};
use crate::pool::Sql;
use crate::rows::{self, Fields};
use crate::sql;

/// How long a session is kept after its end, for those who ask what happened.
const ENDED_SESSIONS_KEPT: Duration = Duration::from_hours(30 * 24);

/// How long a signing key is kept after nothing signed by it is valid any more.
const RETIRED_KEYS_KEPT: Duration = Duration::from_hours(24);

/// How many rows are forgotten at a time, so that nobody waits long for the file's one writer.
const BATCH: u32 = 500;

/// How many batches a sweep has at most; the next sweep goes on.
const BATCHES: usize = 100;

/// Tries, and once more when the database chose this transaction to give way to another.
macro_rules! again {
    ($attempt:expr) => {
        match $attempt.await {
            Err(error) if error.lost_a_race() => Ok($attempt.await?),
            other => Ok(other?),
        }
    };
}

#[async_trait]
impl<DB: Backend> Store for Sql<DB> {
    async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.read().await?;
        query::<DB>(&mut connection, sql::PING).execute().await?;
        Ok(())
    }

    async fn spend_login(&self, login: &[u8; 32], forget_at: Timestamp) -> Result<Spent, StoreError> {
        let mut connection = self.write().await?;
        let spend =
            query::<DB>(&mut connection, sql::SPEND_LOGIN).with(login.to_vec()).with(forget_at.unix());
        Ok(if spend.execute().await? { Spent::Now } else { Spent::Before })
    }

    async fn find_candidates(
        &self,
        identity: &IdentityKey,
        name: Option<&str>,
    ) -> Result<Candidates, StoreError> {
        let mut connection = self.read().await?;
        let by_identity =
            query::<DB>(&mut connection, sql::ACCOUNT_BY_IDENTITY).with_identity(identity).row().await?;
        let by_name = match name {
            Some(name) => {
                query::<DB>(&mut connection, sql::ACCOUNT_BY_NAME).with(name.to_owned()).row().await?
            }
            None => None,
        };
        Ok(Candidates {
            by_identity: by_identity.as_ref().map(rows::account::<DB>).transpose()?,
            by_name: by_name.as_ref().map(rows::account::<DB>).transpose()?,
        })
    }

    async fn commit_login(&self, commit: &LoginCommit<'_>) -> Result<Committed, StoreError> {
        match self.commit_login_once(commit).await {
            Err(error) if error.lost_a_race() => Ok(Committed::Conflict),
            other => Ok(other?),
        }
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<SessionWithAccount>, StoreError> {
        let mut connection = self.read().await?;
        let row = query::<DB>(&mut connection, sql::PRESENT).with(id.0).row().await?;
        Ok(row.as_ref().map(rows::entry::<DB>).transpose()?)
    }

    async fn find_refresh(&self, presented: &TokenHash) -> Result<Option<SessionId>, StoreError> {
        let mut connection = self.read().await?;
        let row = query::<DB>(&mut connection, sql::FIND_REFRESH).with(presented.0.to_vec()).row().await?;
        let session = row.map(|row| Fields::<DB>::of("refresh token", &row).get("session_id")).transpose()?;
        Ok(session.map(SessionId))
    }

    async fn rotate_refresh(&self, rotate: &Rotate) -> Result<Rotation, StoreError> {
        again!(self.rotate(rotate))
    }

    async fn take_handoff(&self, code: &TokenHash) -> Result<Option<HandOff>, StoreError> {
        let mut connection = self.write().await?;
        let row = query::<DB>(&mut connection, sql::TAKE_HAND_OFF).with(code.0.to_vec()).row().await?;
        Ok(row.as_ref().map(rows::handoff::<DB>).transpose()?)
    }

    async fn begin_session(
        &self,
        handoff: &HandOff,
        session: &NewSession,
    ) -> Result<Option<SessionWithAccount>, StoreError> {
        again!(self.redeem(handoff, session))
    }

    async fn revoke_sessions(&self, which: SessionSelection, event: &AuditEvent) -> Result<u64, StoreError> {
        again!(self.revoke(which, event))
    }

    async fn find_id_token(&self, session: SessionId) -> Result<Option<Vec<u8>>, StoreError> {
        let mut connection = self.read().await?;
        let row = query::<DB>(&mut connection, sql::ID_TOKEN).with(session.0).row().await?;
        Ok(row.map(|row| Fields::<DB>::of("session", &row).get("id_token")).transpose()?)
    }

    async fn backchannel_logout(
        &self,
        logout_token: &LogoutToken,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<EndedSessions>, StoreError> {
        again!(self.end_by_logout_token(logout_token, caller, now))
    }

    async fn create_break_glass(&self, code: &NewBreakGlass, event: &AuditEvent) -> Result<bool, StoreError> {
        Ok(self.create_break_glass_code(code, event).await?)
    }

    async fn redeem_break_glass(
        &self,
        code: &TokenHash,
        session: &NewSession,
        event: &AuditEvent,
    ) -> Result<BreakGlassRedemption, StoreError> {
        Ok(self.enter_by_link(code, session, event).await?)
    }

    async fn list_sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, StoreError> {
        let mut connection = self.read().await?;
        let sessions = match filter.account {
            Some(account) => query::<DB>(&mut connection, sql::SESSIONS_OF).with(account.0),
            None => query::<DB>(&mut connection, sql::SESSIONS),
        };
        let found = sessions
            .with(filter.now.unix())
            .with(filter.used_since.unix())
            .with(filter.after.map(|after| after.0))
            .with(i64::from(filter.limit))
            .rows()
            .await?;
        Ok(found.iter().map(rows::session::<DB>).collect::<Result<_, _>>()?)
    }

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

    async fn find_account(
        &self,
        account: &AccountRef,
    ) -> Result<Option<(Account, Vec<Identity>)>, StoreError> {
        let mut connection = self.read().await?;
        let found = match account {
            AccountRef::Id(id) => query::<DB>(&mut connection, sql::ACCOUNT_BY_ID).with(id.0),
            AccountRef::Name(name) => query::<DB>(&mut connection, sql::ACCOUNT_BY_NAME).with(name.clone()),
        };
        let Some(row) = found.row().await? else { return Ok(None) };
        let account = rows::account::<DB>(&row)?;
        let identities = query::<DB>(&mut connection, sql::IDENTITIES).with(account.id.0).rows().await?;
        Ok(Some((account, identities.iter().map(rows::identity::<DB>).collect::<Result<_, _>>()?)))
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

    async fn unlink_identity(
        &self,
        account: AccountId,
        identity: Uuid,
        event: &AuditEvent,
    ) -> Result<Unlinked, StoreError> {
        again!(self.unlink(account, identity, event))
    }

    async fn count_identities(&self) -> Result<Vec<IdentityCount>, StoreError> {
        let mut connection = self.read().await?;
        let found = query::<DB>(&mut connection, sql::ACQUAINTED).rows().await?;
        Ok(found.iter().map(rows::acquainted::<DB>).collect::<Result<_, _>>()?)
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

    async fn record(&self, event: &AuditEvent) -> Result<(), StoreError> {
        let mut connection = self.write().await?;
        Ok(record::<DB>(&mut connection, event).await?)
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

    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError> {
        let now = retention.now;
        let mut gone = self.forget(sql::FORGET_LOGINS, now).await?;
        gone += self.forget(sql::FORGET_HAND_OFFS, now).await?;
        gone += self.forget(sql::FORGET_LINKS, now).await?;
        gone += self.forget(sql::FORGET_SESSIONS, now.minus(ENDED_SESSIONS_KEPT)).await?;
        gone += self.forget(sql::FORGET_KEYS, now.minus(RETIRED_KEYS_KEPT)).await?;
        if let Some(end) = retention.audit_before {
            gone += self.forget(sql::FORGET_EVENTS, end).await?;
        }
        Ok(gone)
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

    /// Forgets what ended before `end`, a batch at a time; how many rows went.
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

/// Writes an audit event, as part of what it tells.
pub(crate) async fn record<DB: Backend>(
    connection: &mut DB::Connection,
    event: &AuditEvent,
) -> Result<(), DbError> {
    query::<DB>(connection, sql::RECORD)
        .with(event.id)
        .with(event.time.unix())
        .with(event.event.as_str().to_owned())
        .with(event.account.map(|account| account.0))
        .with(event.slot.map(|slot| slot.to_string()))
        .with(event.outcome.as_str().to_owned())
        .with(event.reason.as_deref().map(str::to_owned))
        .with(event.request_id.clone())
        .with(event.ip.clone())
        .execute()
        .await?;
    Ok(())
}
