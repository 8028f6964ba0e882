//! `portico plan`: what other settings would change, before anybody uses them.

use std::path::PathBuf;

use clap::Args;
use portico_core::slot::SlotId;
use serde_json::{Value, json};

use super::{Failure, print_out};
use crate::settings::{Loaded, Mistake, SettingChange, Settings, Sources, changes};

/// Show what another TOML file in place of the present one would change. Nothing is changed and nobody is asked.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The other file
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// Answer in JSON: an object with `slots`, `settings`, `overridden` and `warnings`, or with `mistakes`
    #[arg(long)]
    json: bool,
}

/// What becomes of a slot.
struct Fate {
    slot: SlotId,
    change: &'static str,
    /// What the provider must know for it.
    redirect_uri: String,
    /// Whether it must be registered anew.
    register: bool,
    /// Whether the people of this slot are told apart by something else from now on.
    strangers: bool,
}

/// Settings of a slot that say whose identifiers its people have.
const WHO: [&str; 7] = [
    "client_id",
    "discovery_url",
    "issuer",
    "identity_namespace",
    "token_url",
    "subject_claim",
    "authorization_url",
];

impl Plan {
    pub(super) fn run(self, sources: &Sources) -> Result<(), Failure> {
        let load = |sources: &Sources| {
            Loaded::load(sources).map_err(|mistakes| {
                if self.json {
                    let told: Vec<_> = mistakes.iter().map(Mistake::json).collect();
                    print_out(&json!({ "mistakes": told }).to_string());
                }
                Failure::Mistakes(mistakes)
            })
        };
        let now = load(sources)?;
        let then = load(&sources.clone().with_file("--with", self.with.clone()))?;
        let changes = changes(&now, &then);
        let fates = fates(&now.settings, &then.settings, &changes);
        let warnings: Vec<_> =
            then.warnings.iter().filter(|warning| !now.warnings.contains(warning)).collect();
        if self.json {
            let slots: Vec<_> = fates.iter().map(Fate::json).collect();
            let settings: Vec<_> = changes.iter().map(as_json).collect();
            let overridden: Vec<_> =
                then.overridden().map(|(path, by)| json!({ "path": path, "by": by })).collect();
            print_out(&json!({ "slots": slots, "settings": settings, "overridden": overridden, "warnings": warnings }).to_string());
            return Ok(());
        }
        for (path, by) in then.overridden() {
            print_out(&format!("{path}: {by} is set and wins over the file"));
        }
        if changes.is_empty() {
            print_out("Nothing changes.");
        }
        for fate in fates.iter().filter(|fate| fate.change != "same" || fate.register) {
            print_out(&fate.line());
        }
        for change in &changes {
            print_out(&as_line(change));
        }
        for warning in warnings {
            print_out(&format!("warning: {warning}"));
        }
        Ok(())
    }
}

fn fates(now: &Settings, then: &Settings, changes: &[SettingChange]) -> Vec<Fate> {
    let has = |settings: &Settings, id| settings.slots.iter().any(|slot| slot.id() == id);
    let fate = |slot| {
        let own = || changes.iter().filter(move |change| change.slot == Some(slot));
        let is_who =
            |change: &SettingChange| WHO.iter().any(|name| change.path.ends_with(&format!(".{name}")));
        let change = match (has(now, slot), has(then, slot)) {
            (false, false) => return None,
            (false, true) => "added",
            (true, false) => "removed",
            (true, true) if own().next().is_some() => "changed",
            (true, true) => "same",
        };
        let moved = now.public_url != then.public_url;
        let other_client = own().any(|change| change.path.ends_with(".client_id"));
        Some(Fate {
            slot,
            change,
            redirect_uri: then.public_url.callback(slot).into(),
            register: change == "added" || change != "removed" && (moved || other_client),
            strangers: change == "changed" && own().any(is_who),
        })
    };
    SlotId::all().filter_map(fate).collect()
}

impl Fate {
    fn json(&self) -> Value {
        json!({
            "name": self.slot.to_string(),
            "change": self.change,
            "redirect_uri": self.redirect_uri,
            "register": self.register,
            "identities_orphaned": self.strangers,
        })
    }

    fn line(&self) -> String {
        let mut parts =
            vec![format!("{} is {}", self.slot, if self.change == "same" { "kept" } else { self.change })];
        if self.change == "removed" {
            parts.push("logins under way there fail, and its sessions end at their next refresh".to_owned());
        }
        if self.register {
            parts.push(format!("register {} at the provider", self.redirect_uri));
        }
        if self.strangers {
            parts.push("if the provider's subjects become others, its people get new accounts".to_owned());
        }
        parts.join("; ")
    }
}

fn as_json(change: &SettingChange) -> Value {
    json!({
        "path": change.path,
        "variable": change.variable,
        "before": change.before,
        "after": change.after,
        "restart": change.at_start,
    })
}

fn as_line(change: &SettingChange) -> String {
    let text = |value: &Value| match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (before, after) = (text(&change.before), text(&change.after));
    let what = if before == after { "another content".to_owned() } else { format!("{before} -> {after}") };
    let when = match change.at_start {
        true if change.path == "main.public_url" => {
            "    # after a restart; a running service refuses the whole file until then"
        }
        true => "    # after a restart",
        false => "",
    };
    format!("{}: {what}{when}", change.path)
}
