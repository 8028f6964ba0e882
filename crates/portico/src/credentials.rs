//! Whether providers still accept us, asked from time to time: an expired secret should wake an operator before it meets a person.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portico_core::clock::Entropy;
use portico_core::provider::inspection::{CheckVerdict, Finding};
use portico_core::provider::{Health, ProtocolClient};
use portico_core::slot::SlotId;
use portico_http::{Live, Portico};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// The first look; by then other slots' documents have been fetched.
const FIRST: Duration = Duration::from_secs(20);

/// How often it is seen whether a look is due.
const TICK: Duration = Duration::from_mins(1);

/// How often a provider is asked that fares well. Each replica asks for itself.
const EVERY: Duration = Duration::from_mins(15);

/// Replicas that started together do not ask together.
const SPREAD_SECONDS: u64 = 60;

/// How long one slot may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last look at a slot.
struct Seen {
    client: Arc<dyn ProtocolClient>,
    at: Instant,
    verdict: CheckVerdict,
}

/// Asks, and tells what changed, until the runtime ends.
pub(crate) async fn watch(live: Arc<Live>) {
    let spread = u64::from(Entropy.bytes::<1>()[0]) % SPREAD_SECONDS;
    let mut looks = interval_at(Instant::now() + FIRST + Duration::from_secs(spread), TICK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = BTreeMap::new();
    loop {
        looks.tick().await;
        look(&live.now(), &mut known).await;
    }
}

async fn look(now: &Portico, known: &mut BTreeMap<SlotId, Seen>) {
    let broker = now.broker();
    known.retain(|slot, _| broker.slots().find(*slot).is_some());
    let slots: Vec<_> = broker.slots().iter().map(|slot| slot.settings.id()).collect();
    for slot in slots {
        let Some(client) = broker.slots().find(slot).map(|slot| &slot.client) else { continue };
        let before = known.get(&slot);
        if before.is_some_and(|seen| {
            !is_due(Arc::ptr_eq(&seen.client, client), client.health(), seen.at.elapsed())
        }) {
            continue;
        }
        let looked = timeout(PATIENCE, broker.inspect(slot)).await.unwrap_or_default();
        let found = credentials(looked);
        tell(slot, &found, before.map(|seen| seen.verdict));
        known.insert(slot, Seen { client: Arc::clone(client), at: Instant::now(), verdict: found.verdict });
    }
}

/// What a look says of the credentials; where it did not come to them, what was in the way.
fn credentials(looked: Vec<Finding>) -> Finding {
    let in_the_way = looked.iter().find(|one| one.verdict != CheckVerdict::Ok).map(|one| one.message.clone());
    let untold = in_the_way.unwrap_or_else(|| "the provider did not answer in time".to_owned());
    let found = looked.into_iter().find(|one| one.check == "client_secret");
    found.unwrap_or_else(|| Finding::unknown("client_secret", untold))
}

/// Another secret is tried soon. So is a provider that fails, because people who never come back from its own page tell
/// nothing: only our calls can show that it is down.
fn is_due(same_client: bool, health: Health, since: Duration) -> bool {
    !same_client || health != Health::Ok || since >= EVERY
}

/// A change is worth a line.
fn tell(slot: SlotId, found: &Finding, before: Option<CheckVerdict>) {
    match (before, found.verdict) {
        (Some(before), now) if before == now => {}
        (_, CheckVerdict::Bad) => {
            tracing::error!(%slot, problem = found.message, "the provider refuses our credentials; logins there fail");
        }
        (_, CheckVerdict::Unknown) => {
            tracing::warn!(%slot, problem = found.message, "it cannot be told whether the provider accepts our credentials");
        }
        (Some(_), CheckVerdict::Ok) => {
            tracing::info!(%slot, "the provider accepts our credentials again");
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
            (true, Health::Ok, EVERY, true),
            (false, Health::Ok, minute, true),
            (true, Health::Degraded, minute, true),
            (true, Health::Down, minute, true),
        ] {
            assert_eq!(is_due(same_client, health, since), due, "{same_client} {health:?} {since:?}");
        }
    }
}
