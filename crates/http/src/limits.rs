//! Rate limits: a budget per client and kind of request, which refills as time passes.
//!
//! The table of clients is bounded. When it is full, the clients with the oldest requests are evicted and
//! start with a full budget. Each replica counts separately.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header;
use moka::sync::Cache;
use portico_core::clock::{Clock, Timestamp};

use crate::client::Client;
use crate::error::{ApiError, Cause};
use crate::metrics;

/// The size of the table of clients.
const MOST_CLIENTS: u64 = 100_000;

/// How long an idle client stays in the table: until its budget is full again.
const MINUTE: Duration = Duration::from_mins(1);

/// The kinds of requests, each with a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RateLimitKind {
    Start,
    Callback,
    Refresh,
    Token,
    BreakGlass,
}

impl RateLimitKind {
    /// The label in metrics.
    const fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Callback => "callback",
            Self::Refresh => "refresh",
            Self::Token => "token",
            Self::BreakGlass => "break_glass",
        }
    }

    /// The name in log messages.
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "the start of a login",
            Self::Callback => "a callback",
            Self::Refresh => "a refresh",
            Self::Token => "the exchange of a code",
            Self::BreakGlass => "a break-glass link",
        }
    }
}

/// The budgets of all clients.
pub(crate) struct Limits {
    per_minute: u64,
    clock: Clock,
    budgets: Cache<(RateLimitKind, IpAddr), Arc<Mutex<Budget>>>,
}

/// What a client has spent, in sixtieths of a request. Each second returns `per_minute` of them.
struct Budget {
    spent: u64,
    at: Timestamp,
}

/// One request, in sixtieths.
const REQUEST: u64 = 60;

impl Limits {
    /// Allows `per_minute` requests of each kind; 0 is no limit.
    pub(crate) fn new(per_minute: u64, clock: Clock) -> Self {
        let budgets = Cache::builder().max_capacity(MOST_CLIENTS).time_to_idle(MINUTE).build();
        Self { per_minute, clock, budgets }
    }

    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::new(0, Clock::System)
    }

    /// Changes the limit. The budgets of the clients keep what is spent.
    pub(crate) fn with(&self, per_minute: u64) -> Self {
        Self { per_minute, clock: self.clock.clone(), budgets: self.budgets.clone() }
    }

    /// Takes one request from a client's budget.
    ///
    /// # Errors
    /// With the number of seconds until the budget allows one more.
    pub(crate) fn take(&self, kind: RateLimitKind, client: Client) -> Result<(), ApiError> {
        let Some(address) = client.counted().filter(|_| self.per_minute > 0) else { return Ok(()) };
        let now = self.clock.now();
        let full = || Arc::new(Mutex::new(Budget { spent: 0, at: now }));
        let budget = self.budgets.get_with((kind, address), full);
        let mut budget = budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.take(self.per_minute, now).map_err(|seconds| {
            metrics::rate_limited(kind.label());
            ApiError::from(Cause::TooOften { what: kind.name() }).with(header::RETRY_AFTER, seconds)
        })
    }
}

impl Budget {
    fn take(&mut self, per_minute: u64, now: Timestamp) -> Result<(), u64> {
        let passed = u64::try_from(now.unix().saturating_sub(self.at.unix())).unwrap_or_default();
        let spent = self.spent.saturating_sub(passed.saturating_mul(per_minute));
        let most = per_minute * REQUEST;
        (self.spent, self.at) = (spent, now);
        if spent + REQUEST > most {
            return Err((spent + REQUEST - most).div_ceil(per_minute));
        }
        self.spent += REQUEST;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    fn limits(per_minute: u64) -> (Limits, Arc<AtomicI64>) {
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        (Limits::new(per_minute, Clock::Set(Arc::clone(&clock))), clock)
    }

    fn client(text: &str) -> Client {
        Client { address: Some(text.parse().unwrap()), shared: false }
    }

    #[test]
    fn a_budget_is_a_minutes_worth_and_comes_back_bit_by_bit() {
        let (limits, clock) = limits(120);
        let one = client("192.0.2.7");
        let taken = |client, most: usize| {
            (0..most).take_while(|_| limits.take(RateLimitKind::Start, client).is_ok()).count()
        };
        assert_eq!(taken(one, 1000), 120);
        assert_eq!(taken(client("192.0.2.8"), 1000), 120, "another client has its own budget");
        assert!(limits.take(RateLimitKind::Callback, one).is_ok(), "another kind has its own budget");
        clock.fetch_add(1, Ordering::SeqCst);
        assert_eq!(taken(one, 1000), 2);
        clock.fetch_add(3600, Ordering::SeqCst);
        assert_eq!(taken(one, 1000), 120, "at most the budget of one minute");
        clock.fetch_sub(7200, Ordering::SeqCst);
        assert_eq!(taken(one, 1000), 0, "a clock that is set back refills nothing");
    }

    #[test]
    fn it_says_when_to_come_back() {
        for (per_minute, seconds) in [(1, 60), (7, 9), (60, 1), (120, 1), (1_000_000, 1)] {
            let mut budget = Budget { spent: per_minute * REQUEST, at: Timestamp::from_unix(0) };
            assert_eq!(budget.take(per_minute, Timestamp::from_unix(0)), Err(seconds));
            let early = i64::try_from(seconds).unwrap() - 1;
            assert!(budget.take(per_minute, Timestamp::from_unix(early)).is_err() || seconds == 1);
            assert_eq!(budget.take(per_minute, Timestamp::from_unix(early + 1)), Ok(()));
        }
    }

    #[test]
    fn none_and_shared_addresses_have_no_limit() {
        let (off, _) = limits(0);
        assert!((0..10_000).all(|_| off.take(RateLimitKind::Token, client("192.0.2.7")).is_ok()));
        let (limits, _) = limits(1);
        let shared = Client { shared: true, ..client("10.0.0.1") };
        assert!((0..100).all(|_| limits.take(RateLimitKind::Token, shared).is_ok()));
    }

    #[test]
    fn m10_a_crowd_of_addresses_takes_no_more_room_than_there_is() {
        let (limits, _) = limits(120);
        for number in 0..250_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            let _ = limits.take(RateLimitKind::Start, Client { address: Some(address), shared: false });
        }
        limits.budgets.run_pending_tasks();
        assert!(limits.budgets.entry_count() <= MOST_CLIENTS, "{}", limits.budgets.entry_count());
    }
}
