//! Who may come in, and as what: a slot's access rule, and the roles that groups bring. Pure; asked at every login and
//! again at every refresh, so that a rule that changed counts at once.

use std::collections::BTreeMap;

use crate::claims::SessionClaims;
use crate::slot::SlotId;

/// A slot's access rule. Each list that is not empty must let the person in; with none everybody may come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessRule {
    /// Any of these groups; exact bytes.
    pub groups: Vec<String>,
    /// The domain of an e-mail that the provider calls verified.
    pub email_domains: Vec<String>,
    /// Any of these subjects; exact bytes.
    pub subjects: Vec<String>,
    /// Entra ID's `tid` or Google's `hd`, from the ID token; exact bytes.
    pub tenants: Vec<String>,
}

/// Which part of the rule does not let a person in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{list} does not let this person in{}", if *.told { "" } else { ": the provider said nothing of what it asks for" })]
pub struct NotAllowed {
    /// The setting's name.
    pub list: &'static str,
    /// Whether the provider said anything of what the list asks for; an e-mail address that it does not call verified is nothing.
    pub told: bool,
}

impl AccessRule {
    /// Whether everybody may come whom the provider lets in.
    pub fn admits_everyone(&self) -> bool {
        *self == Self::default()
    }

    /// Checks what a provider said of a person. What is missing lets nobody in.
    ///
    /// # Errors
    /// The first list that does not let the person in.
    pub fn check(&self, session_claims: &SessionClaims) -> Result<(), NotAllowed> {
        let failed = self.judge(session_claims).into_iter().find(|verdict| !verdict.passes);
        failed.map_or(Ok(()), |verdict| Err(NotAllowed { list: verdict.list, told: verdict.told }))
    }

    /// What each list says of a person.
    pub fn judge(&self, session_claims: &SessionClaims) -> [AdmissionVerdict<'_>; 4] {
        let subject = session_claims.subject.as_deref();
        let groups = session_claims.groups.as_deref().unwrap_or_default();
        let domain =
            session_claims.email.as_deref().filter(|_| session_claims.email_verified).and_then(domain);
        let tenant = session_claims.tid.as_deref().or(session_claims.hd.as_deref());
        [
            AdmissionVerdict::of("allowed_subjects", &self.subjects, subject.is_some(), |one| {
                subject == Some(one)
            }),
            AdmissionVerdict::of("allowed_tenants", &self.tenants, tenant.is_some(), |one| {
                tenant == Some(one)
            }),
            AdmissionVerdict::of("allowed_email_domains", &self.email_domains, domain.is_some(), |one| {
                domain.is_some_and(|own| own.eq_ignore_ascii_case(one))
            }),
            AdmissionVerdict::of("allowed_groups", &self.groups, session_claims.groups.is_some(), |one| {
                groups.iter().any(|own| own == one)
            }),
        ]
    }
}

/// What one list of a rule says of a person.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionVerdict<'a> {
    /// The setting's name.
    pub list: &'static str,
    /// Whom it lets in; an empty list asks for nothing.
    pub allowed: &'a [String],
    /// Whether the provider said anything of what it asks for.
    pub told: bool,
    /// Whether it lets this person in.
    pub passes: bool,
}

impl<'a> AdmissionVerdict<'a> {
    fn of(list: &'static str, allowed: &'a [String], told: bool, fits: impl Fn(&str) -> bool) -> Self {
        let passes = allowed.is_empty() || allowed.iter().any(|one| fits(one));
        Self { list, allowed, told, passes }
    }
}

/// The domain of an address with exactly one `@` and something before it.
fn domain(address: &str) -> Option<&str> {
    let (local, domain) = address.split_once('@')?;
    (!local.is_empty() && !domain.is_empty() && !domain.contains('@')).then_some(domain)
}

/// A group that brings a role, perhaps only from one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOf {
    /// Only counts for people who came through this slot.
    pub slot: Option<SlotId>,
    /// The whole name; ASCII case is ignored.
    pub group: String,
}

impl GroupOf {
    /// Takes `staff` or `oidc/provider1:staff`.
    pub fn parse(text: &str) -> Self {
        let qualified = text.split_once(':').and_then(|(slot, group)| Some((slot.parse().ok()?, group)));
        match qualified {
            Some((slot, group)) => Self { slot: Some(slot), group: group.to_owned() },
            None => Self { slot: None, group: text.to_owned() },
        }
    }

    fn fits(&self, slot: SlotId, groups: &[String]) -> bool {
        self.slot.is_none_or(|own| own == slot)
            && groups.iter().any(|group| group.eq_ignore_ascii_case(&self.group))
    }
}

/// Which groups bring which roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleMap {
    /// Role and the groups that bring it.
    pub roles: BTreeMap<String, Vec<GroupOf>>,
    /// The role of a person whom no group brings one.
    pub default: Option<String>,
}

/// The most roles of a person.
const MOST_ROLES: usize = 32;

impl RoleMap {
    /// The roles of a person: those the provider's groups bring, or else the default one, and those granted locally. Without a slot
    /// no groups count.
    pub fn roles(&self, slot: Option<SlotId>, groups: Option<&[String]>, local: &[String]) -> Vec<String> {
        let groups = groups.unwrap_or_default();
        let brought = slot.into_iter().flat_map(|slot| {
            self.roles.iter().filter(move |(_, entries)| entries.iter().any(|entry| entry.fits(slot, groups)))
        });
        let mut roles: Vec<String> = brought.map(|(role, _)| role.clone()).collect();
        if roles.is_empty() {
            roles.extend(self.default.clone());
        }
        let further: Vec<_> = local.iter().filter(|role| !roles.contains(role)).cloned().collect();
        roles.extend(further);
        roles.truncate(MOST_ROLES);
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
            assert_eq!(rule.check(&SessionClaims::default()), Err(NotAllowed { list, told: false }));
        }
        let all = AccessRule {
            groups: texts(&["ops"]),
            email_domains: texts(&["corp.example"]),
            subjects: texts(&["42"]),
            tenants: texts(&["t2"]),
        };
        let refused = NotAllowed { list: "allowed_tenants", told: true };
        assert_eq!(all.check(&person()), Err(refused), "each must pass");
        assert_eq!(refused.to_string(), "allowed_tenants does not let this person in");
        let untold = NotAllowed { told: false, ..refused }.to_string();
        assert!(untold.starts_with(&refused.to_string()) && untold.contains("said nothing"), "{untold}");
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
