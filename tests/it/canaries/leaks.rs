//! H09, L08, M25: the search for marked values after the whole scenario.

use super::Reach;
use super::story::{SLOTS, Scene};
use crate::testkit::{Backend, on_both_databases};

on_both_databases!(h09_l08_m25_no_secret_is_ever_written_anywhere);

async fn h09_l08_m25_no_secret_is_ever_written_anywhere(backend: Backend) {
    let mut scene = Scene::new(backend).await;
    scene.successful_requests().await;
    scene.failing_logins().await;
    scene.store_failures().await;
    let outputs = scene.operator_commands();
    let dump = scene.database.everything().await;
    let answers = scene.answers().to_vec();
    let files = scene.service.files();
    let Scene { canaries, service, .. } = scene;
    let (code, log) = service.terminate();
    assert_eq!(code, 0);
    // Without marks, refusals and log lines, the search would prove nothing.
    assert!(canaries.count(Reach::Provider) > 100 && canaries.count(Reach::Browser) > 100, "{canaries:?}");
    assert!(answers.iter().filter(|answer| answer.status >= 400).count() > 60);
    for words in
        ["pooling idle connection", "INSERT INTO", "a login was refused", "a request failed", "TRACE"]
    {
        assert!(log.contains(words), "the log has {words}");
    }
    assert!(SLOTS.iter().all(|slot| log.contains(slot)));
    assert!(dump.contains("canary.mail.1@private.example"), "the dump has a value that may be there");
    canaries.are_not_in_log(&log);
    canaries.are_not_in_answers(&answers);
    canaries.are_not_in_tables(&dump);
    // SQLite's files may still have overwritten values.
    let of_sqlite = |path: &std::path::Path| path.to_string_lossy().contains("portico.db");
    for (path, content) in files.into_iter().filter(|(path, _)| of_sqlite(path)) {
        let text = format!("{}\n{}", String::from_utf8_lossy(&content), hex::encode(&content));
        canaries.are_not_in(&path.display().to_string(), &text, &[Reach::Provider, Reach::Browser]);
    }
    for (command, stdout, stderr) in outputs {
        canaries.are_not_in(&command, &stdout, &[Reach::Provider, Reach::Browser]);
        canaries.are_not_in(&command, &stderr, &[Reach::Provider, Reach::Browser]);
    }
}
