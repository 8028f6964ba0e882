//! Back-channel logout: ends the sessions that a logout token of the provider names.

use portico_core::account::AccountId;
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::Timestamp;
use portico_core::provider::logout::{LogoutToken, Whose};
use portico_core::session::{Caller, SessionId};
use portico_core::store::EndedSessions;

use crate::audit::record;
use crate::backend::{Backend, DbError, query};
use crate::pool::Sql;
use crate::rows::Fields;
use crate::sql;

impl<DB: Backend> Sql<DB> {
    /// See [`portico_core::store::SessionStore::backchannel_logout`]. A processed logout token is stored
    /// beside spent logins, because both may be used only once.
    pub(crate) async fn end_by_logout_token(
        &self,
        logout_token: &LogoutToken,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Option<EndedSessions>, DbError> {
        let mut transaction = self.begin().await?;
        let first = query::<DB>(&mut transaction, sql::SPEND_LOGIN).with(logout_token.once.to_vec());
        if !first.with(logout_token.forget_at.unix()).execute().await? {
            return Ok(None);
        }
        drop_hand_offs::<DB>(&mut transaction, &logout_token.whose).await?;
        let rows = match &logout_token.whose {
            Whose::Session { issuer, sid } => {
                let revoke = query::<DB>(&mut transaction, sql::REVOKE_IDP_SESSION).with(issuer.clone());
                revoke.with(sid.clone()).with(now.unix()).rows().await?
            }
            Whose::Identity(identity) => {
                let revoke =
                    query::<DB>(&mut transaction, sql::REVOKE_IDENTITY_SESSIONS).with_identity(identity);
                revoke.with(now.unix()).rows().await?
            }
        };
        let mut ended = EndedSessions::default();
        for row in &rows {
            let fields = Fields::<DB>::new("session", row);
            let event = AuditEvent::new(Event::SessionRevoked, now).by(caller);
            let event = event.about(AccountId(fields.get("account_id")?)).through(fields.slot()?);
            let event = event.because("backchannel_logout");
            record::<DB>(&mut transaction, &event).await?;
            ended.sessions.push(SessionId(fields.get("id")?));
            ended.events.push(event);
        }
        transaction.commit().await?;
        Ok(Some(ended))
    }
}

/// Deletes the hand-off codes that would start such a session. They are few, because a code lives for one
/// minute.
async fn drop_hand_offs<DB: Backend>(connection: &mut DB::Connection, whose: &Whose) -> Result<(), DbError> {
    let issuer = match whose {
        Whose::Session { issuer, .. } => issuer,
        Whose::Identity(identity) => &identity.issuer,
    };
    let waiting = query::<DB>(connection, sql::HAND_OFFS_OF_ISSUER).with(issuer.clone()).rows().await?;
    for row in &waiting {
        let fields = Fields::<DB>::new("hand-off", row);
        let meant = match whose {
            Whose::Session { sid, .. } => fields.session_claims()?.idp_sid.as_ref() == Some(sid),
            Whose::Identity(identity) => fields.get::<String>("subject")? == identity.subject.as_str(),
        };
        if meant {
            let code: Vec<u8> = fields.get("code")?;
            query::<DB>(connection, sql::DROP_HAND_OFF).with(code).execute().await?;
        }
    }
    Ok(())
}
