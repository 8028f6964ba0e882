//! A rest for a provider that fails, so that its slot answers at once and its logins do not pile up.
//!
//! Closed, every call is made. After several failures in a row the breaker opens: calls are refused without being made.
//! After a while one call at a time is let through; if it meets a living provider the breaker closes, otherwise the next
//! rest is longer. An answer that refuses something proves that somebody is alive; only silence, broken connections and
//! 5xx are failures. A 5xx of an endpoint that is sent something of one person's tells of that person's request, too: if it counted,
//! a stranger who knows which code the provider stumbles over could keep everybody out. Each slot has its own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portico_core::provider::Health;

/// How many failures in a row open the breaker.
const MOST_FAILURES: u32 = 5;

/// The first rest; each further one is twice as long.
const FIRST_OPEN: Duration = Duration::from_secs(10);

/// The longest rest. Shorter than a minute, so that whoever asks every minute asks indeed.
const LONGEST_OPEN: Duration = Duration::from_secs(40);

/// How one slot's provider fared lately.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<BreakerState>);

#[derive(Debug, Default)]
struct BreakerState {
    /// Failures since the last answer.
    failures: u32,
    /// Whether there was a doubtful answer since.
    inconclusive: bool,
    open: Option<OpenPeriod>,
}

#[derive(Debug, Clone, Copy)]
struct OpenPeriod {
    until: Instant,
    length: Duration,
    /// Whether a call is under way that will tell.
    trying: bool,
}

/// A call that was let through; how it ended must be told. One that is given up tells nothing.
#[derive(Debug)]
pub(crate) struct HalfOpenCall<'a> {
    breaker: &'a Breaker,
    told: bool,
}

impl Breaker {
    /// Lets a call through, unless the provider rests.
    pub(crate) fn admit(&self, now: Instant) -> Option<HalfOpenCall<'_>> {
        if let Some(open) = &mut self.state().open {
            if open.trying || now < open.until {
                return None;
            }
            open.trying = true;
        }
        Some(HalfOpenCall { breaker: self, told: false })
    }

    /// Down until a call succeeds, because a rest that is over proves nothing; degraded while the last calls failed.
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

impl HalfOpenCall<'_> {
    /// Somebody answered.
    pub(crate) fn answered(mut self) {
        self.told = true;
        *self.breaker.state() = BreakerState::default();
    }

    /// Somebody answered with a failure that may be due to what was sent: worth a look, and never a rest, nor a longer one.
    pub(crate) fn inconclusive(self) {
        self.breaker.state().inconclusive = true;
    }

    /// Nobody did, or nobody who could.
    pub(crate) fn failed(mut self, now: Instant) {
        self.told = true;
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        let length = match state.open {
            Some(open) if open.trying => (open.length * 2).min(LONGEST_OPEN),
            // A call that began before the rest did tells nothing new.
            Some(_) => return,
            None if state.failures < MOST_FAILURES => return,
            None => FIRST_OPEN,
        };
        state.open = Some(OpenPeriod { until: now + length, length, trying: false });
    }
}

impl Drop for HalfOpenCall<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        if let Some(open) = &mut self.breaker.state().open {
            open.trying = false;
        }
    }
}

#[cfg(test)]
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
        assert_eq!(breaker.health(), Health::Down, "a rest that is over proves nothing");
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
