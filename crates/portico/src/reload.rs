//! Reload of the settings while the service runs: on SIGHUP, and when one of their files changes.

use std::time::Duration;

use portico_core::error::error_chain;
use portico_core::flow::Broker;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::failure::Failure;
use crate::service::Service;
use crate::settings::{Loaded, Mistake, SettingChange, Sources, changes};
use crate::startup_checks::check_providers;
use crate::telemetry::set_settings_refused;

/// Time between two polls. A change is applied when two polls in a row read it: a file may be half written.
const POLL_EVERY: Duration = Duration::from_secs(5);

/// After SIGHUP, the settings are read at this distance until two reads agree, at most so many times.
const SETTLE_EVERY: Duration = Duration::from_millis(500);
const MAX_SETTLE_READS: u32 = 10;

/// What caused a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    Sighup,
    Poll,
}

/// Reads the settings again and applies changes.
pub(crate) struct Reload {
    service: Service,
    sources: Sources,
    hangup: Signal,
    /// Changed settings that one poll has read.
    candidate: Option<Loaded>,
    /// The failure logged last. A poll does not log the same failure again.
    last_failure: Option<Failure>,
}

impl Reload {
    /// Installs the SIGHUP handler.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub(crate) fn new(service: Service, sources: Sources) -> Result<Self, Failure> {
        let hangup = signal(SignalKind::hangup()).map_err(|error| {
            Failure::Failed(format!("cannot install the SIGHUP handler: {}", error_chain(&error)))
        })?;
        Ok(Self { service, sources, hangup, candidate: None, last_failure: None })
    }

    /// Runs until the runtime ends.
    pub(crate) async fn watch(mut self) {
        let mut polls = interval(POLL_EVERY);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let trigger = tokio::select! {
                _ = self.hangup.recv() => Trigger::Sighup,
                _ = polls.tick() => Trigger::Poll,
            };
            if let Err(failure) = self.reload(trigger).await {
                self.refuse(failure, trigger);
            }
        }
    }

    async fn reload(&mut self, trigger: Trigger) -> Result<(), Failure> {
        let new = match trigger {
            Trigger::Sighup => self.load_settled().await,
            Trigger::Poll => self.load().await,
        }?;
        if changes(self.service.loaded(), &new).is_empty() {
            self.clear();
            if trigger == Trigger::Sighup {
                tracing::info!("reload requested; settings unchanged");
            }
            return Ok(());
        }
        let confirmed = |seen: &Loaded| changes(seen, &new).is_empty();
        if trigger == Trigger::Sighup || self.candidate.as_ref().is_some_and(confirmed) {
            self.apply(new).await
        } else {
            self.candidate = Some(new);
            Ok(())
        }
    }

    async fn load(&self) -> Result<Loaded, Failure> {
        let sources = self.sources.clone();
        let loaded = tokio::task::spawn_blocking(move || Loaded::load(&sources)).await;
        loaded
            .map_err(|error| Failure::Failed(format!("settings not read: {}", error_chain(&error))))?
            .map_err(Failure::Mistakes)
    }

    /// The settings when two reads in a row agree. A failure if they keep changing.
    async fn load_settled(&self) -> Result<Loaded, Failure> {
        let mut seen = self.load().await;
        for _ in 0..MAX_SETTLE_READS {
            sleep(SETTLE_EVERY).await;
            let before = std::mem::replace(&mut seen, self.load().await);
            let same = match (&before, &seen) {
                (Ok(before), Ok(now)) => changes(before, now).is_empty(),
                (before, now) => before.is_err() && now.is_err(),
            };
            if same {
                return seen;
            }
        }
        Err(Failure::Failed("the settings keep changing; the next poll reads them again".to_owned()))
    }

    async fn apply(&mut self, new: Loaded) -> Result<(), Failure> {
        let warnings: Vec<_> = new
            .warnings
            .iter()
            .filter(|warning| !self.service.loaded().warnings.contains(warning))
            .cloned()
            .collect();
        let before = self.service.live().now();
        let applied = self.service.change_to(new).await?;
        let live = self.service.live().now();
        self.clear();
        reset_gauges_of_removed_slots(before.broker(), live.broker());
        metrics::counter!("portico_reloads_total", "outcome" => "applied").increment(1);
        log_applied(&applied);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        tokio::spawn(async move { check_providers(&live).await });
        Ok(())
    }

    fn clear(&mut self) {
        self.candidate = None;
        self.last_failure = None;
        set_settings_refused(false);
    }

    /// Keeps the old settings. Logs the failure on SIGHUP, and once for polls.
    fn refuse(&mut self, failure: Failure, trigger: Trigger) {
        if trigger == Trigger::Sighup || self.last_failure.as_ref() != Some(&failure) {
            metrics::counter!("portico_reloads_total", "outcome" => "refused").increment(1);
            let lines = match &failure {
                Failure::Mistakes(mistakes) => mistakes.iter().map(Mistake::to_string).collect(),
                other => vec![other.to_string()],
            };
            for line in lines {
                tracing::error!(mistake = line, "settings refused; the old settings stay in use");
            }
        }
        self.candidate = None;
        self.last_failure = Some(failure);
        set_settings_refused(true);
    }
}

/// Sets the gauges of removed slots to NaN: an alert on their last value would never end.
fn reset_gauges_of_removed_slots(before: &Broker, now: &Broker) {
    let ids = before.slots().iter().map(|slot| slot.settings.id());
    let removed = ids.filter(|slot| now.slots().find(*slot).is_none());
    for slot in removed {
        for name in ["portico_provider_up", "portico_idp_credentials_valid", "portico_clock_skew_seconds"] {
            metrics::gauge!(name, "slot" => slot.to_string()).set(f64::NAN);
        }
    }
}

/// Logs which settings are in use now, and which need a restart.
fn log_applied(applied: &[SettingChange]) {
    let (later, now): (Vec<_>, Vec<_>) = applied.iter().partition(|change| change.at_start);
    let paths = |changes: &[&SettingChange]| {
        changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>().join(", ")
    };
    if applied.is_empty() {
        tracing::info!("restart-only settings are back to their running values");
    }
    if !now.is_empty() {
        tracing::info!(changed = paths(&now), "settings reloaded");
    }
    if !later.is_empty() {
        tracing::warn!(changed = paths(&later), "settings changed that need a restart");
    }
}
