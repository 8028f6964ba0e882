//! The one outbound HTTP client of Portico.
//!
//! [`Outbound`] sends every call to a provider. [`otlp_http`] sends traces to the collector of the operator.
//! [`json`] reads the JSON documents of a provider strictly. [`reachability`] and [`public_url`] are the
//! checks of `portico check --live` that need no protocol. No other crate uses an HTTP client, and no type of
//! `reqwest` leaves this crate.

mod breaker;
mod certificate;
mod client;
mod endpoint;
pub mod json;
mod message;
pub mod otlp_http;
pub mod public_url;
pub mod reachability;

pub use client::{Outbound, OutboundError};
pub use endpoint::Endpoint;
pub use message::{ProviderRequest, ProviderResponse, UnsendableHeader};
