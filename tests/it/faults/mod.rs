//! The worst day: killed at any moment, the database gone for a while, the disk full. Nothing is half written, and
//! nobody has to repair anything.

mod crash;
mod disk;
mod outage;

use portico_demo_idp::{DemoIdp, IdpConfig};

use crate::testkit::{Database, Program, slot_variables};

const SLOT: &str = "oidc/provider1";

/// A configured program and its provider.
fn program(bend: impl FnOnce(Program) -> Program) -> (Program, DemoIdp) {
    let program = bend(Program::configured());
    let idp = DemoIdp::start(IdpConfig::demo(program.variable("PORTICO_PUBLIC_URL"))).unwrap();
    let program = program.set_all(slot_variables(&idp, &[SLOT.to_owned()]));
    (program, idp)
}

/// Every login that is there is there as a whole: account, identity, session, current refresh token, audit event.
async fn assert_whole(database: &Database) {
    for (what, table, condition) in [
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
            "(SELECT count(*) FROM refresh_tokens t WHERE t.session_id = s.id AND t.superseded_at IS NULL) <> 1",
        ),
        (
            "a session without its audit event",
            "sessions s",
            "(SELECT count(*) FROM audit_events e WHERE e.event = 'login_succeeded' AND e.account_id = s.account_id) \
             <> (SELECT count(*) FROM sessions o WHERE o.account_id = s.account_id)",
        ),
    ] {
        assert_eq!(database.count(table, condition).await, 0, "{what}");
    }
}
