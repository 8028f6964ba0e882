//! `portico check`: whether the settings are right, and with `--live` whether the providers agree.

use std::time::Duration;

use clap::Args;
use portico_core::clock::{Clock, Entropy};
use portico_core::pending_login::{State, login_secrets};
use portico_core::provider::inspection::{CheckVerdict, Finding};
use portico_core::provider::{AuthorizationParams, Prompt, Slot, Transport};
use portico_core::slot::SlotId;
use portico_oauth2::{Outbound, probe};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::proxy_check::proxy_checks;
use super::{Failure, chain, print_out};
use crate::settings::{Loaded, Mistake, Settings, Sources};
use crate::wire;

/// All checks together end within this time.
const DEADLINE: Duration = Duration::from_millis(4800);

/// Check the settings, and print what to register at each provider. Exit code 0 when nothing is bad, 1 when a check is, 78 when the settings
/// have mistakes. Nothing is written anywhere, nobody is logged in.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Ask the providers, too: name, certificate, discovery, issuer, keys, PKCE, callback, secret; and our own public URL
    #[arg(long)]
    live: bool,
    /// Answer in JSON: an object with `ok`, `mistakes`, `warnings`, `slots` and `public_url`
    #[arg(long)]
    json: bool,
}

/// What was found of one slot.
struct Looked {
    slot: SlotId,
    redirect_uri: String,
    found: Vec<Finding>,
}

impl Check {
    pub(super) fn run(self, sources: &Sources) -> Result<(), Failure> {
        let loaded = match Loaded::load(sources) {
            Ok(loaded) => loaded,
            Err(mistakes) if self.json => {
                let told: Vec<_> = mistakes.iter().map(Mistake::json).collect();
                print_out(
                    &json!({ "ok": false, "mistakes": told, "warnings": [], "slots": [], "public_url": [] })
                        .to_string(),
                );
                return Err(Failure::Mistakes(mistakes));
            }
            Err(mistakes) => return Err(Failure::Mistakes(mistakes)),
        };
        let settings = &loaded.settings;
        let (slots, public) = if self.live {
            let runtime = wire::runtime()?;
            runtime.block_on(look(settings, runtime.handle()))?
        } else {
            let quiet = |slot: &Slot| Looked::of(settings, slot.id(), Vec::new());
            (settings.slots.iter().map(quiet).collect(), Vec::new())
        };
        let bad = slots
            .iter()
            .flat_map(|slot| &slot.found)
            .chain(&public)
            .filter(|one| one.verdict == CheckVerdict::Bad);
        let bad = bad.count();
        if self.json {
            let slots: Vec<_> = slots.iter().map(Looked::json).collect();
            let public: Vec<_> = public.iter().map(finding_json).collect();
            print_out(&json!({ "ok": bad == 0, "mistakes": [], "warnings": loaded.warnings, "slots": slots, "public_url": public }).to_string());
        } else {
            print(&loaded, &slots, &public);
        }
        if bad == 0 { Ok(()) } else { Err(Failure::Failed(format!("{bad} check(s) are bad"))) }
    }
}

/// Looks at all slots and at the public URL, at once.
async fn look(settings: &Settings, outbound: &Handle) -> Result<(Vec<Looked>, Vec<Finding>), Failure> {
    let (public, seals) = (settings.public_url.clone(), wire::seals(settings));
    let http = Outbound::new(&Transport::default(), outbound.clone())
        .map_err(|error| Failure::Failed(chain(&error)))?;
    let public = tokio::spawn(async move {
        let proxies = proxy_checks(&http, &public, &seals);
        let looked = probe::public_url(&http, &public, proxies);
        let late = |_| vec![Finding::unknown("reachable", "the public URL did not answer in time")];
        tokio::time::timeout(DEADLINE, looked).await.unwrap_or_else(late)
    });
    let mut looks = Vec::new();
    for slot in &settings.slots {
        let (id, client) = (slot.id(), wire::client(slot, outbound)?);
        let redirect_uri = settings.public_url.callback(id);
        let seals = wire::seals(settings);
        looks.push((
            id,
            tokio::spawn(async move {
                let state = State::random(Entropy);
                let login_secrets = login_secrets(&state, &seals);
                let params = AuthorizationParams {
                    redirect_uri: &redirect_uri,
                    state: state.as_str(),
                    login_secrets: &login_secrets,
                    prompt: Prompt::Nobody,
                };
                let looked = client.inspect(params, Clock::System.now());
                let late = |_| vec![Finding::unknown("discovery", "the provider did not answer in time")];
                tokio::time::timeout(DEADLINE, looked).await.unwrap_or_else(late)
            }),
        ));
    }
    let mut slots = Vec::new();
    for (id, look) in looks {
        slots.push(Looked::of(settings, id, look.await.unwrap_or_default()));
    }
    Ok((slots, public.await.unwrap_or_default()))
}

impl Looked {
    fn of(settings: &Settings, slot: SlotId, found: Vec<Finding>) -> Self {
        Self { slot, redirect_uri: settings.public_url.callback(slot).into(), found }
    }

    fn json(&self) -> Value {
        let checks: Vec<_> = self.found.iter().map(finding_json).collect();
        json!({ "name": self.slot.to_string(), "redirect_uri": self.redirect_uri, "checks": checks })
    }
}

fn finding_json(one: &Finding) -> Value {
    json!({ "check": one.check, "verdict": one.verdict.as_str(), "message": one.message })
}

fn print(loaded: &Loaded, slots: &[Looked], public: &[Finding]) {
    for warning in &loaded.warnings {
        print_out(&format!("warning: {warning}"));
    }
    if slots.is_empty() {
        print_out("No slot is enabled.");
    }
    for slot in slots {
        print_out(&format!("{}\n  register: {}", slot.slot, slot.redirect_uri));
        slot.found.iter().for_each(print_finding);
    }
    if !public.is_empty() {
        print_out(loaded.settings.public_url.as_str());
        public.iter().for_each(print_finding);
    }
    if public.is_empty() && slots.iter().all(|slot| slot.found.is_empty()) {
        print_out("The settings are right. `portico check --live` asks the providers, too.");
    }
}

fn print_finding(one: &Finding) {
    print_out(&format!("  {:7}  {:13}  {}", one.verdict.as_str(), one.check, one.message));
}
