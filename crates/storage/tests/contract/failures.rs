//! Silence and nonsense are errors, never "not found"; and the tables refuse what must not be.

use portico_core::account::{AccountId, Decision, NamePolicy};
use portico_core::audit::AuditFilter;
use portico_core::clock::Entropy;
use portico_core::error::StoreError;
use portico_core::keys::{KeyState, StoredKey, TokenAlg};
use portico_core::provider::logout::{LogoutToken, Whose};
use portico_core::session::{Caller, Challenge, HandOff, NewBreakGlass, NewSession, RefreshToken, SessionId};
use portico_core::store::{
    AccountChange, AccountFilter, AccountRef, LoginCommit, Retention, Rotate, SessionFilter, SessionKind,
    SessionSelection, Store,
};
use portico_storage::Storage;

use crate::bench::{Bench, NOON, event, local};
use crate::database::Backend;
use crate::people::{Person, Visit, ada};

/// Asks everything; the errors by method.
async fn ask_everything(store: &dyn Store, visit: &Visit) -> Vec<(&'static str, Option<StoreError>)> {
    let identity = visit.claims.identity();
    let decision = Decision::Create(vec!["Somebody".to_owned()]);
    let commit = LoginCommit {
        decision: &decision,
        new_account: visit.new_account,
        new_identity: visit.new_identity,
        claims: &visit.claims,
        label: None,
        session_kind: SessionKind::Session(&visit.session),
        browser: None,
        policy: &visit.policy,
        default_group: None,
        caller: &visit.session.caller,
        now: NOON,
    };
    let token = visit.token.hash();
    let next = RefreshToken::first(Entropy).hash();
    let rotate = Rotate { presented: token, session: visit.session.id, next, now: NOON };
    let key = StoredKey {
        kid: "kid".to_owned(),
        alg: TokenAlg::ES256,
        state: KeyState::Current,
        public_jwk: "{}".to_owned(),
        sealed: Vec::new(),
        created_at: NOON,
        retires_at: None,
    };
    let filter = AccountFilter { limit: 1, ..AccountFilter::default() };
    let mut asked = vec![
        ("ping", store.ping().await.err()),
        ("spend_login", store.spend_login(&[9; 32], NOON).await.err()),
        ("find_candidates", store.find_candidates(identity, Some("Ada")).await.err()),
        ("settle", store.commit_login(&commit).await.err()),
        ("find_session", store.find_session(visit.session.id).await.err()),
        ("find_refresh", store.find_refresh(&token).await.err()),
        ("rotate_refresh", store.rotate_refresh(&rotate).await.err()),
        (
            "revoke_sessions",
            store
                .revoke_sessions(SessionSelection::One(visit.session.id), &event("logout", NOON))
                .await
                .err(),
        ),
        (
            "create_account",
            store.create_account(&local("Bo", &["x"]), &event("account_created", NOON)).await.err(),
        ),
        ("list_accounts", store.list_accounts(&filter).await.err()),
        ("find_account", store.find_account(&AccountRef::Name("Ada".to_owned())).await.err()),
        ("count_identities", store.count_identities().await.err()),
        ("count_adoptable", store.count_adoptable(&NamePolicy::default()).await.err()),
        ("list_keys", store.list_keys().await.err()),
        ("add_key", store.add_key(&key).await.err()),
        ("record", store.record(&event("logout", NOON)).await.err()),
        ("sweep", store.sweep(&Retention { audit_before: Some(NOON), now: NOON }).await.err()),
    ];
    asked.extend(ask_for_changes(store, visit).await);
    asked
}

/// The same for what operators and owners do.
async fn ask_for_changes(store: &dyn Store, visit: &Visit) -> Vec<(&'static str, Option<StoreError>)> {
    let (account, session) = (visit.new_account, visit.session.id);
    let handoff = HandOff {
        account,
        identity: visit.new_identity,
        slot: visit.claims.slot(),
        session_claims: visit.claims.session_claims().clone(),
        challenge: Challenge([0; 16]),
        id_token: None,
        created_at: NOON,
        expires_at: NOON,
    };
    let begun = NewSession {
        id: SessionId(Entropy.id(NOON)),
        refresh: RefreshToken::first(Entropy).hash(),
        ..visit.session.clone()
    };
    let sessions = SessionFilter { account: None, used_since: NOON, now: NOON, after: None, limit: 1 };
    let done = event("account_disabled", NOON);
    let next = RefreshToken::first(Entropy).hash();
    let whose = Whose::Session { issuer: "i".to_owned(), sid: "s".to_owned() };
    let code = NewBreakGlass { code: next, account, expires_at: NOON };
    let logout_token = LogoutToken { whose, once: [0; 32], forget_at: NOON };
    vec![
        ("take_handoff", store.take_handoff(&next).await.err()),
        ("begin_session", store.begin_session(&handoff, &begun).await.err()),
        ("add_link", store.create_break_glass(&code, &event("break_glass_issued", NOON)).await.err()),
        ("use_link", store.redeem_break_glass(&next, &begun, &event("break_glass_used", NOON)).await.err()),
        ("find_id_token", store.find_id_token(session).await.err()),
        ("hear_logout", store.backchannel_logout(&logout_token, &Caller::default(), NOON).await.err()),
        ("list_sessions", store.list_sessions(&sessions).await.err()),
        ("change_account", store.change_account(account, &AccountChange::Disable, &done).await.err()),
        ("merge_accounts", store.merge_accounts(account, account, &done).await.err()),
        ("unlink_identity", store.unlink_identity(account, session.0, &done).await.err()),
        ("promote_key", store.promote_key("nobody", NOON, &done).await.err()),
        ("reseal_key", store.reseal_key("nobody", b"", b"").await.err()),
        ("discard_key", store.discard_key("nobody", b"", &done).await.err()),
        ("list_events", store.list_events(&AuditFilter { limit: 1, ..AuditFilter::default() }).await.err()),
    ]
}

pub async fn a_closed_store_is_unavailable(bench: &Bench) {
    let storage = Storage::open(&bench.database.url).await.unwrap();
    let store = storage.store();
    let asked = ask_everything(&*store, &Visit::creating(&ada(), &[])).await;
    assert!(asked.iter().all(|(_, error)| error.is_none()), "{asked:?}");
    storage.close().await;
    let before = bench.rows().await;
    for (method, error) in ask_everything(&*store, &Visit::creating(&Person::new("new"), &[])).await {
        assert!(matches!(error, Some(StoreError::Unavailable(_))), "{method}: {error:?}");
    }
    assert_eq!(bench.rows().await, before);
}

pub async fn a_broken_table_is_unavailable(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let renames: Vec<_> = [
        "accounts",
        "account_roles",
        "break_glass",
        "hand_offs",
        "identities",
        "sessions",
        "refresh_tokens",
        "spent_logins",
        "signing_keys",
        "audit_events",
    ]
    .map(|table| format!("ALTER TABLE {table} RENAME TO lost_{table};"))
    .into();
    bench.database.execute(&renames.concat()).await.unwrap();
    for (method, error) in ask_everything(&*bench.store, &visit).await {
        assert!(matches!(error, Some(StoreError::Unavailable(_))), "{method}: {error:?}");
    }
}

pub async fn a_corrupt_row_is_named(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let session = async || bench.store.find_session(visit.session.id).await;
    let identities = async || bench.store.find_account(&AccountRef::Id(visit.new_account)).await;
    assert!(session().await.is_ok() && identities().await.is_ok());
    for session_claims in [r#"{"groups":7}"#, "[1]", "7"] {
        bench.database.execute(&format!("UPDATE sessions SET facts = '{session_claims}'")).await.unwrap();
        let error = session().await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { row: "session", .. }), "{session_claims}: {error}");
    }
    bench.database.execute("UPDATE sessions SET facts = '{}', slot = 'saml/google'").await.unwrap();
    assert!(matches!(session().await.unwrap_err(), StoreError::Corrupt { row: "session", .. }));
    bench.database.execute("UPDATE identities SET subject = ' '").await.unwrap();
    assert!(matches!(identities().await.unwrap_err(), StoreError::Corrupt { row: "identity", .. }));
    let key = "INSERT INTO signing_keys (kid, alg, state, public_jwk, sealed, created_at) \
        SELECT 'kid', 'HS256', 'next', '{}', hash, 0 FROM refresh_tokens";
    bench.database.execute(key).await.unwrap();
    let error = bench.store.list_keys().await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { row: "signing key", .. }), "{error}");
}

/// Statements that no version of Portico runs, each with one that is fine.
pub async fn the_tables_keep_their_promises(bench: &Bench) {
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
            "INSERT INTO identities SELECT {new}, {account}, protocol, issuer, {subject}, slot, client_id, email, \
             linked_at, last_login_at FROM identities LIMIT 1; DELETE FROM identities WHERE id = {new}"
        )
    };
    let give = |account: &str| format!("UPDATE identities SET account_id = {account}");
    vec![
        (give(&local), give(&account)),
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
