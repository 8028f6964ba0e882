//! Whether providers still accept us, asked from time to time: an expired secret should wake an operator before it meets a person.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portico_core::clock::Entropy;
use portico_core::inspect::{Finding, Verdict};
use portico_core::slot::SlotId;
use portico_http::Live;
use tokio::time::{MissedTickBehavior, interval_at, timeout};

/// The first look; by then other slots' documents have been fetched.
const FIRST: Duration = Duration::from_secs(20);

/// How often providers are asked. Each replica asks for itself.
const EVERY: Duration = Duration::from_mins(15);

/// Replicas that started together do not ask together.
const SPREAD_SECONDS: u64 = 60;

/// How long one slot may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, and tells what changed, until the runtime ends.
pub(crate) async fn watch(live: Arc<Live>) {
    let spread = u64::from(Entropy.bytes::<1>()[0]) % SPREAD_SECONDS;
    let mut looks = interval_at(tokio::time::Instant::now() + FIRST + Duration::from_secs(spread), EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = BTreeMap::new();
    loop {
        looks.tick().await;
        look(&live, &mut known).await;
    }
}

async fn look(live: &Live, known: &mut BTreeMap<SlotId, Verdict>) {
    let now = live.now();
    let slots: Vec<_> = now.broker().slots().map(|(slot, _)| slot.id()).collect();
    known.retain(|slot, _| slots.contains(slot));
    for slot in slots {
        let looked = timeout(PATIENCE, now.broker().inspect(slot)).await.unwrap_or_default();
        let Some(found) = looked.iter().find(|one| one.check == "client_secret") else { continue };
        tell(slot, found, known.insert(slot, found.verdict));
    }
}

/// A change is worth a line; what cannot be told is none.
fn tell(slot: SlotId, found: &Finding, before: Option<Verdict>) {
    if found.verdict != Verdict::Unknown {
        let valid = u8::from(found.verdict == Verdict::Ok);
        metrics::gauge!("portico_idp_credentials_valid", "slot" => slot.to_string()).set(valid);
    }
    match (before, found.verdict) {
        (Some(Verdict::Bad), Verdict::Bad) => {}
        (_, Verdict::Bad) => {
            tracing::error!(%slot, problem = found.message, "the provider refuses our credentials; logins there fail");
        }
        (Some(Verdict::Bad), Verdict::Ok) => {
            tracing::info!(%slot, "the provider accepts our credentials again");
        }
        _ => {}
    }
}
