//! What the store promises, kept on SQLite and on PostgreSQL alike.
//!
//! Each promise gets an empty database of its own. The PostgreSQL half needs `PORTICO_TEST_POSTGRES_URL`, an address where
//! databases may be created. A store method that no promise called fails the suite.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests: a surprise is a failure"
)]

mod accounts;
mod bench;
mod break_glass;
mod changing;
mod database;
mod failures;
mod logouts;
mod opening;
mod people;
mod races;
mod recorded;
mod sessions;
mod settling;
mod upkeep;

use bench::Bench;
use database::Backend;
use recorded::Recorded;

/// Keeps these promises one after another, and sees that every method of the store was called.
macro_rules! promises {
    ($($module:ident: $($promise:ident),*;)*) => {
        async fn keep_all(backend: Backend) {
            let called = recorded::Called::default();
            $($(
                eprintln!("{backend:?}: {}", stringify!($promise));
                let bench = Bench::on(backend, &called).await;
                Box::pin($module::$promise(&bench)).await;
                bench.close().await;
            )*)*
            let missed = called.missed(Recorded::METHODS);
            assert!(missed.is_empty(), "no promise is about {missed:?}");
        }
    };
}

promises! {
    accounts:
        a_local_account_has_what_was_asked_for, a_taken_name_makes_no_account, names_are_exact_bytes,
        accounts_are_listed_by_what_is_known_of_them, an_account_is_found_with_its_identities,
        adoptable_accounts_are_counted, people_are_counted_by_how_they_came;
    settling:
        a_first_login_writes_everything, a_known_person_enters, a_login_without_an_email_keeps_the_last_one,
        only_an_active_account_is_entered, an_identity_that_moved_is_a_conflict, the_first_free_name_is_taken,
        a_known_identity_creates_nothing, m02_subjects_are_exact_bytes, a_local_account_is_adopted,
        adoption_ends_older_sessions, only_a_fit_account_is_adopted, a_replaced_session_ends,
        a_taken_identifier_is_a_conflict, whatever_a_provider_says_can_be_kept;
    sessions:
        a_login_is_spent_once, an_unknown_session_is_none, a_refresh_token_rotates,
        a_superseded_token_leads_to_the_current_one, only_a_live_session_rotates, a_token_belongs_to_its_session,
        a_session_is_revoked_once, live_sessions_are_listed, sessions_are_revoked_by_account_or_all;
    races:
        one_of_many_spends_wins, first_logins_of_one_identity_make_one_account,
        people_of_one_name_get_accounts_of_their_own, one_of_many_rotations_wins, a_local_account_is_adopted_once,
        a_revoked_session_does_not_rotate, one_of_many_first_keys_wins, one_of_many_local_accounts_gets_the_name,
        those_who_meet_in_one_account_do_not_fail, one_of_many_merges_wins;
    break_glass:
        a_link_begins_one_session, a_link_is_good_for_a_while_and_the_last_one_counts, only_an_active_account_has_a_link,
        one_of_many_who_have_a_link_gets_in;
    logouts:
        a_providers_session_ends_ours, a_persons_logout_ends_all_that_began_with_the_identity, a_notice_is_heard_once,
        a_hand_off_ends_with_the_providers_session, an_id_token_is_kept_as_long_as_its_session_is_live;
    upkeep:
        it_answers, one_key_signs_for_each_algorithm, an_event_is_kept_as_it_is, what_ended_is_forgotten_in_time,
        much_is_forgotten_in_batches, l07_old_events_are_forgotten_when_asked, events_are_listed_by_what_is_known_of_them,
        keys_of_one_second_are_in_the_order_of_their_lives, a_next_key_is_promoted_once,
        a_key_is_sealed_again_only_as_it_was_read,
        a_key_is_discarded_only_as_it_was_read;
    changing:
        a_disabled_account_is_out_at_once, a_deleted_account_keeps_its_identities_until_they_are_released,
        grants_are_given_and_taken, a_merge_moves_identities_and_grants, an_unfit_merge_moves_nothing,
        an_identity_is_unlinked_with_its_sessions, only_an_active_account_is_unlinked, of_two_unlinkings_at_once_one_is_refused,
        an_identity_is_linked_within_a_live_session, only_a_fit_session_links, a_link_and_a_login_of_one_identity_do_not_both_win,
        a_hand_off_is_taken_once, a_hand_off_of_a_disabled_account_begins_nothing, a_hand_off_ends_with_the_sessions,
        a_default_group_is_granted_at_a_first_login;
    failures:
        a_closed_store_is_unavailable, a_broken_table_is_unavailable, a_corrupt_row_is_named, the_tables_keep_their_promises;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite() {
    keep_all(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres() {
    if Backend::Postgres.is_here("contract::postgres") {
        keep_all(Backend::Postgres).await;
    }
}
