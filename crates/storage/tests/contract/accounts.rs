//! Accounts as an operator creates and lists them.

use portico_core::account::{AccountId, AccountStatus, NamePolicy};
use portico_core::claims::Email;
use portico_core::clock::Entropy;
use portico_core::store::{AccountFilter, AccountRef};

use crate::bench::{Bench, NOON, event, local, on_bench};
use crate::people::{Person, Visit, ada};

on_both_databases!(
    on_bench;
    a_local_account_has_what_was_asked_for,
    a_taken_name_makes_no_account,
    names_are_exact_bytes,
    accounts_are_listed_by_what_is_known_of_them,
    an_account_is_found_with_its_identities,
    adoptable_accounts_are_counted,
    people_are_counted_by_how_they_came,
);

fn all() -> AccountFilter {
    AccountFilter { limit: 1000, ..AccountFilter::default() }
}

async fn a_local_account_has_what_was_asked_for(bench: &Bench) {
    let asked = local("Ada", &["editor", "admin", "editor"]);
    let made = bench.store.create_account(&asked, &event("account_created", NOON)).await.unwrap().unwrap();
    assert_eq!((made.id, made.name.as_str(), made.label.as_str()), (asked.id, "Ada", "Ada's label"));
    assert_eq!(made.email, Some(Email { address: "local@example.com".to_owned(), verified: None }));
    assert_eq!(made.status, AccountStatus::Active);
    assert_eq!(made.roles, ["admin", "editor"]);
    assert!(made.groups.is_empty() && !made.ever_linked);
    assert_eq!((made.created_at, made.last_login_at), (NOON, None));
    assert_eq!(bench.account(asked.id).await, made);
    assert_eq!(bench.database.events().await, ["account_created"]);
}

async fn a_taken_name_makes_no_account(bench: &Bench) {
    bench.local("Ada", &["editor"]).await;
    let before = bench.rows().await;
    let again =
        bench.store.create_account(&local("Ada", &["admin"]), &event("account_created", NOON)).await.unwrap();
    assert!(again.is_none());
    assert_eq!(bench.rows().await, before);
}

async fn names_are_exact_bytes(bench: &Bench) {
    let names = [
        "Zo\u{e9}",
        "Zoe\u{301}",
        "Zoe",
        "zoe",
        "ZOE",
        "Zoe ",
        " Zoe",
        "Zoe\u{200b}",
        "Zo\u{435}",
        "\u{1f980}",
        "%",
        "'",
    ];
    let mut ids = Vec::new();
    for name in names {
        ids.push(bench.local(name, &[]).await);
    }
    for (name, id) in names.into_iter().zip(ids) {
        let (found, _) = bench.store.find_account(&AccountRef::Name(name.to_owned())).await.unwrap().unwrap();
        assert_eq!((found.id, found.name.as_str()), (id, name));
        let identity = ada().claims().identity().clone();
        let candidates = bench.store.find_candidates(&identity, Some(name)).await.unwrap();
        assert_eq!(candidates.by_name.map(|account| account.id), Some(id), "{name:?}");
        assert_eq!(candidates.by_identity, None);
    }
}

async fn accounts_are_listed_by_what_is_known_of_them(bench: &Bench) {
    let first = bench.local("first", &["editor"]).await;
    let second = bench.local("second", &["admin", "editor"]).await;
    let third = bench.local("third", &[]).await;
    bench.set_status(third, AccountStatus::Disabled).await;
    let mut in_order = vec![first, second, third];
    in_order.sort();
    let listed = async |filter: AccountFilter| -> Vec<AccountId> {
        bench.store.list_accounts(&filter).await.unwrap().iter().map(|account| account.id).collect()
    };
    assert_eq!(listed(all()).await, in_order);
    assert_eq!(listed(AccountFilter { limit: 2, ..all() }).await, in_order[..2]);
    assert_eq!(listed(AccountFilter { limit: 0, ..all() }).await, []);
    assert_eq!(listed(AccountFilter { after: Some(in_order[0]), ..all() }).await, in_order[1..]);
    assert_eq!(listed(AccountFilter { after: Some(in_order[2]), ..all() }).await, []);
    assert_eq!(listed(AccountFilter { status: Some(AccountStatus::Disabled), ..all() }).await, [third]);
    assert_eq!(listed(AccountFilter { status: Some(AccountStatus::Deleted), ..all() }).await, []);
    assert_eq!(listed(AccountFilter { name: Some("second".to_owned()), ..all() }).await, [second]);
    assert_eq!(listed(AccountFilter { name: Some("Second".to_owned()), ..all() }).await, []);
    assert_eq!(listed(AccountFilter { role: Some("admin".to_owned()), ..all() }).await, [second]);
    let both =
        AccountFilter { role: Some("editor".to_owned()), status: Some(AccountStatus::Active), ..all() };
    assert_eq!(listed(both).await.len(), 2);
}

async fn an_account_is_found_with_its_identities(bench: &Bench) {
    let visit = bench.newcomer(ada()).await;
    let by_name = bench.store.find_account(&AccountRef::Name("Ada".to_owned())).await.unwrap().unwrap();
    let by_id = bench.store.find_account(&AccountRef::Id(visit.new_account)).await.unwrap().unwrap();
    assert_eq!(by_name, by_id);
    let (account, identities) = by_id;
    assert_eq!(account.id, visit.new_account);
    let [identity] = &identities[..] else { panic!("{identities:?}") };
    assert_eq!((identity.id, &identity.key), (visit.new_identity, visit.claims.identity()));
    assert_eq!((identity.slot, identity.email.as_deref()), (visit.claims.slot(), Some("ada@example.com")));
    assert_eq!((identity.linked_at, identity.last_login_at), (NOON, NOON));
    for unknown in [AccountRef::Name("ada".to_owned()), AccountRef::Id(AccountId(Entropy.id(NOON)))] {
        assert_eq!(bench.store.find_account(&unknown).await.unwrap(), None);
    }
}

async fn adoptable_accounts_are_counted(bench: &Bench) {
    let policy = NamePolicy { reserved: vec!["root".to_owned()], privileged_roles: vec!["admin".to_owned()] };
    bench.newcomer(ada()).await;
    assert_eq!(bench.store.count_adoptable(&policy).await.unwrap(), 0);
    bench.local("one", &["editor"]).await;
    bench.local("two", &[]).await;
    assert_eq!(bench.store.count_adoptable(&policy).await.unwrap(), 2);
    bench.local("boss", &["editor", "admin"]).await;
    bench.local("ROOT", &[]).await;
    let disabled = bench.local("disabled", &[]).await;
    bench.set_status(disabled, AccountStatus::Disabled).await;
    assert_eq!(bench.store.count_adoptable(&policy).await.unwrap(), 2);
    assert_eq!(bench.store.count_adoptable(&NamePolicy::default()).await.unwrap(), 4);
}

async fn people_are_counted_by_how_they_came(bench: &Bench) {
    assert_eq!(bench.store.count_identities().await.unwrap(), []);
    for sub in ["ada-1", "bruno-2"] {
        Visit::creating(&Person::new(sub), &[sub]).succeeds(&*bench.store).await;
    }
    let counted = bench.store.count_identities().await.unwrap();
    let [group] = &counted[..] else { panic!("{counted:?}") };
    assert_eq!((group.slot.to_string().as_str(), group.count), ("oidc/provider1", 2));
    assert_eq!((group.issuer.as_str(), group.client_id.as_str()), ("https://idp.example.com", "client"));
}
