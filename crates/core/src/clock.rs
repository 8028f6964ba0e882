//! Time and randomness, as arguments.
//!
//! Nothing else in the workspace reads the system clock or asks for random bytes (`clippy.toml` enforces it), so
//! a test can stand at any second it likes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::{ContextV7, Uuid};

/// A moment, in whole Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This moment moved into the future; saturates at the end of time.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(by.as_secs()))
    }

    /// This moment moved into the past; saturates at the beginning of time.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(by.as_secs()))
    }
}

/// Where the current time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's own clock.
    System,
    /// A clock that a test sets, in Unix seconds.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The current moment.
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

/// The nanoseconds that passed since the start of `second`, less than a whole second. A caller that was busy since
/// it read the clock is past that second already and gets the last nanosecond.
#[expect(clippy::disallowed_methods, reason = "this file reads the system clock")]
fn nanos_into(second: Timestamp) -> u32 {
    let start = Duration::from_secs(u64::try_from(second.unix()).unwrap_or_default());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(start).min(Duration::from_nanos(999_999_999)).subsec_nanos()
}

/// Where unpredictable bytes come from: the operating system, by way of aws-lc.
#[derive(Debug, Clone, Copy)]
pub struct Entropy;

impl Entropy {
    /// `N` bytes nobody can guess.
    ///
    /// # Panics
    /// When the system has no randomness to give: nothing may go on without it.
    #[expect(clippy::expect_used, reason = "without randomness nothing may go on")]
    pub fn bytes<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system's random source answers");
        bytes
    }

    /// A new identifier that sorts by the time it was made, and within a millisecond by the order in which this
    /// process made them (UUID version 7 with a counter, RFC 9562 6.2 method 1), even if the clock is set back. The
    /// part of the time below a second is the system clock's: identifiers of successive processes sort as well.
    /// The random bits come from the crate `uuid`, which asks the operating system: an identifier is no secret.
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
