//! Accounts, and the decision which account a login enters. The decision is a pure function.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use crate::claims::{Claims, Email, IdentityKey};
use crate::clock::{Entropy, Timestamp};
use crate::slot::SlotId;
use crate::text::{MAX_NAME_CHARS, clean, graphemes_within};

/// The permanent identifier of an account: the `sub` of Portico's access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub Uuid);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// It may be used.
    Active,
    /// An operator disabled it.
    Disabled,
    /// An operator deleted it; its identities stay as tombstones.
    Deleted,
}

impl AccountStatus {
    /// The word in the store and in responses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    /// The status with this word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Disabled, Self::Deleted].into_iter().find(|status| status.as_str() == text)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Permanent identifier.
    pub id: AccountId,
    /// The unique name; never changes.
    pub name: String,
    /// The display label; each login updates it from the provider's name claim.
    pub label: String,
    /// The last known e-mail.
    pub email: Option<Email>,
    /// Whether the account may be used.
    pub status: AccountStatus,
    /// Roles granted locally.
    pub roles: Vec<String>,
    /// Groups granted locally.
    pub groups: Vec<String>,
    /// Whether any identity was ever linked to it. Never cleared.
    pub ever_linked: bool,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When the last login was.
    pub last_login_at: Option<Timestamp>,
}

/// An identity linked to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The identifier of this row; not the provider's.
    pub id: Uuid,
    /// The key under which the provider knows the person.
    pub key: IdentityKey,
    /// The slot of the last login.
    pub slot: SlotId,
    /// The e-mail at the last login.
    pub email: Option<String>,
    /// When the identity was linked.
    pub linked_at: Timestamp,
    /// When the last login was.
    pub last_login_at: Timestamp,
}

/// The accounts that a login may enter, as the store has them. A failed query yields an error, never `None`.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    /// The account that has this identity.
    pub by_identity: Option<Account>,
    /// The account with exactly this name.
    pub by_name: Option<Account>,
}

/// The operator's rules about names and adoption.
#[derive(Debug, Clone, Default)]
pub struct NamePolicy {
    /// Names that a login neither gives to a new account nor adopts; ASCII case is ignored.
    pub reserved: Vec<String>,
    /// Roles whose accounts are never adopted.
    pub privileged_roles: Vec<String>,
}

impl NamePolicy {
    fn is_reserved(&self, name: &str) -> bool {
        self.reserved.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
    }

    /// Whether the account has a privileged role; ASCII case is ignored.
    pub fn is_privileged(&self, account: &Account) -> bool {
        let is = |role: &String| self.privileged_roles.iter().any(|own| own.eq_ignore_ascii_case(role));
        account.roles.iter().any(is)
    }
}

/// Which account a login enters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The account that has the identity.
    Use(AccountId),
    /// A local account that never had an identity, found by name (deprecated).
    Adopt(AccountId),
    /// A new account, with the first of these names that is free.
    Create(Vec<String>),
    /// The account of the session that asked for one more identity.
    Link(AccountId),
}

/// Why no account can be assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The account that has the identity is disabled or deleted.
    NotActive(AccountId),
    /// The identity to link belongs to another account.
    Taken(AccountId),
}

/// Decides which account a login enters.
///
/// `fallback` enables the name fallback of the slot. `suffix` completes a name that is taken.
///
/// # Errors
/// [`Refusal::NotActive`] if the account of the identity is not active.
pub fn decide(
    policy: &NamePolicy,
    fallback: bool,
    claims: &Claims,
    found: &Candidates,
    suffix: &NameSuffix,
) -> Result<Decision, Refusal> {
    if let Some(known) = &found.by_identity {
        return match known.status {
            AccountStatus::Active => Ok(Decision::Use(known.id)),
            AccountStatus::Disabled | AccountStatus::Deleted => Err(Refusal::NotActive(known.id)),
        };
    }
    if fallback
        && let Some(local) = &found.by_name
        && adoptable_name(claims).is_some_and(|name| name == local.name)
        && may_be_adopted(policy, local)
    {
        return Ok(Decision::Adopt(local.id));
    }
    Ok(Decision::Create(names_for(policy, claims, suffix)))
}

/// Decides on a login that links an identity to `account`. An identity never moves to another account.
///
/// # Errors
/// [`Refusal::Taken`] if the identity belongs to another account.
pub fn decide_link(account: AccountId, found: &Candidates) -> Result<Decision, Refusal> {
    match &found.by_identity {
        None => Ok(Decision::Link(account)),
        Some(known) if known.id == account => Ok(Decision::Use(account)),
        Some(other) => Err(Refusal::Taken(other.id)),
    }
}

/// Whether a local account may be adopted: it never had an identity, is active and not privileged, and
/// its name is not reserved (section 7.4 of the threat catalogue, F1 and F2).
fn may_be_adopted(policy: &NamePolicy, local: &Account) -> bool {
    !local.ever_linked
        && local.status == AccountStatus::Active
        && !policy.is_privileged(local)
        && !policy.is_reserved(&local.name)
}

/// The name by which a login may find a local account, in NFC. `None` unless the name comes from a
/// verified source and contains nothing that [`clean`] removes.
pub fn adoptable_name(claims: &Claims) -> Option<String> {
    let name = claims.name().filter(|name| name.adoptable)?;
    let normal: String = name.text.nfc().collect();
    (clean(&name.text).as_ref() == Some(&normal)).then_some(normal)
}

/// The names to try for a new account, in order. The last one has the random suffix, so it is almost
/// certainly free.
fn names_for(policy: &NamePolicy, claims: &Claims, suffix: &NameSuffix) -> Vec<String> {
    let email =
        claims.email().filter(|email| email.verified != Some(false)).and_then(|email| clean(&email.address));
    let subject = || clean(claims.identity().subject.as_str());
    let claimed = claims.name().and_then(|name| clean(&name.text));
    let has_claim = claimed.is_some();
    let base = claimed
        .or_else(|| email.clone())
        .or_else(|| claims.preferred_username().and_then(clean))
        .or_else(subject)
        .unwrap_or_else(|| "account".to_owned());

    let verified =
        claims.email().filter(|email| email.verified == Some(true)).map(|email| email.address.as_str());
    let from_email = !has_claim && email.as_ref() == Some(&base);
    let looks_like_address = base.contains('@') && !from_email && verified != Some(base.as_str());
    let suffixed = suffix.append_to(&base);
    if policy.is_reserved(&base) || looks_like_address {
        return vec![suffixed];
    }
    let mut names = vec![base];
    names.extend(email.filter(|email| !names.contains(email) && !policy.is_reserved(email)));
    names.push(suffixed);
    names
}

/// Six random characters that complete a name which is taken. Each has 32 possible values, so a second
/// collision has a probability of about 1 in 10⁹.
#[derive(Debug, Clone)]
pub struct NameSuffix(String);

impl NameSuffix {
    /// A new suffix.
    pub fn random(entropy: Entropy) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte & 31)).copied().map(char::from);
        Self(entropy.bytes::<6>().iter().filter_map(letter).collect())
    }

    fn append_to(&self, base: &str) -> String {
        let short = graphemes_within(base, MAX_NAME_CHARS - 7);
        format!("{short}-{}", self.0)
    }
}

#[cfg(test)]
mod tests;
