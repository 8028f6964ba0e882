//! Timestamps in responses.

use chrono::{DateTime, SecondsFormat, Utc};
use portico_core::clock::Timestamp;

/// A timestamp as responses show it: RFC 3339 in UTC, to the second.
pub fn rfc3339(time: Timestamp) -> String {
    let time = DateTime::from_timestamp(time.unix(), 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_769_850_000, "2026-01-31T09:00:00Z"),
            (i64::MAX, "+262142-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_unix(seconds)), text);
        }
    }
}
