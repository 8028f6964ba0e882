//! The realm's clock: the real one, one that is set, or one that runs ahead or behind.

use std::time::{SystemTime, UNIX_EPOCH};

/// What a realm takes for the present time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockKnobs {
    /// A fixed time in Unix seconds; `None` follows the real clock.
    pub now: Option<i64>,
    /// Seconds added to either.
    pub offset: i64,
}

impl ClockKnobs {
    /// The time by this clock, in Unix seconds.
    pub fn read(&self) -> i64 {
        self.now.unwrap_or_else(real_seconds).saturating_add(self.offset)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the provider's one look at the real time")]
fn real_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
