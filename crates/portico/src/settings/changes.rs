//! The differences between two sets of settings. A reload applies them, `portico plan` prints them.

use portico_core::slot::SlotId;
use serde_json::Value as Json;

use super::load::Loaded;
use super::table::{self, Setting, SettingSpec};
use super::values::Value;

/// Settings that the process reads only at its start: listeners, routes, the store, the log.
static AT_START: [&SettingSpec; 7] = [
    &table::PUBLIC_URL,
    &table::SERVER_LISTEN,
    &table::SERVER_ADMIN_LISTEN,
    &table::STORAGE_URL,
    &table::AUTO_MIGRATE,
    &table::LOG_FORMAT,
    &table::LOG_LEVEL,
];

/// Global settings that are part of the configuration of each slot.
static EVERY_SLOT: [&SettingSpec; 2] = [&table::SSO_ACCOUNT_NAME_FALLBACK, &table::ROLES];

/// Settings of a slot that decide which subjects its identities have.
static IDENTITY: [&SettingSpec; 7] = [
    &table::CLIENT_ID,
    &table::DISCOVERY_URL,
    &table::ISSUER,
    &table::IDENTITY_NAMESPACE,
    &table::TOKEN_URL,
    &table::SUBJECT_CLAIM,
    &table::AUTHORIZATION_URL,
];

/// One setting with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// Its TOML path.
    pub path: String,
    /// Its variable.
    pub variable: String,
    /// The slot it belongs to; `None` for a global setting.
    pub slot: Option<SlotId>,
    /// Its value before; secrets are masked.
    pub before: Json,
    /// Its value now; secrets are masked.
    pub after: Json,
    /// Whether the change takes effect only after a restart.
    pub at_start: bool,
    /// The name of the setting, without its slot.
    name: &'static str,
}

impl SettingChange {
    /// Whether the change affects the client of this slot.
    pub fn affects(&self, slot: SlotId) -> bool {
        self.slot == Some(slot) || self.slot.is_none() && self.is_one_of(&EVERY_SLOT)
    }

    /// Whether the identities of the slot may have other subjects after the change.
    pub fn changes_identities(&self) -> bool {
        self.slot.is_some() && self.is_one_of(&IDENTITY)
    }

    /// Whether the slot has another client id after the change.
    pub fn is_client_id(&self) -> bool {
        self.slot.is_some() && self.is_one_of(&[&table::CLIENT_ID])
    }

    /// Whether Portico has another public URL after the change.
    pub fn is_public_url(&self) -> bool {
        self.is_one_of(&[&table::PUBLIC_URL])
    }

    fn is_one_of(&self, specs: &[&SettingSpec]) -> bool {
        specs.iter().any(|spec| spec.path == self.name)
    }
}

/// The changed settings, in the order of the reference page. Slots that both sets disable are left out.
pub fn changes(old: &Loaded, new: &Loaded) -> Vec<SettingChange> {
    let enabled = |loaded: &Loaded, slot| loaded.settings.slots.iter().any(|own| own.id() == slot);
    let counts = |setting: &Setting| setting.slot.is_none_or(|slot| enabled(old, slot) || enabled(new, slot));
    Setting::all().filter(counts).filter_map(|setting| change(old, new, &setting)).collect()
}

fn change(old: &Loaded, new: &Loaded, setting: &Setting) -> Option<SettingChange> {
    let [before, after] = [old, new].map(|loaded| loaded.known.find(setting).map(|found| &found.value));
    if before == after && !has_new_certificates(old, new, setting) {
        return None;
    }
    let masked = |value: Option<&Value>| value.map_or(Json::Null, |value| value.masked(&setting.spec.kind));
    Some(SettingChange {
        path: setting.path(),
        variable: new.known.variable(setting),
        slot: setting.slot,
        before: masked(before),
        after: masked(after),
        at_start: setting.slot.is_none() && AT_START.iter().any(|spec| spec.path == setting.spec.path),
        name: setting.spec.path,
    })
}

/// Whether the file of `ca_bundle` has the same name and other certificates.
fn has_new_certificates(old: &Loaded, new: &Loaded, setting: &Setting) -> bool {
    let transport = |loaded: &Loaded| {
        let mut slots = loaded.settings.slots.iter();
        slots.find(|slot| Some(slot.id()) == setting.slot).map(|slot| slot.transport.clone())
    };
    setting.spec.path == table::CA_BUNDLE.path
        && matches!((transport(old), transport(new)), (Some(old), Some(new)) if old != new)
}
