//! Finds retired words, that is, identifiers that the vocabulary of the project has replaced.
//!
//! Comments and literals are ignored. Words match as whole identifiers in exactly this spelling.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::{Token, code_only, files, tokens};

/// Words that are retired everywhere.
const WORDS: [&str; 66] = [
    "Acquainted",
    "Ask",
    "Asker",
    "Begins",
    "Begun",
    "Brought",
    "Discreet",
    "Estranged",
    "Facts",
    "Finish",
    "Frozen",
    "Held",
    "Lent",
    "Linked",
    "LogoutNotice",
    "Memory",
    "NewLink",
    "Parts",
    "Present",
    "Question",
    "Reflection",
    "Reply",
    "Settled",
    "Standing",
    "Started",
    "Trial",
    "Trouble",
    "UNSPEAKABLE",
    "Unclear",
    "Want",
    "Wish",
    "add_link",
    "arrival",
    "ask",
    "believe",
    "believed",
    "complain",
    "crowded_out",
    "deliver",
    "did",
    "doubted",
    "fit",
    "give",
    "glass",
    "go_on",
    "hear_logout",
    "hold",
    "kept",
    "learn",
    "look",
    "mark",
    "mirror",
    "moved",
    "people_become_strangers",
    "place",
    "places",
    "rivals",
    "sample",
    "say",
    "settle",
    "use_link",
    "welcome",
    "Otherwise",
    "Home",
    "estranged",
    "enter_by_link",
];

/// Words that are retired only in some folders or files, with the start of their paths.
const WORDS_WITHIN: [(&str, &[&str]); 5] = [
    ("Person", &["crates/core/src/", "crates/http/"]),
    ("Program", &["crates/http/"]),
    ("Row", &["crates/portico/src/settings"]),
    ("rest", &["crates/outbound/src/breaker"]),
    ("statement", &["crates/core/", "crates/oauth2/", "crates/outbound/"]),
];

/// Retired names of modules.
const MODULES: [&str; 1] = ["own"];

/// Names of types and functions that may have at most one definition.
const DEFINED_ONCE: [&str; 10] = [
    "Answers",
    "Callbacks",
    "Changes",
    "Grants",
    "Kind",
    "Sessions",
    "States",
    "Verdict",
    "chain",
    "is_loopback",
];

/// Retired names of constructors; methods with `self` may have these names.
const CONSTRUCTORS: [&str; 2] = ["of", "read"];

/// Exceptions: the start of a path, the permitted word, and the reason.
const EXCEPTIONS: [(&str, &str, &str); 6] = [
    ("crates/core/src/flow/login.rs", "Linked", "the result of a login that linked an identity"),
    ("crates/core/src/properties.rs", "sample", "a module of proptest"),
    ("crates/http/src/handlers/login.rs", "Linked", "the result of a login that linked an identity"),
    ("crates/oidc/src/discovery/tests.rs", "sample", "a module of proptest"),
    ("crates/oidc/src/verify/tests/properties.rs", "sample", "a module of proptest"),
    ("crates/portico/src/settings/tests/properties.rs", "sample", "a module of proptest"),
];

/// The uses of retired words below this folder of the repository, as `path:line:word`.
pub fn uses(root: &Path, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut definitions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files(&root.join(folder), "rs") {
        let source = std::fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root).unwrap().display().to_string();
        let tokens = tokens(&code_only(&source));
        for (at, token) in tokens.iter().enumerate() {
            let hit = format!("{path}:{}:{}", token.line, token.text);
            if EXCEPTIONS.iter().any(|(start, word, _)| path.starts_with(start) && token.text == *word) {
                continue;
            }
            if is_retired(&path, &tokens, at) {
                found.push(hit);
            } else if DEFINED_ONCE.contains(&token.text.as_str()) && is_defined(&tokens, at) {
                definitions.entry(token.text.clone()).or_default().push(hit);
            }
        }
    }
    found.extend(definitions.into_values().filter(|definitions| definitions.len() > 1).flatten());
    found
}

fn is_retired(path: &str, tokens: &[Token], at: usize) -> bool {
    let text = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |token| token.text.as_str());
    let (before, word, next) = (text(at.checked_sub(1)), text(Some(at)), text(Some(at + 1)));
    let within = |(other, places): &(&str, &[&str])| {
        *other == word && places.iter().any(|start| path.starts_with(start))
    };
    let is_constructor = before == "fn" && !is_method(tokens, at);
    WORDS.contains(&word)
        || WORDS_WITHIN.iter().any(within)
        || MODULES.contains(&word) && (before == "mod" || next == "::")
        || CONSTRUCTORS.contains(&word) && is_constructor
}

/// Whether the function with its name at this token has a `self` parameter.
fn is_method(tokens: &[Token], name: usize) -> bool {
    let Some(open) = (name..tokens.len()).find(|at| tokens[*at].text == "(") else { return false };
    tokens[open + 1..].iter().take(5).take_while(|token| token.text != ":").any(|token| token.text == "self")
}

fn is_defined(tokens: &[Token], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| tokens[before].text.as_str());
    matches!(before, Some("struct" | "enum" | "trait" | "type" | "fn"))
}

#[cfg(test)]
mod tests {
    use super::{is_retired, tokens};

    fn found(path: &str, code: &str) -> Vec<String> {
        let tokens = tokens(code);
        let retired = (0..tokens.len()).filter(|at| is_retired(path, &tokens, *at));
        retired.map(|at| tokens[at].text.clone()).collect()
    }

    #[test]
    fn whole_words_count_in_their_own_spelling() {
        assert_eq!(
            found("crates/x/src/a.rs", "let facts = Facts::asked(ask_for, asks, ask);"),
            ["Facts", "ask"]
        );
    }

    #[test]
    fn some_words_count_in_some_places() {
        assert_eq!(found("crates/http/src/a.rs", "Person"), ["Person"]);
        assert!(found("crates/demo-idp/src/a.rs", "Person").is_empty());
    }

    #[test]
    fn a_module_and_a_constructor_are_told_from_a_word_and_a_method() {
        assert_eq!(found("crates/x/src/a.rs", "mod own; own::f(); let own = 1;"), ["own", "own"]);
        assert_eq!(found("crates/x/src/a.rs", "fn of(x: X) {} fn read<R>(&mut self) {}"), ["of"]);
    }
}
