//! The whole content of a database, to assert that nothing was written.

use std::collections::BTreeMap;

use super::{Backend, Database};

/// The tables that a failed login may write: the spent login and an audit event.
const MAY_CHANGE: [&str; 3] = ["spent_logins", "audit_events", "_sqlx_migrations"];

/// All rows of all tables except [`MAY_CHANGE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows(BTreeMap<String, Vec<String>>);

impl Database {
    pub async fn rows(&self) -> Rows {
        let mut all = BTreeMap::new();
        for table in self.tables().await {
            let sql = self.select(&table).await;
            all.insert(table, self.texts(&sql).await);
        }
        Rows(all)
    }

    /// All rows as text, with bytes as hexadecimal digits.
    pub async fn everything(&self) -> String {
        let mut lines = Vec::new();
        for table in self.all_tables().await {
            let sql = self.select(&table).await;
            lines.extend(self.texts(&sql).await.into_iter().map(|row| format!("{table}: {row}")));
        }
        lines.join("\n")
    }

    /// The names of all tables that a failed login must not change.
    async fn tables(&self) -> Vec<String> {
        let names = self.all_tables().await;
        assert!(MAY_CHANGE.iter().all(|table| names.iter().any(|name| name == table)), "{names:?}");
        names.into_iter().filter(|name| !MAY_CHANGE.contains(&name.as_str())).collect()
    }

    async fn all_tables(&self) -> Vec<String> {
        let sql = match self.backend {
            Backend::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                     ORDER BY 1"
            }
            Backend::Postgres => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' \
                     ORDER BY 1"
            }
        };
        self.texts(sql).await
    }

    async fn select(&self, table: &str) -> String {
        match self.backend {
            Backend::Sqlite => {
                let columns = self.texts(&format!("SELECT name FROM pragma_table_info('{table}')")).await;
                let quoted: Vec<_> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
                format!("SELECT {} FROM \"{table}\" ORDER BY 1", quoted.join(" || ' | ' || "))
            }
            Backend::Postgres => format!("SELECT t::text FROM \"{table}\" t ORDER BY 1"),
        }
    }
}

impl Rows {
    /// The differences to `now` as table and row, with `-` for a removed row and `+` for an added row.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (table, before) in &self.0 {
            let after = &now.0[table];
            let gone =
                before.iter().filter(|row| !after.contains(row)).map(|row| format!("- {table}: {row}"));
            let come =
                after.iter().filter(|row| !before.contains(row)).map(|row| format!("+ {table}: {row}"));
            changes.extend(gone.chain(come));
        }
        changes
    }

    /// Asserts that no row was written.
    #[track_caller]
    pub fn assert_same(&self, now: &Self) {
        let changes = self.changes(now);
        assert!(changes.is_empty(), "the database must not change, but did:\n{}", changes.join("\n"));
    }
}
