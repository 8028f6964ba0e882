//! The handlers. Each translates one request into calls on the broker, and the result into a response.

pub(crate) mod backchannel_logout;
pub(crate) mod break_glass;
pub(crate) mod handoff;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod login_page;
pub(crate) mod openapi;
pub(crate) mod providers;
pub(crate) mod proxy_probe;
pub(crate) mod self_service;
pub(crate) mod session;
pub(crate) mod verify;
