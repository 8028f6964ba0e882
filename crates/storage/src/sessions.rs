//! Creation, refresh and end of sessions. Admission is decided elsewhere.

use portico_core::account::{AccountId, AccountStatus};
use portico_core::audit::AuditEvent;
use portico_core::claims::SessionClaims;
use portico_core::clock::Timestamp;
use portico_core::session::{HandOff, NewSession, SessionId};
use portico_core::store::{Rotate, Rotation, SessionSelection, SessionWithAccount};
use uuid::Uuid;

use crate::audit::record;
use crate::backend::{Backend, DbError, query};
use crate::locking::lock_account;
use crate::pool::Sql;
use crate::rows::{self, Fields};
use crate::sql;

/// More refreshes than a session can have within the grace time of a superseded token.
const MOST_SUCCESSIONS: i64 = 10_000;

/// The login that a session comes from.
pub(crate) struct Origin<'a> {
    pub(crate) account: AccountId,
    pub(crate) identity: Uuid,
    pub(crate) slot: String,
    pub(crate) session_claims: &'a SessionClaims,
}

impl<DB: Backend> Sql<DB> {
    /// See [`portico_core::store::SessionStore::rotate_refresh`].
    pub(crate) async fn rotate(&self, rotate: &Rotate) -> Result<Rotation, DbError> {
        let Rotate { presented, session, next, now } = rotate;
        let mut transaction = self.begin().await?;
        let current = query::<DB>(&mut transaction, sql::SUPERSEDE)
            .with(presented.0.to_vec())
            .with(session.0)
            .with(now.unix())
            .execute()
            .await?;
        if !current {
            return superseded::<DB>(&mut transaction, rotate).await;
        }
        if !query::<DB>(&mut transaction, sql::USE_SESSION).with(session.0).with(now.unix()).execute().await?
        {
            // The session is over; dropping the transaction rolls it back.
            return Ok(Rotation::Unknown);
        }
        query::<DB>(&mut transaction, sql::ADD_REFRESH)
            .with(next.0.to_vec())
            .with(session.0)
            .execute()
            .await?;
        let row = query::<DB>(&mut transaction, sql::PRESENT).with(session.0).row().await?;
        transaction.commit().await?;
        Ok(row.as_ref().map(rows::entry::<DB>).transpose()?.map_or(Rotation::Unknown, Rotation::Rotated))
    }

    /// See [`portico_core::store::LoginStore::begin_session`].
    pub(crate) async fn redeem(
        &self,
        handoff: &HandOff,
        session: &NewSession,
    ) -> Result<Option<SessionWithAccount>, DbError> {
        let mut transaction = self.begin().await?;
        // A concurrent transaction that ends the account's sessions either waits and finds this one, or came
        // first and is seen here.
        if lock_account::<DB>(&mut transaction, handoff.account).await? != Some(AccountStatus::Active) {
            return Ok(None);
        }
        let origin = Origin {
            account: handoff.account,
            identity: handoff.identity,
            slot: handoff.slot.to_string(),
            session_claims: &handoff.session_claims,
        };
        if !begin_session::<DB>(&mut transaction, &origin, session).await? {
            return Ok(None);
        }
        let row = query::<DB>(&mut transaction, sql::PRESENT).with(session.id.0).row().await?;
        transaction.commit().await?;
        row.as_ref().map(rows::entry::<DB>).transpose()
    }

    /// See [`portico_core::store::SessionStore::revoke_sessions`].
    pub(crate) async fn revoke(&self, which: SessionSelection, event: &AuditEvent) -> Result<u64, DbError> {
        let mut transaction = self.begin().await?;
        let now = event.time;
        let revoked = match which {
            SessionSelection::One(id) => {
                let revoke = query::<DB>(&mut transaction, sql::REVOKE_SESSION).with(id.0);
                revoke.with(now.unix()).rows().await?
            }
            SessionSelection::Of(account) => end_sessions::<DB>(&mut transaction, account, None, now).await?,
            SessionSelection::All => {
                query::<DB>(&mut transaction, sql::DROP_HAND_OFFS).rows().await?;
                query::<DB>(&mut transaction, sql::DROP_ALL_BREAK_GLASS).rows().await?;
                query::<DB>(&mut transaction, sql::REVOKE_ALL_SESSIONS).with(now.unix()).rows().await?
            }
        };
        if !revoked.is_empty() {
            record::<DB>(&mut transaction, event).await?;
        }
        transaction.commit().await?;
        Ok(revoked.len() as u64)
    }
}

/// Reads what is stored about a refresh token that is not the current one.
async fn superseded<DB: Backend>(
    connection: &mut DB::Connection,
    rotate: &Rotate,
) -> Result<Rotation, DbError> {
    let row = query::<DB>(connection, sql::SUPERSEDED)
        .with(rotate.presented.0.to_vec())
        .with(rotate.session.0)
        .with(rotate.now.unix())
        .row()
        .await?;
    let Some(row) = row else { return Ok(Rotation::Unknown) };
    let (at, current) = rows::superseded::<DB>(&row)?;
    let since = query::<DB>(connection, sql::SUPERSEDED_SINCE)
        .with(rotate.session.0)
        .with(at.unix())
        .with(MOST_SUCCESSIONS)
        .rows()
        .await?;
    let since = since.iter().map(|row| Fields::<DB>::new("refresh token", row).hash("hash"));
    let since = since.collect::<Result<_, _>>()?;
    Ok(Rotation::Superseded { entry: rows::entry::<DB>(&row)?, at, current, since })
}

/// Creates a session with its first refresh token. `false` if the identity does not belong to the account or
/// the account is not active.
pub(crate) async fn begin_session<DB: Backend>(
    connection: &mut DB::Connection,
    origin: &Origin<'_>,
    session: &NewSession,
) -> Result<bool, DbError> {
    let begun = query::<DB>(connection, sql::BEGIN_SESSION)
        .with(session.id.0)
        .with(origin.account.0)
        .with(origin.identity)
        .with(origin.slot.clone())
        .with(idp_sid(origin.session_claims))
        .with(session_claims_text(origin.session_claims)?)
        .with(session.created_at.unix())
        .with(session.expires_at.unix())
        .with(session.caller.ip.clone())
        .with(session.caller.user_agent.clone())
        .with(session.id_token.clone())
        .execute()
        .await?;
    if begun {
        let refresh = query::<DB>(connection, sql::ADD_REFRESH).with(session.refresh.0.to_vec());
        refresh.with(session.id.0).execute().await?;
    }
    Ok(begun)
}

/// Revokes the sessions of an account except `except`, and deletes the hand-off and break-glass codes that
/// would start one. Returns the rows of the sessions that were not revoked before.
pub(crate) async fn end_sessions<DB: Backend>(
    connection: &mut DB::Connection,
    account: AccountId,
    except: Option<SessionId>,
    now: Timestamp,
) -> Result<Vec<DB::Row>, DbError> {
    for statement in [sql::DROP_HAND_OFFS_OF, sql::DROP_BREAK_GLASS_OF] {
        query::<DB>(connection, statement).with(account.0).rows().await?;
    }
    let except = except.map_or(Uuid::nil(), |session| session.0);
    let end = query::<DB>(connection, sql::REVOKE_OTHER_SESSIONS).with(account.0).with(now.unix());
    end.with(except).rows().await
}

/// The provider's session identifier as a column value. One with NUL is dropped: PostgreSQL rejects NUL in
/// text, and no regular identifier contains it.
fn idp_sid(session_claims: &SessionClaims) -> Option<String> {
    session_claims.idp_sid.clone().filter(|sid| !sid.contains('\0'))
}

/// The claims as JSON text on both databases. PostgreSQL's JSON type rejects an escaped NUL, which a group
/// may contain.
pub(crate) fn session_claims_text(session_claims: &SessionClaims) -> Result<String, DbError> {
    let text = serde_json::to_string(session_claims);
    text.map_err(|error| DbError::Corrupt { row: "session", problem: error.to_string() })
}
