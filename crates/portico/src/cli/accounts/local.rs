//! Local accounts: the checks of their texts, and their creation.

use portico_core::account::{Account, AccountId};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::{Clock, Entropy};
use portico_core::store::{AdminStore, LocalAccount};
use portico_core::text::clean;

use crate::failure::Failure;

/// The maximum number of granted roles per account (section 5 of the contract).
pub(super) const MAX_ROLES: usize = 32;

/// A local account of checked texts. The label defaults to the name.
pub(super) fn new_local_account(
    name: &str,
    label: Option<String>,
    email: Option<String>,
    roles: Vec<String>,
) -> Result<LocalAccount, String> {
    let name = check_text("name", name)?;
    let label = label.map_or_else(|| Ok(name.clone()), |label| check_text("label", &label))?;
    check_roles(&roles)?;
    if let Some(email) = email.as_ref().filter(|email| !is_email(email)) {
        return Err(format!("e-mail {email:?}: must be an address of at most 254 bytes, without blanks"));
    }
    Ok(LocalAccount { id: AccountId(Entropy.id(Clock::System.now())), name, label, email, roles })
}

/// Writes the account and its audit event. `None` if the name exists.
pub(super) async fn create(
    store: &dyn AdminStore,
    account: &LocalAccount,
) -> Result<Option<Account>, Failure> {
    let mut reason = "operator".to_owned();
    if !account.roles.is_empty() {
        reason = format!("roles:{}", account.roles.join(","));
    }
    let event = AuditEvent::new(Event::AccountCreated, Clock::System.now()).about(account.id).because(reason);
    Ok(store.create_account(account, &event).await?)
}

/// The text, if it is stored exactly as the operator wrote it.
fn check_text(what: &str, text: &str) -> Result<String, String> {
    match clean(text) {
        Some(clean) if clean == text => Ok(clean),
        _ => Err(format!(
            "{what} {text:?}: 1 to 128 characters in NFC, no blanks at the ends, no control or invisible \
             characters"
        )),
    }
}

/// Checks the lengths of the roles (1 to 64 bytes) and their number.
fn check_roles(roles: &[String]) -> Result<(), String> {
    if let Some(role) = roles.iter().find(|role| role.is_empty() || role.len() > 64) {
        return Err(format!("role {role:?}: a role has 1 to 64 bytes"));
    }
    if roles.len() > MAX_ROLES { Err(format!("an account has at most {MAX_ROLES} roles")) } else { Ok(()) }
}

fn is_email(text: &str) -> bool {
    text.len() <= 254 && text.contains('@') && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}
