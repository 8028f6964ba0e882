//! The current state. A reload replaces it; a running request keeps the state with which it started.

use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::state::Portico;

/// A [`Portico`] that can be replaced while it serves.
pub struct Live(RwLock<Arc<Portico>>);

impl Live {
    /// Serves this state until it is replaced.
    pub fn new(portico: Portico) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(portico))))
    }

    /// The current state.
    pub fn now(&self) -> Arc<Portico> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves another state from the next request on. The public URL must be the same, because the routes
    /// contain it.
    pub fn replace(&self, portico: Portico) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(portico);
    }
}

/// Attaches the current state to a request.
pub(crate) async fn attach<B: MessageBody>(
    live: Data<Live>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let portico = live.now();
    let mut data = Extensions::new();
    data.insert(Data::from(Arc::clone(portico.front())));
    data.insert(Data::from(portico));
    request.add_data_container(Rc::new(data));
    next.call(request).await
}
