//! `portico break-glass`: a one-time login link for an account, for use when no provider works.

use clap::Args;
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::{Clock, Entropy};
use portico_core::session::{BREAK_GLASS_LIFETIME, NewBreakGlass, OneTimeCode};
use portico_core::store::AdminStore;
use serde_json::json;

use super::accounts::lookup::find;
use crate::failure::Failure;
use crate::output::print_out;
use crate::settings::Loaded;
use crate::wire;

/// Create a one-time login link for an account. It works for ten minutes and one login, without any provider.
/// It invalidates an earlier link for the same account. The link signs in as that account: protect it like a
/// password.
#[derive(Debug, Args)]
pub(super) struct BreakGlass {
    /// Account id, or exact name without an @
    account: String,
    /// Answer in JSON: an object with `url`, `account_id` and `expires_at`
    #[arg(long)]
    json: bool,
}

impl BreakGlass {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        let public = &loaded.settings.public_url;
        wire::with_store(&loaded.settings, async |store| {
            let (account, _) = find(store, &self.account).await?;
            let code = OneTimeCode::random(Entropy);
            let now = Clock::System.now();
            let expires_at = now.plus(BREAK_GLASS_LIFETIME);
            create(store, &NewBreakGlass { code: code.hash(), account: account.id, expires_at }).await?;
            let mut url = public.at("/auth/break-glass");
            url.set_fragment(Some(code.reveal()));
            let until = portico_http::rfc3339(expires_at);
            print_out(&if self.json {
                json!({ "url": url.as_str(), "account_id": account.id.0, "expires_at": until }).to_string()
            } else {
                format!("{url}\nFor {} ({}), one login, until {until}.", account.name, account.id)
            });
            Ok(())
        })
    }
}

async fn create(store: &dyn AdminStore, code: &NewBreakGlass) -> Result<(), Failure> {
    let event =
        AuditEvent::new(Event::BreakGlassIssued, Clock::System.now()).about(code.account).because("operator");
    if store.create_break_glass(code, &event).await? {
        return Ok(());
    }
    Err(Failure::Failed(format!("account {} is not active", code.account)))
}
