//! The state that all handlers share, and the extractor that finds the realm of a request.

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

/// The realms of a provider, its base URL and the counter of its canary URL.
pub(crate) struct ProviderState {
    pub(crate) base_url: String,
    pub(crate) canary_calls: AtomicU64,
    ordered: Vec<Arc<Realm>>,
    by_name: HashMap<(RealmKind, String), Arc<Realm>>,
}

impl ProviderState {
    pub(crate) fn new(base_url: String, configs: Vec<RealmConfig>) -> Result<Self, KeyError> {
        let mut state =
            Self { base_url, canary_calls: AtomicU64::new(0), ordered: Vec::new(), by_name: HashMap::new() };
        for config in configs {
            let realm = Arc::new(Realm::new(config, &state.base_url)?);
            state.ordered.retain(|known| (known.kind(), known.name()) != (realm.kind(), realm.name()));
            state.ordered.push(Arc::clone(&realm));
            state.by_name.insert((realm.kind(), realm.name().to_owned()), realm);
        }
        Ok(state)
    }

    pub(crate) fn find(&self, kind: RealmKind, name: &str) -> Option<Arc<Realm>> {
        self.by_name.get(&(kind, name.to_owned())).cloned()
    }

    /// The realms in the order of the configuration.
    pub(crate) fn realms(&self) -> &[Arc<Realm>] {
        &self.ordered
    }
}

/// Extractor: the realm named in the request's path, or 404 if the provider has no such realm.
pub(crate) struct RealmFromPath(pub(crate) Arc<Realm>);

impl FromRequest for RealmFromPath {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(find_realm(request))
    }
}

fn find_realm(request: &HttpRequest) -> Result<RealmFromPath, actix_web::Error> {
    let state = request
        .app_data::<web::Data<ProviderState>>()
        .ok_or_else(|| ErrorInternalServerError("the provider has no state"))?;
    let segment = |name| request.match_info().get(name).unwrap_or_default();
    RealmKind::parse(segment("kind"))
        .and_then(|kind| state.find(kind, segment("realm")))
        .map(RealmFromPath)
        .ok_or_else(|| ErrorNotFound("no such realm"))
}
