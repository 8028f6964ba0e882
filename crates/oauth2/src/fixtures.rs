//! An OAuth 2.0 slot for tests.

use std::time::Duration;

use portico_core::claims::{ClaimMap, ClaimPath};
use portico_core::provider::{
    Button, ClientAuth, OAuth2Settings, Pkce, ProviderKind, Slot, Transport, UserinfoMethod,
};
use portico_core::slot::SlotName;

pub(crate) fn slot() -> Slot {
    let name = |text: &str| ClaimPath::Name(text.to_owned());
    Slot {
        name: SlotName::Provider1,
        button: Button { label: "Sign in".to_owned(), icon: "mdi:account-key".to_owned() },
        client_id: "portico".to_owned(),
        auth: ClientAuth::Public,
        pkce: Pkce::S256,
        scopes: vec!["openid".to_owned(), "email".to_owned()],
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
        kind: ProviderKind::OAuth2(OAuth2Settings {
            authorization_url: "https://idp.example/authorize".parse().unwrap(),
            token_url: "https://idp.example/token".parse().unwrap(),
            userinfo_url: "https://idp.example/userinfo".parse().unwrap(),
            emails_url: None,
            issuer: None,
            identity_namespace: "https://idp.example/token".to_owned(),
        }),
    }
}
