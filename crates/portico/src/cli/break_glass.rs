//! `portico break-glass`: a link that signs one person in once, when no provider can be asked.

use clap::Args;
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::{Clock, Entropy};
use portico_core::session::{BREAK_GLASS_LIFETIME, NewBreakGlass, OneTimeCode};
use portico_core::store::AdminStore;
use serde_json::json;

use super::{Failure, accounts, print_out};
use crate::settings::Loaded;
use crate::wire;

/// Make a one-time login link for an account: good for ten minutes and one login, whatever state the providers are in. A link made
/// earlier for the same account is good for nothing from then on. Whoever has the link can sign in as that person: hand it over
/// like a password.
#[derive(Debug, Args)]
pub(super) struct BreakGlass {
    /// Id, or exact name without an @
    account: String,
    /// Answer in JSON: an object with `url`, `account_id` and `expires_at`
    #[arg(long)]
    json: bool,
}

impl BreakGlass {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        let public = &loaded.settings.public_url;
        wire::with_store(&loaded.settings, async |store| {
            let (account, _) = accounts::find(store, &self.account).await?;
            let code = OneTimeCode::random(Entropy);
            let now = Clock::System.now();
            let expires_at = now.plus(BREAK_GLASS_LIFETIME);
            add(store, &NewBreakGlass { code: code.hash(), account: account.id, expires_at }).await?;
            let mut url = public.at("/auth/break-glass");
            url.set_fragment(Some(code.reveal()));
            let until = portico_http::rfc3339(expires_at);
            print_out(&if self.json {
                json!({ "url": url.as_str(), "account_id": account.id.0, "expires_at": until }).to_string()
            } else {
                format!("{url}\nFor {} ({}), once, until {until}.", account.name, account.id)
            });
            Ok(())
        })
    }
}

async fn add(store: &dyn AdminStore, code: &NewBreakGlass) -> Result<(), Failure> {
    let event =
        AuditEvent::new(Event::BreakGlassIssued, Clock::System.now()).about(code.account).because("operator");
    if store.create_break_glass(code, &event).await? {
        return Ok(());
    }
    Err(Failure::Failed(format!("the account {} is not active", code.account)))
}
