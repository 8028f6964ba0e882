//! The transaction of a login: every premise of the decision once more as a guard, then everything or nothing.

use portico_core::account::{AccountId, Decision};
use portico_core::claims::Claims;
use portico_core::clock::{Entropy, Timestamp};
use portico_core::session::SessionId;
use portico_core::slot::SlotId;
use portico_core::store::{AuditEvent, Present, Settled, Settlement};
use uuid::Uuid;

use crate::backend::{Backend, Sql, Trouble, ask};
use crate::rows::{self, Fields};
use crate::sql;
use crate::store::record;

/// The account that a person entered, and by which identity.
#[derive(Clone, Copy)]
struct Entered {
    account: AccountId,
    identity: Uuid,
}

impl<DB: Backend> Sql<DB> {
    /// Tries once. [`Trouble::lost_a_race`] is a conflict like any other: the transaction is gone, nothing is written.
    pub(crate) async fn settle_once(&self, settlement: &Settlement<'_>) -> Result<Settled, Trouble> {
        let mut transaction = self.begin().await?;
        let entered = match settlement.decision {
            Decision::Use(account) => enter::<DB>(&mut transaction, settlement, *account).await?,
            Decision::Adopt(account) => adopt::<DB>(&mut transaction, settlement, *account).await?,
            Decision::Create(names) => create::<DB>(&mut transaction, settlement, names).await?,
        };
        let Some(entered) = entered else {
            transaction.rollback().await?;
            return Ok(Settled::Conflict);
        };
        let present = begin_session::<DB>(&mut transaction, settlement, entered).await?;
        transaction.commit().await?;
        Ok(Settled::Done(Box::new(present)))
    }
}

/// The identity is still that account's, and the account is active.
async fn enter<DB: Backend>(
    connection: &mut DB::Connection,
    settlement: &Settlement<'_>,
    account: AccountId,
) -> Result<Option<Entered>, Trouble> {
    let claims = settlement.claims;
    let identity = ask::<DB>(connection, sql::ENTER_IDENTITY)
        .with_identity(claims.identity())
        .with(account.0)
        .with(claims.slot().to_string())
        .with(claims.client_id().to_owned())
        .with(address(claims))
        .with(settlement.now.unix())
        .row()
        .await?;
    let Some(identity) = identity else { return Ok(None) };
    let identity = Fields::<DB>::of("identity", &identity).get("id")?;
    let active = update_account::<DB>(connection, sql::ENTER_ACCOUNT, settlement, account).await?;
    Ok(active.then_some(Entered { account, identity }))
}

/// The identity is still unknown; the account was never linked, is active, and has no privileged role (threat catalogue
/// 7.4, F1 to F3). Whoever was in the account before is out.
async fn adopt<DB: Backend>(
    connection: &mut DB::Connection,
    settlement: &Settlement<'_>,
    account: AccountId,
) -> Result<Option<Entered>, Trouble> {
    if !update_account::<DB>(connection, sql::ADOPT_ACCOUNT, settlement, account).await?
        || is_privileged::<DB>(connection, settlement, account).await?
    {
        return Ok(None);
    }
    let ended = ask::<DB>(connection, sql::REVOKE_SESSIONS_OF)
        .with(account.0)
        .with(settlement.now.unix())
        .rows()
        .await?;
    note::<DB>(connection, settlement, "account_adopted", account).await?;
    for session in &ended {
        note_end::<DB>(connection, settlement, session, "account_adopted").await?;
    }
    link::<DB>(connection, settlement, account).await
}

/// The identity is still unknown, and one of the names is free.
async fn create<DB: Backend>(
    connection: &mut DB::Connection,
    settlement: &Settlement<'_>,
    names: &[String],
) -> Result<Option<Entered>, Trouble> {
    let account = settlement.new_account;
    for name in names {
        let free = ask::<DB>(connection, sql::CREATE_ACCOUNT)
            .with(account.0)
            .with(name.clone())
            .with(settlement.label.unwrap_or(name).to_owned())
            .with(address(settlement.claims))
            .with(verified(settlement.claims))
            .with(Some(settlement.now.unix()))
            .with(settlement.now.unix())
            .with(Some(settlement.now.unix()))
            .did()
            .await?;
        if free {
            note::<DB>(connection, settlement, "account_created", account).await?;
            return link::<DB>(connection, settlement, account).await;
        }
    }
    Ok(None)
}

async fn is_privileged<DB: Backend>(
    connection: &mut DB::Connection,
    settlement: &Settlement<'_>,
    account: AccountId,
) -> Result<bool, Trouble> {
    let row = ask::<DB>(connection, sql::ACCOUNT_BY_ID).with(account.0).row().await?;
    let account = row.as_ref().map(rows::account::<DB>).transpose()?;
    Ok(account.is_none_or(|account| settlement.policy.is_privileged(&account)))
}

/// Label, e-mail and time of this login; `false` when the statement's guard did not hold.
async fn update_account<DB: Backend>(
    connection: &mut DB::Connection,
    statement: &'static str,
    settlement: &Settlement<'_>,
    account: AccountId,
) -> Result<bool, Trouble> {
    ask::<DB>(connection, statement)
        .with(account.0)
        .with(settlement.label.map(str::to_owned))
        .with(address(settlement.claims))
        .with(verified(settlement.claims))
        .with(settlement.now.unix())
        .did()
        .await
}

/// Links the identity, unless somebody has it: the table's constraint is the guard.
async fn link<DB: Backend>(
    connection: &mut DB::Connection,
    settlement: &Settlement<'_>,
    account: AccountId,
) -> Result<Option<Entered>, Trouble> {
    let (claims, identity) = (settlement.claims, settlement.new_identity);
    let unknown = ask::<DB>(connection, sql::LINK_IDENTITY)
        .with(identity)
        .with(account.0)
        .with_identity(claims.identity())
        .with(claims.slot().to_string())
        .with(claims.client_id().to_owned())
        .with(address(claims))
        .with(settlement.now.unix())
        .did()
        .await?;
    if !unknown {
        return Ok(None);
    }
    note::<DB>(connection, settlement, "identity_linked", account).await?;
    Ok(Some(Entered { account, identity }))
}

/// The session with its first refresh token, in place of the one that the browser had.
async fn begin_session<DB: Backend>(
    connection: &mut DB::Connection,
    settlement: &Settlement<'_>,
    entered: Entered,
) -> Result<Present, Trouble> {
    if let Some(SessionId(replaced)) = settlement.replaces {
        let ended = ask::<DB>(connection, sql::REVOKE_SESSION)
            .with(replaced)
            .with(settlement.now.unix())
            .row()
            .await?;
        if let Some(ended) = ended {
            note_end::<DB>(connection, settlement, &ended, "replaced").await?;
        }
    }
    let (claims, session) = (settlement.claims, settlement.session);
    ask::<DB>(connection, sql::BEGIN_SESSION)
        .with(session.id.0)
        .with(entered.account.0)
        .with(Some(entered.identity))
        .with(claims.slot().to_string())
        .with(claims.identity().issuer.clone())
        .with(idp_sid(claims))
        .with(facts(claims)?)
        .with(settlement.now.unix())
        .with(session.expires_at.unix())
        .with(session.caller.ip.clone())
        .with(session.caller.user_agent.clone())
        .did()
        .await?;
    ask::<DB>(connection, sql::ADD_REFRESH).with(session.refresh.0.to_vec()).with(session.id.0).did().await?;
    note::<DB>(connection, settlement, "login_succeeded", entered.account).await?;
    let row = ask::<DB>(connection, sql::PRESENT).with(session.id.0).row().await?;
    let missing =
        || Trouble::Corrupt { row: "session", problem: "it is not there after it was written".to_owned() };
    rows::present::<DB>(&row.ok_or_else(missing)?)
}

fn address(claims: &Claims) -> Option<String> {
    claims.email().map(|email| email.address.clone())
}

fn verified(claims: &Claims) -> Option<bool> {
    claims.email().and_then(|email| email.verified)
}

/// The provider's session as a column; NUL, which PostgreSQL does not accept in a text, is in no honest one.
fn idp_sid(claims: &Claims) -> Option<String> {
    claims.facts().idp_sid.clone().filter(|sid| !sid.contains('\0'))
}

/// JSON as text on both databases: PostgreSQL's own type refuses an escaped NUL, which a group may have.
fn facts(claims: &Claims) -> Result<String, Trouble> {
    let text = serde_json::to_string(claims.facts());
    text.map_err(|error| Trouble::Corrupt { row: "session", problem: error.to_string() })
}

async fn note<DB: Backend>(
    connection: &mut DB::Connection,
    settlement: &Settlement<'_>,
    event: &'static str,
    account: AccountId,
) -> Result<(), Trouble> {
    let event = event_of(settlement, event, account, settlement.claims.slot(), None);
    record::<DB>(connection, &event).await
}

/// A session of this row came to its end by the login.
async fn note_end<DB: Backend>(
    connection: &mut DB::Connection,
    settlement: &Settlement<'_>,
    ended: &DB::Row,
    reason: &'static str,
) -> Result<(), Trouble> {
    let fields = Fields::<DB>::of("session", ended);
    let account = AccountId(fields.get("account_id")?);
    let event = event_of(settlement, "session_revoked", account, fields.slot()?, Some(reason));
    record::<DB>(connection, &event).await
}

fn event_of(
    settlement: &Settlement<'_>,
    event: &'static str,
    account: AccountId,
    slot: SlotId,
    reason: Option<&'static str>,
) -> AuditEvent {
    let time: Timestamp = settlement.now;
    let caller = &settlement.session.caller;
    AuditEvent {
        id: Entropy.id(time),
        time,
        event,
        account: Some(account),
        slot: Some(slot),
        outcome: "success",
        reason,
        request_id: Some(caller.request_id.clone()),
        ip: caller.ip.clone(),
    }
}
