//! Access rules of slots, and the roles that groups grant. Both are evaluated at each login and each
//! refresh, so that a changed rule takes effect at the next refresh.

use std::collections::BTreeMap;

use crate::claims::SessionClaims;
use crate::slot::SlotId;

/// The access rule of a slot. Each list that is not empty must admit the person. Without lists, everyone
/// is admitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessRule {
    /// The person must have one of these groups; compared as exact bytes.
    pub groups: Vec<String>,
    /// The person's e-mail must be verified by the provider and have one of these domains; ASCII case is
    /// ignored.
    pub email_domains: Vec<String>,
    /// The person must have one of these subjects; compared as exact bytes.
    pub subjects: Vec<String>,
    /// The ID token must have one of these as `tid` (Entra ID) or `hd` (Google); compared as exact bytes.
    pub tenants: Vec<String>,
}

/// Why a list does not admit a person without the claim that it checks.
const MISSING_CLAIM: &str = ": the provider did not send the claim";

/// The list of an access rule that does not admit the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{list} does not admit this person{}", if *.sent { "" } else { MISSING_CLAIM })]
pub struct NotAllowed {
    /// The setting's name.
    pub list: &'static str,
    /// Whether the provider sent the claim that this list checks. An e-mail counts only if it is verified.
    pub sent: bool,
}

impl AccessRule {
    /// Whether the rule has no lists, and so admits everyone whom the provider signs in.
    pub fn admits_everyone(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the claims of a person. A list does not admit a person without the claim that it checks.
    ///
    /// # Errors
    /// The first list that does not admit the person.
    pub fn check(&self, session_claims: &SessionClaims) -> Result<(), NotAllowed> {
        let failed = self.judge(session_claims).into_iter().find(|verdict| !verdict.passes);
        failed.map_or(Ok(()), |verdict| Err(NotAllowed { list: verdict.list, sent: verdict.sent }))
    }

    /// The verdict of each list on a person.
    pub fn judge(&self, session_claims: &SessionClaims) -> [AdmissionVerdict<'_>; 4] {
        let subject = session_claims.subject.as_deref();
        let groups = session_claims.groups.as_deref().unwrap_or_default();
        let domain =
            session_claims.email.as_deref().filter(|_| session_claims.email_verified).and_then(domain);
        let tenant = session_claims.tid.as_deref().or(session_claims.hd.as_deref());
        [
            AdmissionVerdict::new("allowed_subjects", &self.subjects, subject.is_some(), |one| {
                subject == Some(one)
            }),
            AdmissionVerdict::new("allowed_tenants", &self.tenants, tenant.is_some(), |one| {
                tenant == Some(one)
            }),
            AdmissionVerdict::new("allowed_email_domains", &self.email_domains, domain.is_some(), |one| {
                domain.is_some_and(|own| own.eq_ignore_ascii_case(one))
            }),
            AdmissionVerdict::new("allowed_groups", &self.groups, session_claims.groups.is_some(), |one| {
                groups.iter().any(|own| own == one)
            }),
        ]
    }
}

/// The verdict of one list of an access rule.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionVerdict<'a> {
    /// The setting's name.
    pub list: &'static str,
    /// The values that the list admits; an empty list admits everyone.
    pub allowed: &'a [String],
    /// Whether the provider sent the claim that the list checks.
    pub sent: bool,
    /// Whether the list admits this person.
    pub passes: bool,
}

impl<'a> AdmissionVerdict<'a> {
    fn new(list: &'static str, allowed: &'a [String], sent: bool, matches: impl Fn(&str) -> bool) -> Self {
        let passes = allowed.is_empty() || allowed.iter().any(|one| matches(one));
        Self { list, allowed, sent, passes }
    }
}

/// The domain of an e-mail address. `None` unless the address has exactly one `@` with text on both sides.
fn domain(address: &str) -> Option<&str> {
    let (local, domain) = address.split_once('@')?;
    (!local.is_empty() && !domain.is_empty() && !domain.contains('@')).then_some(domain)
}

/// A group that grants a role, optionally of one slot only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOf {
    /// If set, the group counts only for sessions of this slot.
    pub slot: Option<SlotId>,
    /// The name of the group; ASCII case is ignored.
    pub group: String,
}

impl GroupOf {
    /// Parses `staff` or `oidc/provider1:staff`. Text before a colon that names no slot is part of the
    /// group's name.
    pub fn parse(text: &str) -> Self {
        let qualified = text.split_once(':').and_then(|(slot, group)| Some((slot.parse().ok()?, group)));
        match qualified {
            Some((slot, group)) => Self { slot: Some(slot), group: group.to_owned() },
            None => Self { slot: None, group: text.to_owned() },
        }
    }

    fn matches(&self, slot: SlotId, groups: &[String]) -> bool {
        self.slot.is_none_or(|own| own == slot)
            && groups.iter().any(|group| group.eq_ignore_ascii_case(&self.group))
    }
}

/// Which groups grant which roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleMap {
    /// The roles, each with the groups that grant it.
    pub roles: BTreeMap<String, Vec<GroupOf>>,
    /// The role of a person without a role from groups.
    pub default: Option<String>,
}

/// The maximum number of roles of a person.
const MAX_ROLES: usize = 32;

impl RoleMap {
    /// The roles of a person: those that the provider's groups grant, or else the default one, and those
    /// granted locally. Without a slot, as in a break-glass session, no groups count.
    pub fn roles(&self, slot: Option<SlotId>, groups: Option<&[String]>, local: &[String]) -> Vec<String> {
        let groups = groups.unwrap_or_default();
        let granted = slot.into_iter().flat_map(|slot| {
            self.roles
                .iter()
                .filter(move |(_, entries)| entries.iter().any(|entry| entry.matches(slot, groups)))
        });
        let mut roles: Vec<String> = granted.map(|(role, _)| role.clone()).collect();
        if roles.is_empty() {
            roles.extend(self.default.clone());
        }
        let further: Vec<_> = local.iter().filter(|role| !roles.contains(role)).cloned().collect();
        roles.extend(further);
        roles.truncate(MAX_ROLES);
        roles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    fn person() -> SessionClaims {
        SessionClaims {
            subject: Some("42".to_owned()),
            email: Some("ada@corp.example".to_owned()),
            email_verified: true,
            groups: Some(texts(&["staff", "ops"])),
            tid: Some("t1".to_owned()),
            ..SessionClaims::default()
        }
    }

    #[test]
    fn without_a_rule_everybody_may_come() {
        assert!(AccessRule::default().admits_everyone());
        assert_eq!(AccessRule::default().check(&SessionClaims::default()), Ok(()));
    }

    #[test]
    fn each_list_lets_in_whom_it_names_and_nobody_who_is_unknown() {
        let rule = |bend: fn(&mut AccessRule)| {
            let mut rule = AccessRule::default();
            bend(&mut rule);
            rule
        };
        for (rule, list) in [
            (rule(|rule| rule.groups = texts(&["other", "ops"])), "allowed_groups"),
            (rule(|rule| rule.email_domains = texts(&["corp.example"])), "allowed_email_domains"),
            (rule(|rule| rule.subjects = texts(&["42"])), "allowed_subjects"),
            (rule(|rule| rule.tenants = texts(&["t1"])), "allowed_tenants"),
        ] {
            assert_eq!(rule.check(&person()), Ok(()), "{list}");
            assert_eq!(rule.check(&SessionClaims::default()), Err(NotAllowed { list, sent: false }));
        }
        let all = AccessRule {
            groups: texts(&["ops"]),
            email_domains: texts(&["corp.example"]),
            subjects: texts(&["42"]),
            tenants: texts(&["t2"]),
        };
        let refused = NotAllowed { list: "allowed_tenants", sent: true };
        assert_eq!(all.check(&person()), Err(refused), "each must pass");
        assert_eq!(refused.to_string(), "allowed_tenants does not admit this person");
        let missing = NotAllowed { sent: false, ..refused }.to_string();
        assert!(missing.starts_with(&refused.to_string()) && missing.contains("did not send"), "{missing}");
    }

    #[test]
    fn h22_a_domain_is_exact_and_of_one_verified_address() {
        let rule = AccessRule { email_domains: texts(&["corp.example"]), ..AccessRule::default() };
        let check = |email: &str, email_verified| {
            rule.check(&SessionClaims {
                email: Some(email.to_owned()),
                email_verified,
                ..SessionClaims::default()
            })
            .is_ok()
        };
        for good in ["ada@corp.example", "ada@CORP.example"] {
            assert!(check(good, true), "{good}");
            assert!(!check(good, false), "{good} is not verified");
        }
        for bad in [
            "ada@evil.example@corp.example",
            "ada@corp.example@evil.example",
            "ada@corp.example.evil",
            "ada@sub.corp.example",
            "ada@xcorp.example",
            "@corp.example",
            "corp.example",
            "ada@c\u{f6}rp.example",
            "ada@corp.example.",
        ] {
            assert!(!check(bad, true), "{bad}");
        }
    }

    #[test]
    fn c17_groups_are_compared_whole() {
        let rule = AccessRule { groups: texts(&["admin"]), ..AccessRule::default() };
        for (group, passes) in
            [("admin", true), ("Admin", false), ("admin ", false), ("xadmin", false), ("adm", false)]
        {
            let session_claims = SessionClaims { groups: Some(texts(&[group])), ..SessionClaims::default() };
            assert_eq!(rule.check(&session_claims).is_ok(), passes, "{group:?}");
        }
        let overage = SessionClaims { groups: None, groups_overage: true, ..SessionClaims::default() };
        assert!(rule.check(&overage).is_err(), "unknown is not a member");
    }

    #[test]
    fn groups_bring_roles() {
        let map = RoleMap {
            roles: BTreeMap::from([
                ("admin".to_owned(), vec![GroupOf::parse("oidc/provider1:ops")]),
                ("trusted".to_owned(), vec![GroupOf::parse("Staff"), GroupOf::parse("urn:x:y")]),
            ]),
            default: Some("guest".to_owned()),
        };
        let one = "oidc/provider1".parse().ok();
        let two = "oauth2/provider1".parse().ok();
        let roles = |slot, groups: &[&str]| map.roles(slot, Some(&texts(groups)), &[]);
        assert_eq!(roles(one, &["ops", "STAFF"]), ["admin", "trusted"]);
        assert_eq!(roles(two, &["ops"]), ["guest"], "ops of another slot");
        assert_eq!(roles(two, &["urn:x:y"]), ["trusted"], "a colon alone qualifies nothing");
        assert_eq!(roles(one, &["staff ", "xops"]), ["guest"]);
        assert_eq!(map.roles(one, None, &texts(&["editor", "guest"])), ["guest", "editor"]);
        assert_eq!(RoleMap::default().roles(one, Some(&texts(&["ops"])), &[]), [""; 0]);
    }
}
