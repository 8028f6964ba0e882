//! `portico accounts import`: creates local accounts from a file. All rows are checked before any is written.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use portico_core::store::{AdminStore, LocalAccount};
use serde::Deserialize;
use serde_json::json;

use super::local::{create, new_local_account};
use crate::failure::Failure;
use crate::output::print_out;

#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// A `.csv` file with the header `name,label,email,roles` (roles separated by blanks; only the name is
    /// required), or a `.json` file with a list of objects with these members (roles is a list)
    file: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountRow {
    name: String,
    label: Option<String>,
    email: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CsvRow {
    name: String,
    label: Option<String>,
    email: Option<String>,
    roles: Option<String>,
}

impl From<CsvRow> for AccountRow {
    fn from(row: CsvRow) -> Self {
        let roles = row.roles.unwrap_or_default();
        let roles = roles.split_ascii_whitespace().map(str::to_owned).collect();
        Self { name: row.name, label: row.label, email: row.email, roles }
    }
}

impl Import {
    pub(super) async fn run(self, store: &dyn AdminStore) -> Result<(), Failure> {
        let accounts = check_rows(read_rows(&self.file)?)?;
        let mut progress = Progress::new(accounts.len());
        let mut skipped = Vec::new();
        for account in &accounts {
            if create(store, account).await?.is_none() {
                skipped.push(account.name.clone());
            }
            progress.step();
        }
        progress.end();
        let created = accounts.len() - skipped.len();
        if self.json {
            print_out(&json!({ "created": created, "skipped": skipped }).to_string());
            return Ok(());
        }
        print_out(&format!(
            "{created} accounts created, {} skipped because the name exists already",
            skipped.len()
        ));
        for name in &skipped {
            print_out(&format!("skipped  {name}"));
        }
        Ok(())
    }
}

fn read_rows(path: &Path) -> Result<Vec<AccountRow>, Failure> {
    let failed = |what: String| Failure::Failed(format!("{}: {what}", path.display()));
    let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
    match kind {
        "csv" => {
            let mut reader = csv::ReaderBuilder::new()
                .trim(csv::Trim::All)
                .from_path(path)
                .map_err(|e| failed(e.to_string()))?;
            let rows = reader.deserialize::<CsvRow>().map(|row| row.map(AccountRow::from));
            rows.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))
        }
        "json" => {
            let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
        }
        _ => Err(failed("the name must end with .csv or .json".to_owned())),
    }
}

/// The accounts of all rows, or one line for each mistake.
fn check_rows(rows: Vec<AccountRow>) -> Result<Vec<LocalAccount>, Failure> {
    let mut names = std::collections::HashSet::new();
    let mut mistakes = Vec::new();
    let mut accounts = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let mut mistake = |what: String| mistakes.push(format!("portico: row {}: {what}", index + 1));
        if !names.insert(row.name.clone()) {
            mistake(format!("the name {:?} is in the file twice", row.name));
        }
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        match new_local_account(&row.name, filled(row.label), filled(row.email), row.roles) {
            Ok(account) => accounts.push(account),
            Err(what) => mistake(what),
        }
    }
    if mistakes.is_empty() { Ok(accounts) } else { Err(Failure::Lines(mistakes)) }
}

/// The progress on standard error, if that is a terminal.
struct Progress {
    total: usize,
    done: usize,
    shown: bool,
}

impl Progress {
    /// Rows between two updates.
    const STRIDE: usize = 50;

    fn new(total: usize) -> Self {
        Self { total, done: 0, shown: std::io::stderr().is_terminal() }
    }

    fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(Self::STRIDE) {
            self.show("");
        }
    }

    fn end(&self) {
        if self.total >= Self::STRIDE {
            self.show("\n");
        }
    }

    #[expect(clippy::print_stderr, reason = "the command line answers the operator on standard error")]
    fn show(&self, end: &str) {
        if self.shown {
            eprint!("\r{} of {} accounts{end}", self.done, self.total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn both_forms_say_the_same() {
        let (_csv, csv) =
            write("a.csv", "name,label,email,roles\nAda,\"Ada, A.\",ada@x.example,editor admin\nBob,,,\n");
        let json = r#"[{"name": "Ada", "label": "Ada, A.", "email": "ada@x.example",
                        "roles": ["editor", "admin"]}, {"name": "Bob"}]"#;
        let (_json, json) = write("a.json", json);
        for path in [csv, json] {
            let accounts = check_rows(read_rows(&path).unwrap()).unwrap();
            let first = accounts.first().unwrap();
            assert_eq!((first.name.as_str(), first.label.as_str()), ("Ada", "Ada, A."));
            assert_eq!(first.roles, ["editor", "admin"]);
            let second = accounts.get(1).unwrap();
            assert_eq!((second.label.as_str(), &second.email, second.roles.len()), ("Bob", &None, 0));
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_row() {
        let (_folder, path) = write("a.csv", "name,email\nAda,\nAda,\n,\nBob,no-address\n");
        let Err(Failure::Lines(lines)) = check_rows(read_rows(&path).unwrap()) else {
            panic!("it is refused")
        };
        let rows: Vec<_> = lines.iter().filter_map(|line| line.split(": ").nth(1)).collect();
        assert_eq!(rows, ["row 2", "row 3", "row 4"]);
        for (name, text) in [
            ("a.csv", "label\nx\n"),
            ("a.json", "{}"),
            ("a.txt", ""),
            ("a.json", r#"[{"name": "A", "sub": 1}]"#),
        ] {
            let (_folder, path) = write(name, text);
            assert!(read_rows(&path).is_err(), "{text}");
        }
    }
}
