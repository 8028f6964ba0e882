//! How a command fails: the message for the operator and the exit code of the process.

use std::fmt;
use std::process::ExitCode;

use portico_core::error::{StoreError, error_chain};
use portico_core::keys::KeyError;
use portico_storage::OpenError;

use crate::settings::Mistake;

/// Why a command failed. The variant decides the exit code.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The settings have mistakes: one line each. Exit code 78.
    Mistakes(Vec<Mistake>),
    /// Another part of the configuration is wrong. Exit code 78.
    Configuration(String),
    /// The store cannot be used. Exit code 69.
    Store(String),
    /// Any other failure. Exit code 1.
    Failed(String),
    /// Any other failure, in several lines. Exit code 1.
    Lines(Vec<String>),
}

impl Failure {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Mistakes(_) | Self::Configuration(_) => ExitCode::from(78),
            Self::Store(_) => ExitCode::from(69),
            Self::Failed(_) | Self::Lines(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistakes(mistakes) => {
                let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Lines(lines) => f.write_str(&lines.join("\n")),
            Self::Configuration(what) | Self::Store(what) | Self::Failed(what) => {
                write!(f, "portico: {what}")
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error_chain(&error))
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Locked(_) => Self::Configuration(error_chain(&error)),
            OpenError::File { .. } | OpenError::Unusable(_) => {
                Self::Store(format!("storage.url: {}", error_chain(&error)))
            }
            _ => Self::Store(error_chain(&error)),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Store(store) => store.into(),
            KeyError::Sealed(ref kid) => Self::Configuration(format!(
                "{error}; set the secret key that sealed it, or add that key to \
                 security.secret_key_previous; only if it is lost for good, run `portico keys discard {kid}`"
            )),
            KeyError::Broken { .. } => Self::Failed(error_chain(&error)),
        }
    }
}
