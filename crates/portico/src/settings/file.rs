//! The TOML file: its text, and the keys that no setting reads. It decodes no values.

use std::collections::BTreeSet;
use std::path::Path;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::mistake::{Mistake, MistakeLocation, did_you_mean};
use super::table::Setting;

/// A parsed TOML file.
#[derive(Clone)]
pub(super) struct File {
    /// As the operator named it.
    pub(super) name: String,
    table: toml::Table,
}

impl File {
    /// Reads and parses the file. `named_by` is the setting or flag that names it.
    pub(super) fn load(path: &Path, named_by: MistakeLocation) -> Result<Self, Mistake> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Mistake::new(named_by, format!("the file {} cannot be read: {error}", path.display()))
        })?;
        Self::parse(path.display().to_string(), &text)
    }

    /// Parses the text of the file with this name.
    pub(super) fn parse(name: String, text: &str) -> Result<Self, Mistake> {
        match text.parse() {
            Ok(table) => Ok(Self { name, table }),
            // The message of the error alone: its `Display` repeats the line, which may contain a secret.
            Err(error) => {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                Err(Mistake::new(
                    MistakeLocation::File(name),
                    format!("line {line} is no TOML: {}", error.message()),
                ))
            }
        }
    }

    /// Whether the file has a value at this path.
    pub(super) fn has(&self, path: &str) -> bool {
        let mut keys = path.split('.');
        let first = keys.next().and_then(|key| self.table.get(key));
        keys.fold(first, |value, key| value?.get(key)).is_some()
    }

    /// A mistake for each key that no setting reads.
    pub(super) fn unknown_keys(&self) -> Vec<Mistake> {
        let known = Setting::all().map(|setting| setting.path()).collect();
        let mut mistakes = Vec::new();
        self.collect_unknown_keys(&self.table, "", &known, &mut mistakes);
        mistakes
    }

    fn collect_unknown_keys(
        &self,
        table: &toml::Table,
        above: &str,
        known: &BTreeSet<String>,
        mistakes: &mut Vec<Mistake>,
    ) {
        for (key, value) in table {
            let path = format!("{above}{key}");
            let inner = format!("{path}.");
            let is_inner = known.iter().any(|known| known.starts_with(&inner));
            let message = match value {
                _ if known.contains(&path) => continue,
                toml::Value::Table(table) if is_inner => {
                    self.collect_unknown_keys(table, &inner, known, mistakes);
                    continue;
                }
                _ if is_inner => "must be a table".to_owned(),
                _ => format!("is no setting{}", did_you_mean(&path, known.iter())),
            };
            mistakes.push(Mistake::new(MistakeLocation::Key { path, file: self.name.clone() }, message));
        }
    }
}

/// Omits the values: some are secrets.
impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Source for File {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.table.iter().map(|(key, value)| (key.clone(), self.value(value))).collect())
    }
}

impl File {
    fn value(&self, value: &toml::Value) -> Value {
        let kind = match value {
            toml::Value::String(text) => ValueKind::String(text.clone()),
            toml::Value::Integer(number) => ValueKind::I64(*number),
            toml::Value::Float(number) => ValueKind::Float(*number),
            toml::Value::Boolean(flag) => ValueKind::Boolean(*flag),
            toml::Value::Datetime(time) => ValueKind::String(time.to_string()),
            toml::Value::Array(items) => {
                ValueKind::Array(items.iter().map(|item| self.value(item)).collect())
            }
            toml::Value::Table(table) => {
                ValueKind::Table(table.iter().map(|(key, value)| (key.clone(), self.value(value))).collect())
            }
        };
        Value::new(Some(&self.name), kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        match File::parse("p.toml".to_owned(), text) {
            Ok(file) => file.unknown_keys().iter().map(ToString::to_string).collect(),
            Err(mistake) => vec![mistake.to_string()],
        }
    }

    #[test]
    fn unknown_keys_are_told_apart_from_known_ones() {
        assert_eq!(mistakes("[security]\noidc_providers = []\n[log]\nlevel = 'info'\n"), [""; 0]);
        assert_eq!(
            mistakes("[security.oidc_provider_settings.google.extra_authorization_params]\nhd = 'x'"),
            [""; 0]
        );
        for (text, expected) in [
            ("[log]\nlevle = 1", "log.levle in p.toml: is no setting; did you mean log.level?"),
            ("log = 1", "log in p.toml: must be a table"),
            ("nonsense = 1", "nonsense in p.toml: is no setting"),
            (
                "[security.oidc_provider_settings.PROVIDER1]\nclient_id = 'x'",
                "security.oidc_provider_settings.PROVIDER1 in p.toml: is no setting",
            ),
            (
                "[security.oauth2_provider_settings.provider1]\ndiscovery_url = 'x'",
                "security.oauth2_provider_settings.provider1.discovery_url in p.toml: is no setting; \
                 did you mean security.oidc_provider_settings.provider1.discovery_url?",
            ),
        ] {
            assert_eq!(mistakes(text), [expected]);
        }
    }

    #[test]
    fn what_is_no_toml_is_told_by_its_line_and_never_repeated() {
        let message = mistakes("[security]\nsecret_key = \"CANARY\n");
        assert_eq!(message.len(), 1);
        assert!(message[0].starts_with("p.toml: line 2 is no TOML: "), "{message:?}");
        assert!(!message[0].contains("CANARY"), "{message:?}");
    }
}
