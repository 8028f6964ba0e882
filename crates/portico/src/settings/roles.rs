//! The mapping of groups to roles, and the default group of a first login.

use portico_core::admission::{GroupOf, RoleMap};
use portico_core::slot::SlotId;

use super::reader::Reader;
use super::table::{self, SettingSpec};

/// The size limit of a role or group that Portico grants, in bytes.
const MAX_BYTES: usize = 64;

/// The roles by group, or `None` after a noted mistake.
pub(super) fn role_map(read: &mut Reader<'_>, enabled: &[SlotId]) -> Option<RoleMap> {
    let privileged = read.list(&table::PRIVILEGED_ROLES)?;
    let is_privileged = |role: &str| privileged.iter().any(|own| own.eq_ignore_ascii_case(role));
    let default = limited_text(read, &table::DEFAULT_ROLE);
    let mut map = RoleMap { default, ..RoleMap::default() };
    let mut mistakes = Vec::new();
    for (role, names) in read.lists(&table::ROLES)? {
        let groups: Vec<_> = names.iter().map(|name| GroupOf::parse(name)).collect();
        if role.is_empty() || role.len() > MAX_BYTES {
            mistakes.push(format!("has the role {role:?}; a role has 1 to {MAX_BYTES} bytes"));
        }
        if groups.iter().any(|entry| entry.group.is_empty()) {
            mistakes.push(format!("has an entry of {role:?} without a group after the slot"));
        }
        // Section 4 of the contract: a group of the same name at another provider must not grant the role.
        let anywhere = groups.iter().any(|entry| entry.slot.is_none());
        if enabled.len() > 1 && is_privileged(role) && anywhere {
            mistakes.push(format!(
                "gives the privileged role {role:?} to a group of any slot; name the slot, as in \
                 oidc/provider1:admins"
            ));
        }
        map.roles.insert(role.clone(), groups);
    }
    let valid = mistakes.is_empty();
    for mistake in mistakes {
        read.wrong(&table::ROLES, mistake);
    }
    valid.then_some(map)
}

/// The group granted at a first login without groups. Its size limit is that of a grant: it can be revoked.
pub(super) fn default_group(read: &mut Reader<'_>) -> Option<String> {
    limited_text(read, &table::SSO_USER_DEFAULT_GROUP)
}

fn limited_text(read: &mut Reader<'_>, spec: &'static SettingSpec) -> Option<String> {
    let name = read.text(spec)?;
    if name.len() > MAX_BYTES {
        read.wrong(spec, format!("is longer than {MAX_BYTES} bytes"));
    }
    Some(name)
}
