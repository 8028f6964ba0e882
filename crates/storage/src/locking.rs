//! The lock of an account.
//!
//! Every transaction that writes to an account locks it first, and its identities and sessions afterwards. Of
//! two accounts it locks the older one first. This order prevents deadlocks.

use portico_core::account::{AccountId, AccountStatus};

use crate::backend::{Backend, DbError, query};
use crate::rows::Fields;
use crate::sql;

/// Locks an account until the end of the transaction: no other transaction changes it or starts a session of
/// it. Returns its status; `None` if the account does not exist.
pub(crate) async fn lock_account<DB: Backend>(
    connection: &mut DB::Connection,
    account: AccountId,
) -> Result<Option<AccountStatus>, DbError> {
    let row = query::<DB>(connection, sql::LOCK_ACCOUNT).with(account.0).row().await?;
    row.map(|row| Fields::<DB>::new("account", &row).parsed("status", AccountStatus::parse)).transpose()
}
