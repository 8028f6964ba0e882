//! The names of environment variables: their prefix, and the ones that no setting reads.

use std::collections::BTreeSet;

use portico_core::slot::{Protocol, SlotId};

use super::mistake::{Mistake, Report, did_you_mean};
use super::table::{self, DATABASE_URL, Scope, Setting, SettingSpec};

/// The prefix of the variables, unless the operator sets another.
pub(super) const PREFIX: &str = "PORTICO";

/// Settings that are also read under `PORTICO` if the prefix is another. The value under `PORTICO` wins.
static UNDER_ANY_PREFIX: [&SettingSpec; 2] = [&table::PUBLIC_URL, &table::SECRET_KEY];

/// The prefixes under which a setting is read, in order of precedence.
pub(super) fn prefixes<'a>(setting: &Setting, prefix: &'a str) -> Vec<&'a str> {
    let anywhere = UNDER_ANY_PREFIX.iter().any(|spec| spec.path == setting.spec.path);
    if anywhere && setting.slot.is_none() && prefix != PREFIX { vec![PREFIX, prefix] } else { vec![prefix] }
}

/// Reports variables that no setting reads, and variables of settings that are not UTF-8.
pub(super) fn report_unknown<'a>(
    names: impl Iterator<Item = &'a String>,
    not_utf8: &[String],
    prefix: &str,
    report: &mut Report,
) {
    let known: BTreeSet<_> = Setting::all()
        .map(|setting| format!("{prefix}_{}", setting.variable()))
        .flat_map(|name| [format!("{name}_FILE"), name])
        .collect();
    let ours = |name: &String| known.contains(name) || after(name, PREFIX).is_some() || name == DATABASE_URL;
    for name in not_utf8.iter().filter(|name| ours(name)) {
        report.mistakes.push(Mistake::variable(name, "is not UTF-8"));
    }
    for name in names.filter(|name| !known.contains(*name)) {
        if let Some(rest) = after(name, prefix).filter(|_| prefix != PREFIX) {
            report.warnings.extend(near_miss(name, rest, &known));
        } else if let Some(rest) = after(name, PREFIX).filter(|rest| !is_foreign(rest)) {
            let message = match prefix {
                PREFIX => format!("is no setting{}", hint(name, rest, &known)),
                _ if is_read_under_any_prefix(rest) => continue,
                _ => format!(
                    "is not read, because the prefix is {prefix}; name it {prefix}_{rest}, or unset it"
                ),
            };
            report.mistakes.push(Mistake::variable(name, message));
        }
    }
}

/// The part of a variable after its prefix.
fn after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('_')
}

fn is_read_under_any_prefix(rest: &str) -> bool {
    let rest = rest.strip_suffix("_FILE").unwrap_or(rest);
    UNDER_ANY_PREFIX.iter().any(|spec| Setting { spec, slot: None }.variable() == rest)
}

/// Whether a variable with the prefix is no setting: `CONFIG`, `ENV_PREFIX`, and those that Kubernetes sets
/// for a Service named `portico`.
fn is_foreign(rest: &str) -> bool {
    let of_a_port = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts.next().is_some_and(|number| number.parse::<u16>().is_ok());
        let protocol = parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol));
        number && protocol && parts.next().is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part))
    };
    ["CONFIG", "ENV_PREFIX", "SERVICE_HOST", "SERVICE_PORT", "PORT"].contains(&rest)
        || rest.starts_with("SERVICE_PORT_")
        || rest.strip_prefix("PORT_").is_some_and(of_a_port)
}

/// A warning about a variable of another program that may be a misspelt setting.
fn near_miss(name: &str, rest: &str, known: &BTreeSet<String>) -> Option<String> {
    let likely = ["SECURITY_", "OIDC_", "OAUTH2_"].iter().any(|area| rest.starts_with(area));
    let near = known.iter().find(|known| strsim::damerau_levenshtein(name, known) <= 2)?;
    likely.then(|| format!("{name} is no setting and was ignored; did you mean {near}?"))
}

/// The end of the message about an unknown variable: the slots that have the setting, or a similar name.
fn hint(name: &str, rest: &str, known: &BTreeSet<String>) -> String {
    let slot_of = |protocol: &Protocol| rest.to_lowercase().starts_with(&format!("{protocol}_"));
    let named = SlotId::all().filter(|slot| slot_of(&slot.protocol)).find_map(|slot| {
        let own = format!("{}_{}_", slot.protocol, slot.name).to_uppercase();
        Some((slot, rest.strip_prefix(&own)?.to_lowercase()))
    });
    let elsewhere =
        named.and_then(|(slot, path)| table::SLOT.iter().find(|spec| spec.path == path && !spec.is_of(slot)));
    match elsewhere.map(|spec| spec.scope) {
        Some(Scope::OidcSlots) => " of this slot; only oidc slots have it".to_owned(),
        Some(Scope::OAuth2Slots) => " of this slot; only oauth2 slots have it".to_owned(),
        Some(Scope::GoogleSlots) => " of this slot; only google slots have it".to_owned(),
        Some(Scope::Global | Scope::EverySlot) | None => did_you_mean(name, known.iter()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_injects_is_not_ours() {
        for foreign in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_80_TCP",
            "PORT_80_TCP_ADDR",
            "PORT_80_TCP_PORT",
            "PORT_80_TCP_PROTO",
            "PORT_53_UDP",
        ] {
            assert!(is_foreign(foreign), "{foreign}");
        }
        for ours in ["SERVICE", "PORTS", "PORT_X_TCP", "PORT_80", "PORT_80_TCP_X", "PUBLIC_URL"] {
            assert!(!is_foreign(ours), "{ours}");
        }
    }
}
