//! What two readings of the settings differ in. A reload applies it, `portico plan` shows it.

use portico_core::slot::SlotId;
use serde_json::Value as Json;

use super::Loaded;
use super::table::{self, Setting};
use super::values::Value;

/// What is settled when the process starts: listeners, routes, the store, the log.
static AT_START: [&table::SettingSpec; 7] = [
    &table::PUBLIC_URL,
    &table::SERVER_LISTEN,
    &table::SERVER_ADMIN_LISTEN,
    &table::STORAGE_URL,
    &table::AUTO_MIGRATE,
    &table::LOG_FORMAT,
    &table::LOG_LEVEL,
];

/// One setting that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// Its TOML path.
    pub path: String,
    /// Its variable.
    pub variable: String,
    /// The slot it belongs to.
    pub slot: Option<SlotId>,
    /// Its value before; a secret's is masked.
    pub before: Json,
    /// Its value now; a secret's is masked.
    pub after: Json,
    /// Whether only a restart makes it count.
    pub at_start: bool,
}

/// What the new settings change, in the order of the reference page. Settings of slots that neither enables are left out.
pub fn changes(old: &Loaded, new: &Loaded) -> Vec<SettingChange> {
    let enabled = |loaded: &Loaded, slot| loaded.settings.slots.iter().any(|own| own.id() == slot);
    let counts = |setting: &Setting| setting.slot.is_none_or(|slot| enabled(old, slot) || enabled(new, slot));
    Setting::all().filter(counts).filter_map(|setting| change(old, new, &setting)).collect()
}

fn change(old: &Loaded, new: &Loaded, setting: &Setting) -> Option<SettingChange> {
    let [before, after] = [old, new].map(|loaded| loaded.known.find(setting).map(|found| &found.value));
    if before == after && !renewed(old, new, setting) {
        return None;
    }
    let shown = |value: Option<&Value>| value.map_or(Json::Null, |value| value.shown(&setting.spec.kind));
    Some(SettingChange {
        path: setting.path(),
        variable: new.known.variable(setting),
        slot: setting.slot,
        before: shown(before),
        after: shown(after),
        at_start: setting.slot.is_none() && AT_START.iter().any(|spec| spec.path == setting.spec.path),
    })
}

/// Whether the certificates in a file of the same name are others.
fn renewed(old: &Loaded, new: &Loaded, setting: &Setting) -> bool {
    let transport = |loaded: &Loaded| {
        let mut slots = loaded.settings.slots.iter();
        slots.find(|slot| Some(slot.id()) == setting.slot).map(|slot| slot.transport.clone())
    };
    setting.spec.path == table::CA_BUNDLE.path
        && matches!((transport(old), transport(new)), (Some(old), Some(new)) if old != new)
}
