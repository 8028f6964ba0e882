//! The search.

use super::Reach;
use super::story::{SLOTS, Scene};
use crate::testkit::{Backend, on_both_databases};

on_both_databases!(h09_l08_m25_no_secret_is_ever_written_anywhere);

async fn h09_l08_m25_no_secret_is_ever_written_anywhere(backend: Backend) {
    let mut scene = Scene::set(backend).await;
    scene.what_works().await;
    scene.what_fails().await;
    scene.what_the_store_does().await;
    let said = scene.what_the_operator_does();
    let dump = scene.database.everything().await;
    let answers = scene.answers().to_vec();
    let files = scene.service.files();
    let Scene { canaries, service, .. } = scene;
    let (code, log) = service.terminate();
    assert_eq!(code, 0);
    // Something was marked, and something was said.
    assert!(canaries.count(Reach::Provider) > 100 && canaries.count(Reach::Browser) > 100, "{canaries:?}");
    assert!(answers.iter().filter(|answer| answer.status >= 400).count() > 60);
    for words in
        ["pooling idle connection", "INSERT INTO", "a login was refused", "a request failed", "TRACE"]
    {
        assert!(log.contains(words), "{words} is in the log");
    }
    assert!(SLOTS.iter().all(|slot| log.contains(slot)));
    assert!(dump.contains("canary.mail.1@private.example"), "the search finds what is there");
    canaries.are_not_in_log(&log);
    canaries.are_not_in_answers(&answers);
    canaries.are_not_in_tables(&dump);
    // SQLite's own files, with what was overwritten.
    let of_sqlite = |path: &std::path::Path| path.to_string_lossy().contains("portico.db");
    for (path, content) in files.into_iter().filter(|(path, _)| of_sqlite(path)) {
        let text = format!("{}\n{}", String::from_utf8_lossy(&content), hex::encode(&content));
        canaries.are_not_in(&path.display().to_string(), &text, &[Reach::Provider, Reach::Browser]);
    }
    for (command, stdout, stderr) in said {
        canaries.are_not_in(&command, &stdout, &[Reach::Provider, Reach::Browser]);
        canaries.are_not_in(&command, &stderr, &[Reach::Provider, Reach::Browser]);
    }
}
