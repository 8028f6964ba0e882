//! The schema that this version expects, and whether a database has it.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::backend::{Backend, DbError, Step, query};
use crate::error::OpenError;
use crate::pool::Sql;
use crate::rows::Fields;
use crate::sql;

macro_rules! step {
    ($version:literal, $name:literal) => {
        Step {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }
    };
}

const STEPS: [Step; 3] =
    [step!(1, "0001_schema"), step!(2, "0002_additive_id_tokens"), step!(3, "0003_additive_break_glass")];

/// Whether an older version can still use a database with this migration, as in `0002_additive_notes`.
fn is_additive(name: &str) -> bool {
    name.split_once('_').is_some_and(|(_, what)| what.starts_with("additive_"))
}

fn migrator<DB: Backend>() -> Migrator {
    let migration = |step: &Step| {
        let sql = DB::script(step).into_sql_str();
        Migration::new(step.version, step.name.into(), MigrationType::Simple, sql, false)
    };
    let mut migrator = Migrator::with_migrations(STEPS.iter().map(migration).collect());
    // `pending` has already judged migrations that this version does not know.
    migrator.set_ignore_missing(true);
    migrator
}

impl<DB: Backend> Sql<DB> {
    /// Migrates the database to the schema of this version. Returns how many migrations ran.
    pub(crate) async fn migrate(&self) -> Result<usize, OpenError> {
        let pending = self.pending().await?;
        if pending > 0 {
            let migrated = DB::migrate(self.writer(), &migrator::<DB>()).await;
            migrated.map_err(|error| OpenError::Migration(Box::new(error)))?;
        }
        Ok(pending)
    }

    /// Returns how many migrations are missing.
    pub(crate) async fn pending(&self) -> Result<usize, OpenError> {
        let applied = self.applied().await.map_err(|error| OpenError::Unusable(Box::new(error)))?;
        let migrator = migrator::<DB>();
        for (version, name, checksum) in &applied {
            match migrator.iter().find(|known| known.version == *version) {
                Some(known) if known.checksum[..] == checksum[..] => {}
                Some(_) => return Err(OpenError::Altered(name.clone())),
                None if is_additive(name) => {}
                None => return Err(OpenError::Newer(name.clone())),
            }
        }
        Ok(migrator
            .iter()
            .filter(|known| applied.iter().all(|(version, ..)| *version != known.version))
            .count())
    }

    /// Version, name and checksum of the applied migrations.
    async fn applied(&self) -> Result<Vec<(i64, String, Vec<u8>)>, DbError> {
        let mut connection = self.read().await?;
        if !query::<DB>(&mut connection, DB::HAS_MIGRATIONS).execute().await? {
            return Ok(Vec::new());
        }
        let rows = query::<DB>(&mut connection, sql::MIGRATIONS).rows().await?;
        let applied = |row| {
            let fields = Fields::<DB>::new("migration", row);
            Ok((fields.get("version")?, fields.get("description")?, fields.get("checksum")?))
        };
        rows.iter().map(applied).collect()
    }

    /// Asks the database to check every statement against its schema.
    pub(crate) async fn verify(&self) -> Result<(), OpenError> {
        let unusable = |error: DbError| OpenError::Unusable(Box::new(error));
        let mut connection = self.read().await.map_err(unusable)?;
        for statement in sql::STATEMENTS {
            DB::prepare(&mut connection, statement).await.map_err(|error| unusable(error.into()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_script_is_a_step_and_steps_are_in_order() {
        for database in ["sqlite", "postgres"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(database);
            let files: BTreeSet<_> = folder
                .read_dir()
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let steps: BTreeSet<_> = STEPS.iter().map(|step| format!("{}.sql", step.name)).collect();
            assert_eq!(files, steps, "{database}");
        }
        for (step, version) in STEPS.iter().zip(1..) {
            assert_eq!(step.version, version);
            assert!(step.name.starts_with(&format!("{version:04}_")), "{}", step.name);
        }
    }

    #[test]
    fn only_a_marked_migration_is_additive() {
        for (name, additive) in [
            ("0002_additive_notes", true),
            ("0002_notes", false),
            ("0002_notes_additive_", false),
            ("0002_additive", false),
            ("additive_", false),
        ] {
            assert_eq!(is_additive(name), additive, "{name}");
        }
    }
}
