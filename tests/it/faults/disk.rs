//! SQLite on a full disk.

use portico_demo_idp::Person;

use super::{SLOT, assert_whole, program};

#[tokio::test]
async fn h28_on_a_full_disk_sqlite_refuses_and_goes_on_when_there_is_room() {
    let (program, idp) = program(|program| program.set("PORTICO_LOG_LEVEL", "error"));
    // The limit on file sizes makes a write fail as on a full disk.
    let service = program.serve_with_files_up_to(700).await;
    let mut refused = 0;
    let mut person = 0;
    while refused < 3 {
        assert!(person < 2000, "the file size limit was not reached");
        let name = format!("person-{person}");
        person += 1;
        idp.oidc("provider1").unwrap().set_person(Person::new(&*name, &*name));
        let answer = service.browser().try_to_log_in(SLOT, &name).await;
        if answer.status != 303 {
            answer.refused(503, "unavailable");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            refused += 1;
        }
    }
    assert!(person > 5, "logins succeed before the limit");
    let program = service.stop();
    assert_whole(&program.sqlite()).await;
    let service = program.serve().await;
    service.browser().log_in(SLOT, "person-0").await;
    service.browser().log_in(SLOT, &format!("person-{}", person - 1)).await;
    assert_whole(&service.program.sqlite()).await;
}
