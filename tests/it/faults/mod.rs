//! Faults of the process, the database and the disk.
//!
//! Each test checks that no login is stored in part, and that Portico recovers without manual repair.

mod crash;
mod disk;
mod outage;

use portico_demo_idp::{DemoIdp, IdpConfig};
use url::Url;

use crate::testkit::{Backend, Database, Program, Relay, slot_variables};

const SLOT: &str = "oidc/provider1";

/// A configured program and its provider; `configure` changes the program's settings.
fn program(configure: impl FnOnce(Program) -> Program) -> (Program, DemoIdp) {
    let program = configure(Program::configured());
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let program = program.set_all(slot_variables(&idp, &[SLOT.to_owned()]));
    (program, idp)
}

/// A new PostgreSQL database, a relay in front of its server, and the database's URL through the relay.
async fn postgres_behind_relay() -> (Database, Relay, Url) {
    let database = Backend::Postgres.fresh().await;
    let mut url = Url::parse(&database.url).unwrap();
    let relay = Relay::to(&url.socket_addrs(|| Some(5432)).unwrap()[..1]);
    url.set_ip_host(relay.at.ip()).unwrap();
    url.set_port(Some(relay.at.port())).unwrap();
    (database, relay, url)
}

/// Rows that a partly stored login would leave: what they are, the table, and the condition that finds them.
const PARTIAL: [(&str, &str, &str); 4] = [
    (
        "an account without an identity",
        "accounts a",
        "NOT EXISTS (SELECT 1 FROM identities i WHERE i.account_id = a.id)",
    ),
    (
        "an account without a session",
        "accounts a",
        "NOT EXISTS (SELECT 1 FROM sessions s WHERE s.account_id = a.id)",
    ),
    (
        "a session without exactly one current token",
        "sessions s",
        "(SELECT count(*) FROM refresh_tokens t \
          WHERE t.session_id = s.id AND t.superseded_at IS NULL) <> 1",
    ),
    (
        "a session without its audit event",
        "sessions s",
        "(SELECT count(*) FROM audit_events e \
          WHERE e.event = 'login_succeeded' AND e.account_id = s.account_id) \
         <> (SELECT count(*) FROM sessions o WHERE o.account_id = s.account_id)",
    ),
];

/// Each stored login is complete: account, identity, session, current refresh token, audit event.
async fn assert_whole(database: &Database) {
    for (what, table, condition) in PARTIAL {
        assert_eq!(database.count(table, condition).await, 0, "{what}");
    }
}
