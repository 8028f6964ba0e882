//! Break-glass codes: each starts one session without a provider.

use portico_core::account::{AccountId, AccountStatus};
use portico_core::audit::AuditEvent;
use portico_core::claims::SessionClaims;
use portico_core::session::{BREAK_GLASS, NewBreakGlass, NewSession, TokenHash};
use portico_core::store::BreakGlassRedemption;

use crate::audit::record;
use crate::backend::{Backend, DbError, query};
use crate::locking::lock_account;
use crate::pool::Sql;
use crate::rows::{self, Fields};
use crate::sessions::session_claims_text;
use crate::sql;

impl<DB: Backend> Sql<DB> {
    /// See [`portico_core::store::AdminStore::create_break_glass`].
    pub(crate) async fn create_break_glass_code(
        &self,
        code: &NewBreakGlass,
        event: &AuditEvent,
    ) -> Result<bool, DbError> {
        let mut transaction = self.begin().await?;
        if lock_account::<DB>(&mut transaction, code.account).await? != Some(AccountStatus::Active) {
            return Ok(false);
        }
        let add = query::<DB>(&mut transaction, sql::ADD_BREAK_GLASS).with(code.code.0.to_vec());
        add.with(code.account.0).with(code.expires_at.unix()).execute().await?;
        record::<DB>(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// See [`portico_core::store::LoginStore::redeem_break_glass`].
    pub(crate) async fn redeem_break_glass_code(
        &self,
        code: &TokenHash,
        session: &NewSession,
        event: &AuditEvent,
    ) -> Result<BreakGlassRedemption, DbError> {
        let mut transaction = self.begin().await?;
        let find = query::<DB>(&mut transaction, sql::ACCOUNT_OF_BREAK_GLASS).with(code.0.to_vec());
        let Some(found) = find.with(session.created_at.unix()).row().await? else {
            return Ok(BreakGlassRedemption::Unknown);
        };
        // The account is locked before the row of the code, as in every other transaction.
        let account = AccountId(Fields::<DB>::new("break-glass link", &found).get("account_id")?);
        let status = lock_account::<DB>(&mut transaction, account).await?;
        let take = query::<DB>(&mut transaction, sql::TAKE_BREAK_GLASS).with(code.0.to_vec());
        if !take.with(session.created_at.unix()).execute().await? {
            return Ok(BreakGlassRedemption::Unknown);
        }
        if status != Some(AccountStatus::Active) {
            transaction.commit().await?;
            return Ok(BreakGlassRedemption::Refused(account));
        }
        let session_claims =
            SessionClaims { amr: Some(vec![BREAK_GLASS.to_owned()]), ..SessionClaims::default() };
        query::<DB>(&mut transaction, sql::BEGIN_BREAK_GLASS_SESSION)
            .with(session.id.0)
            .with(account.0)
            .with(BREAK_GLASS.to_owned())
            .with(session_claims_text(&session_claims)?)
            .with(session.created_at.unix())
            .with(session.expires_at.unix())
            .with(session.caller.ip.clone())
            .with(session.caller.user_agent.clone())
            .execute()
            .await?;
        let refresh = query::<DB>(&mut transaction, sql::ADD_REFRESH).with(session.refresh.0.to_vec());
        refresh.with(session.id.0).execute().await?;
        record::<DB>(&mut transaction, &event.clone().about(account)).await?;
        let row = query::<DB>(&mut transaction, sql::PRESENT).with(session.id.0).row().await?;
        transaction.commit().await?;
        row.as_ref().map(rows::entry::<DB>).transpose().map(|entry| {
            entry.map_or(BreakGlassRedemption::Unknown, |entry| {
                BreakGlassRedemption::SessionStarted(Box::new(entry))
            })
        })
    }
}
