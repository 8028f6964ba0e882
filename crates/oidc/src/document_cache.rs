//! A document of the provider: fetched once for all who wait, kept while it is good, and renewed without haste.
//!
//! It is trusted for a day and renewed after an hour. A renewal that fails leaves the good copy in place and is tried
//! again a minute later. Without a good copy everybody who comes waits for one and the same look, and looks that
//! fail follow one another with a short rest, so that a dead provider is not stormed and one that returns is used at once.
//!
//! What the document says and where it is from is none of this module's business. Nor is the time: callers bring
//! their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use portico_core::cache::count_lookup;
use portico_core::clock::Timestamp;
use portico_core::error::UpstreamError;
use portico_core::provider::Health;
use tokio::time::{Instant, sleep_until};

/// Until then a copy is used without another look.
const FRESH: Duration = Duration::from_hours(1);

/// Until then a copy is used when a look fails.
const TRUSTED: Duration = Duration::from_hours(24);

/// The least time between two looks for something newer than a copy that is good.
const PATIENCE: Duration = Duration::from_mins(1);

/// The rest after a failed look when there is no copy at all.
const REST: Duration = Duration::from_millis(500);

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// A copy.
    Any,
    /// A newer copy than the one at hand, which lacks something that should be there.
    Newer,
}

/// The document and what is known of it.
pub(crate) struct DocumentCache<T> {
    /// What it is called where look-ups are counted.
    name: &'static str,
    state: Mutex<CacheState<T>>,
    /// The looks under way, and those just done, by number; whoever comes meanwhile shares them.
    looks: Cache<u64, Arc<T>>,
}

struct CacheState<T> {
    good: Option<Good<T>>,
    /// How many looks have ended.
    number: u64,
    looked_at: Option<Timestamp>,
    looked_for_newer_at: Option<Timestamp>,
    /// When the last look failed, if it did.
    failed: Option<Instant>,
}

struct Good<T> {
    document: Arc<T>,
    since: Timestamp,
}

impl<T: Send + Sync + 'static> DocumentCache<T> {
    pub(crate) fn new(name: &'static str) -> Self {
        let state =
            CacheState { good: None, number: 0, looked_at: None, looked_for_newer_at: None, failed: None };
        Self { name, state: Mutex::new(state), looks: Cache::builder().time_to_live(PATIENCE).build() }
    }

    /// The document; `look` fetches it and is used when a look is due.
    ///
    /// # Errors
    /// Of the look, when there is no copy that can be trusted.
    pub(crate) async fn get(
        &self,
        now: Timestamp,
        freshness: Freshness,
        look: impl Future<Output = Result<T, UpstreamError>> + Send,
    ) -> Result<Arc<T>, UpstreamError> {
        let number = {
            let state = self.state();
            let at_hand = state.at_hand(now, freshness);
            count_lookup(self.name, at_hand.is_some());
            if let Some(document) = at_hand {
                return Ok(document);
            }
            state.number
        };
        self.looks.try_get_with(number, self.look(now, freshness, look)).await.map_err(|error| again(&error))
    }

    async fn look(
        &self,
        now: Timestamp,
        freshness: Freshness,
        look: impl Future<Output = Result<T, UpstreamError>> + Send,
    ) -> Result<Arc<T>, UpstreamError> {
        let rested = {
            let state = self.state();
            // A look that ended since the caller decided may have made this one needless.
            if let Some(document) = state.at_hand(now, freshness) {
                return Ok(document);
            }
            state.failed.filter(|_| state.trusted(now).is_none()).map(|failed| failed + REST)
        };
        if let Some(rested) = rested {
            sleep_until(rested).await;
        }
        let found = look.await;
        self.state().record(now, freshness, found)
    }

    /// The last good copy, however old.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.state().good.as_ref().map(|good| Arc::clone(&good.document))
    }

    /// How the last look went.
    pub(crate) fn health(&self) -> Health {
        let state = self.state();
        match (state.failed, &state.good) {
            (None, _) => Health::Ok,
            (Some(_), Some(_)) => Health::Degraded,
            (Some(_), None) => Health::Down,
        }
    }

    fn state(&self) -> MutexGuard<'_, CacheState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> CacheState<T> {
    fn trusted(&self, now: Timestamp) -> Option<&Good<T>> {
        self.good.as_ref().filter(|good| !has_passed(TRUSTED, good.since, now))
    }

    /// The copy, unless a look is due.
    fn at_hand(&self, now: Timestamp, freshness: Freshness) -> Option<Arc<T>> {
        let good = self.trusted(now)?;
        let patient = |at: Option<Timestamp>| at.is_some_and(|at| !has_passed(PATIENCE, at, now));
        let enough = match freshness {
            Freshness::Any => !has_passed(FRESH, good.since, now) || patient(self.looked_at),
            Freshness::Newer => patient(self.looked_for_newer_at),
        };
        enough.then(|| Arc::clone(&good.document))
    }

    fn record(
        &mut self,
        now: Timestamp,
        freshness: Freshness,
        found: Result<T, UpstreamError>,
    ) -> Result<Arc<T>, UpstreamError> {
        self.number += 1;
        self.looked_at = Some(now);
        if freshness == Freshness::Newer {
            self.looked_for_newer_at = Some(now);
        }
        match found {
            Ok(document) => {
                let document = Arc::new(document);
                self.good = Some(Good { document: Arc::clone(&document), since: now });
                self.failed = None;
                Ok(document)
            }
            Err(error) => {
                self.failed = Some(Instant::now());
                if self.trusted(now).is_none() {
                    self.good = None;
                }
                self.trusted(now).map(|good| Arc::clone(&good.document)).ok_or(error)
            }
        }
    }
}

fn has_passed(span: Duration, since: Timestamp, now: Timestamp) -> bool {
    now >= since.plus(span)
}

/// The error once more, for another of those who waited.
fn again(error: &UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::BadResponse { endpoint, problem } => {
            UpstreamError::BadResponse { endpoint, problem: problem.clone() }
        }
        UpstreamError::Unreachable { endpoint, problem, certificate } => {
            UpstreamError::Unreachable { endpoint, problem: problem.clone(), certificate: *certificate }
        }
        UpstreamError::Timeout { endpoint } => UpstreamError::Timeout { endpoint },
        UpstreamError::Overloaded { endpoint } => UpstreamError::Overloaded { endpoint },
        UpstreamError::Metadata(problem) => UpstreamError::Metadata(problem.clone()),
        UpstreamError::Changed
        | UpstreamError::Mixup { .. }
        | UpstreamError::Denied { .. }
        | UpstreamError::ProviderTrouble { .. }
        | UpstreamError::CodeRejected { .. }
        | UpstreamError::TokenMissing
        | UpstreamError::TokenInvalid(_)
        | UpstreamError::ClaimsIncomplete(_) => UpstreamError::Metadata(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const T0: i64 = 1_900_000_000;
    const HOUR: i64 = 3600;

    /// A document whose looks are counted; it is the number of the look that found it.
    struct Site {
        cache: DocumentCache<u32>,
        looks: AtomicU32,
    }

    impl Site {
        fn new() -> Self {
            Self { cache: DocumentCache::new("test"), looks: AtomicU32::new(0) }
        }

        async fn get(&self, at: i64, freshness: Freshness, works: bool) -> Option<u32> {
            let look = async {
                let number = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                if works { Ok(number) } else { Err(UpstreamError::Timeout { endpoint: "test" }) }
            };
            let found = self.cache.get(Timestamp::from_unix(T0 + at), freshness, look).await;
            found.ok().map(|document| *document)
        }
    }

    #[tokio::test]
    async fn h07_m12_a_copy_is_kept_renewed_and_in_the_end_dropped() {
        let site = Site::new();
        // Seconds, what is wanted, whether the provider works; the copy that comes of it, and how we are.
        for (at, freshness, works, expected, health) in [
            (0, Freshness::Any, true, Some(1), Health::Ok),
            (HOUR - 1, Freshness::Any, true, Some(1), Health::Ok),
            (HOUR, Freshness::Any, true, Some(2), Health::Ok),
            // Something newer: at most once a minute, whether it succeeds or not.
            (HOUR + 1, Freshness::Newer, true, Some(3), Health::Ok),
            (HOUR + 2, Freshness::Newer, true, Some(3), Health::Ok),
            (HOUR + 60, Freshness::Newer, true, Some(3), Health::Ok),
            (HOUR + 61, Freshness::Newer, false, Some(3), Health::Degraded),
            (HOUR + 62, Freshness::Newer, true, Some(3), Health::Degraded),
            (HOUR + 121, Freshness::Newer, true, Some(5), Health::Ok),
            // A renewal that fails is tried again a minute later, and not before.
            (3 * HOUR, Freshness::Any, false, Some(5), Health::Degraded),
            (3 * HOUR + 59, Freshness::Any, true, Some(5), Health::Degraded),
            (3 * HOUR + 60, Freshness::Any, true, Some(7), Health::Ok),
            (27 * HOUR + 59, Freshness::Any, false, Some(7), Health::Degraded),
            (27 * HOUR + 60, Freshness::Any, false, None, Health::Down),
            (27 * HOUR + 61, Freshness::Any, true, Some(10), Health::Ok),
        ] {
            assert_eq!(site.get(at, freshness, works).await, expected, "{at} {freshness:?} {works}");
            assert_eq!(site.cache.health(), health, "{at} {freshness:?} {works}");
        }
        assert_eq!(site.looks.load(Ordering::SeqCst), 10);
    }

    #[tokio::test]
    async fn h07_all_who_wait_share_one_look_and_its_end() {
        for (works, freshness) in [(true, Freshness::Any), (false, Freshness::Any), (true, Freshness::Newer)]
        {
            let site = Site::new();
            if freshness == Freshness::Newer {
                site.get(0, Freshness::Any, true).await;
            }
            let before = site.looks.load(Ordering::SeqCst);
            let (a, b, c, d) = tokio::join!(
                site.get(1, freshness, works),
                site.get(1, freshness, works),
                site.get(1, freshness, works),
                site.get(1, freshness, works)
            );
            assert_eq!(site.looks.load(Ordering::SeqCst) - before, 1, "{works} {freshness:?}");
            assert!([b, c, d].iter().all(|other| *other == a) && a.is_some() == works);
        }
    }

    #[tokio::test]
    async fn m12_a_dead_provider_gets_a_rest_and_one_that_returns_is_used() {
        let site = Site::new();
        let started = Instant::now();
        for _ in 0..3 {
            assert_eq!(site.get(0, Freshness::Any, false).await, None);
        }
        assert!(started.elapsed() >= 2 * REST, "{:?}", started.elapsed());
        assert_eq!(site.get(0, Freshness::Any, true).await, Some(4));
        assert!(started.elapsed() < 4 * REST, "{:?}", started.elapsed());
    }
}
