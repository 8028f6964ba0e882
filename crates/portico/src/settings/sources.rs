//! Where values come from: the environment, files that variables name, the TOML file.
//!
//! Finds for each setting the raw text that counts, and every variable that no setting reads. Understands no
//! values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use config::{Config, ConfigError, Map, Source, Value};
use portico_core::slot::{Protocol, SlotId};

use super::file::File;
use super::mistake::{Mistake, Place, Report, did_you_mean};
use super::table::{self, DATABASE_URL, OTLP_ENDPOINT, Scope, Setting, SettingSpec};

/// The prefix of our variables, unless the operator names another.
const PREFIX: &str = "PORTICO";

/// These two are read under our own prefix, whatever the operator's is, and win there.
static UNDER_ANY_PREFIX: [&SettingSpec; 2] = [&table::PUBLIC_URL, &table::SECRET_KEY];

/// All the places settings may come from.
#[derive(Clone)]
pub struct Sources {
    variables: BTreeMap<String, String>,
    /// Variables whose value is no text.
    unreadable: Vec<String>,
    /// The TOML file that the command line names, and by which flag.
    config: Option<(&'static str, PathBuf)>,
    prefix: Option<String>,
}

/// What was found for each setting, not yet understood.
pub(super) struct Raw {
    tree: Map<String, Value>,
    /// Which variable gave the value of which path.
    variables: BTreeMap<String, String>,
    /// Paths of which the TOML file says something that a variable wins over.
    overridden: BTreeSet<String>,
    /// The TOML file, as the operator named it.
    file: Option<String>,
    /// The prefix in use.
    prefix: String,
    /// Paths whose value could not be read; the mistake is reported.
    broken: BTreeSet<String>,
    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(super) otlp_endpoint: Option<String>,
}

/// The TOML file cannot be used; the mistake is reported.
struct Lost;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Variable(String),
    File(String),
    Default,
}

/// Values of variables by the paths of their settings.
#[derive(Clone, Default)]
struct Layer(BTreeMap<String, Given>);

#[derive(Clone)]
struct Given {
    variable: String,
    text: String,
}

impl Sources {
    /// The environment of this process, and what its command line says: `--config` and `--env-prefix`.
    pub fn of_process(config: Option<PathBuf>, env_prefix: Option<String>) -> Self {
        let config = config.map(|file| ("--config", file));
        let mut sources = Self { config, prefix: env_prefix, ..Self::of(BTreeMap::new()) };
        #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(sources.variables.insert(name, value)),
                Err(_) => sources.unreadable.push(name),
            }
        }
        sources
    }

    /// Exactly these variables.
    pub fn of(variables: BTreeMap<String, String>) -> Self {
        Self { variables, unreadable: Vec::new(), config: None, prefix: None }
    }

    /// Puts further `PORTICO_` variables beneath: they count only where these sources have nothing. They are read
    /// under the prefix in use.
    #[must_use]
    pub fn over(mut self, beneath: BTreeMap<String, String>) -> Self {
        let prefix = self.prefix(&mut Report::default());
        for (name, value) in beneath {
            let name = name.replacen(PREFIX, &prefix, 1);
            if !self.variables.contains_key(&format!("{name}_FILE")) {
                self.variables.entry(name).or_insert(value);
            }
        }
        self
    }

    /// The names of the variables that have the prefix in use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let prefix = format!("{}_", self.prefix(&mut Report::default()));
        self.variables.keys().filter(move |name| name.starts_with(&prefix)).map(String::as_str)
    }

    /// The same with another TOML file, which this flag named.
    #[must_use]
    pub fn with_file(mut self, flag: &'static str, file: PathBuf) -> Self {
        self.config = Some((flag, file));
        self
    }

    /// Reads everything, and reports what no setting reads. Nothing when the TOML file is lost: whatever seems to be missing may
    /// stand there.
    pub(super) fn read(&self, report: &mut Report) -> Option<Raw> {
        let prefix = self.prefix(report);
        self.report_unknown(&prefix, report);
        let mut broken = BTreeSet::new();
        let ours = self.layer(&prefix, &mut broken, report);
        let file = self.file(report).ok()?;
        let mut variables: BTreeMap<_, _> =
            ours.0.iter().map(|(path, given)| (path.clone(), given.variable.clone())).collect();
        let in_file = |path: &String| file.as_ref().is_some_and(|file| file.has(path));
        let overridden = ours.0.keys().filter(|path| in_file(path)).cloned().collect();
        let storage = table::STORAGE_URL.path;
        let mut standard = Layer::default();
        let elsewhere = ours.0.contains_key(storage) || file.as_ref().is_some_and(|file| file.has(storage));
        if let Some(text) = self.variables.get(DATABASE_URL).filter(|_| !elsewhere) {
            variables.insert(storage.to_owned(), DATABASE_URL.to_owned());
            let given = Given { variable: DATABASE_URL.to_owned(), text: text.clone() };
            standard.0.insert(storage.to_owned(), given);
        }
        let name = file.as_ref().map(|file| file.name.clone());
        let tree = merged(standard, file, ours).unwrap_or_else(|error| {
            report
                .mistakes
                .push(Mistake::variable(PREFIX, format!("the settings cannot be put together: {error}")));
            Map::new()
        });
        let otlp_endpoint = self.variables.get(OTLP_ENDPOINT).cloned();
        Some(Raw { tree, variables, overridden, file: name, prefix, broken, otlp_endpoint })
    }

    /// The prefix of variables, without its underscore.
    fn prefix(&self, report: &mut Report) -> String {
        let variable = format!("{PREFIX}_ENV_PREFIX");
        let (place, prefix) = match (&self.prefix, self.variables.get(&variable)) {
            (Some(prefix), _) => (Place::Flag("--env-prefix"), prefix),
            (None, Some(prefix)) => (Place::Variable(variable), prefix),
            (None, None) => return PREFIX.to_owned(),
        };
        let letters = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let fits = prefix.chars().all(letters) && prefix.starts_with(|c: char| c.is_ascii_uppercase());
        if fits && !prefix.ends_with('_') {
            return prefix.clone();
        }
        let message =
            "must be upper-case letters, digits and underscores, without one at the end, such as INFRAHUB";
        report.mistakes.push(Mistake::new(place, message));
        PREFIX.to_owned()
    }

    /// The variables of all settings.
    fn layer(&self, prefix: &str, broken: &mut BTreeSet<String>, report: &mut Report) -> Layer {
        let mut layer = Layer::default();
        for setting in Setting::all() {
            let found = prefixes(&setting, prefix)
                .into_iter()
                .find_map(|prefix| self.given(&format!("{prefix}_{}", setting.variable())));
            match found {
                None => {}
                Some(Ok(given)) => drop(layer.0.insert(setting.path(), given)),
                Some(Err(mistake)) => {
                    broken.insert(setting.path());
                    report.mistakes.push(mistake);
                }
            }
        }
        layer
    }

    /// What this variable, or the file that its `_FILE` variable names, says.
    fn given(&self, variable: &str) -> Option<Result<Given, Mistake>> {
        let by_file = format!("{variable}_FILE");
        match (self.variables.get(variable), self.variables.get(&by_file)) {
            (None, None) => None,
            (Some(text), None) => Some(Ok(Given { variable: variable.to_owned(), text: text.clone() })),
            (Some(_), Some(_)) => {
                let message = format!("is set, and so is {variable}; unset one of them");
                Some(Err(Mistake::variable(by_file, message)))
            }
            (None, Some(path)) => Some(match std::fs::read_to_string(path) {
                Ok(text) => {
                    let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
                    Ok(Given { variable: by_file, text })
                }
                Err(error) => {
                    Err(Mistake::variable(by_file, format!("the file {path} cannot be read: {error}")))
                }
            }),
        }
    }

    /// The TOML file, if one is named.
    fn file(&self, report: &mut Report) -> Result<Option<File>, Lost> {
        let variable = format!("{PREFIX}_CONFIG");
        let (place, path) = match (&self.config, self.variables.get(&variable)) {
            (Some((flag, path)), _) => (Place::Flag(flag), path.clone()),
            (None, Some(path)) => (Place::Variable(variable), path.into()),
            (None, None) => return Ok(None),
        };
        match File::read(&path, place) {
            Ok(file) => {
                report.mistakes.extend(file.unknown_keys());
                Ok(Some(file))
            }
            Err(mistake) => {
                report.mistakes.push(mistake);
                Err(Lost)
            }
        }
    }

    fn report_unknown(&self, prefix: &str, report: &mut Report) {
        let known: BTreeSet<_> = Setting::all()
            .map(|setting| format!("{prefix}_{}", setting.variable()))
            .flat_map(|name| [format!("{name}_FILE"), name])
            .collect();
        let ours =
            |name: &String| known.contains(name) || after(name, PREFIX).is_some() || name == DATABASE_URL;
        for name in self.unreadable.iter().filter(|name| ours(name)) {
            report.mistakes.push(Mistake::variable(name, "is not UTF-8"));
        }
        for name in self.variables.keys().filter(|name| !known.contains(*name)) {
            if let Some(rest) = after(name, prefix).filter(|_| prefix != PREFIX) {
                report.warnings.extend(near_miss(name, rest, &known));
            } else if let Some(rest) = after(name, PREFIX).filter(|rest| !is_foreign(rest)) {
                let message = match prefix {
                    PREFIX => format!("is no setting{}", hint(name, rest, &known)),
                    _ if is_read_anyway(rest) => continue,
                    _ => format!(
                        "is not read, because the prefix is {prefix}; name it {prefix}_{rest}, or unset it"
                    ),
                };
                report.mistakes.push(Mistake::variable(name, message));
            }
        }
    }
}

/// One source over the other: standard variables, the file, our variables.
fn merged(standard: Layer, file: Option<File>, ours: Layer) -> Result<Map<String, Value>, ConfigError> {
    let builder = Config::builder().add_source(standard);
    let builder = match file {
        Some(file) => builder.add_source(file),
        None => builder,
    };
    builder.add_source(ours).build()?.collect()
}

/// The prefixes under which a setting is looked for, the winning one first.
fn prefixes<'a>(setting: &Setting, prefix: &'a str) -> Vec<&'a str> {
    let anywhere = UNDER_ANY_PREFIX.iter().any(|spec| spec.path == setting.spec.path);
    if anywhere && setting.slot.is_none() && prefix != PREFIX { vec![PREFIX, prefix] } else { vec![prefix] }
}

fn after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('_')
}

fn is_read_anyway(rest: &str) -> bool {
    let rest = rest.strip_suffix("_FILE").unwrap_or(rest);
    UNDER_ANY_PREFIX.iter().any(|spec| Setting { spec, slot: None }.variable() == rest)
}

/// Variables that begin like ours and are no settings: how the settings are found, and what Kubernetes injects for
/// a Service of our name.
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

/// A warning about another program's variable that could well be a setting with a typing error.
fn near_miss(name: &str, rest: &str, known: &BTreeSet<String>) -> Option<String> {
    let likely = ["SECURITY_", "OIDC_", "OAUTH2_"].iter().any(|area| rest.starts_with(area));
    let near = known.iter().find(|known| strsim::damerau_levenshtein(name, known) <= 2)?;
    likely.then(|| format!("{name} is no setting and was ignored; did you mean {near}?"))
}

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

impl Raw {
    /// The raw value of a setting, and where it comes from.
    pub(super) fn find(&self, path: &str) -> Option<(&Value, Origin)> {
        let mut keys = path.split('.');
        let mut value = self.tree.get(keys.next()?)?;
        for key in keys {
            let config::ValueKind::Table(table) = &value.kind else { return None };
            value = table.get(key)?;
        }
        let origin = match (self.variables.get(path), &self.file) {
            (Some(variable), _) => Origin::Variable(variable.clone()),
            (None, Some(file)) => Origin::File(file.clone()),
            (None, None) => return None,
        };
        Some((value, origin))
    }

    /// What the TOML file says in vain: the path, and the variable that wins.
    pub(super) fn overridden(&self) -> impl Iterator<Item = (&str, &str)> {
        self.overridden.iter().filter_map(|path| Some((path.as_str(), self.variables.get(path)?.as_str())))
    }

    /// Whether the setting's value could not be read, which is reported already.
    pub(super) fn is_broken(&self, path: &str) -> bool {
        self.broken.contains(path)
    }

    /// The variable to name when a setting is missing.
    pub(super) fn variable_for(&self, setting: &Setting) -> String {
        let prefix = prefixes(setting, &self.prefix).into_iter().next().unwrap_or(PREFIX);
        format!("{prefix}_{}", setting.variable())
    }

    /// The place of a value, for a mistake.
    pub(super) fn place(&self, setting: &Setting, origin: &Origin) -> Place {
        match origin {
            Origin::Variable(variable) => Place::Variable(variable.clone()),
            Origin::File(file) => Place::Key { path: setting.path(), file: file.clone() },
            Origin::Default => Place::Variable(self.variable_for(setting)),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) | Self::File(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Shows no values: some are secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("config", &self.config)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Shows no values: some are secrets.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |given: &Given| Value::new(Some(&given.variable), given.text.clone());
        Ok(self.0.iter().map(|(path, given)| (path.clone(), value(given))).collect())
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

    #[test]
    fn what_stands_beneath_never_wins() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let beneath = map(&[("PORTICO_A", "low"), ("PORTICO_B", "low"), ("PORTICO_C", "low")]);
        let over =
            Sources::of(map(&[("PORTICO_A", "high"), ("PORTICO_B_FILE", "path")])).over(beneath.clone());
        assert_eq!(
            over.variables,
            map(&[("PORTICO_A", "high"), ("PORTICO_B_FILE", "path"), ("PORTICO_C", "low")])
        );
        let over = Sources::of(map(&[("PORTICO_ENV_PREFIX", "X"), ("X_A", "high")])).over(beneath);
        assert_eq!(
            over.variables,
            map(&[("PORTICO_ENV_PREFIX", "X"), ("X_A", "high"), ("X_B", "low"), ("X_C", "low")])
        );
    }
}
