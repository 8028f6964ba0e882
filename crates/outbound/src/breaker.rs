//! The circuit breaker of a slot. If a provider fails, calls fail at once and logins do not pile up.
//!
//! While the breaker is closed, every call is made. Several failures in a row open it: calls are refused
//! without being made. After the open period, one call at a time is admitted. A response closes the breaker;
//! a failure starts an open period of twice the length.
//!
//! Timeouts, broken connections and status 5xx are failures. A response that refuses the request is not a
//! failure, because the provider works. A 5xx of an endpoint that receives a user's code or token is
//! inconclusive: the content of the request may be its cause. If it counted, an attacker who knows such a
//! content could block all logins.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portico_core::provider::Health;

/// The number of failures in a row that opens the breaker.
const MAX_FAILURES: u32 = 5;

/// The length of the first open period. Each further one is twice as long.
const FIRST_OPEN: Duration = Duration::from_secs(10);

/// The length of the longest open period. It is below one minute, so that a call every minute is always made.
const LONGEST_OPEN: Duration = Duration::from_secs(40);

/// A circuit breaker.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<BreakerState>);

#[derive(Debug, Default)]
struct BreakerState {
    /// The number of failures since the last response.
    failures: u32,
    /// Whether a call was inconclusive since the last response.
    inconclusive: bool,
    open: Option<OpenPeriod>,
}

#[derive(Debug, Clone, Copy)]
struct OpenPeriod {
    until: Instant,
    length: Duration,
    /// Whether the one admitted call is running.
    half_open: bool,
}

/// An admitted call. Its end must be reported; a dropped call reports nothing.
#[derive(Debug)]
pub(crate) struct AdmittedCall<'a> {
    breaker: &'a Breaker,
    reported: bool,
}

impl Breaker {
    /// Admits a call; `None` while the breaker is open.
    pub(crate) fn admit(&self, now: Instant) -> Option<AdmittedCall<'_>> {
        if let Some(open) = &mut self.state().open {
            if open.half_open || now < open.until {
                return None;
            }
            open.half_open = true;
        }
        Some(AdmittedCall { breaker: self, reported: false })
    }

    /// Down from the opening of the breaker until a call succeeds, also after the end of the open period.
    /// Degraded while the last calls failed or were inconclusive.
    pub(crate) fn health(&self) -> Health {
        let state = self.state();
        match &state.open {
            Some(_) => Health::Down,
            None if state.failures > 0 || state.inconclusive => Health::Degraded,
            None => Health::Ok,
        }
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AdmittedCall<'_> {
    /// The provider answered. Closes the breaker.
    pub(crate) fn answered(mut self) {
        self.reported = true;
        *self.breaker.state() = BreakerState::default();
    }

    /// The provider answered with a failure that the request may have caused. Never opens the breaker, and
    /// never prolongs the open period.
    pub(crate) fn inconclusive(self) {
        self.breaker.state().inconclusive = true;
    }

    /// The provider did not answer, or failed.
    pub(crate) fn failed(mut self, now: Instant) {
        self.reported = true;
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        let length = match state.open {
            Some(open) if open.half_open => (open.length * 2).min(LONGEST_OPEN),
            // A call that started before the open period does not prolong it.
            Some(_) => return,
            None if state.failures < MAX_FAILURES => return,
            None => FIRST_OPEN,
        };
        state.open = Some(OpenPeriod { until: now + length, length, half_open: false });
    }
}

impl Drop for AdmittedCall<'_> {
    fn drop(&mut self) {
        if self.reported {
            return;
        }
        if let Some(open) = &mut self.breaker.state().open {
            open.half_open = false;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests measure durations")]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, times: u32, now: Instant) {
        for _ in 0..times {
            breaker.admit(now).unwrap().failed(now);
        }
    }

    #[test]
    fn five_failures_in_a_row_bring_a_rest_and_one_call_ends_it() {
        let (breaker, begin) = (Breaker::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        fail(&breaker, 4, begin);
        assert_eq!(breaker.health(), Health::Degraded);
        breaker.admit(begin).unwrap().answered();
        assert_eq!(breaker.health(), Health::Ok, "an answer in between counts");
        fail(&breaker, 5, begin);
        assert_eq!(breaker.health(), Health::Down);
        assert!(breaker.admit(begin).is_none() && breaker.admit(at(9)).is_none());
        assert_eq!(breaker.health(), Health::Down, "the end of the open period proves nothing");
        let call = breaker.admit(at(10)).unwrap();
        assert!(breaker.admit(at(10)).is_none(), "one at a time");
        call.answered();
        assert_eq!(breaker.health(), Health::Ok);
        assert!(breaker.admit(at(10)).is_some());
    }

    #[test]
    fn a_doubtful_answer_makes_no_rest_and_no_longer_one() {
        let (breaker, begin) = (Breaker::default(), Instant::now());
        for _ in 0..20 {
            breaker.admit(begin).unwrap().inconclusive();
        }
        assert_eq!(breaker.health(), Health::Degraded);
        fail(&breaker, 4, begin);
        assert_eq!(breaker.health(), Health::Degraded, "nor does it bring one nearer");
        fail(&breaker, 1, begin);
        let over = begin + FIRST_OPEN;
        for _ in 0..20 {
            breaker.admit(over).expect("the next call is tried at once").inconclusive();
        }
        breaker.admit(over).unwrap().answered();
        assert_eq!(breaker.health(), Health::Ok);
    }

    #[test]
    fn rests_grow_up_to_forty_seconds() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        fail(&breaker, 5, now);
        for length in [10, 20, 40, 40, 40] {
            let length = Duration::from_secs(length);
            assert!(
                breaker.admit(now + length.saturating_sub(Duration::from_millis(1))).is_none(),
                "{length:?}"
            );
            now += length;
            fail(&breaker, 1, now);
        }
    }

    #[test]
    fn a_call_that_was_given_up_tells_nothing() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        drop(breaker.admit(now).unwrap());
        assert_eq!(breaker.health(), Health::Ok);
        fail(&breaker, 5, now);
        let later = now + FIRST_OPEN;
        drop(breaker.admit(later).unwrap());
        assert!(breaker.admit(later).is_some(), "the next one tells");
    }

    #[test]
    fn calls_that_were_under_way_neither_lengthen_a_rest_nor_end_up_in_one() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let slow: Vec<_> = (0..8).map(|_| breaker.admit(now).unwrap()).collect();
        let later = now + Duration::from_secs(3);
        for call in slow {
            call.failed(later);
        }
        assert!(breaker.admit(later + FIRST_OPEN).is_some());
    }
}
