//! Mistakes in the settings: the location, the problem and the remedy. A mistake never contains a value.

use std::fmt;

use serde_json::{Value as Json, json};

/// The location of a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MistakeLocation {
    /// An environment variable.
    Variable(String),
    /// A TOML path and its file.
    Key {
        /// The path, such as `security.signing_alg`.
        path: String,
        /// The file, as the operator named it.
        file: String,
    },
    /// A TOML file as a whole.
    File(String),
    /// A flag of the command line.
    Flag(&'static str),
}

/// One mistake. Printed on one line, without any value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The location.
    pub location: MistakeLocation,
    /// The problem and the remedy.
    pub message: String,
}

/// The mistakes and warnings of loading.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// With a mistake, the service does not start.
    pub(super) mistakes: Vec<Mistake>,
    /// Logged at the start.
    pub(super) warnings: Vec<String>,
}

impl Mistake {
    pub(super) fn new(location: MistakeLocation, message: impl Into<String>) -> Self {
        Self { location, message: message.into() }
    }

    /// An object with `variable`, `path` and `message`; the members that do not apply are null.
    pub fn json(&self) -> Json {
        let (variable, path) = match &self.location {
            MistakeLocation::Variable(name) => (Some(name.as_str()), None),
            MistakeLocation::Key { path, .. } => (None, Some(path.as_str())),
            MistakeLocation::File(file) => (None, Some(file.as_str())),
            MistakeLocation::Flag(flag) => (None, Some(*flag)),
        };
        json!({ "variable": variable, "path": path, "message": self.message })
    }

    pub(super) fn variable(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(MistakeLocation::Variable(name.into()), message)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = match &self.location {
            MistakeLocation::Variable(name) => name.clone(),
            MistakeLocation::Key { path, file } => format!("{path} in {file}"),
            MistakeLocation::File(file) => file.clone(),
            MistakeLocation::Flag(flag) => (*flag).to_owned(),
        };
        // Names and paths are foreign input: control characters are escaped to stay on one line.
        for part in location.chars().chain(": ".chars()).chain(self.message.chars()) {
            if part.is_control() { write!(f, "{}", part.escape_default())? } else { write!(f, "{part}")? }
        }
        Ok(())
    }
}

/// The most similar known name, as the end of a sentence; empty if no name is similar.
pub(super) fn did_you_mean<'a>(written: &str, known: impl Iterator<Item = &'a String>) -> String {
    known
        .map(|name| (strsim::normalized_damerau_levenshtein(written, name), name))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map_or_else(String::new, |(_, name)| format!("; did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_one_line() {
        let mistake = Mistake::variable("PORTICO_X\nY", "is wrong\r\u{1b}[31m");
        assert_eq!(mistake.to_string(), r"PORTICO_X\nY: is wrong\r\u{1b}[31m");
        let key = MistakeLocation::Key { path: "log.level".to_owned(), file: "portico.toml".to_owned() };
        assert_eq!(Mistake::new(key, "is wrong").to_string(), "log.level in portico.toml: is wrong");
    }

    #[test]
    fn guesses_are_close_or_none() {
        let known = ["SECURITY_SIGNING_ALG", "SECURITY_ROLES", "LOG_LEVEL"].map(str::to_owned);
        for (written, guess) in [
            ("SECURITY_SING_ALG", "; did you mean SECURITY_SIGNING_ALG?"),
            ("SECURITY_ROLE", "; did you mean SECURITY_ROLES?"),
            ("LOGLEVEL", "; did you mean LOG_LEVEL?"),
            ("SOMETHING_ELSE", ""),
        ] {
            assert_eq!(did_you_mean(written, known.iter()), guess, "{written}");
        }
    }
}
