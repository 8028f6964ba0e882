//! Finds modules of one crate that import each other, directly or through other modules.
//!
//! Each file is one module; the file of a parent module is separate from its children. A module imports
//! another module if a `use` line or a path in its code refers to it: `crate::…`, `super::…`, or the name
//! of a child. `mod child;` and a re-export (`pub use child::X`) are not imports.
//!
//! A path through a re-export refers to the module that defines the item. A child that uses a type of its
//! parent, while the parent imports from the child, is therefore a circle. Items with `#[cfg(test)]` are
//! ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::{Token, closing, code_only, files, tokens, without_tests};

/// The path of a module below the crate; the crate root is empty.
type Module = Vec<String>;

/// The path of an import and its line number.
#[derive(Debug)]
struct Import {
    path: Vec<String>,
    line: usize,
}

/// The parsed content of one file.
#[derive(Debug, Default)]
struct Contents {
    file: String,
    imports: Vec<Import>,
    re_exports: BTreeMap<String, Vec<String>>,
    test_modules: Vec<String>,
}

/// The modules of a crate.
#[derive(Debug, Default)]
pub struct Modules {
    contents: BTreeMap<Module, Contents>,
}

impl Modules {
    /// Reads all Rust files below `src`.
    pub fn read(src: &Path) -> Self {
        let sources = files(src, "rs").into_iter().map(|path| {
            let source = std::fs::read_to_string(&path).unwrap();
            (path.strip_prefix(src).unwrap().display().to_string(), source)
        });
        Self::parse(sources)
    }

    /// Parses source texts; each comes with its path below `src`.
    fn parse(sources: impl IntoIterator<Item = (String, String)>) -> Self {
        let sources: Vec<_> = sources.into_iter().collect();
        let names: BTreeSet<Module> = sources.iter().map(|(file, _)| module_of(file)).collect();
        let read = |(file, source): (String, String)| {
            let module = module_of(&file);
            let contents = Contents { file, ..contents(&module, &code_only(&source), &names) };
            (module, contents)
        };
        let mut contents: BTreeMap<_, _> = sources.into_iter().map(read).collect();
        let for_tests: Vec<Module> = contents
            .iter()
            .flat_map(|(module, own)| own.test_modules.iter().map(|name| child(module, name)))
            .collect();
        contents.retain(|module, _| !for_tests.iter().any(|tests| module.starts_with(tests)));
        Self { contents }
    }

    /// The groups of modules that import each other; each group lists its imports, one per line.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let edges = self.edges();
        let reached: BTreeMap<_, _> =
            self.contents.keys().map(|module| (module, reachable(module, &edges))).collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for module in self.contents.keys() {
            let back = |other: &&Module| reached[*other].contains(module);
            let group: BTreeSet<_> = reached[module].iter().copied().filter(back).collect();
            if !group.is_empty() && seen.insert(group.clone()) {
                let inside =
                    edges.iter().filter(|((from, to), _)| group.contains(from) && group.contains(to));
                let lines = inside.map(|((from, to), imports)| {
                    format!("{} -> {}: {}", shown(from), shown(to), imports.join(", "))
                });
                circles.push(lines.collect());
            }
        }
        circles
    }

    /// All imports between modules, with their source lines.
    fn edges(&self) -> BTreeMap<(&Module, &Module), Vec<String>> {
        let mut edges: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (from, contents) in &self.contents {
            for import in &contents.imports {
                let to = self.home(&import.path);
                if let Some(to) = to.filter(|to| *to != from) {
                    let line = format!("{}:{} {}", contents.file, import.line, import.path.join("::"));
                    edges.entry((from, to)).or_default().push(line);
                }
            }
        }
        edges
    }

    /// The module that a path of this crate refers to, with re-exports resolved.
    fn home(&self, path: &[String]) -> Option<&Module> {
        let mut path = path.to_vec();
        // The limit stops circular re-exports; real chains of re-exports are shorter.
        for _ in 0..8 {
            let length =
                (0..=path.len()).rev().find(|length| self.contents.contains_key(&path[..*length]))?;
            let (module, own) = self.contents.get_key_value(&path[..length])?;
            match path.get(length).and_then(|name| own.re_exports.get(name)) {
                Some(elsewhere) => path = [elsewhere, &path[length + 1..]].concat(),
                None => return Some(module),
            }
        }
        None
    }
}

fn child(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn shown(module: &Module) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

/// The module of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`. Other modules cannot import `main.rs`.
fn module_of(file: &str) -> Module {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => Vec::new(),
        "main" => vec!["(main)".to_owned()],
        _ => path.split('/').map(str::to_owned).collect(),
    }
}

fn reachable<'a>(
    from: &'a Module,
    edges: &BTreeMap<(&'a Module, &'a Module), Vec<String>>,
) -> BTreeSet<&'a Module> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        let next = edges.keys().filter(|(importer, _)| *importer == module).map(|(_, imported)| *imported);
        open.extend(next.filter(|imported| reached.insert(*imported)));
    }
    reached
}

/// Parses the code of one module.
fn contents(module: &Module, code: &str, names: &BTreeSet<Module>) -> Contents {
    let (tokens, test_modules) = without_tests(&tokens(code));
    let mut contents = Contents { test_modules, ..Contents::default() };
    let absolute = |path: &[String]| absolute(module, path, names);
    let mut at = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).map(|before| tokens[before].text.as_str());
        if tokens[at].text == "use" {
            let end = end_of_use(&tokens, at);
            let public = is_public(&tokens, at);
            for (path, name, line) in use_tree(&tokens[at + 1..end]) {
                let Some(path) = absolute(&path) else { continue };
                if public {
                    contents.re_exports.insert(name, path);
                } else {
                    contents.imports.push(Import { path, line });
                }
            }
            at = end;
        } else if tokens[at].is_word() && !matches!(before, Some("::" | "in" | "mod")) {
            let (path, end) = path_at(&tokens, at);
            if path.len() > 1 {
                let line = tokens[at].line;
                contents.imports.extend(absolute(&path).map(|path| Import { path, line }));
            }
            at = end;
        } else {
            at += 1;
        }
    }
    contents
}

/// The path below the crate; `None` if it refers to another crate.
fn absolute(module: &Module, path: &[String], names: &BTreeSet<Module>) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => {
            let above = module.len().checked_sub(supers)?;
            Some([&module[..above], &path[supers..]].concat())
        }
        name if names.contains(&child(module, name)) => Some([module, path].concat()),
        _ => None,
    }
}

fn end_of_use(tokens: &[Token], at: usize) -> usize {
    (at..tokens.len()).find(|end| tokens[*end].text == ";").unwrap_or(tokens.len())
}

/// Whether `pub` or `pub(…)` precedes this token.
fn is_public(tokens: &[Token], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|before| tokens[before].text.as_str());
    match before(1) {
        Some("pub") => true,
        Some(")") => (3..8).any(|back| before(back) == Some("pub")),
        _ => false,
    }
}

/// The path that starts at this token, and the index after its end.
fn path_at(tokens: &[Token], at: usize) -> (Vec<String>, usize) {
    let mut path = vec![tokens[at].text.clone()];
    let mut end = at + 1;
    while let [separator, next, ..] = &tokens[end..] {
        if separator.text != "::" || !next.is_word() {
            break;
        }
        path.push(next.text.clone());
        end += 2;
    }
    (path, end)
}

/// The paths of a `use` tree, each with the imported name and its line number.
fn use_tree(tree: &[Token]) -> Vec<(Vec<String>, String, usize)> {
    let Some(first) = tree.first() else { return Vec::new() };
    let (start, mut end) =
        if first.is_word() { path_at(tree, 0) } else { (Vec::new(), usize::from(first.text == "::")) };
    end += usize::from(tree.get(end).is_some_and(|token| token.text == "::"));
    if tree.get(end).is_some_and(|token| token.text == "{") {
        let inside = &tree[end + 1..closing(tree, end)];
        let below = branches(inside).into_iter().flat_map(use_tree);
        return below
            .map(|(path, name, line)| {
                let path = path.into_iter().filter(|segment| segment != "self");
                (start.iter().cloned().chain(path).collect(), name, line)
            })
            .collect();
    }
    let renamed = tree.get(end).filter(|token| token.text == "as").and_then(|_| tree.get(end + 1));
    let glob = tree.get(end).filter(|token| token.text == "*");
    let name = renamed.or(glob).map(|token| &token.text).or(start.last()).cloned().unwrap_or_default();
    vec![(start, name, first.line)]
}

/// Splits the tokens at the commas of the outermost level.
fn branches(tree: &[Token]) -> Vec<&[Token]> {
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    while at < tree.len() {
        match tree[at].text.as_str() {
            "{" => at = closing(tree, at),
            "," => {
                found.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    found.push(&tree[start..]);
    found
}

#[cfg(test)]
mod tests {
    use super::Modules;

    fn circles(sources: &[(&str, &str)]) -> Vec<Vec<String>> {
        let owned = sources.iter().map(|(file, source)| ((*file).to_owned(), (*source).to_owned()));
        Modules::parse(owned).circles()
    }

    #[test]
    fn two_modules_that_import_each_other_are_a_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use std::fmt;\nfn f() -> crate::a::A { }"),
            ("c.rs", "use crate::{a::A, b::{self, B}};"),
        ]);
        assert_eq!(found, [["a -> b: a.rs:1 b::B", "b -> a: b.rs:2 a::A"]]);
    }

    #[test]
    fn a_longer_circle_is_found() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::{b::B, x::Y};"),
            ("b.rs", "use super::c::{self, C};"),
            ("c/mod.rs", "fn f() { crate::a::f(); }"),
        ]);
        let expected = ["a -> b: a.rs:1 b::B", "b -> c: b.rs:1 c, b.rs:1 c::C", "c -> a: c/mod.rs:1 a::f"];
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_parent_and_its_child_are_two_modules() {
        let child = ("a/b.rs", "use super::A;");
        assert_eq!(circles(&[("a.rs", "mod b; use b::B; pub struct A;"), child]).len(), 1);
        assert_eq!(circles(&[("a.rs", "mod b; pub struct A; fn f() { b::f(); }"), child]).len(), 1);
        assert_eq!(circles(&[("a.rs", "mod b; pub struct A;"), child]).len(), 0);
    }

    #[test]
    fn a_re_export_is_followed_and_no_import() {
        let parent = ("a.rs", "mod b; mod c; pub(crate) use b::{B, D as E}; pub struct A;");
        assert_eq!(circles(&[parent, ("a/b.rs", "use super::A;"), ("a/c.rs", "use super::E;")]).len(), 0);
        let found = circles(&[parent, ("a/b.rs", "use super::c::C;"), ("a/c.rs", "use crate::a::E;")]);
        assert_eq!(found, [["a::b -> a::c: a/b.rs:1 a::c::C", "a::c -> a::b: a/c.rs:1 a::E"]]);
    }

    #[test]
    fn tests_comments_and_texts_import_nothing() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod fixtures;"),
            ("a.rs", "use crate::b::B;"),
            (
                "b.rs",
                "// crate::a::A\nconst X: &str = \"crate::a::A\"; #[cfg(test)] mod t { use crate::a::A; }",
            ),
            ("fixtures.rs", "use crate::a::A;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
