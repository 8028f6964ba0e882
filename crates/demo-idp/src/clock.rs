//! The realm's clock: the system time or a fixed time, with an optional offset.

use std::time::{SystemTime, UNIX_EPOCH};

/// Settings of the realm's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockKnobs {
    /// A fixed time in Unix seconds; `None` uses the system time.
    pub now: Option<i64>,
    /// Seconds added to the fixed time or to the system time.
    pub offset: i64,
}

impl ClockKnobs {
    /// The time by this clock, in Unix seconds.
    pub fn unix_time(&self) -> i64 {
        self.now.unwrap_or_else(system_time).saturating_add(self.offset)
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place where the provider reads the system time")]
fn system_time() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
