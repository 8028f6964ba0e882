//! How the commands print accounts and identities, and the audit event that each change writes.

use portico_core::account::{Account, AccountId, Identity};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::Clock;
use serde_json::{Value, json};

/// An audit event of now, caused by an operator.
pub(super) fn by_operator(event: Event, account: AccountId) -> AuditEvent {
    AuditEvent::new(event, Clock::System.now()).about(account).because("operator")
}

pub(super) fn account_line(account: &Account) -> String {
    let roles =
        if account.roles.is_empty() { String::new() } else { format!("  [{}]", account.roles.join(", ")) };
    format!("{}  {:8}  {}  ({}){roles}", account.id, account.status.as_str(), account.name, account.label)
}

pub(super) fn account_json(account: &Account) -> Value {
    json!({
        "id": account.id.0,
        "name": account.name,
        "label": account.label,
        "email": account.email.as_ref().map(|email| &email.address),
        "email_verified": account.email.as_ref().and_then(|email| email.verified),
        "status": account.status.as_str(),
        "roles": account.roles,
        "groups": account.groups,
        "ever_linked": account.ever_linked,
        "created_at": portico_http::rfc3339(account.created_at),
        "last_login_at": account.last_login_at.map(portico_http::rfc3339),
    })
}

pub(super) fn identity_json(identity: &Identity) -> Value {
    json!({
        "id": identity.id,
        "protocol": identity.key.protocol.as_str(),
        "slot": identity.slot.to_string(),
        "issuer": identity.key.issuer,
        "subject": identity.key.subject.as_str(),
        "email": identity.email,
        "linked_at": portico_http::rfc3339(identity.linked_at),
        "last_login_at": portico_http::rfc3339(identity.last_login_at),
    })
}
