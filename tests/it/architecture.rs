//! The rules of `docs/architecture.md` and the limits of CONTRIBUTING.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

mod circles;
mod lengths;
mod source;
mod vocabulary;

use lengths::{Limits, MOST_FUNCTION_LINES};
use source::files;

/// The crates of the workspace that each crate may depend on.
const ARROWS: [(&str, &[&str]); 9] = [
    ("portico-core", &[]),
    ("portico-outbound", &["portico-core"]),
    ("portico-oauth2", &["portico-core", "portico-outbound"]),
    ("portico-oidc", &["portico-core", "portico-oauth2", "portico-outbound"]),
    ("portico-storage", &["portico-core"]),
    ("portico-http", &["portico-core"]),
    ("portico-demo-idp", &[]),
    (
        "portico",
        &[
            "portico-core",
            "portico-demo-idp",
            "portico-http",
            "portico-oauth2",
            "portico-oidc",
            "portico-outbound",
            "portico-storage",
        ],
    ),
    ("portico-tests", &[]),
];

/// The crates of the workspace that may depend on a third-party crate.
const HOMES: [(&str, &[&str]); 8] = [
    ("sqlx", &["portico-storage"]),
    ("actix-web", &["portico", "portico-demo-idp", "portico-http"]),
    ("reqwest", &["portico-outbound"]),
    ("rustls-webpki", &["portico-outbound"]),
    ("oauth2", &["portico-oauth2"]),
    ("openidconnect", &["portico-oidc"]),
    ("config", &["portico"]),
    ("clap", &["portico"]),
];

/// The crates whose modules must not import each other in a circle.
const WITHOUT_CIRCLES: [&str; 8] =
    ["core", "demo-idp", "http", "oauth2", "oidc", "outbound", "portico", "storage"];

/// The folders that must not contain retired words (see [`vocabulary`]).
const IN_THE_FIELDS_WORDS: [&str; 1] = ["crates"];

/// The limits of CONTRIBUTING.
const LIMITS: Limits = Limits { function: MOST_FUNCTION_LINES, file: 400, columns: 110, markdown: 100 };

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The packages of the workspace, each with its normal dependencies.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let built_from = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (text(&package["name"]), built_from(package))).collect()
}

#[test]
fn each_crate_knows_only_what_the_picture_shows() {
    let packages = packages();
    let drawn: BTreeMap<_, _> = ARROWS.into_iter().collect();
    assert_eq!(
        packages.keys().map(String::as_str).collect::<Vec<_>>(),
        drawn.keys().copied().collect::<Vec<_>>()
    );
    for (package, built_from) in &packages {
        let ours = built_from.iter().filter(|name| drawn.contains_key(name.as_str()));
        for other in ours {
            assert!(
                drawn[package.as_str()].contains(&other.as_str()),
                "{package} must not depend on {other}"
            );
        }
    }
}

#[test]
fn foreign_crates_stay_in_their_homes() {
    for (package, built_from) in packages() {
        for (foreign, homes) in HOMES {
            let allowed = homes.contains(&package.as_str()) || !built_from.contains(foreign);
            assert!(allowed, "{package} must not depend on {foreign}");
        }
    }
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |database: &str| {
        let all = files(&root().join("migrations").join(database), "sql");
        all.iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert!(!names("sqlite").is_empty());
}

#[test]
fn no_two_modules_import_each_other() {
    let mut problems = Vec::new();
    for name in WITHOUT_CIRCLES {
        let modules = circles::Modules::read(&root().join("crates").join(name).join("src"));
        problems
            .extend(modules.circles().into_iter().map(|circle| format!("{name}:\n{}", circle.join("\n"))));
    }
    assert!(problems.is_empty(), "modules import each other:\n\n{}", problems.join("\n\n"));
}

#[test]
fn code_uses_the_words_of_the_field() {
    let uses: Vec<_> =
        IN_THE_FIELDS_WORDS.into_iter().flat_map(|folder| vocabulary::uses(root(), folder)).collect();
    assert!(uses.is_empty(), "{} uses of retired words:\n{}", uses.len(), uses.join("\n"));
}

#[test]
fn functions_files_and_lines_stay_short() {
    let problems = lengths::too_long(root(), &["crates", "tests"], &["."], LIMITS);
    assert!(
        problems.is_empty(),
        "{} functions, files or lines are too long:\n{}",
        problems.len(),
        problems.join("\n")
    );
    if LIMITS.function == lengths::MOST_FUNCTION_LINES {
        let clippy = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
        let rule = format!("too-many-lines-threshold = {}\n", lengths::MOST_FUNCTION_LINES);
        assert!(clippy.contains(&rule), "clippy.toml has another limit for functions");
    }
}

#[test]
fn files_stay_small_and_finished() {
    let mut problems = Vec::new();
    for path in files(&root().join("crates"), "rs").into_iter().chain(files(&root().join("tests/it"), "rs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root()).unwrap().display().to_string();
        for word in ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("] {
            if text.contains(word) && !path.ends_with("architecture.rs") {
                problems.push(format!("{path} has {word}"));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}
