//! An OpenID Connect slot for tests.

use std::time::Duration;

use portico_core::claims::{ClaimMap, ClaimPath};
use portico_core::provider::{
    Button, ClientAuth, NonceMode, OidcSettings, Pkce, ProviderKind, SignatureCheck, Slot, Transport,
    UserinfoMethod, UserinfoUse,
};
use portico_core::slot::SlotName;
use url::Url;

pub(crate) fn settings(discovery_url: &str) -> OidcSettings {
    OidcSettings {
        discovery_url: Url::parse(discovery_url).unwrap(),
        issuer: None,
        issuer_aliases: Vec::new(),
        signature: SignatureCheck::Verify,
        allowed_algs: None,
        nonce: NonceMode::Required,
        userinfo: UserinfoUse::IfNeeded,
        userinfo_url: None,
    }
}

pub(crate) fn slot(settings: OidcSettings) -> Slot {
    let name = |text: &str| ClaimPath::Name(text.to_owned());
    Slot {
        name: SlotName::Provider1,
        button: Button { label: "Sign in".to_owned(), icon: "mdi:account-key".to_owned() },
        client_id: "portico".to_owned(),
        auth: ClientAuth::Public,
        pkce: Pkce::S256,
        scopes: vec!["openid".to_owned(), "profile".to_owned(), "email".to_owned()],
        audience: None,
        extra_params: std::collections::BTreeMap::new(),
        claims: ClaimMap {
            subject: name("sub"),
            name: vec![name("name")],
            email: vec![name("email")],
            email_verified: name("email_verified"),
            groups: name("groups"),
            groups_separator: portico_core::claims::GroupsSeparator::None,
            groups_wanted: false,
        },
        response_mode: portico_core::provider::ResponseMode::Query,
        userinfo_method: UserinfoMethod::Get,
        groups_url: None,
        clock_skew: Duration::from_mins(1),
        transport: Transport::default(),
        access: portico_core::admission::AccessRule::default(),
        name_fallback: false,
        kind: ProviderKind::Oidc(settings),
    }
}
