//! The constraints of the tables.

use portico_core::account::AccountId;
use portico_core::clock::Entropy;

use crate::bench::{Bench, NOON, on_bench};
use crate::database::Backend;
use crate::people::{Visit, ada};

on_both_databases!(on_bench; the_tables_keep_their_promises);

/// Runs statements that a constraint rejects, each followed by a similar one that is accepted.
async fn the_tables_keep_their_promises(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let local = bench.local("Local", &["editor"]).await;
    for (refused, fine) in
        [about_accounts(bench, &visit), about_identities(bench, &visit, local), about_others(bench, &visit)]
            .concat()
    {
        let error = bench.database.execute(&refused).await.expect_err(&refused);
        assert!(matches!(error, sqlx::Error::Database(_)), "{refused}: {error}");
        bench.database.execute(&fine).await.unwrap_or_else(|error| panic!("{fine}: {error}"));
    }
}

/// Pairs of statements: one that a constraint rejects, and a similar one that is accepted.
type Twins = Vec<(String, String)>;

fn about_accounts(bench: &Bench, visit: &Visit) -> Twins {
    let (account, new) = (bench.id(visit.new_account.0), bench.id(Entropy.id(NOON)));
    let set = |what: &str| format!("UPDATE accounts SET {what} WHERE id = {account}");
    let make = |values: &str| {
        format!(
            "INSERT INTO accounts (id, name, label, status, created_at) VALUES ({new}, {values}, 0); \
             DELETE FROM accounts WHERE id = {new}"
        )
    };
    let char = match bench.database.backend {
        Backend::Sqlite => "char",
        Backend::Postgres => "chr",
    };
    let role = |code: u8| format!("UPDATE account_roles SET role = 'a' || {char}({code})");
    vec![
        (set("name = 'Other'"), set("label = 'Other'")),
        (set("ever_linked_at = NULL"), set("last_login_at = NULL")),
        (set("ever_linked_at = 7"), set("last_login_at = 7")),
        (set("status = 'sleeping'"), set("status = 'active'")),
        (make("'Local', '', 'active'"), make("'local', '', 'active'")),
        (make("'', '', 'active'"), make("' ', '', 'active'")),
        (make("'x', '', 'asleep'"), make("'x', '', 'deleted'")),
        (role(31), role(32)),
    ]
}

fn about_identities(bench: &Bench, visit: &Visit, local: AccountId) -> Twins {
    let (account, local) = (bench.id(visit.new_account.0), bench.id(local.0));
    let new = bench.id(Entropy.id(NOON));
    let copy = |account: &str, subject: &str| {
        format!(
            "INSERT INTO identities SELECT {new}, {account}, protocol, issuer, {subject}, slot, client_id, \
             email, linked_at, last_login_at FROM identities LIMIT 1; DELETE FROM identities WHERE id = {new}"
        )
    };
    let assign = |account: &str| format!("UPDATE identities SET account_id = {account}");
    vec![
        (assign(&local), assign(&account)),
        (copy(&account, "subject"), copy(&account, "'other'")),
        (copy(&local, "'other'"), copy(&account, "'ADA-1'")),
        (copy(&new, "'other'"), copy(&account, "'ada-1 '")),
    ]
}

fn about_others(bench: &Bench, visit: &Visit) -> Twins {
    let session = bench.id(visit.session.id.0);
    let start = match bench.database.backend {
        Backend::Sqlite => "x'",
        Backend::Postgres => "'\\x",
    };
    let bytes = |count: usize| format!("{start}{}'", "07".repeat(count));
    let token = |count: usize, superseded: &str| {
        format!(
            "INSERT INTO refresh_tokens VALUES ({}, {session}, {superseded}); \
             DELETE FROM refresh_tokens WHERE superseded_at = 5",
            bytes(count)
        )
    };
    let key = |kid: &str, alg: &str, state: &str| {
        format!(
            "INSERT INTO signing_keys VALUES ('{kid}', '{alg}', '{state}', '{{}}', {}, 0, NULL)",
            bytes(1)
        )
    };
    let session_claims = |json: &str| format!("UPDATE sessions SET facts = '{json}'");
    let outcome = |word: &str| format!("UPDATE audit_events SET outcome = '{word}'");
    vec![
        (token(32, "NULL"), token(32, "5")),
        (token(31, "5"), token(32, "5")),
        (key("first", "ES256", "lost"), key("first", "ES256", "current")),
        (key("second", "ES256", "current"), key("second", "ES256", "next")),
        (key("first", "EdDSA", "current"), key("third", "EdDSA", "current")),
        (session_claims("{"), session_claims("{}")),
        (outcome("so-so"), outcome("failure")),
    ]
}
