//! Time and randomness, as arguments.
//!
//! Nothing else in the workspace reads the system clock or asks for random bytes (`clippy.toml` enforces it), so
//! a test can stand at any second it likes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

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

/// How far the present is into that second, in steps of two milliseconds; on for another second when it is over, because who
/// asked for the time may have had other work to do meanwhile.
#[expect(clippy::disallowed_methods, reason = "this file reads the system clock")]
fn steps_into(second: Timestamp) -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let passed = now.saturating_sub(second.unix().saturating_mul(1000));
    u32::try_from((passed / 2).clamp(0, 1000)).unwrap_or_default()
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

    /// A new identifier that sorts by the time it was made, and within a second by the order in which this process made
    /// them (UUID version 7 with a counter, RFC 9562 6.2 method 1). The counter begins each second with the
    /// moment of its first identifier, so that processes which follow one another within a second sort as well.
    pub fn id(self, now: Timestamp) -> Uuid {
        static MADE: Mutex<(i64, u32)> = Mutex::new((i64::MIN, 0));
        let made = {
            let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
            *made = if now.unix() > made.0 {
                (now.unix(), steps_into(now) << 16)
            } else {
                (made.0, made.1.wrapping_add(1))
            };
            made.1
        };
        let millis = u64::try_from(now.unix()).unwrap_or_default().saturating_mul(1000);
        // The 26 bits that follow the time; version and variant stand between them.
        let [a, b, c, d] = made.to_be_bytes();
        let [_, _, _, _, random @ ..] = self.bytes::<10>();
        let counter = [(a << 2 | b >> 6) & 0x0f, b << 2 | c >> 6, c & 0x3f, d];
        let mut tail = [0; 10];
        for (to, from) in tail.iter_mut().zip(counter.into_iter().chain(random)) {
            *to = from;
        }
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_that_is_over_counts_on() {
        let now = Clock::System.now();
        assert!((500..=1000).contains(&steps_into(now.minus(Duration::from_secs(1)))));
        assert_eq!(steps_into(now.plus(Duration::from_secs(5))), 0);
        assert_eq!(steps_into(Timestamp::from_unix(0)), 1000);
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
        assert!(Entropy.id(Timestamp::from_unix(1_800_000_001)) > Entropy.id(now));
    }
}
