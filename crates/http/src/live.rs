//! The surface of the moment. A reload puts another in its place; each request keeps the one it began with.

use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::Portico;

/// A [`Portico`] that can be replaced while it serves.
pub struct Live(RwLock<Arc<Portico>>);

impl Live {
    /// Serves this one, until another comes.
    pub fn new(portico: Portico) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(portico))))
    }

    /// The one of the moment.
    pub fn now(&self) -> Arc<Portico> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves another one from the next request on. Its public URL must be the same: the routes were laid for it.
    pub fn replace(&self, portico: Portico) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(portico);
    }
}

/// Gives a request the surface of the moment.
pub(crate) async fn attach<B: MessageBody>(
    live: Data<Live>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let portico = live.now();
    let mut data = Extensions::new();
    data.insert(Data::from(Arc::clone(&portico.front)));
    data.insert(Data::from(portico));
    request.add_data_container(Rc::new(data));
    next.call(request).await
}
