//! Strict reading of JSON: one object without doubled members, nothing after it, and a limited depth.
//!
//! `serde_json` alone keeps the last of two members of one name, so two readers of one document could see two
//! subjects. Errors name the fault and do not repeat the text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The most levels of nested arrays and objects.
const MAX_DEPTH: usize = 32;

/// The fault of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or has further text after the JSON.
    #[error("it is not JSON")]
    Syntax,
    /// It is JSON, but not an object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// An object has two members of one name.
    #[error("it has two members of one name")]
    Doubled,
    /// Arrays and objects nest too deeply.
    #[error("it nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Reads one JSON object (RFC 8259). A byte order mark is skipped. Doubled members of the object itself,
/// further text and more than 32 levels are refused.
///
/// # Errors
/// The first fault found.
pub fn object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if depth(text) > MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    let read: Result<Members, serde_json::Error> = serde_json::from_slice(text);
    match read {
        Ok(Members { doubled: true, .. }) => Err(JsonError::Doubled),
        Ok(Members { map, .. }) => Ok(map),
        Err(error) if error.is_data() => Err(JsonError::NotAnObject),
        Err(_) => Err(JsonError::Syntax),
    }
}

/// Reads a JSON array of objects, each by the rules of [`object`].
///
/// # Errors
/// The first fault found.
pub fn objects(text: &[u8]) -> Result<Vec<Map<String, Value>>, JsonError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if depth(text) > MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    let read: Result<Vec<Members>, serde_json::Error> = serde_json::from_slice(text);
    match read {
        Ok(members) if members.iter().any(|members| members.doubled) => Err(JsonError::Doubled),
        Ok(members) => Ok(members.into_iter().map(|members| members.map).collect()),
        Err(error) if error.is_data() => Err(JsonError::NotAnObject),
        Err(_) => Err(JsonError::Syntax),
    }
}

/// The number of nested brackets outside of strings.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Members {
    map: Map<String, Value>,
    doubled: bool,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let mut members = Members { map: Map::new(), doubled: false };
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    members.doubled |= members.map.insert(name, value).is_some();
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::ProptestConfig;
    use proptest::strategy::Strategy as _;

    use super::*;

    #[test]
    fn l04_m04_one_object_is_read_and_nothing_else() {
        let nested =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        for (text, expected) in [
            (r#"{"sub":"a"}"#.to_owned(), Ok(1)),
            ("\u{feff}{\"sub\":\"a\"}".to_owned(), Ok(1)),
            (" {}\n".to_owned(), Ok(0)),
            (r#"{"a":{"sub":1},"sub":2}"#.to_owned(), Ok(2)),
            (r#"{"sub":"a","sub":"b"}"#.to_owned(), Err(JsonError::Doubled)),
            (r#"{"sub":"a","s\u0075b":"b"}"#.to_owned(), Err(JsonError::Doubled)),
            (r#"{"sub":"a"} {}"#.to_owned(), Err(JsonError::Syntax)),
            (r#"{"sub":"a"}x"#.to_owned(), Err(JsonError::Syntax)),
            (r#"{"sub":"a","#.to_owned(), Err(JsonError::Syntax)),
            (String::new(), Err(JsonError::Syntax)),
            ("<html>".to_owned(), Err(JsonError::Syntax)),
            (r#"{"exp":1e999}"#.to_owned(), Err(JsonError::Syntax)),
            (r#""text""#.to_owned(), Err(JsonError::NotAnObject)),
            ("[]".to_owned(), Err(JsonError::NotAnObject)),
            ("7".to_owned(), Err(JsonError::NotAnObject)),
            (nested(32), Ok(1)),
            (nested(33), Err(JsonError::TooDeep)),
            ("[".repeat(200_000), Err(JsonError::TooDeep)),
            (format!(r#"{{"a":"{}"}}"#, "[".repeat(100)), Ok(1)),
            (format!(r#"{{"a":"\"{}"}}"#, "[".repeat(100)), Ok(1)),
        ] {
            let start: String = text.chars().take(40).collect();
            assert_eq!(object(text.as_bytes()).map(|map| map.len()), expected, "{start}");
        }
    }

    #[test]
    fn a_list_has_objects_and_nothing_else() {
        for (text, expected) in [
            ("[]", Ok(0)),
            (r#"[{"a":1},{"a":2}]"#, Ok(2)),
            (r#"[{"a":1,"a":2}]"#, Err(JsonError::Doubled)),
            (r#"[{"a":1},"b"]"#, Err(JsonError::NotAnObject)),
            (r#"{"a":1}"#, Err(JsonError::NotAnObject)),
            ("[] []", Err(JsonError::Syntax)),
            ("<html>", Err(JsonError::Syntax)),
        ] {
            assert_eq!(objects(text.as_bytes()).map(|list| list.len()), expected, "{text}");
        }
    }

    #[test]
    fn m03_large_numbers_keep_every_digit() {
        let read = object(br#"{"id":9007199254740993}"#).unwrap();
        assert_eq!(read["id"].to_string(), "9007199254740993");
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The reader refuses more than the library, and otherwise reads the same.
        #[test]
        fn m04_what_is_read_is_what_the_library_reads_and_never_more(
            text in proptest::prop_oneof![
                proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..60),
                r#"[{}\[\]",:0-9a-e \\u]{0,40}"#.prop_map(String::into_bytes),
                r#"\{("[a-c]":("[a-z]{0,2}"|[0-9]{1,20}|\[\]|\{"a":1\}|null),?){0,4}\} ?[x\{]?"#
                    .prop_map(String::into_bytes),
            ],
        ) {
            let library: Option<Value> = serde_json::from_slice(&text).ok();
            match object(&text) {
                Ok(map) => proptest::prop_assert_eq!(Some(Value::Object(map)), library),
                Err(JsonError::Syntax) => {
                    proptest::prop_assert!(library.is_none() || depth(&text) > MAX_DEPTH);
                }
                Err(JsonError::NotAnObject) => {
                    proptest::prop_assert!(library.is_none_or(|value| !value.is_object()));
                }
                Err(JsonError::Doubled) => {
                    let members = library.as_ref().and_then(Value::as_object).map_or(0, Map::len);
                    let written = String::from_utf8_lossy(&text).matches(':').count();
                    proptest::prop_assert!(library.is_some() && written > members);
                }
                Err(JsonError::TooDeep) => proptest::prop_assert!(depth(&text) > MAX_DEPTH),
            }
        }
    }
}
