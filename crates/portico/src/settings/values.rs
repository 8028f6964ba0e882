//! Decodes raw texts and TOML values by the kind of their setting. Names no setting.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use config::ValueKind;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::durations::{parse_seconds, whole_number};
use super::table::SettingKind;

/// A value that fits its setting's kind.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Secret(SecretString),
    Secrets(Vec<SecretString>),
    /// Without user name, password and fragment.
    Url(Url),
    Flag(bool),
    List(Vec<String>),
    Pairs(BTreeMap<String, String>),
    Lists(BTreeMap<String, Vec<String>>),
    /// A duration in seconds.
    Seconds(u64),
    Number(u64),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Secret(one), Self::Secret(two)) => one.expose_secret() == two.expose_secret(),
            (Self::Secrets(one), Self::Secrets(two)) => {
                let texts = |secrets: &'_ [SecretString]| -> Vec<String> {
                    secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
                };
                texts(one) == texts(two)
            }
            (Self::Text(one), Self::Text(two)) => one == two,
            (Self::Url(one), Self::Url(two)) => one == two,
            (Self::Flag(one), Self::Flag(two)) => one == two,
            (Self::List(one), Self::List(two)) => one == two,
            (Self::Pairs(one), Self::Pairs(two)) => one == two,
            (Self::Lists(one), Self::Lists(two)) => one == two,
            (Self::Seconds(one), Self::Seconds(two)) | (Self::Number(one), Self::Number(two)) => one == two,
            _ => false,
        }
    }
}

/// The problem of a value. It does not contain the value.
type Wrong = String;

/// Decodes a raw value as this kind.
pub(super) fn decode(kind: &SettingKind, raw: &ValueKind) -> Result<Value, Wrong> {
    match kind {
        SettingKind::Text => plain_text(raw).map(Value::Text),
        SettingKind::StorageUrl => text(raw).map(|text| Value::Text(text.to_owned())),
        SettingKind::Secret => text(raw).map(|text| Value::Secret(text.into())),
        SettingKind::Secrets => {
            list(raw, false).map(|texts| Value::Secrets(texts.into_iter().map(Into::into).collect()))
        }
        SettingKind::Url => text(raw).and_then(http_url).map(Value::Url),
        SettingKind::Choice(words) => choice(words, text(raw)?).map(Value::Text),
        SettingKind::Flag => flag(raw).map(Value::Flag),
        SettingKind::List => list(raw, false).map(Value::List),
        SettingKind::Words => list(raw, true).map(Value::List),
        SettingKind::Pairs => pairs(raw).map(Value::Pairs),
        SettingKind::Lists => lists(raw).map(Value::Lists),
        SettingKind::Seconds(range) => seconds(raw, range).map(Value::Seconds),
        SettingKind::Number(range) => number(raw, range).map(Value::Number),
    }
}

fn text(raw: &ValueKind) -> Result<&str, Wrong> {
    match raw {
        ValueKind::String(text) if text.is_empty() => {
            Err("is empty; give it a value, or leave it out".to_owned())
        }
        ValueKind::String(text) => Ok(text),
        _ => Err("must be a string, in quotes".to_owned()),
    }
}

fn plain_text(raw: &ValueKind) -> Result<String, Wrong> {
    let text = text(raw)?;
    if text.chars().any(char::is_control) {
        return Err("has a control character, such as a line break at its end".to_owned());
    }
    if text.trim() != text {
        return Err("has a blank at its beginning or end".to_owned());
    }
    Ok(text.to_owned())
}

fn choice(words: &[&str], text: &str) -> Result<String, Wrong> {
    if words.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be one of {}", words.join(", ")))
    }
}

/// An absolute http or https URL for an endpoint (RFC 6749 3.1, 3.2: without a fragment).
fn http_url(text: &str) -> Result<Url, Wrong> {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let url = Url::parse(text).ok().filter(|url| !text.contains(blank) && url.has_host());
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()));
    let url = url.ok_or("must be an absolute URL that begins with https://")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user name and no password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must have no fragment".to_owned());
    }
    Ok(url)
}

fn flag(raw: &ValueKind) -> Result<bool, Wrong> {
    let word = match raw {
        ValueKind::Boolean(flag) => return Ok(*flag),
        ValueKind::I64(number) => number.to_string(),
        ValueKind::String(text) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn list(raw: &ValueKind, at_blanks: bool) -> Result<Vec<String>, Wrong> {
    let text = match raw {
        ValueKind::Array(items) => {
            return items.iter().map(|item| text(&item.kind).map(str::to_owned)).collect();
        }
        ValueKind::String(text) => text.trim(),
        _ => return Err("must be a list of strings".to_owned()),
    };
    if text.starts_with('[') {
        let wrong = |_| "begins with [ but is not a JSON list of strings".to_owned();
        let items: Vec<String> = serde_json::from_str(text).map_err(wrong)?;
        return if items.iter().any(String::is_empty) {
            Err("has an empty entry".to_owned())
        } else {
            Ok(items)
        };
    }
    if at_blanks {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        return Ok(words.map(str::to_owned).collect());
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let items: Vec<_> = text.split(',').map(|item| item.trim().to_owned()).collect();
    if items.iter().any(String::is_empty) {
        Err("has an empty entry between its commas".to_owned())
    } else {
        Ok(items)
    }
}

/// The entries of a table. A variable contains it as a JSON object.
fn table(raw: &ValueKind) -> Result<BTreeMap<String, ValueKind>, Wrong> {
    match raw {
        ValueKind::Table(entries) => {
            Ok(entries.iter().map(|(name, value)| (name.clone(), value.kind.clone())).collect())
        }
        ValueKind::String(text) if text.trim().is_empty() => Ok(BTreeMap::new()),
        ValueKind::String(text) => {
            let wrong = |_| r#"must be a JSON object such as {"name": "value"}"#.to_owned();
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(text).map_err(wrong)?;
            Ok(object.into_iter().map(|(name, value)| (name, from_json(value))).collect())
        }
        _ => Err("must be a table".to_owned()),
    }
}

fn pairs(raw: &ValueKind) -> Result<BTreeMap<String, String>, Wrong> {
    let entry = |(name, value)| match value {
        ValueKind::String(text) => Ok((name, text)),
        ValueKind::I64(number) => Ok((name, number.to_string())),
        ValueKind::Boolean(flag) => Ok((name, flag.to_string())),
        _ => Err(format!("must have a string for each name; {name:?} has none")),
    };
    table(raw)?.into_iter().map(entry).collect()
}

fn lists(raw: &ValueKind) -> Result<BTreeMap<String, Vec<String>>, Wrong> {
    let entry = |(name, value)| match list(&value, false) {
        Ok(items) => Ok((name, items)),
        Err(_) => Err(format!("must have a list of strings for each name; {name:?} has none")),
    };
    table(raw)?.into_iter().map(entry).collect()
}

fn from_json(value: serde_json::Value) -> ValueKind {
    match value {
        serde_json::Value::Null => ValueKind::Nil,
        serde_json::Value::Bool(flag) => ValueKind::Boolean(flag),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| ValueKind::Float(f64::NAN), ValueKind::I64)
        }
        serde_json::Value::String(text) => ValueKind::String(text),
        serde_json::Value::Array(items) => ValueKind::Array(
            items.into_iter().map(|item| config::Value::new(None, from_json(item))).collect(),
        ),
        serde_json::Value::Object(entries) => {
            let entries =
                entries.into_iter().map(|(name, value)| (name, config::Value::new(None, from_json(value))));
            ValueKind::Table(entries.collect())
        }
    }
}

fn seconds(raw: &ValueKind, range: &RangeInclusive<u64>) -> Result<u64, Wrong> {
    let text = match raw {
        ValueKind::I64(number) => number.to_string(),
        ValueKind::String(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    parse_seconds(&text, range)
}

fn number(raw: &ValueKind, range: &RangeInclusive<u64>) -> Result<u64, Wrong> {
    let found = match raw {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::String(text) => whole_number(text.trim()),
        _ => None,
    };
    let wrong = || format!("must be a whole number from {} to {}", range.start(), range.end());
    found.filter(|number| range.contains(number)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn from_text(kind: &SettingKind, text: &str) -> Result<serde_json::Value, Wrong> {
        decode(kind, &ValueKind::String(text.to_owned())).map(|value| value.masked(kind))
    }

    fn from_toml(kind: &SettingKind, toml: &str) -> Result<serde_json::Value, Wrong> {
        let file = super::super::file::File::parse("t".to_owned(), &format!("x = {toml}")).unwrap();
        let tree = config::Source::collect(&file).unwrap();
        decode(kind, &tree["x"].kind).map(|value| value.masked(kind))
    }

    #[test]
    fn flags() {
        for text in ["true", "TRUE", "1", "yes", "On"] {
            assert_eq!(from_text(&SettingKind::Flag, text), Ok(json!(true)), "{text}");
        }
        for text in ["false", "False", "0", "NO", "off"] {
            assert_eq!(from_text(&SettingKind::Flag, text), Ok(json!(false)), "{text}");
        }
        for text in ["", "2", "t", "enabled", " true"] {
            assert!(from_text(&SettingKind::Flag, text).is_err(), "{text}");
        }
        assert_eq!(from_toml(&SettingKind::Flag, "false"), Ok(json!(false)));
        assert!(from_toml(&SettingKind::Flag, "2").is_err());
        assert!(from_toml(&SettingKind::Flag, "[true]").is_err());
    }

    #[test]
    fn lists_of_texts() {
        for (text, items) in [
            ("", json!([])),
            (" a , b ", json!(["a", "b"])),
            (r#"["cn=a,ou=b", "c"]"#, json!(["cn=a,ou=b", "c"])),
            ("a b", json!(["a b"])),
            ("[]", json!([])),
        ] {
            assert_eq!(from_text(&SettingKind::List, text), Ok(items), "{text}");
        }
        for text in ["a,,b", "a,", ",", "[a]", "[1]", r#"[""]"#, r#"["a"] "#.trim_end_matches("] ")] {
            assert!(from_text(&SettingKind::List, text).is_err(), "{text}");
        }
        assert_eq!(
            from_text(&SettingKind::Words, "openid  email,profile"),
            Ok(json!(["openid", "email", "profile"]))
        );
        assert_eq!(from_toml(&SettingKind::List, r#"["a", "b,c"]"#), Ok(json!(["a", "b,c"])));
        assert_eq!(from_toml(&SettingKind::List, "'name'"), Ok(json!(["name"])));
        for toml in ["[1]", "['']", "1", "{ a = 'b' }"] {
            assert!(from_toml(&SettingKind::List, toml).is_err(), "{toml}");
        }
    }

    #[test]
    fn tables() {
        let object = r#"{"prompt": "login", "max_age": 0, "flag": true}"#;
        let pairs = json!({"prompt": "login", "max_age": "0", "flag": "true"});
        assert_eq!(from_text(&SettingKind::Pairs, object), Ok(pairs.clone()));
        assert_eq!(
            from_toml(&SettingKind::Pairs, "{ prompt = 'login', max_age = 0, flag = true }"),
            Ok(pairs)
        );
        assert_eq!(from_text(&SettingKind::Pairs, ""), Ok(json!({})));
        for text in ["prompt=login", "[]", r#"{"a": ["b"]}"#, r#"{"a": null}"#, r#"{"a": 1.5}"#] {
            assert!(from_text(&SettingKind::Pairs, text).is_err(), "{text}");
        }
        let roles = json!({"trusted": ["staff", "oidc/provider1:ops"], "admin": ["boss"]});
        assert_eq!(from_text(&SettingKind::Lists, &roles.to_string()), Ok(roles));
        assert_eq!(from_toml(&SettingKind::Lists, "{ a = 'b' }"), Ok(json!({"a": ["b"]})));
        assert!(from_text(&SettingKind::Lists, r#"{"a": 1}"#).is_err());
    }

    #[test]
    fn durations_and_numbers() {
        let day = SettingKind::Seconds(0..=86400);
        for (text, shown) in
            [("0", "0"), ("90", "90s"), ("90s", "90s"), ("15m", "15m"), ("60m", "1h"), ("24h", "1d")]
        {
            assert_eq!(from_text(&day, text), Ok(json!(shown)), "{text}");
        }
        for text in [
            "",
            "soon",
            "1.5h",
            "-1",
            "+1",
            "1h30m",
            "2d",
            "m",
            "1 h",
            "99999999999999999999d",
            "300000000000000000m",
        ] {
            assert!(from_text(&day, text).is_err(), "{text}");
        }
        assert_eq!(from_toml(&day, "60"), Ok(json!("1m")));
        assert!(from_toml(&day, "-60").is_err() && from_toml(&day, "1.5").is_err());
        let few = SettingKind::Number(0..=9);
        assert_eq!((from_text(&few, "9"), from_toml(&few, "0")), (Ok(json!(9)), Ok(json!(0))));
        assert!(
            from_text(&few, "10").is_err() && from_text(&few, "x").is_err() && from_toml(&few, "-1").is_err()
        );
    }

    #[test]
    fn addresses_and_texts() {
        for right in ["https://idp.example.com/a?b=c", "http://127.0.0.1:8080/x"] {
            assert_eq!(from_text(&SettingKind::Url, right), Ok(json!(right)));
        }
        for wrong in [
            "",
            "not a url",
            "idp.example.com",
            "ftp://idp.example.com",
            "https://",
            "https://u@idp.example.com/",
            "https://u:p@idp.example.com/",
            "https://idp.example.com/#f",
            "https://idp.example.com/ a",
            " https://idp.example.com/",
            "https://idp.example.com/\n",
        ] {
            assert!(from_text(&SettingKind::Url, wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", " a", "a ", "a\n", "a\u{0}b"] {
            assert!(from_text(&SettingKind::Text, wrong).is_err(), "{wrong:?}");
        }
        assert!(from_toml(&SettingKind::Text, "7").is_err());
        assert_eq!(from_text(&SettingKind::Choice(&["get", "post"]), "post"), Ok(json!("post")));
        assert_eq!(
            from_text(&SettingKind::Choice(&["get", "post"]), "POST"),
            Err("must be one of get, post".to_owned())
        );
    }
}
