//! Tests that `config/default.toml`, `docs/configuration.md` and the Helm chart agree with the table.
//!
//! The first two are generated. To update them, run these tests with `PORTICO_WRITE_REFERENCE=1`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use config::ValueKind;
use portico_core::slot::{Protocol, SlotId, SlotName};
use serde_json::Value as Json;

use super::table::{self, DefaultValue, Scope, Setting, SettingKind, SettingSpec};
use super::values::decode;

/// The placeholder of a value without a default.
const NONE: &str = "…";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text_of(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares a file with the expected text, or writes it.
fn check(path: &str, expected: &str) {
    #[expect(clippy::disallowed_methods, reason = "tests read their own environment")]
    if std::env::var_os("PORTICO_WRITE_REFERENCE").is_some() {
        std::fs::write(root().join(path), expected).unwrap();
    }
    assert!(
        text_of(path) == expected,
        "{path} does not match the table; run this test with PORTICO_WRITE_REFERENCE=1"
    );
}

/// A default in TOML syntax, or a placeholder.
fn toml(spec: &SettingSpec, default_value: DefaultValue) -> String {
    match default_value {
        DefaultValue::Is(text) if matches!(spec.kind, SettingKind::Seconds(_)) => format!("\"{text}\""),
        DefaultValue::Is(text) => {
            let shown = decode(&spec.kind, &ValueKind::String(text.to_owned())).unwrap().masked(&spec.kind);
            // JSON strings, numbers, booleans, lists and empty tables are also valid TOML.
            shown.to_string().replace(',', ", ")
        }
        DefaultValue::Required | DefaultValue::Unset(_) => match spec.kind {
            SettingKind::List | SettingKind::Words | SettingKind::Secrets => format!("[\"{NONE}\"]"),
            SettingKind::Flag => format!("false  # {NONE}"),
            _ => format!("\"{NONE}\""),
        },
    }
}

fn entry(setting: &Setting, text: &mut String) {
    let spec = setting.spec;
    let mut about = spec.about.to_owned();
    match setting.default_value() {
        DefaultValue::Required => about += " Required.",
        DefaultValue::Unset(words) => write!(about, " Default: {words}.").unwrap(),
        DefaultValue::Is(_) => {}
    }
    let name = spec.path.rsplit('.').next().unwrap();
    let value = toml(spec, setting.default_value());
    write!(text, "\n{}# PORTICO_{}\n#{name} = {value}\n", comment(&about), setting.variable()).unwrap();
}

/// Wraps words as lines of a comment.
fn comment(words: &str) -> String {
    let (mut text, mut length) = ("#".to_owned(), 1);
    for word in words.split(' ') {
        if length + word.len() > 110 {
            text += "\n#";
            length = 1;
        }
        write!(text, " {word}").unwrap();
        length += 1 + word.len();
    }
    text + "\n"
}

const DEFAULT_HEAD: &str = "\
# Every setting of Portico: one sentence, its variable, its default.
#
# Each line such as `#name = value` shows the default; remove the # to change it. Values with … have no
# default. Environment variables override this file. docs/configuration.md explains more.
";

fn default_toml() -> String {
    let mut text = DEFAULT_HEAD.to_owned();
    let mut section = "";
    for spec in table::GLOBAL {
        let (own, _) = spec.path.split_once('.').unwrap();
        if own != section {
            section = own;
            write!(text, "\n[{section}]\n").unwrap();
        }
        entry(&Setting { spec, slot: None }, &mut text);
    }
    for protocol in Protocol::ALL {
        for name in [SlotName::Provider1, SlotName::Google] {
            let like = match name {
                SlotName::Google => "Only the settings that differ from the other slots.",
                SlotName::Provider1 | SlotName::Provider2 => "The slot provider2 has the same settings.",
            };
            let slot = SlotId { protocol, name };
            write!(text, "\n# {like}\n[security.{protocol}_provider_settings.{name}]\n").unwrap();
            let differs = |spec: &SettingSpec| spec.google.is_some() || spec.scope == Scope::GoogleSlots;
            let shown =
                Setting::all_of(slot).filter(|setting| name != SlotName::Google || differs(setting.spec));
            shown.for_each(|setting| entry(&setting, &mut text));
        }
    }
    text
}

fn words(spec: &SettingSpec, default_value: DefaultValue) -> String {
    match default_value {
        DefaultValue::Required => "**required**".to_owned(),
        DefaultValue::Unset(words) => words.to_owned(),
        DefaultValue::Is("")
            if matches!(
                spec.kind,
                SettingKind::Pairs | SettingKind::Lists | SettingKind::List | SettingKind::Secrets
            ) =>
        {
            "empty".to_owned()
        }
        DefaultValue::Is(text) => format!("`{text}`"),
    }
}

fn about(spec: &SettingSpec) -> String {
    let choices = match spec.kind {
        SettingKind::Choice(words) => format!(" One of `{}`.", words.join("`, `")),
        _ => String::new(),
    };
    format!("{}{choices}", spec.about)
}

fn global_table() -> String {
    let mut text =
        "| variable, after `PORTICO_` | TOML | default | meaning |\n|---|---|---|---|\n".to_owned();
    for spec in table::GLOBAL {
        let variable = Setting { spec, slot: None }.variable();
        let default_value = words(spec, spec.default_value);
        writeln!(text, "| `{variable}` | `{}` | {default_value} | {} |", spec.path, about(spec)).unwrap();
    }
    text
}

fn slot_table() -> String {
    let mut text = "| name | slots | default | meaning |\n|---|---|---|---|\n".to_owned();
    for spec in table::SLOT {
        let scope = match spec.scope {
            Scope::Global | Scope::EverySlot => "all",
            Scope::OidcSlots => "oidc",
            Scope::OAuth2Slots => "oauth2",
            Scope::GoogleSlots => "google",
        };
        let google =
            spec.google.map(|google| format!("; google: {}", words(spec, google))).unwrap_or_default();
        let default_value = words(spec, spec.default_value);
        writeln!(text, "| `{}` | {scope} | {default_value}{google} | {} |", spec.path, about(spec)).unwrap();
    }
    text
}

/// Replaces the text between two markers of a document.
fn between(document: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    format!("{before}{begin}{table}{end}{after}")
}

#[test]
fn the_defaults_file_is_the_table() {
    check("config/default.toml", &default_toml());
}

#[test]
fn the_reference_page_is_the_table() {
    let page = between(&text_of("docs/configuration.md"), "global settings", &global_table());
    check("docs/configuration.md", &between(&page, "slot settings", &slot_table()));
    for variable in [table::DATABASE_URL, table::OTLP_ENDPOINT, "PORTICO_CONFIG", "PORTICO_ENV_PREFIX"] {
        assert!(page.contains(variable), "{variable}");
    }
}

#[test]
fn the_chart_knows_the_same_slots_and_settings() {
    let schema: Json = serde_json::from_str(&text_of("charts/portico/values.schema.json")).unwrap();
    for protocol in Protocol::ALL {
        let slots = &schema["properties"][protocol.as_str()]["properties"];
        let enabled: Vec<_> = SlotName::ALL.map(|name| Json::from(name.as_str())).into();
        assert_eq!(slots["enabled"]["items"]["enum"], Json::Array(enabled));
        let definition = &schema["$defs"][format!("{protocol}Slot")]["properties"];
        for name in SlotName::ALL {
            assert_eq!(slots[name.as_str()]["$ref"], format!("#/$defs/{protocol}Slot"));
            let known: BTreeSet<_> = Setting::all_of(SlotId { protocol, name })
                .map(|setting| setting.spec.path.to_owned())
                .collect();
            let own = definition.as_object().unwrap().keys().filter(|key| *key != "settings");
            for key in own {
                assert!(known.contains(&snake_case(key)), "{protocol}/{name}: {key}");
            }
        }
    }
    for protocol in Protocol::ALL {
        let icon = &schema["$defs"][format!("{protocol}Slot")]["properties"]["icon"]["pattern"];
        assert_eq!(icon, "^([a-z0-9-]+:[a-z0-9-]+)?$");
    }
    let variables: BTreeSet<_> =
        table::GLOBAL.iter().map(|spec| Setting { spec, slot: None }.variable()).collect();
    let settings = schema["properties"]["settings"]["propertyNames"]["enum"].as_array().unwrap();
    for variable in settings {
        assert!(variables.contains(variable.as_str().unwrap()), "{variable}");
    }
    let values = text_of("charts/portico/values.yaml");
    let mentioned = values
        .split(|c: char| !c.is_ascii_uppercase() && c != '_')
        .filter(|word| word.len() > 2 && word.contains('_'));
    mentioned.for_each(|variable| assert!(variables.contains(variable), "{variable}"));
}

fn snake_case(camel: &str) -> String {
    camel.chars().fold(String::new(), |mut snake, c| {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        snake
    })
}
