//! The process is killed with `SIGKILL` at every step of a login.

use std::time::Duration;

use portico_demo_idp::Person;

use super::{SLOT, assert_whole, postgres_behind_relay, program};
use crate::testkit::{Backend, Database, Program, Relay};

/// More than the number of messages that a login sends to its database.
const MOST_STEPS: usize = 60;

#[tokio::test]
async fn h28_killed_at_any_message_to_postgresql_a_login_is_there_as_a_whole_or_not_at_all() {
    if !Backend::Postgres.is_here("faults::crash::postgresql") {
        return;
    }
    let (database, relay, url) = postgres_behind_relay().await;
    let (mut program, idp) = program(|program| program.set("PORTICO_STORAGE_URL", url.as_str()));
    let (mut steps, mut nothing, mut whole) = (0, 0, 0);
    loop {
        assert!(steps < MOST_STEPS, "a login has fewer messages than the limit");
        let person = format!("person-{steps}");
        idp.oidc("provider1").unwrap().set_person(Person::new(&*person, &*person));
        let (held, answered);
        (program, held, answered) = kill_at_message(program, &relay, &person, steps).await;
        let identities = assert_stored_as_a_whole(&database, &person).await;
        if !held {
            assert!(answered && identities == 1, "the login finished before the process was killed");
            break;
        }
        if identities == 1 {
            whole += 1;
        } else {
            nothing += 1;
        }
        steps += 1;
    }
    assert!(steps >= 5 && nothing >= 3, "{steps} steps: {nothing} left nothing, {whole} everything");
    // Each person whose login was interrupted can log in.
    let service = program.serve().await;
    for step in 0..steps {
        service.browser().log_in(SLOT, &format!("person-{step}")).await;
    }
    assert_eq!(database.count("accounts", "name LIKE 'person-%'").await, steps + 1);
    assert_whole(&database).await;
}

/// Kills the process while the relay holds the message after `messages` of this person's callback.
///
/// Returns the program, whether the relay held a message, and whether the callback was answered.
async fn kill_at_message(
    program: Program,
    relay: &Relay,
    person: &str,
    messages: usize,
) -> (Program, bool, bool) {
    let service = program.serve().await;
    // This login does the work that only the first login does.
    service.browser().log_in(SLOT, "ada-1").await;
    let mut browser = service.browser();
    let callback = browser.reach_callback(SLOT, person).await;
    relay.hold_after(messages);
    let finishing = tokio::spawn(async move { browser.callback(&callback).await });
    let held = relay.is_held(Duration::from_secs(2)).await;
    let program = service.kill();
    relay.cut();
    // The task fails if the connection of the browser was closed.
    let answered = finishing.await.is_ok();
    relay.mend();
    (program, held, answered)
}

/// Checks that the database has no partly stored login, and returns the number of this person's identities.
async fn assert_stored_as_a_whole(database: &Database, person: &str) -> usize {
    assert_whole(database).await;
    let identities = database.count("identities", &format!("subject = '{person}'")).await;
    assert_eq!(database.count("accounts", &format!("name = '{person}'")).await, identities);
    identities
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h28_killed_at_any_moment_sqlite_holds_whole_logins_only() {
    let (mut program, idp) = program(|program| program);
    let mut logins = 0;
    for round in 0..12_u64 {
        let service = program.serve().await;
        let people: Vec<_> = (0..4).map(|worker| format!("person-{round}-{worker}")).collect();
        let workers: Vec<_> = people
            .into_iter()
            .map(|person| {
                idp.oidc("provider1").unwrap().set_person(Person::new(&*person, &*person));
                let mut browser = service.browser();
                tokio::spawn(async move {
                    for _ in 0..50 {
                        browser.jar.clear();
                        browser.try_to_log_in(SLOT, &person).await;
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(60 + 37 * round)).await;
        program = service.kill();
        for worker in workers {
            assert!(worker.await.is_err(), "the process was killed during the login");
        }
        let database = program.sqlite();
        assert_eq!(database.texts("PRAGMA integrity_check").await, ["ok"]);
        assert_whole(&database).await;
        logins = database.count("sessions", "1 = 1").await;
    }
    assert!(logins > 20, "only {logins} logins before the process was killed");
    let service = program.serve().await;
    service.browser().log_in(SLOT, "person-0-0").await;
}

#[tokio::test]
async fn a_login_whose_broker_dies_while_the_provider_is_asked_is_spent_and_leaves_nothing() {
    let (program, idp) = program(|program| program);
    let realm = idp.oidc("provider1").unwrap();
    let service = program.serve().await;
    let gate = portico_demo_idp::knobs::Gate::new();
    realm.knobs(|knobs| knobs.token.answer.gate = Some(gate.clone()));
    let mut browser = service.browser();
    let callback = browser.reach_callback(SLOT, "ada-1").await;
    let mut same = browser.clone();
    let again = callback.clone();
    let finishing = tokio::spawn(async move { browser.callback(&callback).await });
    assert!(gate.wait_for_arrivals(1, Duration::from_secs(10)).await);
    let program: Program = service.kill();
    assert!(finishing.await.is_err());
    gate.open();
    realm.reset_knobs();
    let database = program.sqlite();
    assert_eq!(database.count("spent_logins", "1 = 1").await, 1);
    assert_eq!(database.count("accounts", "1 = 1").await, 0);
    let service = program.serve().await;
    same.callback(&again).await.refused(400, "login_state_invalid");
    service.browser().log_in(SLOT, "ada-1").await;
}
