//! Time and randomness, as arguments.
//!
//! No other module of the workspace reads the system clock or generates random bytes (`clippy.toml`
//! enforces it), so that a test can set the time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::{ContextV7, Uuid};

/// A point in time, in whole Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This time plus a duration; fractions of a second are dropped. Saturates at the largest value.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(by.as_secs()))
    }

    /// This time minus a duration; fractions of a second are dropped. Saturates at the smallest value.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(by.as_secs()))
    }
}

/// The source of the current time.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system clock.
    System,
    /// A clock that a test sets, in Unix seconds.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The current time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp(system_seconds()),
            Self::Set(seconds) => Timestamp(seconds.load(Ordering::SeqCst)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
fn system_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The nanoseconds since the start of `second`, at most 999,999,999. If the second is over by now, the
/// result is that maximum.
#[expect(clippy::disallowed_methods, reason = "this file reads the system clock")]
fn nanos_into(second: Timestamp) -> u32 {
    let start = Duration::from_secs(u64::try_from(second.unix()).unwrap_or_default());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(start).min(Duration::from_nanos(999_999_999)).subsec_nanos()
}

/// The source of random bytes: the operating system, by way of aws-lc.
#[derive(Debug, Clone, Copy)]
pub struct Entropy;

impl Entropy {
    /// `N` unpredictable bytes.
    ///
    /// # Panics
    /// If the system's random source fails. Portico cannot work safely without it.
    #[expect(clippy::expect_used, reason = "Portico cannot work safely without randomness")]
    #[expect(clippy::disallowed_methods, reason = "the one place that takes random bytes")]
    pub fn bytes<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source answers");
        bytes
    }

    /// A new identifier: a UUID of version 7 with a counter (RFC 9562 6.2, method 1).
    ///
    /// Identifiers sort by their time, and those of one millisecond by the order in which this process
    /// created them, even if the clock is set back. The fraction of the second comes from the system
    /// clock, so that identifiers of successive processes sort as well. The random bits come from the
    /// crate `uuid`; an identifier is no secret.
    pub fn id(self, now: Timestamp) -> Uuid {
        static SEQUENCE: Mutex<ContextV7> = Mutex::new(ContextV7::new());
        let seconds = u64::try_from(now.unix()).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(&SEQUENCE, seconds, nanos_into(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_that_is_over_counts_on() {
        let now = Clock::System.now();
        assert_eq!(nanos_into(now.minus(Duration::from_secs(2))), 999_999_999);
        assert_eq!(nanos_into(now.plus(Duration::from_secs(5))), 0);
        assert_eq!(nanos_into(Timestamp::from_unix(0)), 999_999_999);
        let past = now.minus(Duration::from_secs(2));
        let ids: Vec<_> = (0..1000).map(|_| Entropy.id(past)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn identifiers_sort_as_they_were_made() {
        let now = Timestamp::from_unix(1_800_000_000);
        let ids: Vec<_> = (0..70_000).map(|_| Entropy.id(now)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!(
            ids.first().map(|id| (id.get_version_num(), id.get_variant())),
            Some((7, uuid::Variant::RFC4122))
        );
        let later = Entropy.id(Timestamp::from_unix(1_800_000_001));
        assert!(ids.iter().all(|id| *id < later));
        assert!(Entropy.id(now) > later, "a clock set back changes no order");
    }
}
