//! The sources of the settings: the environment, files named by variables, the TOML file.
//!
//! This module selects the raw text of each setting by precedence. It decodes no values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use config::{Config, ConfigError, Map, Source, Value};

use super::file::File;
use super::mistake::{Mistake, MistakeLocation, Report};
use super::raw::Raw;
use super::table::{self, DATABASE_URL, OTLP_ENDPOINT, Setting};
use super::variables::{PREFIX, prefixes, report_unknown};

/// All sources of the settings.
#[derive(Clone)]
pub struct Sources {
    variables: BTreeMap<String, String>,
    /// Variables with a value that is not UTF-8.
    not_utf8: Vec<String>,
    /// The TOML file of the command line, with the flag that names it.
    config: Option<(&'static str, PathBuf)>,
    prefix: Option<String>,
}

/// The TOML file is unusable. The mistake is reported.
struct UnusableFile;

/// The values of variables, by the paths of their settings.
#[derive(Clone, Default)]
struct Layer(BTreeMap<String, VariableValue>);

#[derive(Clone)]
struct VariableValue {
    variable: String,
    text: String,
}

impl Sources {
    /// The environment of this process, with `--config` and `--env-prefix` of its command line.
    pub fn from_process(config: Option<PathBuf>, env_prefix: Option<String>) -> Self {
        let config = config.map(|file| ("--config", file));
        let mut sources = Self { config, prefix: env_prefix, ..Self::from_variables(BTreeMap::new()) };
        #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(sources.variables.insert(name, value)),
                Err(_) => sources.not_utf8.push(name),
            }
        }
        sources
    }

    /// Only these variables.
    pub fn from_variables(variables: BTreeMap<String, String>) -> Self {
        Self { variables, not_utf8: Vec::new(), config: None, prefix: None }
    }

    /// Adds `PORTICO_` variables of lower precedence, under the prefix in use.
    #[must_use]
    pub fn with_fallback(mut self, fallback: BTreeMap<String, String>) -> Self {
        let prefix = self.prefix(&mut Report::default());
        for (name, value) in fallback {
            let name = name.replacen(PREFIX, &prefix, 1);
            if !self.variables.contains_key(&format!("{name}_FILE")) {
                self.variables.entry(name).or_insert(value);
            }
        }
        self
    }

    /// The names of the variables with the prefix in use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let prefix = format!("{}_", self.prefix(&mut Report::default()));
        self.variables.keys().filter(move |name| name.starts_with(&prefix)).map(String::as_str)
    }

    /// The same sources with another TOML file, named by this flag.
    #[must_use]
    pub fn with_file(mut self, flag: &'static str, file: PathBuf) -> Self {
        self.config = Some((flag, file));
        self
    }

    /// Reads all sources and reports unknown names. `None` if the TOML file is unusable: it may contain
    /// settings that would be reported as missing.
    pub(super) fn load(&self, report: &mut Report) -> Option<Raw> {
        let prefix = self.prefix(report);
        report_unknown(self.variables.keys(), &self.not_utf8, &prefix, report);
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
            let given = VariableValue { variable: DATABASE_URL.to_owned(), text: text.clone() };
            standard.0.insert(storage.to_owned(), given);
        }
        let name = file.as_ref().map(|file| file.name.clone());
        let tree = merged(standard, file, ours).unwrap_or_else(|error| {
            report.mistakes.push(Mistake::variable(PREFIX, format!("the sources cannot be merged: {error}")));
            Map::new()
        });
        let otlp_endpoint = self.variables.get(OTLP_ENDPOINT).cloned();
        Some(Raw { tree, variables, overridden, file: name, prefix, broken, otlp_endpoint })
    }

    /// The prefix of variables, without its underscore.
    fn prefix(&self, report: &mut Report) -> String {
        let variable = format!("{PREFIX}_ENV_PREFIX");
        let (location, prefix) = match (&self.prefix, self.variables.get(&variable)) {
            (Some(prefix), _) => (MistakeLocation::Flag("--env-prefix"), prefix),
            (None, Some(prefix)) => (MistakeLocation::Variable(variable), prefix),
            (None, None) => return PREFIX.to_owned(),
        };
        let letters = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let fits = prefix.chars().all(letters) && prefix.starts_with(|c: char| c.is_ascii_uppercase());
        if fits && !prefix.ends_with('_') {
            return prefix.clone();
        }
        let message =
            "must be upper-case letters, digits and underscores, without one at the end, such as INFRAHUB";
        report.mistakes.push(Mistake::new(location, message));
        PREFIX.to_owned()
    }

    /// The values of the variables of all settings.
    fn layer(&self, prefix: &str, broken: &mut BTreeSet<String>, report: &mut Report) -> Layer {
        let mut layer = Layer::default();
        for setting in Setting::all() {
            let found = prefixes(&setting, prefix)
                .into_iter()
                .find_map(|prefix| self.variable(&format!("{prefix}_{}", setting.variable())));
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

    /// The value of this variable, or of the file that its `_FILE` variable names.
    fn variable(&self, variable: &str) -> Option<Result<VariableValue, Mistake>> {
        let by_file = format!("{variable}_FILE");
        match (self.variables.get(variable), self.variables.get(&by_file)) {
            (None, None) => None,
            (Some(text), None) => {
                Some(Ok(VariableValue { variable: variable.to_owned(), text: text.clone() }))
            }
            (Some(_), Some(_)) => {
                let message = format!("is set, and so is {variable}; unset one of them");
                Some(Err(Mistake::variable(by_file, message)))
            }
            (None, Some(path)) => Some(match std::fs::read_to_string(path) {
                Ok(text) => {
                    let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
                    Ok(VariableValue { variable: by_file, text })
                }
                Err(error) => {
                    Err(Mistake::variable(by_file, format!("the file {path} cannot be read: {error}")))
                }
            }),
        }
    }

    /// The TOML file, if there is one.
    fn file(&self, report: &mut Report) -> Result<Option<File>, UnusableFile> {
        let variable = format!("{PREFIX}_CONFIG");
        let (location, path) = match (&self.config, self.variables.get(&variable)) {
            (Some((flag, path)), _) => (MistakeLocation::Flag(flag), path.clone()),
            (None, Some(path)) => (MistakeLocation::Variable(variable), path.into()),
            (None, None) => return Ok(None),
        };
        match File::load(&path, location) {
            Ok(file) => {
                report.mistakes.extend(file.unknown_keys());
                Ok(Some(file))
            }
            Err(mistake) => {
                report.mistakes.push(mistake);
                Err(UnusableFile)
            }
        }
    }
}

/// Merges the sources. In order of precedence, lowest first: standard variables, the file, our variables.
fn merged(standard: Layer, file: Option<File>, ours: Layer) -> Result<Map<String, Value>, ConfigError> {
    let builder = Config::builder().add_source(standard);
    let builder = match file {
        Some(file) => builder.add_source(file),
        None => builder,
    };
    builder.add_source(ours).build()?.collect()
}

/// Omits the values: some are secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("config", &self.config)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Omits the values: some are secrets.
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
        let value = |given: &VariableValue| Value::new(Some(&given.variable), given.text.clone());
        Ok(self.0.iter().map(|(path, given)| (path.clone(), value(given))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beneath_never_wins() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let beneath = map(&[("PORTICO_A", "low"), ("PORTICO_B", "low"), ("PORTICO_C", "low")]);
        let over = Sources::from_variables(map(&[("PORTICO_A", "high"), ("PORTICO_B_FILE", "path")]))
            .with_fallback(beneath.clone());
        assert_eq!(
            over.variables,
            map(&[("PORTICO_A", "high"), ("PORTICO_B_FILE", "path"), ("PORTICO_C", "low")])
        );
        let over = Sources::from_variables(map(&[("PORTICO_ENV_PREFIX", "X"), ("X_A", "high")]))
            .with_fallback(beneath);
        assert_eq!(
            over.variables,
            map(&[("PORTICO_ENV_PREFIX", "X"), ("X_A", "high"), ("X_B", "low"), ("X_C", "low")])
        );
    }
}
