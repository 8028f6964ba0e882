//! Requests that count against their client's rate limit.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use crate::error::ApiError;
use crate::limits::RateLimitKind;
use crate::request::context::RequestContext;
use crate::state::Front;

/// Names a kind of request by a type.
pub(crate) trait RateLimit {
    const KIND: RateLimitKind;
}

/// A request within its client's rate limit. Handlers take it first, so that it counts before anything is
/// parsed.
pub(crate) struct Within<K>(PhantomData<K>);

pub(crate) struct StartLimit;
pub(crate) struct CallbackLimit;
pub(crate) struct RefreshLimit;
pub(crate) struct TokenLimit;
pub(crate) struct BreakGlassLimit;

impl RateLimit for StartLimit {
    const KIND: RateLimitKind = RateLimitKind::Start;
}
impl RateLimit for CallbackLimit {
    const KIND: RateLimitKind = RateLimitKind::Callback;
}
impl RateLimit for RefreshLimit {
    const KIND: RateLimitKind = RateLimitKind::Refresh;
}
impl RateLimit for TokenLimit {
    const KIND: RateLimitKind = RateLimitKind::Token;
}
impl RateLimit for BreakGlassLimit {
    const KIND: RateLimitKind = RateLimitKind::BreakGlass;
}

impl<K: RateLimit> FromRequest for Within<K> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let take = |front: &Data<Front>| front.limits.take(K::KIND, RequestContext::get(request).client());
        let taken = request.app_data::<Data<Front>>().map_or(Ok(()), take);
        ready(taken.map(|()| Self(PhantomData)))
    }
}
