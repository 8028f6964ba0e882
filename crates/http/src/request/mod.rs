//! Extractors. Each part of a request is parsed once; a handler does not check a parsed value again.

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
