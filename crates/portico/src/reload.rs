//! Settings that change while the service runs: on SIGHUP after a moment, and by themselves when a file that they come from says something else.

use std::time::Duration;

use portico_core::flow::Broker;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cli::{Failure, chain, look_at_providers};
use crate::service::Service;
use crate::settings::{Loaded, Mistake, SettingChange, Sources, changes};

/// How often the files are read. What they say counts once it was the same twice: a file may be half written.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Who asked for it waits only so long, so many times.
const MOMENT: Duration = Duration::from_millis(500);
const MOST_MOMENTS: u32 = 10;

/// Looks for other settings, and goes over to them.
pub(crate) struct Reload {
    service: Service,
    sources: Sources,
    hangup: Signal,
    /// Settings that were seen once.
    candidate: Option<Loaded>,
    /// What was last said against the settings; it is not said again and again.
    complaint: Option<String>,
}

impl Reload {
    /// Listens for SIGHUP from now on.
    ///
    /// # Errors
    /// When the signal cannot be listened for.
    pub(crate) fn new(service: Service, sources: Sources) -> Result<Self, Failure> {
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| Failure::Failed(format!("SIGHUP cannot be listened for: {}", chain(&error))))?;
        Ok(Self { service, sources, hangup, candidate: None, complaint: None })
    }

    /// Looks until the runtime ends.
    pub(crate) async fn watch(mut self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = self.hangup.recv() => true,
                _ = looks.tick() => false,
            };
            if let Err(failure) = self.look(asked).await {
                self.print_err(&failure, asked);
            }
        }
    }

    async fn look(&mut self, asked: bool) -> Result<(), Failure> {
        let new = if asked { self.settled().await } else { self.read().await }?;
        if changes(self.service.loaded(), &new).is_empty() {
            self.forget();
            if asked {
                tracing::info!("asked for new settings; they are what they were");
            }
            return Ok(());
        }
        let again = |seen: &Loaded| changes(seen, &new).is_empty();
        if asked || self.candidate.as_ref().is_some_and(again) {
            self.apply(new).await
        } else {
            self.candidate = Some(new);
            Ok(())
        }
    }

    async fn read(&self) -> Result<Loaded, Failure> {
        let sources = self.sources.clone();
        let read = tokio::task::spawn_blocking(move || Loaded::load(&sources)).await;
        read.map_err(|error| Failure::Failed(format!("the settings could not be read: {}", chain(&error))))?
            .map_err(Failure::Mistakes)
    }

    /// What is read once it is the same for a moment; nothing while it never is.
    async fn settled(&self) -> Result<Loaded, Failure> {
        let mut seen = self.read().await;
        for _ in 0..MOST_MOMENTS {
            sleep(MOMENT).await;
            let before = std::mem::replace(&mut seen, self.read().await);
            let same = match (&before, &seen) {
                (Ok(before), Ok(now)) => changes(before, now).is_empty(),
                (before, now) => before.is_err() && now.is_err(),
            };
            if same {
                return seen;
            }
        }
        Err(Failure::Failed("the settings keep changing; they are looked at again by themselves".to_owned()))
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
        self.forget();
        retire(before.broker(), live.broker());
        metrics::counter!("portico_reloads_total", "outcome" => "applied").increment(1);
        print_out(&applied);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        tokio::spawn(async move { look_at_providers(&live).await });
        Ok(())
    }

    fn forget(&mut self) {
        self.candidate = None;
        self.complaint = None;
        refused(false);
    }

    /// The old settings stay; the operator learns why, once or as often as they ask.
    fn print_err(&mut self, failure: &Failure, asked: bool) {
        let complaint = failure.to_string();
        if asked || self.complaint.as_ref() != Some(&complaint) {
            metrics::counter!("portico_reloads_total", "outcome" => "refused").increment(1);
            let lines = match failure {
                Failure::Mistakes(mistakes) => mistakes.iter().map(Mistake::to_string).collect(),
                other => vec![other.to_string()],
            };
            for line in lines {
                tracing::error!(mistake = line, "the new settings are refused; the old ones stay");
            }
        }
        self.candidate = None;
        self.complaint = Some(complaint);
        refused(true);
    }
}

/// Whether the settings as they now stand are ones that a restart would not start with.
pub(crate) fn refused(refused: bool) {
    metrics::gauge!("portico_settings_refused").set(u8::from(refused));
}

/// Whatever was last known of a slot that is there no more, nothing is known now: an alert on it would never end.
fn retire(before: &Broker, now: &Broker) {
    let ids = before.slots().iter().map(|slot| slot.settings.id());
    let gone = ids.filter(|slot| now.slots().find(*slot).is_none());
    for slot in gone {
        for name in ["portico_provider_up", "portico_idp_credentials_valid", "portico_clock_skew_seconds"] {
            metrics::gauge!(name, "slot" => slot.to_string()).set(f64::NAN);
        }
    }
}

/// Which settings count from now on, and which only after a restart.
fn print_out(applied: &[SettingChange]) {
    let (later, now): (Vec<_>, Vec<_>) = applied.iter().partition(|change| change.at_start);
    let paths = |changes: &[&SettingChange]| {
        changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>().join(", ")
    };
    if applied.is_empty() {
        tracing::info!("what counts after a restart only is again what the process began with");
    }
    if !now.is_empty() {
        tracing::info!(changed = paths(&now), "new settings are in use");
    }
    if !later.is_empty() {
        tracing::warn!(changed = paths(&later), "these settings changed, and count after a restart");
    }
}
