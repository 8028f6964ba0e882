//! The decoded values, and typed access to them that notes missing and wrong values. Names no setting.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use config::ValueKind;
use portico_core::slot::SlotId;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::mistake::{Mistake, Report};
use super::raw::{Origin, Raw};
use super::table::{DefaultValue, Setting, SettingSpec};
use super::values::{Value, decode};

/// The values of all settings, defaults included, by path.
pub(super) struct Known {
    values: BTreeMap<String, Found>,
    /// Settings with a value that does not decode. The mistake is reported.
    broken: BTreeSet<String>,
    raw: Raw,
}

/// A value and its origin.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Reads the global settings, or those of one slot.
pub(super) struct Reader<'a> {
    known: &'a Known,
    slot: Option<SlotId>,
    pub(super) report: &'a mut Report,
}

impl Known {
    /// Decodes all raw values, also those of disabled slots.
    pub(super) fn decode(raw: Raw, report: &mut Report) -> Self {
        let mut known = Self { values: BTreeMap::new(), broken: BTreeSet::new(), raw };
        for setting in Setting::all() {
            let path = setting.path();
            let (decoded, origin) = match (known.raw.find(&path), setting.default_value()) {
                (Some((raw, origin)), _) => (decode(&setting.spec.kind, &raw.kind), origin),
                (None, DefaultValue::Is(text)) if !known.raw.is_broken(&path) => {
                    (decode(&setting.spec.kind, &ValueKind::String(text.to_owned())), Origin::Default)
                }
                (None, DefaultValue::Is(_) | DefaultValue::Required | DefaultValue::Unset(_)) => continue,
            };
            match decoded {
                Ok(value) => drop(known.values.insert(path, Found { value, origin })),
                Err(wrong) => {
                    report.mistakes.push(Mistake::new(known.raw.location(&setting, &origin), wrong));
                    known.broken.insert(path);
                }
            }
        }
        known
    }

    /// The value of a setting, if it has one.
    pub(super) fn find(&self, setting: &Setting) -> Option<&Found> {
        self.values.get(&setting.path())
    }

    /// Whether a source sets it.
    pub(super) fn is_set(&self, setting: &Setting) -> bool {
        self.find(setting).is_some_and(|found| found.origin != Origin::Default)
    }

    /// A mistake about the value of the setting, or about its absence.
    pub(super) fn mistake(&self, setting: &Setting, message: impl Into<String>) -> Mistake {
        let origin = self.find(setting).map_or(Origin::Default, |found| found.origin.clone());
        Mistake::new(self.raw.location(setting, &origin), message)
    }

    /// The variable of a setting, under the prefix in use.
    pub(super) fn variable(&self, setting: &Setting) -> String {
        self.raw.variable_for(setting)
    }

    /// Paths of the TOML file that a variable overrides, with that variable.
    pub(super) fn overridden(&self) -> impl Iterator<Item = (&str, &str)> {
        self.raw.overridden()
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(super) fn otlp_endpoint(&self) -> Option<&str> {
        self.raw.otlp_endpoint.as_deref()
    }

    /// A reader of the global settings and those of this slot.
    pub(super) fn reader<'a>(&'a self, slot: Option<SlotId>, report: &'a mut Report) -> Reader<'a> {
        Reader { known: self, slot, report }
    }

    fn is_broken(&self, path: &str) -> bool {
        self.broken.contains(path) || self.raw.is_broken(path)
    }
}

impl<'a> Reader<'a> {
    /// Notes a mistake about the value of this setting, or about its absence.
    pub(super) fn wrong(&mut self, spec: &'static SettingSpec, message: impl Into<String>) {
        self.report.mistakes.push(self.known.mistake(&self.setting(spec), message));
    }

    /// Whether a source sets it.
    pub(super) fn is_set(&self, spec: &'static SettingSpec) -> bool {
        self.known.is_set(&self.setting(spec))
    }

    /// A text with a syntax of its own. An error of `parse` becomes a mistake.
    pub(super) fn parse<T, E: Into<String>>(
        &mut self,
        spec: &'static SettingSpec,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Value::Text(text) = self.value(spec)? else { return None };
        parse(text).map_err(|wrong| self.wrong(spec, wrong)).ok()
    }

    /// A list of entries with a syntax of their own.
    pub(super) fn parse_each<T, E: Into<String>>(
        &mut self,
        spec: &'static SettingSpec,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.list(spec)?;
        let parsed: Result<Vec<_>, _> = items.iter().map(|item| parse(item)).collect();
        parsed.map_err(|wrong| self.wrong(spec, wrong)).ok()
    }

    pub(super) fn text(&mut self, spec: &'static SettingSpec) -> Option<String> {
        let Value::Text(text) = self.value(spec)? else { return None };
        Some(text.clone())
    }

    pub(super) fn choice<T: Copy>(&mut self, spec: &'static SettingSpec, words: &[(&str, T)]) -> Option<T> {
        let chosen = self.text(spec)?;
        words.iter().find(|(word, _)| *word == chosen).map(|(_, meaning)| *meaning)
    }

    pub(super) fn secret(&mut self, spec: &'static SettingSpec) -> Option<SecretString> {
        let Value::Secret(secret) = self.value(spec)? else { return None };
        Some(secret.clone())
    }

    /// A secret with a syntax of its own. The error of `parse` must not contain the secret.
    pub(super) fn parse_secret<T>(
        &mut self,
        spec: &'static SettingSpec,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let secret = self.secret(spec)?;
        parse(secret.expose_secret()).map_err(|wrong| self.wrong(spec, wrong)).ok()
    }

    /// A list of secrets with a syntax of their own.
    pub(super) fn parse_secrets<T>(
        &mut self,
        spec: &'static SettingSpec,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Value::Secrets(secrets) = self.value(spec)? else { return None };
        let parsed: Result<Vec<_>, _> = secrets.iter().map(|secret| parse(secret.expose_secret())).collect();
        parsed.map_err(|wrong| self.wrong(spec, wrong)).ok()
    }

    pub(super) fn url(&mut self, spec: &'static SettingSpec) -> Option<Url> {
        let Value::Url(url) = self.value(spec)? else { return None };
        Some(url.clone())
    }

    pub(super) fn flag(&mut self, spec: &'static SettingSpec) -> Option<bool> {
        let Value::Flag(flag) = self.value(spec)? else { return None };
        Some(*flag)
    }

    pub(super) fn list(&mut self, spec: &'static SettingSpec) -> Option<&'a [String]> {
        let Value::List(items) = self.value(spec)? else { return None };
        Some(items)
    }

    pub(super) fn pairs(&mut self, spec: &'static SettingSpec) -> Option<&'a BTreeMap<String, String>> {
        let Value::Pairs(pairs) = self.value(spec)? else { return None };
        Some(pairs)
    }

    pub(super) fn lists(&mut self, spec: &'static SettingSpec) -> Option<&'a BTreeMap<String, Vec<String>>> {
        let Value::Lists(lists) = self.value(spec)? else { return None };
        Some(lists)
    }

    pub(super) fn duration(&mut self, spec: &'static SettingSpec) -> Option<Duration> {
        let Value::Seconds(seconds) = self.value(spec)? else { return None };
        Some(Duration::from_secs(*seconds))
    }

    pub(super) fn number(&mut self, spec: &'static SettingSpec) -> Option<u64> {
        let Value::Number(number) = self.value(spec)? else { return None };
        Some(*number)
    }

    fn setting(&self, spec: &'static SettingSpec) -> Setting {
        let slot = self.slot.filter(|slot| spec.is_of(*slot));
        Setting { spec, slot }
    }

    /// The value. Notes a missing required value. `None` for a setting with a default means a noted mistake.
    fn value(&mut self, spec: &'static SettingSpec) -> Option<&'a Value> {
        let setting = self.setting(spec);
        let found = self.known.find(&setting);
        if found.is_none()
            && matches!(setting.default_value(), DefaultValue::Required)
            && !self.known.is_broken(&setting.path())
        {
            let message = match setting.slot {
                Some(slot) => format!("is missing; {slot} is enabled and needs it"),
                None => format!("is missing; set it, or {} in the TOML file", setting.path()),
            };
            self.wrong(spec, message);
        }
        found.map(|found| &found.value)
    }
}

/// Omits the values: some are secrets.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}
