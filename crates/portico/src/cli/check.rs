//! `portico check`: checks the settings, and with `--live` the providers.

use std::time::Duration;

use clap::Args;
use portico_core::clock::{Clock, Entropy};
use portico_core::error::error_chain;
use portico_core::pending_login::{State, login_secrets};
use portico_core::provider::inspection::{CheckVerdict, Finding};
use portico_core::provider::{AuthorizationParams, Prompt, Slot, Transport};
use portico_core::slot::SlotId;
use portico_outbound::{Outbound, public_url};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::proxy_check::proxy_checks;
use crate::failure::Failure;
use crate::output::print_out;
use crate::settings::{Loaded, Mistake, Settings, Sources};
use crate::wire;

/// Time limit for all checks together.
const DEADLINE: Duration = Duration::from_millis(4800);

/// Check the settings and print what to register at each provider. Exit code 0 if no check is bad, 1 if one
/// is, 78 if the settings have mistakes. Nothing is written and no login takes place.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Check the providers, too (DNS, TLS, discovery, issuer, keys, PKCE, callback, secret), and the public
    /// URL
    #[arg(long)]
    live: bool,
    /// Answer in JSON: an object with `ok`, `mistakes`, `warnings`, `slots` and `public_url`
    #[arg(long)]
    json: bool,
}

/// The findings of all checks.
struct Findings {
    slots: Vec<SlotFindings>,
    public_url: Vec<Finding>,
}

/// The findings about one slot.
struct SlotFindings {
    slot: SlotId,
    redirect_uri: String,
    findings: Vec<Finding>,
}

impl Check {
    pub(super) fn run(self, sources: &Sources) -> Result<(), Failure> {
        let loaded = Loaded::load(sources).map_err(|mistakes| {
            if self.json {
                print_out(&mistakes_json(&mistakes).to_string());
            }
            Failure::Mistakes(mistakes)
        })?;
        let findings = if self.live {
            let runtime = wire::runtime()?;
            runtime.block_on(check_live(&loaded.settings, runtime.handle()))?
        } else {
            Findings::empty(&loaded.settings)
        };
        let bad = findings.count_bad();
        if self.json {
            print_out(&findings.json(&loaded, bad == 0).to_string());
        } else {
            findings.print(&loaded);
        }
        if bad == 0 { Ok(()) } else { Err(Failure::Failed(format!("{bad} check(s) are bad"))) }
    }
}

/// Checks all slots and the public URL concurrently.
async fn check_live(settings: &Settings, outbound: &Handle) -> Result<Findings, Failure> {
    let public_url = spawn_public_url(settings, outbound)?;
    let mut running = Vec::new();
    for slot in &settings.slots {
        running.push((slot.id(), spawn_slot(settings, slot, outbound)?));
    }
    let mut slots = Vec::new();
    for (id, findings) in running {
        slots.push(SlotFindings::new(settings, id, findings.await.unwrap_or_default()));
    }
    Ok(Findings { slots, public_url: public_url.await.unwrap_or_default() })
}

fn spawn_public_url(settings: &Settings, outbound: &Handle) -> Result<JoinHandle<Vec<Finding>>, Failure> {
    let (url, seals) = (settings.public_url.clone(), wire::seals(settings));
    let http = Outbound::new(&Transport::default(), outbound.clone())
        .map_err(|error| Failure::Failed(error_chain(&error)))?;
    Ok(tokio::spawn(async move {
        let late = |_| vec![Finding::unknown("reachable", "the public URL did not answer in time")];
        let proxies = proxy_checks(&http, &url, &seals);
        timeout(DEADLINE, public_url::check(&http, &url, proxies)).await.unwrap_or_else(late)
    }))
}

fn spawn_slot(
    settings: &Settings,
    slot: &Slot,
    outbound: &Handle,
) -> Result<JoinHandle<Vec<Finding>>, Failure> {
    let client = wire::client(slot, outbound)?;
    let redirect_uri = settings.public_url.callback(slot.id());
    let seals = wire::seals(settings);
    Ok(tokio::spawn(async move {
        let state = State::random(Entropy);
        let login_secrets = login_secrets(&state, &seals);
        let params = AuthorizationParams {
            redirect_uri: &redirect_uri,
            state: state.as_str(),
            login_secrets: &login_secrets,
            prompt: Prompt::None,
        };
        let late = |_| vec![Finding::unknown("discovery", "the provider did not answer in time")];
        timeout(DEADLINE, client.inspect(params, Clock::System.now())).await.unwrap_or_else(late)
    }))
}

fn mistakes_json(mistakes: &[Mistake]) -> Value {
    let mistakes: Vec<_> = mistakes.iter().map(Mistake::json).collect();
    json!({ "ok": false, "mistakes": mistakes, "warnings": [], "slots": [], "public_url": [] })
}

impl Findings {
    /// The slots of the settings, without any finding.
    fn empty(settings: &Settings) -> Self {
        let unchecked = |slot: &Slot| SlotFindings::new(settings, slot.id(), Vec::new());
        Self { slots: settings.slots.iter().map(unchecked).collect(), public_url: Vec::new() }
    }

    fn count_bad(&self) -> usize {
        let all = self.slots.iter().flat_map(|slot| &slot.findings).chain(&self.public_url);
        all.filter(|one| one.verdict == CheckVerdict::Bad).count()
    }

    fn json(&self, loaded: &Loaded, ok: bool) -> Value {
        let slots: Vec<_> = self.slots.iter().map(SlotFindings::json).collect();
        let public_url: Vec<_> = self.public_url.iter().map(finding_json).collect();
        json!({
            "ok": ok,
            "mistakes": [],
            "warnings": loaded.warnings,
            "slots": slots,
            "public_url": public_url,
        })
    }

    fn print(&self, loaded: &Loaded) {
        for warning in &loaded.warnings {
            print_out(&format!("warning: {warning}"));
        }
        if self.slots.is_empty() {
            print_out("No slot is enabled.");
        }
        for slot in &self.slots {
            print_out(&format!("{}\n  register: {}", slot.slot, slot.redirect_uri));
            slot.findings.iter().for_each(print_finding);
        }
        if !self.public_url.is_empty() {
            print_out(loaded.settings.public_url.as_str());
            self.public_url.iter().for_each(print_finding);
        }
        if self.public_url.is_empty() && self.slots.iter().all(|slot| slot.findings.is_empty()) {
            print_out("The settings have no mistakes. `portico check --live` also checks the providers.");
        }
    }
}

impl SlotFindings {
    fn new(settings: &Settings, slot: SlotId, findings: Vec<Finding>) -> Self {
        Self { slot, redirect_uri: settings.public_url.callback(slot).into(), findings }
    }

    fn json(&self) -> Value {
        let checks: Vec<_> = self.findings.iter().map(finding_json).collect();
        json!({ "name": self.slot.to_string(), "redirect_uri": self.redirect_uri, "checks": checks })
    }
}

fn finding_json(one: &Finding) -> Value {
    json!({ "check": one.check, "verdict": one.verdict.as_str(), "message": one.message })
}

fn print_finding(one: &Finding) {
    print_out(&format!("  {:7}  {:13}  {}", one.verdict.as_str(), one.check, one.message));
}
