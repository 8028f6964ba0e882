//! What groups bring: roles of the application, and the group of a first login without any. Knows no person.

use portico_core::admission::{GroupOf, RoleMap};
use portico_core::slot::SlotId;

use super::reader::Reader;
use super::table::{self, SettingSpec};

/// The longest role or group that is given by Portico, in bytes.
const LONGEST: usize = 64;

/// Which groups bring which roles, or `None` after noting what is wrong.
pub(super) fn role_map(read: &mut Reader<'_>, enabled: &[SlotId]) -> Option<RoleMap> {
    let privileged = read.list(&table::PRIVILEGED_ROLES)?;
    let is_privileged = |role: &str| privileged.iter().any(|own| own.eq_ignore_ascii_case(role));
    let default = named(read, &table::DEFAULT_ROLE);
    let mut map = RoleMap { default, ..RoleMap::default() };
    let mut mistakes = Vec::new();
    for (role, names) in read.lists(&table::ROLES)? {
        let groups: Vec<_> = names.iter().map(|name| GroupOf::parse(name)).collect();
        if role.is_empty() || role.len() > LONGEST {
            mistakes.push(format!("has the role {role:?}; a role has 1 to {LONGEST} bytes"));
        }
        if groups.iter().any(|entry| entry.group.is_empty()) {
            mistakes.push(format!("has no group after the slot in an entry of {role:?}"));
        }
        // Section 4 of the contract: a group of that name at any other provider must not make anybody privileged.
        let anywhere = groups.iter().any(|entry| entry.slot.is_none());
        if enabled.len() > 1 && is_privileged(role) && anywhere {
            mistakes.push(format!(
                "gives the privileged role {role:?} to a group of any slot; name the slot, as in oidc/provider1:admins"
            ));
        }
        map.roles.insert(role.clone(), groups);
    }
    let fine = mistakes.is_empty();
    for mistake in mistakes {
        read.wrong(&table::ROLES, mistake);
    }
    fine.then_some(map)
}

/// The group of a first login without any. Longer than a grant, no operator could take it back.
pub(super) fn default_group(read: &mut Reader<'_>) -> Option<String> {
    named(read, &table::SSO_USER_DEFAULT_GROUP)
}

fn named(read: &mut Reader<'_>, spec: &'static SettingSpec) -> Option<String> {
    let name = read.text(spec)?;
    if name.len() > LONGEST {
        read.wrong(spec, format!("is longer than {LONGEST} bytes"));
    }
    Some(name)
}
