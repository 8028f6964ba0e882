//! Periodic check of the client credentials at each provider, which reports an expired secret before a login
//! fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portico_core::clock::Entropy;
use portico_core::provider::inspection::{CheckVerdict, Finding};
use portico_core::provider::{Health, ProtocolClient};
use portico_core::slot::SlotId;
use portico_http::{Live, Portico};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// The name of the check of the credentials among the findings of a slot.
const CREDENTIALS_CHECK: &str = "client_secret";

/// Delay of the first check. By then the discovery documents have been fetched.
const FIRST_AFTER: Duration = Duration::from_secs(20);

/// Time between two passes over the slots. A pass checks the slots that are due.
const TICK: Duration = Duration::from_mins(1);

/// Time between two checks of a healthy provider. Each replica checks for itself.
const CHECK_EVERY: Duration = Duration::from_mins(15);

/// A random delay below this separates the checks of replicas that started together.
const SPREAD_SECONDS: u64 = 60;

/// Time limit for the check of one slot.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The last check of a slot.
struct LastCheck {
    client: Arc<dyn ProtocolClient>,
    at: Instant,
    verdict: CheckVerdict,
}

/// Checks the slots that are due and logs changes. Runs until the runtime ends.
#[expect(clippy::disallowed_methods, reason = "measures the duration until the first check")]
pub(crate) async fn watch(live: Arc<Live>) {
    let spread = u64::from(Entropy.bytes::<1>()[0]) % SPREAD_SECONDS;
    let mut ticks = interval_at(Instant::now() + FIRST_AFTER + Duration::from_secs(spread), TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = BTreeMap::new();
    loop {
        ticks.tick().await;
        check_due_slots(&live.now(), &mut known).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "measures the duration since the last check")]
async fn check_due_slots(now: &Portico, known: &mut BTreeMap<SlotId, LastCheck>) {
    let broker = now.broker();
    known.retain(|slot, _| broker.slots().find(*slot).is_some());
    let slots: Vec<_> = broker.slots().iter().map(|slot| slot.settings.id()).collect();
    for slot in slots {
        let Some(client) = broker.slots().find(slot).map(|slot| &slot.client) else { continue };
        let last = known.get(&slot);
        if last.is_some_and(|last| {
            !is_due(Arc::ptr_eq(&last.client, client), client.health(), last.at.elapsed())
        }) {
            continue;
        }
        let findings = timeout(CHECK_TIMEOUT, broker.inspect(slot)).await.unwrap_or_default();
        let found = credentials(findings);
        log_change(slot, &found, last.map(|last| last.verdict));
        known.insert(
            slot,
            LastCheck { client: Arc::clone(client), at: Instant::now(), verdict: found.verdict },
        );
    }
}

/// The finding about the credentials. If there is none, it is unknown, and an earlier finding says why.
fn credentials(findings: Vec<Finding>) -> Finding {
    let obstacle = findings.iter().find(|one| one.verdict != CheckVerdict::Ok).map(|one| one.message.clone());
    let message = obstacle.unwrap_or_else(|| "the provider did not answer in time".to_owned());
    let found = findings.into_iter().find(|one| one.check == CREDENTIALS_CHECK);
    found.unwrap_or_else(|| Finding::unknown(CREDENTIALS_CHECK, message))
}

/// Whether a slot is checked in this pass: after a change of its client, while its provider fails, or after
/// `CHECK_EVERY`. A failing provider gets frequent checks because only calls of Portico reveal its state: a
/// browser that stays on the provider's page produces none.
fn is_due(same_client: bool, health: Health, since: Duration) -> bool {
    !same_client || health != Health::Ok || since >= CHECK_EVERY
}

/// Logs a verdict that differs from the last one.
fn log_change(slot: SlotId, found: &Finding, last: Option<CheckVerdict>) {
    match (last, found.verdict) {
        (Some(last), now) if last == now => {}
        (_, CheckVerdict::Bad) => {
            tracing::error!(%slot, problem = found.message, "provider refuses the client credentials");
        }
        (_, CheckVerdict::Unknown) => {
            tracing::warn!(%slot, problem = found.message, "client credentials could not be checked");
        }
        (Some(_), CheckVerdict::Ok) => {
            tracing::info!(%slot, "provider accepts the client credentials again");
        }
        (None, CheckVerdict::Ok) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_asked_now_and_then_and_sooner_after_a_change_or_a_failure() {
        let minute = Duration::from_mins(1);
        for (same_client, health, since, due) in [
            (true, Health::Ok, minute, false),
            (true, Health::Ok, 14 * minute, false),
            (true, Health::Ok, CHECK_EVERY, true),
            (false, Health::Ok, minute, true),
            (true, Health::Degraded, minute, true),
            (true, Health::Down, minute, true),
        ] {
            assert_eq!(is_due(same_client, health, since), due, "{same_client} {health:?} {since:?}");
        }
    }
}
