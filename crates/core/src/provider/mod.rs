//! Identity providers: the settings of a slot, and the port through which its provider is spoken to.

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
