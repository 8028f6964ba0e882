//! Writes audit events.

use portico_core::audit::AuditEvent;

use crate::backend::{Backend, DbError, query};
use crate::sql;

/// Writes an audit event, within the transaction that it describes if there is one.
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
