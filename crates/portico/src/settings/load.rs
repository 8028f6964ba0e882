//! Loads the settings: reads all sources, decodes all values, collects all mistakes.

use portico_core::slot::{Protocol, SlotId, SlotName};

use super::global::Settings;
use super::mistake::{Mistake, Report};
use super::reader::Known;
use super::sources::Sources;
use super::table;
use super::warnings::warnings;

/// The settings, their warnings, and the source of each value.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Logged at each start.
    pub warnings: Vec<String>,
    pub(super) known: Known,
}

impl Loaded {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// All mistakes, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Mistake>> {
        let mut report = Report::default();
        let Some(raw) = sources.load(&mut report) else { return Err(report.mistakes) };
        let known = Known::decode(raw, &mut report);
        let enabled = enabled_slots(&known, &mut report);
        let settings = Settings::from_known(&known, &enabled, &mut report);
        match settings.filter(|_| report.mistakes.is_empty()) {
            Some(settings) => {
                let warnings = [warnings(&settings, &known), report.warnings].concat();
                Ok(Self { settings, warnings, known })
            }
            None => Err(report.mistakes),
        }
    }

    /// The settings of the TOML file that a variable overrides: the path and the variable.
    pub fn overridden(&self) -> impl Iterator<Item = (&str, &str)> {
        self.known.overridden()
    }
}

/// The enabled slots, in the order of their buttons.
fn enabled_slots(known: &Known, report: &mut Report) -> Vec<SlotId> {
    let mut read = known.reader(None, report);
    let mut slots = Vec::new();
    for protocol in Protocol::ALL {
        let spec = match protocol {
            Protocol::Oidc => &table::OIDC_PROVIDERS,
            Protocol::OAuth2 => &table::OAUTH2_PROVIDERS,
        };
        let names = read.parse_each(spec, slot_name).unwrap_or_default();
        for name in names {
            let slot = SlotId { protocol, name };
            if slots.contains(&slot) {
                read.wrong(spec, format!("names {name} twice"));
            } else {
                slots.push(slot);
            }
        }
    }
    slots
}

fn slot_name(text: &str) -> Result<SlotName, String> {
    let known = SlotName::ALL.map(SlotName::as_str).join(", ");
    text.parse().map_err(|_| match text.to_ascii_lowercase().parse::<SlotName>() {
        Ok(name) => format!("must have slot names in lower case: {name}"),
        Err(_) => {
            format!("contains {text:?}, which is not a slot; the slots are {known}, separated by commas")
        }
    })
}
