//! Identity providers: the settings of a slot, and the port to its provider.
//!
//! ```text
//! settings     what is configured for a slot
//! client_auth  how Portico authenticates at the token endpoint
//! issuer       issuer identifiers, and templates for many tenants
//! client       the port: what a login sends to a provider and receives from it
//! fingerprint  a hash of what identifies a provider
//! logout       logout tokens
//! inspection   the findings of a check without a login
//! ```

pub mod client;
pub mod client_auth;
pub mod fingerprint;
pub mod inspection;
pub mod issuer;
pub mod logout;
pub mod settings;

pub use client::{
    Answer, AuthorizationParams, AuthorizationRedirect, AuthorizationResponse, CodeExchange, Health,
    LoginSecrets, Prompt, ProtocolClient,
};
pub use client_auth::{ClientAuth, ClientKey, Secrets};
pub use fingerprint::ProviderFingerprint;
pub use inspection::{CheckVerdict, Finding};
pub use issuer::Issuer;
pub use logout::{LogoutToken, Whose};
pub use settings::{
    Button, NonceMode, OAuth2Settings, OidcSettings, Pkce, ProviderKind, ResponseMode, SignatureCheck,
    SigningAlg, Slot, Transport, UserinfoMethod, UserinfoUse,
};
