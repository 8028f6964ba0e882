//! `portico audit`: the audit events.

use clap::Args;
use clap::builder::PossibleValuesParser;
use portico_core::audit::{AuditEvent, AuditFilter, Event};
use portico_core::clock::Clock;
use portico_core::store::Store;
use serde_json::{Value, json};

use super::accounts::lookup::find;
use super::page::Page;
use crate::failure::Failure;
use crate::settings::{Loaded, duration};
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// Only events of the last 24h, 30d or another duration
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<std::time::Duration>,
    /// Only this kind of event
    #[arg(long, value_parser = PossibleValuesParser::new(Event::ALL.iter().map(|event| event.as_str())))]
    event: Option<String>,
    /// Only events of this account: id, or exact name without an @
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    page: Page<uuid::Uuid>,
}

impl Audit {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        wire::with_store(&loaded.settings, async |store| self.list(store).await)
    }

    async fn list(self, store: &dyn Store) -> Result<(), Failure> {
        let account = match &self.account {
            Some(named) => Some(find(store, named).await?.0.id),
            None => None,
        };
        let filter = AuditFilter {
            since: self.since.map(|ago| Clock::System.now().minus(ago)),
            event: self.event.as_deref().and_then(Event::parse),
            account,
            after: self.page.after,
            limit: self.page.limit,
        };
        let events = store.list_events(&filter).await?;
        self.page.print_out(&events, event_json, event_line, |event| event.id.to_string());
        Ok(())
    }
}

fn event_line(event: &AuditEvent) -> String {
    let account = event.account.map_or_else(|| "-".to_owned(), |account| account.to_string());
    let slot = event.slot.map_or_else(|| "-".to_owned(), |slot| slot.to_string());
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    [
        portico_http::rfc3339(event.time),
        event.event.as_str().to_owned(),
        event.outcome.as_str().to_owned(),
        account,
        slot,
        or_none(event.reason.as_deref()),
        or_none(event.ip.as_deref()),
        or_none(event.request_id.as_deref()),
    ]
    .join("  ")
}

fn event_json(event: &AuditEvent) -> Value {
    json!({
        "id": event.id,
        "time": portico_http::rfc3339(event.time),
        "event": event.event.as_str(),
        "account_id": event.account.map(|account| account.0),
        "idp": event.slot.map(|slot| slot.to_string()),
        "outcome": event.outcome.as_str(),
        "reason": event.reason,
        "request_id": event.request_id,
        "ip": event.ip,
    })
}
