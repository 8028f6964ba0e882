//! What a request brings. Extractors parse it once; a handler that takes a value need not check it again.

pub(crate) mod bodies;
pub(crate) mod callback;
pub(crate) mod context;
pub(crate) mod cookies;
pub(crate) mod credentials;
pub(crate) mod csrf;
pub(crate) mod login_params;
pub(crate) mod query;
pub(crate) mod rate_limit;
pub(crate) mod slot;
