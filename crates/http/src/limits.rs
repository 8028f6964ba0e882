//! How often one client may ask: a budget for each kind of request, which fills up again as time passes.
//!
//! What is remembered is bounded: of more clients at once than there is room for, those that asked longest ago are
//! forgotten and begin anew. Each replica counts for itself.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use moka::sync::Cache;
use portico_core::clock::{Clock, Timestamp};

use crate::Front;
use crate::client::Client;
use crate::error::{ApiError, Cause};
use crate::meter;

/// How many clients are remembered.
const MOST_CLIENTS: u64 = 100_000;

/// How long a client is remembered that asks no more: until its budget is whole again.
const MINUTE: Duration = Duration::from_mins(1);

/// What is counted, each kind for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RateLimitKind {
    Start,
    Callback,
    Refresh,
    Token,
    BreakGlass,
}

impl RateLimitKind {
    /// As a label.
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Callback => "callback",
            Self::Refresh => "refresh",
            Self::Token => "token",
            Self::BreakGlass => "break_glass",
        }
    }

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
    spent: Cache<(RateLimitKind, IpAddr), Arc<Mutex<Spent>>>,
}

/// What a client has spent, in sixtieths of a request: `per_minute` of them come back each second.
struct Spent {
    sixtieths: u64,
    at: Timestamp,
}

const REQUEST: u64 = 60;

impl Limits {
    /// `per_minute` requests of each kind; 0 is no limit.
    pub(crate) fn new(per_minute: u64, clock: Clock) -> Self {
        let spent = Cache::builder().max_capacity(MOST_CLIENTS).time_to_idle(MINUTE).build();
        Self { per_minute, clock, spent }
    }

    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::new(0, Clock::System)
    }

    /// Another budget for the same clients; what they spent is not forgiven.
    pub(crate) fn with(&self, per_minute: u64) -> Self {
        Self { per_minute, clock: self.clock.clone(), spent: self.spent.clone() }
    }

    /// Takes one request from a client's budget.
    ///
    /// # Errors
    /// After how many seconds there is room for one again.
    pub(crate) fn take(&self, kind: RateLimitKind, client: Client) -> Result<(), ApiError> {
        let Some(address) = client.counted().filter(|_| self.per_minute > 0) else { return Ok(()) };
        let now = self.clock.now();
        let fresh = || Arc::new(Mutex::new(Spent { sixtieths: 0, at: now }));
        let spent = self.spent.get_with((kind, address), fresh);
        let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.take(self.per_minute, now).map_err(|seconds| {
            meter::limited(kind.word());
            ApiError::from(Cause::TooOften { what: kind.name() }).with(header::RETRY_AFTER, seconds)
        })
    }
}

impl Spent {
    fn take(&mut self, per_minute: u64, now: Timestamp) -> Result<(), u64> {
        let passed = u64::try_from(now.unix().saturating_sub(self.at.unix())).unwrap_or_default();
        let left = self.sixtieths.saturating_sub(passed.saturating_mul(per_minute));
        let most = per_minute * REQUEST;
        (self.sixtieths, self.at) = (left, now);
        if left + REQUEST > most {
            return Err((left + REQUEST - most).div_ceil(per_minute));
        }
        self.sixtieths += REQUEST;
        Ok(())
    }
}

/// A kind of request, named by a type.
pub(crate) trait Counted {
    const KIND: RateLimitKind;
}

/// A request that was within its client's budget; handlers that are counted ask for it before anything else.
pub(crate) struct Within<K>(PhantomData<K>);

pub(crate) struct StartLimit;
pub(crate) struct CallbackLimit;
pub(crate) struct RefreshLimit;
pub(crate) struct TokenLimit;
pub(crate) struct BreakGlassLimit;

impl Counted for StartLimit {
    const KIND: RateLimitKind = RateLimitKind::Start;
}
impl Counted for CallbackLimit {
    const KIND: RateLimitKind = RateLimitKind::Callback;
}
impl Counted for RefreshLimit {
    const KIND: RateLimitKind = RateLimitKind::Refresh;
}
impl Counted for TokenLimit {
    const KIND: RateLimitKind = RateLimitKind::Token;
}
impl Counted for BreakGlassLimit {
    const KIND: RateLimitKind = RateLimitKind::BreakGlass;
}

impl<K: Counted> FromRequest for Within<K> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let taken = request.app_data::<Data<Front>>().map_or(Ok(()), |front| front.take(K::KIND, request));
        ready(taken.map(|()| Self(PhantomData)))
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
        assert_eq!(taken(client("192.0.2.8"), 1000), 120, "another client has its own");
        assert!(limits.take(RateLimitKind::Callback, one).is_ok(), "another kind has its own");
        clock.fetch_add(1, Ordering::SeqCst);
        assert_eq!(taken(one, 1000), 2);
        clock.fetch_add(3600, Ordering::SeqCst);
        assert_eq!(taken(one, 1000), 120, "never more than a minute's worth");
        clock.fetch_sub(7200, Ordering::SeqCst);
        assert_eq!(taken(one, 1000), 0, "a clock set back gives nothing");
    }

    #[test]
    fn it_says_when_to_come_back() {
        for (per_minute, seconds) in [(1, 60), (7, 9), (60, 1), (120, 1), (1_000_000, 1)] {
            let mut spent = Spent { sixtieths: per_minute * REQUEST, at: Timestamp::from_unix(0) };
            assert_eq!(spent.take(per_minute, Timestamp::from_unix(0)), Err(seconds));
            let early = i64::try_from(seconds).unwrap() - 1;
            assert!(spent.take(per_minute, Timestamp::from_unix(early)).is_err() || seconds == 1);
            assert_eq!(spent.take(per_minute, Timestamp::from_unix(early + 1)), Ok(()));
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
        limits.spent.run_pending_tasks();
        assert!(limits.spent.entry_count() <= MOST_CLIENTS, "{}", limits.spent.entry_count());
    }
}
