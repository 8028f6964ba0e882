//! L08: log targets that no directive can switch on.

use crate::testkit::{Backend, Program};

/// `sqlx` would log the lines of a password file and unknown URL parameters at these levels.
#[tokio::test]
async fn h09_l08_no_directive_brings_out_what_a_dependency_would_tell() {
    if !Backend::Postgres.is_here("canaries::log") {
        return;
    }
    for level in [
        "info",
        "trace",
        "off,sqlx=trace,sqlx_postgres::options::parse=trace,sqlx_postgres::options::pgpass=trace",
    ] {
        let database = Backend::Postgres.fresh().await;
        let folder = tempfile::tempdir().unwrap();
        let passwords = folder.path().join("pgpass");
        std::fs::write(&passwords, "canary-line-of-a-password-file\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&passwords, mode).unwrap();
        let program = Program::configured()
            .set("PGPASSFILE", passwords.to_str().unwrap())
            .set("PORTICO_STORAGE_URL", &format!("{}?passwd=canary-password-by-another-name", database.url))
            .set("PORTICO_LOG_FORMAT", "json")
            .set("PORTICO_LOG_LEVEL", level);
        let (code, log) = program.serve().await.terminate();
        assert_eq!(code, 0);
        assert!(!log.contains("canary"), "{level}: {log}");
        assert!(!log.contains("sqlx_postgres::options"), "{level}: {log}");
        // Portico warns of the ignored parameter, and the other targets of the dependency stay available.
        assert_eq!(
            log.contains("the storage URL has a parameter that is not known"),
            !level.starts_with("off"),
            "{log}"
        );
        assert_eq!(log.contains("\"target\":\"sqlx"), level != "info", "{level}: {log}");
    }
}
