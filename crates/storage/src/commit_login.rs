//! The transaction of a login. It checks every premise of the decision again and writes everything or
//! nothing.

use portico_core::account::{AccountId, Decision};
use portico_core::audit::{AuditEvent, Event};
use portico_core::claims::Claims;
use portico_core::session::{NewHandOff, NewSession, Session, SessionId};
use portico_core::store::{Committed, CommittedLogin, LoginCommit, SessionKind};
use uuid::Uuid;

use crate::audit::record;
use crate::backend::{Backend, DbError, query};
use crate::pool::Sql;
use crate::rows::{self, Fields};
use crate::sessions::{Origin, begin_session, end_sessions, session_claims_text};
use crate::sql;

/// The account and identity of the login.
#[derive(Clone, Copy)]
struct Entered {
    account: AccountId,
    identity: Uuid,
}

impl<DB: Backend> Sql<DB> {
    /// Runs the transaction once. After [`DbError::lost_a_race`] nothing is written; the caller treats it as
    /// a conflict.
    pub(crate) async fn commit_login_once(&self, commit: &LoginCommit<'_>) -> Result<Committed, DbError> {
        let mut transaction = self.begin().await?;
        let mut writer = LoginWriter::<DB> { connection: &mut transaction, commit, events: Vec::new() };
        let Some(written) = writer.write().await? else { return Ok(Committed::Conflict) };
        transaction.commit().await?;
        Ok(Committed::Done(Box::new(written)))
    }
}

/// A running login transaction. It locks the account before its identities and sessions; see
/// [`crate::locking`].
struct LoginWriter<'a, 's, DB: Backend> {
    connection: &'a mut DB::Connection,
    commit: &'a LoginCommit<'s>,
    events: Vec<AuditEvent>,
}

impl<DB: Backend> LoginWriter<'_, '_, DB> {
    /// Writes everything, or returns `None` if a guard does not hold.
    async fn write(&mut self) -> Result<Option<CommittedLogin>, DbError> {
        let entered = match self.commit.decision {
            Decision::Use(account) => self.enter(*account).await?,
            Decision::Adopt(account) => self.adopt(*account).await?,
            Decision::Create(names) => self.create(names).await?,
            Decision::Link(account) => self.link_to(*account).await?,
        };
        let Some(entered) = entered else { return Ok(None) };
        let session = self.begin(entered).await?;
        let row = query::<DB>(self.connection, sql::ACCOUNT_BY_ID).with(entered.account.0).row().await?;
        let account = rows::account::<DB>(&row.ok_or_else(|| missing("account"))?)?;
        Ok(Some(CommittedLogin { account, session, events: std::mem::take(&mut self.events) }))
    }

    /// Guards: the account is active and still has the identity.
    async fn enter(&mut self, account: AccountId) -> Result<Option<Entered>, DbError> {
        if !self.update_account(sql::ENTER_ACCOUNT, account).await? {
            return Ok(None);
        }
        let claims = self.commit.claims;
        let identity = query::<DB>(self.connection, sql::ENTER_IDENTITY)
            .with_identity(claims.identity())
            .with(account.0)
            .with(claims.slot().to_string())
            .with(claims.client_id().to_owned())
            .with(address(claims))
            .with(self.commit.now.unix())
            .row()
            .await?;
        let Some(identity) = identity else { return Ok(None) };
        let identity = Fields::<DB>::new("identity", &identity).get("id")?;
        Ok(Some(Entered { account, identity }))
    }

    /// Guards: the identity is still unknown; the account was never linked, is active, and has no privileged
    /// role (threat catalogue 7.4, F1 to F3). All earlier sessions of the account end.
    async fn adopt(&mut self, account: AccountId) -> Result<Option<Entered>, DbError> {
        if !self.update_account(sql::ADOPT_ACCOUNT, account).await? || self.is_privileged(account).await? {
            return Ok(None);
        }
        self.note(Event::AccountAdopted, account).await?;
        self.end_sessions(account, None, "account_adopted").await?;
        self.grant_default_group(account).await?;
        self.link(account).await
    }

    /// Guards: the identity is still unknown, and one of the names is free.
    async fn create(&mut self, names: &[String]) -> Result<Option<Entered>, DbError> {
        let account = self.commit.new_account;
        for name in names {
            let free = query::<DB>(self.connection, sql::CREATE_ACCOUNT)
                .with(account.0)
                .with(name.clone())
                .with(self.commit.label.unwrap_or(name).to_owned())
                .with(address(self.commit.claims))
                .with(verified(self.commit.claims))
                .with(Some(self.commit.now.unix()))
                .with(self.commit.now.unix())
                .with(Some(self.commit.now.unix()))
                .execute()
                .await?;
            if free {
                self.note(Event::AccountCreated, account).await?;
                self.grant_default_group(account).await?;
                return self.link(account).await;
            }
        }
        Ok(None)
    }

    /// Guards: the identity is still unknown; the requesting session is live and belongs to the account,
    /// which is active. All other sessions of the account started without this identity, so they end.
    async fn link_to(&mut self, account: AccountId) -> Result<Option<Entered>, DbError> {
        let Some(session) = self.commit.browser else { return Ok(None) };
        let now = self.commit.now.unix();
        if !query::<DB>(self.connection, sql::LINK_ACCOUNT).with(account.0).with(now).execute().await? {
            return Ok(None);
        }
        let live = query::<DB>(self.connection, sql::LINK_SESSION).with(account.0).with(session.0).with(now);
        if !live.execute().await? {
            return Ok(None);
        }
        self.end_sessions(account, Some(session), "identity_linked").await?;
        self.link(account).await
    }

    async fn is_privileged(&mut self, account: AccountId) -> Result<bool, DbError> {
        let row = query::<DB>(self.connection, sql::ACCOUNT_BY_ID).with(account.0).row().await?;
        let account = row.as_ref().map(rows::account::<DB>).transpose()?;
        Ok(account.is_none_or(|account| self.commit.policy.is_privileged(&account)))
    }

    /// Writes label, e-mail and time of this login. `false` if the guard of the statement does not hold.
    async fn update_account(&mut self, statement: &'static str, account: AccountId) -> Result<bool, DbError> {
        query::<DB>(self.connection, statement)
            .with(account.0)
            .with(self.commit.label.map(str::to_owned))
            .with(address(self.commit.claims))
            .with(verified(self.commit.claims))
            .with(self.commit.now.unix())
            .execute()
            .await
    }

    async fn grant_default_group(&mut self, account: AccountId) -> Result<(), DbError> {
        if let Some(group) = self.commit.default_group {
            query::<DB>(self.connection, sql::GRANT_GROUP)
                .with(account.0)
                .with(group.to_owned())
                .execute()
                .await?;
        }
        Ok(())
    }

    /// Links the identity, unless it is linked already; the constraint of the table is the guard.
    async fn link(&mut self, account: AccountId) -> Result<Option<Entered>, DbError> {
        let (claims, identity) = (self.commit.claims, self.commit.new_identity);
        let unknown = query::<DB>(self.connection, sql::LINK_IDENTITY)
            .with(identity)
            .with(account.0)
            .with_identity(claims.identity())
            .with(claims.slot().to_string())
            .with(claims.client_id().to_owned())
            .with(address(claims))
            .with(self.commit.now.unix())
            .execute()
            .await?;
        if !unknown {
            return Ok(None);
        }
        self.note(Event::IdentityLinked, account).await?;
        Ok(Some(Entered { account, identity }))
    }

    /// Ends all sessions of an account except `except`.
    async fn end_sessions(
        &mut self,
        account: AccountId,
        except: Option<SessionId>,
        reason: &'static str,
    ) -> Result<(), DbError> {
        let ended = end_sessions::<DB>(self.connection, account, except, self.commit.now).await?;
        for session in &ended {
            self.note_end(session, reason).await?;
        }
        Ok(())
    }

    /// Creates what the login starts: a session that replaces the one of the browser, a hand-off code, or
    /// nothing.
    async fn begin(&mut self, entered: Entered) -> Result<Option<Session>, DbError> {
        match self.commit.session_kind {
            SessionKind::Session(session) => {
                self.end_replaced().await?;
                self.begin_session(entered, session).await?;
                self.note(Event::LoginSucceeded, entered.account).await?;
                let row = query::<DB>(self.connection, sql::PRESENT).with(session.id.0).row().await?;
                let entry = rows::entry::<DB>(&row.ok_or_else(|| missing("session"))?)?;
                Ok(Some(entry.session))
            }
            SessionKind::HandOff(handoff) => {
                self.begin_handoff(entered, handoff).await?;
                self.note(Event::LoginSucceeded, entered.account).await?;
                Ok(None)
            }
            SessionKind::Nothing => Ok(None),
        }
    }

    async fn end_replaced(&mut self) -> Result<(), DbError> {
        let Some(SessionId(replaced)) = self.commit.browser else { return Ok(()) };
        let ended = query::<DB>(self.connection, sql::REVOKE_SESSION)
            .with(replaced)
            .with(self.commit.now.unix())
            .row()
            .await?;
        match ended {
            Some(ended) => self.note_end(&ended, "replaced").await,
            None => Ok(()),
        }
    }

    async fn begin_session(&mut self, entered: Entered, session: &NewSession) -> Result<(), DbError> {
        let claims = self.commit.claims;
        let origin = Origin {
            account: entered.account,
            identity: entered.identity,
            slot: claims.slot().to_string(),
            session_claims: claims.session_claims(),
        };
        // This transaction has locked the account and its identity.
        if begin_session::<DB>(self.connection, &origin, session).await? {
            Ok(())
        } else {
            Err(missing("identity"))
        }
    }

    async fn begin_handoff(&mut self, entered: Entered, handoff: &NewHandOff) -> Result<(), DbError> {
        let claims = self.commit.claims;
        query::<DB>(self.connection, sql::BEGIN_HAND_OFF)
            .with(handoff.code.0.to_vec())
            .with(entered.account.0)
            .with(entered.identity)
            .with(claims.slot().to_string())
            .with(session_claims_text(claims.session_claims())?)
            .with(handoff.challenge.0.to_vec())
            .with(self.commit.now.unix())
            .with(handoff.expires_at.unix())
            .with(handoff.id_token.clone())
            .execute()
            .await?;
        Ok(())
    }

    async fn note(&mut self, event: Event, account: AccountId) -> Result<(), DbError> {
        let event = AuditEvent::new(event, self.commit.now).by(self.commit.caller);
        self.keep(event.about(account).through(self.commit.claims.slot())).await
    }

    /// Records that the login ended the session of this row.
    async fn note_end(&mut self, ended: &DB::Row, reason: &'static str) -> Result<(), DbError> {
        let fields = Fields::<DB>::new("session", ended);
        let (account, slot) = (AccountId(fields.get("account_id")?), fields.slot()?);
        let event = AuditEvent::new(Event::SessionRevoked, self.commit.now).by(self.commit.caller);
        self.keep(event.about(account).through(slot).because(reason)).await
    }

    async fn keep(&mut self, event: AuditEvent) -> Result<(), DbError> {
        record::<DB>(self.connection, &event).await?;
        self.events.push(event);
        Ok(())
    }
}

fn missing(row: &'static str) -> DbError {
    DbError::Corrupt { row, problem: "it is missing after it was written".to_owned() }
}

fn address(claims: &Claims) -> Option<String> {
    claims.email().map(|email| email.address.clone())
}

fn verified(claims: &Claims) -> Option<bool> {
    claims.email().and_then(|email| email.verified)
}
