//! The raw value of each setting and its origin, before decoding.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use config::{Map, Value};

use super::mistake::MistakeLocation;
use super::table::Setting;
use super::variables::{PREFIX, prefixes};

/// The raw values of all sources.
pub(super) struct Raw {
    pub(super) tree: Map<String, Value>,
    /// The variable that sets a path.
    pub(super) variables: BTreeMap<String, String>,
    /// Paths of the TOML file that a variable overrides.
    pub(super) overridden: BTreeSet<String>,
    /// The TOML file, as the operator named it.
    pub(super) file: Option<String>,
    /// The prefix in use.
    pub(super) prefix: String,
    /// Paths with an unreadable value. The mistake is reported.
    pub(super) broken: BTreeSet<String>,
    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(super) otlp_endpoint: Option<String>,
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Variable(String),
    File(String),
    Default,
}

impl Raw {
    /// The raw value of a setting and its origin.
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

    /// Paths of the TOML file that a variable overrides, with that variable.
    pub(super) fn overridden(&self) -> impl Iterator<Item = (&str, &str)> {
        self.overridden.iter().filter_map(|path| Some((path.as_str(), self.variables.get(path)?.as_str())))
    }

    /// Whether the value of the setting is unreadable. The mistake is reported.
    pub(super) fn is_broken(&self, path: &str) -> bool {
        self.broken.contains(path)
    }

    /// The variable of a setting, under the prefix in use.
    pub(super) fn variable_for(&self, setting: &Setting) -> String {
        let prefix = prefixes(setting, &self.prefix).into_iter().next().unwrap_or(PREFIX);
        format!("{prefix}_{}", setting.variable())
    }

    /// The location of a mistake about this value.
    pub(super) fn location(&self, setting: &Setting, origin: &Origin) -> MistakeLocation {
        match origin {
            Origin::Variable(variable) => MistakeLocation::Variable(variable.clone()),
            Origin::File(file) => MistakeLocation::Key { path: setting.path(), file: file.clone() },
            Origin::Default => MistakeLocation::Variable(self.variable_for(setting)),
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
