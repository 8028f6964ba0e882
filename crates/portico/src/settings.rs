//! The settings: from the texts of an operator to typed values.
//!
//! The sources, in order of precedence, are environment variables, files named by variables, the TOML file
//! and the defaults. `sources` and `file` collect the raw texts, `values` decodes each by the kind of its
//! setting, and `load` combines the results. `table` is the only list of settings. All mistakes are
//! collected; with a mistake, nothing starts. The settings use neither the store nor the network.

mod changes;
mod client_auth;
mod durations;
mod file;
mod global;
mod load;
mod mistake;
mod network;
mod raw;
mod reader;
#[cfg(test)]
mod reference;
mod render;
mod roles;
mod secret_key;
mod slot;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod variables;
mod warnings;

pub use self::changes::{SettingChange, changes};
pub use self::durations::duration;
pub use self::global::{LogFormat, Settings, StorageUrl};
pub use self::load::Loaded;
pub use self::mistake::{Mistake, MistakeLocation};
pub use self::render::render;
pub use self::secret_key::SecretKey;
pub use self::sources::Sources;
