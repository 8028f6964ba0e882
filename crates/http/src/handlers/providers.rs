//! The list of login buttons, for applications that show their own.

use actix_web::web::{Data, Json};
use portico_core::flow::Broker;
use portico_core::provider::{Health, Slot};
use serde::Serialize;

use crate::state::Portico;
use crate::urls;

/// The list of login buttons.
#[derive(Serialize)]
pub(crate) struct Providers {
    enabled: bool,
    providers: Vec<Provider>,
}

#[derive(Serialize)]
struct Provider {
    protocol: &'static str,
    slot: &'static str,
    name: String,
    display_label: String,
    icon: String,
    login_url: String,
    status: &'static str,
}

impl Provider {
    fn new(broker: &Broker, slot: &Slot) -> Self {
        Self {
            protocol: slot.id().protocol.as_str(),
            slot: slot.name.as_str(),
            name: slot.id().to_string(),
            display_label: slot.button.label.clone(),
            icon: slot.button.icon.clone(),
            login_url: urls::login_url(broker.public_url(), slot.id()).into(),
            status: status(broker.slots().health(slot.id())),
        }
    }
}

/// `GET /auth/providers`
pub(crate) async fn providers(portico: Data<Portico>) -> Json<Providers> {
    let broker = portico.broker();
    let providers: Vec<_> = broker.slots().iter().map(|slot| Provider::new(broker, &slot.settings)).collect();
    Json(Providers { enabled: !providers.is_empty(), providers })
}

const fn status(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Degraded => "degraded",
        Health::Down => "down",
    }
}
