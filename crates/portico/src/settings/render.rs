//! `portico config`: what the service would run with, and where each value comes from. Secrets are masked.

use serde_json::{Value as Json, json};

use super::Loaded;
use super::sources::Origin;
use super::table::{Otherwise, Setting};

/// The effective settings: those of Portico and of each enabled slot, and whatever else is set. One line each, or a
/// JSON array of objects with `path`, `variable`, `value`, `source` and `about`.
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
        "about": setting.row.about,
    })
}

fn as_line(loaded: &Loaded, setting: &Setting) -> String {
    let (value, origin) = effective(loaded, setting);
    let value = match (value, setting.otherwise()) {
        (Json::Null, Otherwise::Unset(words)) => format!("({words})"),
        (Json::String(text), _) => text,
        (other, _) => other.to_string(),
    };
    format!("{} = {value}    # {origin}\n", setting.path())
}

fn effective(loaded: &Loaded, setting: &Setting) -> (Json, Origin) {
    match loaded.known.find(setting) {
        Some(found) => (found.value.shown(&setting.row.kind), found.origin.clone()),
        None => (Json::Null, Origin::Default),
    }
}
