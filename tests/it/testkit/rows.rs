//! Everything a database holds, to see that nothing was written.

use std::collections::BTreeMap;

use super::{Backend, Database};

/// What a failed login may write: the mark that it is spent, and an audit event.
const MAY_CHANGE: [&str; 3] = ["spent_logins", "audit_events", "_sqlx_migrations"];

/// All rows of all tables but those.
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

    /// A dump: every row of every table, bytes as hexadecimal digits.
    pub async fn everything(&self) -> String {
        let mut lines = Vec::new();
        for table in self.all_tables().await {
            let sql = self.select(&table).await;
            lines.extend(self.texts(&sql).await.into_iter().map(|row| format!("{table}: {row}")));
        }
        lines.join("\n")
    }

    /// The names of all tables that say something.
    async fn tables(&self) -> Vec<String> {
        let names = self.all_tables().await;
        assert!(MAY_CHANGE.iter().all(|table| names.iter().any(|name| name == table)), "{names:?}");
        names.into_iter().filter(|name| !MAY_CHANGE.contains(&name.as_str())).collect()
    }

    async fn all_tables(&self) -> Vec<String> {
        self.texts(match self.backend {
                Backend::Sqlite => {
                    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
                }
                Backend::Postgres => {
                    "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
                }
            })
            .await
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
    /// What is different now: table and row, `-` before what went and `+` before what came.
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

    /// Nothing was written.
    #[track_caller]
    pub fn assert_same(&self, now: &Self) {
        let changes = self.changes(now);
        assert!(changes.is_empty(), "nothing may be written, but:\n{}", changes.join("\n"));
    }
}
