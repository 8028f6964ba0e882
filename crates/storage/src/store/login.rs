//! Logins, hand-offs and break-glass codes.

use async_trait::async_trait;
use portico_core::account::{Account, AccountId, Candidates, Identity};
use portico_core::audit::AuditEvent;
use portico_core::claims::IdentityKey;
use portico_core::clock::Timestamp;
use portico_core::error::StoreError;
use portico_core::session::{HandOff, NewSession, TokenHash};
use portico_core::store::{
    AccountRef, BreakGlassRedemption, Committed, LoginCommit, LoginStore, SessionWithAccount, Spent, Unlinked,
};
use uuid::Uuid;

use crate::backend::{Backend, query};
use crate::pool::Sql;
use crate::{rows, sql};

#[async_trait]
impl<DB: Backend> LoginStore for Sql<DB> {
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

    async fn redeem_break_glass(
        &self,
        code: &TokenHash,
        session: &NewSession,
        event: &AuditEvent,
    ) -> Result<BreakGlassRedemption, StoreError> {
        Ok(self.redeem_break_glass_code(code, session, event).await?)
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

    async fn unlink_identity(
        &self,
        account: AccountId,
        identity: Uuid,
        event: &AuditEvent,
    ) -> Result<Unlinked, StoreError> {
        again!(self.unlink(account, identity, event))
    }
}
