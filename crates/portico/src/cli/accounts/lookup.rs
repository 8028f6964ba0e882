//! Finds the account that an operator names.

use portico_core::account::{Account, AccountId, Identity};
use portico_core::store::{AccountRef, LoginStore};

use crate::failure::Failure;

/// The account with this id or exact name, and its identities.
pub(in crate::cli) async fn find(
    store: &dyn LoginStore,
    named: &str,
) -> Result<(Account, Vec<Identity>), Failure> {
    let reference = match named.parse() {
        Ok(id) => AccountRef::Id(AccountId(id)),
        Err(_) if named.contains('@') => {
            return Err(Failure::Failed(format!("{named:?} has an @: name this account by its id")));
        }
        Err(_) => AccountRef::Name(named.to_owned()),
    };
    store.find_account(&reference).await?.ok_or_else(|| not_found(named))
}

/// The failure if there is no such account.
pub(super) fn not_found(named: &str) -> Failure {
    Failure::Failed(format!("no account {named:?}"))
}
