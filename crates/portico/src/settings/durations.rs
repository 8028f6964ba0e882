//! Durations as settings write them: seconds, or a number with a unit.

use std::ops::RangeInclusive;
use std::time::Duration;

const UNITS: [(&str, u64); 4] = [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)];

/// A hundred years, in seconds.
const HUNDRED_YEARS: u64 = 100 * 365 * 24 * 3600;

/// Parses a duration: seconds, or `15m`, `12h`, `30d`; at most a hundred years.
///
/// # Errors
/// A sentence about the syntax.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_seconds(text.trim(), &(0..=HUNDRED_YEARS)).map(Duration::from_secs)
}

/// The seconds of a duration within the range.
pub(super) fn parse_seconds(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let unit = UNITS.into_iter().find_map(|(unit, length)| Some((text.strip_suffix(unit)?, length)));
    let (digits, length) = unit.unwrap_or((text, 1));
    let found = whole_number(digits).and_then(|number| number.checked_mul(length));
    found.filter(|seconds| range.contains(seconds)).ok_or_else(|| {
        let (least, most) = (duration_text(*range.start()), duration_text(*range.end()));
        format!(
            "must be a number of seconds or a duration such as 90s, 15m, 12h or 30d, from {least} to {most}"
        )
    })
}

/// Seconds in the largest unit that divides them: `15m`.
pub(super) fn duration_text(seconds: u64) -> String {
    let fits = |(_, length): &(&str, u64)| seconds >= *length && seconds.is_multiple_of(*length);
    UNITS
        .into_iter()
        .find(fits)
        .map_or_else(|| "0".to_owned(), |(unit, length)| format!("{}{unit}", seconds / length))
}

/// A number of digits only.
pub(super) fn whole_number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all { digits.parse().ok() } else { None }
}
