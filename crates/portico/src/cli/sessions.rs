//! `portico sessions`: lists and ends sessions.

use clap::{Args, Subcommand};
use portico_core::audit::{AuditEvent, Event};
use portico_core::clock::Clock;
use portico_core::session::{Session, SessionId};
use portico_core::store::{SessionFilter, SessionSelection as Which, Store};
use serde_json::{Value, json};

use super::accounts::lookup::find;
use super::page::Page;
use crate::failure::Failure;
use crate::output::print_out;
use crate::settings::Loaded;
use crate::wire;

#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// List active sessions, oldest first
    List(List),
    /// End sessions: refresh stops immediately, Portico's own endpoints follow within 5 seconds
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only sessions of this account: id, or exact name without an @
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    page: Page<uuid::Uuid>,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    named: Named,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// The sessions to end, named in exactly one way.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Named {
    /// One session
    session: Option<uuid::Uuid>,
    /// All sessions of this account: id, or exact name without an @
    #[arg(long)]
    account: Option<String>,
    /// All sessions of all accounts
    #[arg(long)]
    all: bool,
}

impl SessionsCommand {
    pub(super) fn run(self, loaded: &Loaded) -> Result<(), Failure> {
        let idle = loaded.settings.lifetimes.idle;
        wire::with_store(&loaded.settings, async |store| match self {
            Self::List(list) => list.run(store, idle).await,
            Self::Revoke(revoke) => revoke.run(store).await,
        })
    }
}

impl List {
    async fn run(self, store: &dyn Store, idle: std::time::Duration) -> Result<(), Failure> {
        let account = match &self.account {
            Some(named) => Some(find(store, named).await?.0.id),
            None => None,
        };
        let now = Clock::System.now();
        let filter = SessionFilter {
            account,
            used_since: now.minus(idle),
            now,
            after: self.page.after.map(SessionId),
            limit: self.page.limit,
        };
        let sessions = store.list_sessions(&filter).await?;
        self.page.print_out(&sessions, session_json, session_line, |session| session.id.to_string());
        Ok(())
    }
}

impl Revoke {
    async fn run(self, store: &dyn Store) -> Result<(), Failure> {
        let event = AuditEvent::new(Event::SessionRevoked, Clock::System.now()).because("operator");
        let (which, event) = match (self.named.session, &self.named.account) {
            (Some(session), _) => {
                let id = SessionId(session);
                let found = store.find_session(id).await?;
                let entry = found.ok_or_else(|| Failure::Failed(format!("no session {id}")))?;
                (Which::One(id), event.about(entry.account.id).in_session(&entry.session))
            }
            (None, Some(named)) => {
                let (account, _) = find(store, named).await?;
                (Which::Of(account.id), event.about(account.id))
            }
            (None, None) => (Which::All, event),
        };
        let revoked = store.revoke_sessions(which, &event).await?;
        print_out(&if self.json {
            json!({ "revoked": revoked }).to_string()
        } else {
            format!("{revoked} session(s) ended.")
        });
        Ok(())
    }
}

fn session_line(session: &Session) -> String {
    let used = portico_http::rfc3339(session.last_used_at);
    format!("{}  {}  {}  last used {used}", session.id, session.account, session.idp())
}

pub(super) fn session_json(session: &Session) -> Value {
    json!({
        "id": session.id.0,
        "account_id": session.account.0,
        "idp": session.idp(),
        "created_at": portico_http::rfc3339(session.created_at),
        "last_used_at": portico_http::rfc3339(session.last_used_at),
        "expires_at": portico_http::rfc3339(session.expires_at),
    })
}
