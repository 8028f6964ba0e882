//! Prints the effective settings for `portico config`: each value, secrets masked, and its source.

use serde_json::{Value as Json, json};
use url::Url;

use super::durations::duration_text;
use super::load::Loaded;
use super::raw::Origin;
use super::table::{DefaultValue, Setting, SettingKind};
use super::values::Value;

/// The effective settings: the global ones, those of each enabled slot, and all others that are set. One line
/// each, or a JSON array of objects with `path`, `variable`, `value`, `source` and `about`.
pub fn render(loaded: &Loaded, json: bool) -> String {
    let enabled = |setting: &Setting| match setting.slot {
        None => true,
        Some(id) => loaded.settings.slots.iter().any(|slot| slot.id() == id),
    };
    let shown = Setting::all().filter(|setting| enabled(setting) || loaded.known.is_set(setting));
    if json {
        let all: Vec<_> = shown.map(|setting| as_json(loaded, &setting)).collect();
        return Json::Array(all).to_string();
    }
    shown.map(|setting| as_line(loaded, &setting)).collect()
}

fn as_json(loaded: &Loaded, setting: &Setting) -> Json {
    let (value, origin) = effective(loaded, setting);
    json!({
        "path": setting.path(),
        "variable": loaded.known.variable(setting),
        "value": value,
        "source": origin.to_string(),
        "about": setting.spec.about,
    })
}

fn as_line(loaded: &Loaded, setting: &Setting) -> String {
    let (value, origin) = effective(loaded, setting);
    let value = match (value, setting.default_value()) {
        (Json::Null, DefaultValue::Unset(words)) => format!("({words})"),
        (Json::String(text), _) => text,
        (other, _) => other.to_string(),
    };
    format!("{} = {value}    # {origin}\n", setting.path())
}

fn effective(loaded: &Loaded, setting: &Setting) -> (Json, Origin) {
    match loaded.known.find(setting) {
        Some(found) => (found.value.masked(&setting.spec.kind), found.origin.clone()),
        None => (Json::Null, Origin::Default),
    }
}

/// The replacement of a secret.
const MASK: &str = "***";

impl Value {
    /// The value as JSON, secrets masked.
    pub(super) fn masked(&self, kind: &SettingKind) -> Json {
        match self {
            Self::Text(text) if matches!(kind, SettingKind::StorageUrl) => json!(without_password(text)),
            Self::Text(text) => json!(text),
            Self::Secret(_) => json!(MASK),
            Self::Secrets(secrets) => json!(vec![MASK; secrets.len()]),
            Self::Url(url) => json!(url.as_str()),
            Self::Flag(flag) => json!(flag),
            Self::List(items) => json!(items),
            Self::Pairs(entries) => json!(entries),
            Self::Lists(entries) => json!(entries),
            Self::Seconds(seconds) => json!(duration_text(*seconds)),
            Self::Number(number) => json!(number),
        }
    }
}

/// A database URL with its password masked, in the authority and in the query.
fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if url.query().is_some() {
        let secret = |name: &str| name.to_ascii_lowercase().contains("pass");
        let pairs: Vec<_> = url
            .query_pairs()
            .map(|(name, value)| {
                if secret(&name) {
                    (name.into_owned(), MASK.to_owned())
                } else {
                    (name.into_owned(), value.into_owned())
                }
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use config::ValueKind;

    use super::super::values::decode;
    use super::*;

    fn shown(kind: &SettingKind, text: &str) -> Json {
        decode(kind, &ValueKind::String(text.to_owned())).unwrap().masked(kind)
    }

    #[test]
    fn secrets_are_masked() {
        assert_eq!(shown(&SettingKind::Secret, "CANARY"), json!("***"));
        assert_eq!(shown(&SettingKind::Secrets, "CANARY,CANARY"), json!(["***", "***"]));
        for (url, seen) in [
            ("sqlite://portico.db", "sqlite://portico.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://portico:CANARY@db/p", "postgres://portico:***@db/p"),
            ("postgres://db/p?user=u&Password=CANARY", "postgres://db/p?user=u&Password=***"),
            ("postgres://u:CANARY@[db/p", "***"),
        ] {
            assert_eq!(shown(&SettingKind::StorageUrl, url), json!(seen), "{url}");
        }
        let debug = format!("{:?}", decode(&SettingKind::Secret, &ValueKind::String("CANARY".to_owned())));
        assert!(!debug.contains("CANARY"), "{debug}");
    }
}
