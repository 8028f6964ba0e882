//! Sessions and their refresh tokens.

use async_trait::async_trait;
use portico_core::audit::AuditEvent;
use portico_core::clock::Timestamp;
use portico_core::error::StoreError;
use portico_core::provider::logout::LogoutToken;
use portico_core::session::{Caller, Session, SessionId, TokenHash};
use portico_core::store::EndedSessions;
use portico_core::store::{
    Rotate, Rotation, SessionFilter, SessionSelection, SessionStore, SessionWithAccount,
};

use crate::backend::{Backend, query};
use crate::pool::Sql;
use crate::rows::{self, Fields};
use crate::sql;

#[async_trait]
impl<DB: Backend> SessionStore for Sql<DB> {
    async fn find_session(&self, id: SessionId) -> Result<Option<SessionWithAccount>, StoreError> {
        let mut connection = self.read().await?;
        let row = query::<DB>(&mut connection, sql::PRESENT).with(id.0).row().await?;
        Ok(row.as_ref().map(rows::entry::<DB>).transpose()?)
    }

    async fn find_refresh(&self, presented: &TokenHash) -> Result<Option<SessionId>, StoreError> {
        let mut connection = self.read().await?;
        let row = query::<DB>(&mut connection, sql::FIND_REFRESH).with(presented.0.to_vec()).row().await?;
        let session =
            row.map(|row| Fields::<DB>::new("refresh token", &row).get("session_id")).transpose()?;
        Ok(session.map(SessionId))
    }

    async fn rotate_refresh(&self, rotate: &Rotate) -> Result<Rotation, StoreError> {
        again!(self.rotate(rotate))
    }

    async fn revoke_sessions(&self, which: SessionSelection, event: &AuditEvent) -> Result<u64, StoreError> {
        again!(self.revoke(which, event))
    }

    async fn find_id_token(&self, session: SessionId) -> Result<Option<Vec<u8>>, StoreError> {
        let mut connection = self.read().await?;
        let row = query::<DB>(&mut connection, sql::ID_TOKEN).with(session.0).row().await?;
        Ok(row.map(|row| Fields::<DB>::new("session", &row).get("id_token")).transpose()?)
    }

    async fn backchannel_logout(
        &self,
        logout_token: &LogoutToken,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<EndedSessions>, StoreError> {
        again!(self.end_by_logout_token(logout_token, caller, now))
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
}
