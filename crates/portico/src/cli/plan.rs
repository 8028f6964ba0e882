//! `portico plan`: the changes that another settings file would make.

use std::path::PathBuf;

use clap::Args;
use portico_core::slot::SlotId;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::print_out;
use crate::settings::{Loaded, Mistake, SettingChange, Settings, Sources, changes};

/// Show what another TOML file in place of the current one would change. Nothing is changed and no provider
/// is called.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The other TOML file
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// Answer in JSON: an object with `slots`, `settings`, `overridden` and `warnings`, or with `mistakes`
    #[arg(long)]
    json: bool,
}

/// Everything that differs.
struct Differences {
    slots: Vec<SlotPlan>,
    settings: Vec<SettingChange>,
    /// Paths that the other file sets and a variable overrides, with that variable.
    overridden: Vec<(String, String)>,
    /// Warnings that the current settings do not have.
    warnings: Vec<String>,
}

/// How a slot differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotChange {
    Added,
    Removed,
    Changed,
    Same,
}

/// The effect on one slot.
struct SlotPlan {
    slot: SlotId,
    change: SlotChange,
    /// The redirect URI under the other settings.
    redirect_uri: String,
    /// Whether the redirect URI must be registered at the provider.
    register: bool,
    /// Whether existing identities of the slot may no longer match.
    identities_orphaned: bool,
}

impl Plan {
    pub(super) fn run(self, sources: &Sources) -> Result<(), Failure> {
        let now = self.load(sources)?;
        let then = self.load(&sources.clone().with_file("--with", self.with.clone()))?;
        let differences = Differences::new(&now, &then);
        if self.json {
            print_out(&differences.json().to_string());
        } else {
            differences.print();
        }
        Ok(())
    }

    fn load(&self, sources: &Sources) -> Result<Loaded, Failure> {
        Loaded::load(sources).map_err(|mistakes| {
            if self.json {
                let list: Vec<_> = mistakes.iter().map(Mistake::json).collect();
                print_out(&json!({ "mistakes": list }).to_string());
            }
            Failure::Mistakes(mistakes)
        })
    }
}

impl Differences {
    fn new(now: &Loaded, then: &Loaded) -> Self {
        let settings = changes(now, then);
        let is_new = |warning: &&String| !now.warnings.contains(*warning);
        Self {
            slots: slot_plans(&now.settings, &then.settings, &settings),
            settings,
            overridden: then.overridden().map(|(path, by)| (path.to_owned(), by.to_owned())).collect(),
            warnings: then.warnings.iter().filter(is_new).cloned().collect(),
        }
    }

    fn json(&self) -> Value {
        let slots: Vec<_> = self.slots.iter().map(SlotPlan::json).collect();
        let settings: Vec<_> = self.settings.iter().map(change_json).collect();
        let overridden: Vec<_> =
            self.overridden.iter().map(|(path, by)| json!({ "path": path, "by": by })).collect();
        json!({
            "slots": slots,
            "settings": settings,
            "overridden": overridden,
            "warnings": self.warnings,
        })
    }

    fn print(&self) {
        for (path, by) in &self.overridden {
            print_out(&format!("{path}: {by} is set and overrides the file"));
        }
        if self.settings.is_empty() {
            print_out("Nothing changes.");
        }
        for slot in self.slots.iter().filter(|slot| slot.change != SlotChange::Same || slot.register) {
            print_out(&slot.line());
        }
        for change in &self.settings {
            print_out(&change_line(change));
        }
        for warning in &self.warnings {
            print_out(&format!("warning: {warning}"));
        }
    }
}

fn slot_plans(now: &Settings, then: &Settings, changes: &[SettingChange]) -> Vec<SlotPlan> {
    let has = |settings: &Settings, id| settings.slots.iter().any(|slot| slot.id() == id);
    let plan = |slot| {
        let own = || changes.iter().filter(move |change| change.slot == Some(slot));
        let change = match (has(now, slot), has(then, slot)) {
            (false, false) => return None,
            (false, true) => SlotChange::Added,
            (true, false) => SlotChange::Removed,
            (true, true) if own().next().is_some() => SlotChange::Changed,
            (true, true) => SlotChange::Same,
        };
        let new_registration = now.public_url != then.public_url || own().any(SettingChange::is_client_id);
        Some(SlotPlan {
            slot,
            change,
            redirect_uri: then.public_url.callback(slot).into(),
            register: change == SlotChange::Added || change != SlotChange::Removed && new_registration,
            identities_orphaned: change == SlotChange::Changed
                && own().any(SettingChange::changes_identities),
        })
    };
    SlotId::all().filter_map(plan).collect()
}

impl SlotChange {
    /// The word in the JSON output.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Same => "same",
        }
    }
}

impl SlotPlan {
    fn json(&self) -> Value {
        json!({
            "name": self.slot.to_string(),
            "change": self.change.as_str(),
            "redirect_uri": self.redirect_uri,
            "register": self.register,
            "identities_orphaned": self.identities_orphaned,
        })
    }

    fn line(&self) -> String {
        let word = if self.change == SlotChange::Same { "unchanged" } else { self.change.as_str() };
        let mut parts = vec![format!("{} is {word}", self.slot)];
        if self.change == SlotChange::Removed {
            parts.push("its pending logins fail, and its sessions end at their next refresh".to_owned());
        }
        if self.register {
            parts.push(format!("register {} at the provider", self.redirect_uri));
        }
        if self.identities_orphaned {
            parts.push("if the provider's subjects change, existing users get new accounts".to_owned());
        }
        parts.join("; ")
    }
}

fn change_json(change: &SettingChange) -> Value {
    json!({
        "path": change.path,
        "variable": change.variable,
        "before": change.before,
        "after": change.after,
        "restart": change.at_start,
    })
}

fn change_line(change: &SettingChange) -> String {
    let text = |value: &Value| match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (before, after) = (text(&change.before), text(&change.after));
    let what = if before == after { "content changed".to_owned() } else { format!("{before} -> {after}") };
    let when = if change.is_public_url() {
        "    # after a restart; a running service refuses the whole file until then"
    } else if change.at_start {
        "    # after a restart"
    } else {
        ""
    };
    format!("{}: {what}{when}", change.path)
}
