//! The cache of one document of the provider. Concurrent callers share one fetch.
//!
//! A copy is trusted for 24 hours and renewed after one hour. If the renewal fails, the copy stays and the
//! next attempt follows after one minute. Without a copy, all callers wait for the same fetch. Between two
//! failed fetches there is a short pause: the provider is not flooded with requests, and its recovery is
//! noticed soon.
//!
//! The cache knows neither the content nor the URL of the document. Callers pass the current time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use portico_core::cache::count_lookup;
use portico_core::clock::Timestamp;
use portico_core::error::UpstreamError;
use portico_core::provider::Health;
use tokio::time::{Instant, sleep_until};

/// The age up to which a copy is used without a renewal.
const FRESH: Duration = Duration::from_hours(1);

/// The age up to which a copy is used if its renewal fails.
const TRUSTED: Duration = Duration::from_hours(24);

/// The shortest time between two renewals of a trusted copy.
const RENEWAL_PAUSE: Duration = Duration::from_mins(1);

/// The pause after a failed fetch without a trusted copy.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The copy that a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Any trusted copy.
    Any,
    /// A newer copy than the cached one, which lacks an expected entry.
    Newer,
}

/// The cache of one document.
pub(crate) struct DocumentCache<T> {
    /// The label of the cache in the metric of look-ups.
    name: &'static str,
    state: Mutex<CacheState<T>>,
    /// The running fetches and the recently completed ones, by number. Callers with the same number share
    /// one.
    fetches: Cache<u64, Arc<T>>,
}

struct CacheState<T> {
    good: Option<Good<T>>,
    /// The number of completed fetches.
    number: u64,
    fetched_at: Option<Timestamp>,
    /// The time of the last fetch for [`Freshness::Newer`].
    fetched_newer_at: Option<Timestamp>,
    /// The time of the last fetch; `None` if it succeeded.
    failed: Option<Instant>,
}

/// A fetched document.
struct Good<T> {
    document: Arc<T>,
    since: Timestamp,
}

impl<T: Send + Sync + 'static> DocumentCache<T> {
    /// An empty cache with this label in metrics.
    pub(crate) fn new(name: &'static str) -> Self {
        let state =
            CacheState { good: None, number: 0, fetched_at: None, fetched_newer_at: None, failed: None };
        Self { name, state: Mutex::new(state), fetches: Cache::builder().time_to_live(RENEWAL_PAUSE).build() }
    }

    /// The document. It is fetched if there is no sufficient copy.
    ///
    /// # Errors
    /// Of the fetch, if there is no trusted copy.
    pub(crate) async fn get(
        &self,
        now: Timestamp,
        freshness: Freshness,
        fetch: impl Future<Output = Result<T, UpstreamError>> + Send,
    ) -> Result<Arc<T>, UpstreamError> {
        let number = {
            let state = self.state();
            let sufficient = state.sufficient(now, freshness);
            count_lookup(self.name, sufficient.is_some());
            if let Some(document) = sufficient {
                return Ok(document);
            }
            state.number
        };
        self.fetches
            .try_get_with(number, self.fetch(now, freshness, fetch))
            .await
            .map_err(|error| copy_of(&error))
    }

    /// Fetches the document after the pause, if the copy is still not sufficient.
    async fn fetch(
        &self,
        now: Timestamp,
        freshness: Freshness,
        fetch: impl Future<Output = Result<T, UpstreamError>> + Send,
    ) -> Result<Arc<T>, UpstreamError> {
        let pause_end = {
            let state = self.state();
            // Another fetch may have ended in the meantime.
            if let Some(document) = state.sufficient(now, freshness) {
                return Ok(document);
            }
            state.failed.filter(|_| state.trusted(now).is_none()).map(|failed| failed + RETRY_PAUSE)
        };
        if let Some(pause_end) = pause_end {
            sleep_until(pause_end).await;
        }
        let result = fetch.await;
        self.state().store(now, freshness, result)
    }

    /// The last copy, of any age.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.state().good.as_ref().map(|good| Arc::clone(&good.document))
    }

    /// The health according to the last fetch: degraded if it failed and there is a copy, down without a
    /// copy.
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
    /// The copy, if it is at most [`TRUSTED`] old.
    fn trusted(&self, now: Timestamp) -> Option<&Good<T>> {
        self.good.as_ref().filter(|good| !has_passed(TRUSTED, good.since, now))
    }

    /// The copy, unless a fetch is due.
    fn sufficient(&self, now: Timestamp, freshness: Freshness) -> Option<Arc<T>> {
        let good = self.trusted(now)?;
        let paused = |at: Option<Timestamp>| at.is_some_and(|at| !has_passed(RENEWAL_PAUSE, at, now));
        let sufficient = match freshness {
            Freshness::Any => !has_passed(FRESH, good.since, now) || paused(self.fetched_at),
            Freshness::Newer => paused(self.fetched_newer_at),
        };
        sufficient.then(|| Arc::clone(&good.document))
    }

    /// Stores the result of a fetch. If it failed, the copy is the answer as long as it is trusted.
    #[expect(clippy::disallowed_methods, reason = "measures the duration of the pause after a failure")]
    fn store(
        &mut self,
        now: Timestamp,
        freshness: Freshness,
        result: Result<T, UpstreamError>,
    ) -> Result<Arc<T>, UpstreamError> {
        self.number += 1;
        self.fetched_at = Some(now);
        if freshness == Freshness::Newer {
            self.fetched_newer_at = Some(now);
        }
        match result {
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

/// Whether this span has passed.
fn has_passed(span: Duration, since: Timestamp, now: Timestamp) -> bool {
    now >= since.plus(span)
}

/// A copy of the error for each of the callers that shared the fetch.
fn copy_of(error: &UpstreamError) -> UpstreamError {
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
#[expect(clippy::disallowed_methods, reason = "tests measure durations")]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const T0: i64 = 1_900_000_000;
    const HOUR: i64 = 3600;

    /// A cache with a count of its fetches. The document is the number of its fetch.
    struct Site {
        cache: DocumentCache<u32>,
        fetches: AtomicU32,
    }

    impl Site {
        fn new() -> Self {
            Self { cache: DocumentCache::new("test"), fetches: AtomicU32::new(0) }
        }

        async fn get(&self, at: i64, freshness: Freshness, works: bool) -> Option<u32> {
            let fetch = async {
                let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                if works { Ok(number) } else { Err(UpstreamError::Timeout { endpoint: "test" }) }
            };
            let found = self.cache.get(Timestamp::from_unix(T0 + at), freshness, fetch).await;
            found.ok().map(|document| *document)
        }
    }

    #[tokio::test]
    async fn h07_m12_a_copy_is_kept_renewed_and_in_the_end_dropped() {
        let site = Site::new();
        // Time in seconds, needed copy, whether the provider works, returned copy, health.
        for (at, freshness, works, expected, health) in [
            (0, Freshness::Any, true, Some(1), Health::Ok),
            (HOUR - 1, Freshness::Any, true, Some(1), Health::Ok),
            (HOUR, Freshness::Any, true, Some(2), Health::Ok),
            // A newer copy is fetched at most once a minute, also after a failure.
            (HOUR + 1, Freshness::Newer, true, Some(3), Health::Ok),
            (HOUR + 2, Freshness::Newer, true, Some(3), Health::Ok),
            (HOUR + 60, Freshness::Newer, true, Some(3), Health::Ok),
            (HOUR + 61, Freshness::Newer, false, Some(3), Health::Degraded),
            (HOUR + 62, Freshness::Newer, true, Some(3), Health::Degraded),
            (HOUR + 121, Freshness::Newer, true, Some(5), Health::Ok),
            // A failed renewal is repeated after one minute.
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
        assert_eq!(site.fetches.load(Ordering::SeqCst), 10);
    }

    #[tokio::test]
    async fn h07_all_who_wait_share_one_look_and_its_end() {
        for (works, freshness) in [(true, Freshness::Any), (false, Freshness::Any), (true, Freshness::Newer)]
        {
            let site = Site::new();
            if freshness == Freshness::Newer {
                site.get(0, Freshness::Any, true).await;
            }
            let before = site.fetches.load(Ordering::SeqCst);
            let (a, b, c, d) = tokio::join!(
                site.get(1, freshness, works),
                site.get(1, freshness, works),
                site.get(1, freshness, works),
                site.get(1, freshness, works)
            );
            assert_eq!(site.fetches.load(Ordering::SeqCst) - before, 1, "{works} {freshness:?}");
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
        assert!(started.elapsed() >= 2 * RETRY_PAUSE, "{:?}", started.elapsed());
        assert_eq!(site.get(0, Freshness::Any, true).await, Some(4));
        assert!(started.elapsed() < 4 * RETRY_PAUSE, "{:?}", started.elapsed());
    }
}
