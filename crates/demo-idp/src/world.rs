//! Everything the handlers share: the realms by name, and how a request finds its realm.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use actix_web::dev::Payload;
use actix_web::error::{ErrorInternalServerError, ErrorNotFound};
use actix_web::{FromRequest, HttpRequest, web};

use crate::config::{RealmConfig, RealmKind};
use crate::keys::KeyError;
use crate::realm::Realm;

/// All realms of a provider.
pub(crate) struct World {
    pub(crate) base_url: String,
    pub(crate) canary: AtomicU64,
    order: Vec<Arc<Realm>>,
    realms: HashMap<(RealmKind, String), Arc<Realm>>,
}

impl World {
    pub(crate) fn new(base_url: String, configs: Vec<RealmConfig>) -> Result<Self, KeyError> {
        let mut world =
            Self { order: Vec::new(), realms: HashMap::new(), canary: AtomicU64::new(0), base_url };
        for config in configs {
            let realm = Arc::new(Realm::new(config, &world.base_url)?);
            world.order.retain(|known| (known.kind(), known.name()) != (realm.kind(), realm.name()));
            world.order.push(Arc::clone(&realm));
            world.realms.insert((realm.kind(), realm.name().to_owned()), realm);
        }
        Ok(world)
    }

    pub(crate) fn find(&self, kind: RealmKind, name: &str) -> Option<Arc<Realm>> {
        self.realms.get(&(kind, name.to_owned())).cloned()
    }

    /// The realms in the order of the configuration.
    pub(crate) fn realms(&self) -> &[Arc<Realm>] {
        &self.order
    }
}

/// The realm named in the request's path; 404 if there is none.
pub(crate) struct InRealm(pub(crate) Arc<Realm>);

impl FromRequest for InRealm {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(find_realm(request))
    }
}

fn find_realm(request: &HttpRequest) -> Result<InRealm, actix_web::Error> {
    let world = request
        .app_data::<web::Data<World>>()
        .ok_or_else(|| ErrorInternalServerError("the provider is not set up"))?;
    let segment = |name| request.match_info().get(name).unwrap_or_default();
    RealmKind::parse(segment("kind"))
        .and_then(|kind| world.find(kind, segment("realm")))
        .map(InRealm)
        .ok_or_else(|| ErrorNotFound("no such realm"))
}
