//! The slot that a path names.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use portico_core::error::LoginError;
use portico_core::provider::Slot;
use portico_core::slot::SlotId;

use crate::error::ApiError;
use crate::state::Portico;

/// An enabled slot, named in the path.
#[derive(Debug, Clone)]
pub(crate) struct RequestedSlot(Arc<Slot>);

impl RequestedSlot {
    pub(crate) fn find(request: &HttpRequest) -> Result<Self, ApiError> {
        let portico = Portico::serving(request)?;
        let part = |name| request.match_info().get(name).unwrap_or_default();
        // Threats M21, M35: exact names, and only of this protocol.
        let id = format!("{}/{}", part("protocol"), part("slot")).parse::<SlotId>().ok();
        let slot = id.and_then(|id| portico.broker().slots().find(id));
        slot.map(|slot| Self(Arc::clone(&slot.settings))).ok_or_else(|| LoginError::ProviderUnknown.into())
    }
}

impl Deref for RequestedSlot {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.0
    }
}

impl FromRequest for RequestedSlot {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::find(request))
    }
}
