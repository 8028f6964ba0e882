//! Checks the lengths of functions, files and lines, with the limits of CONTRIBUTING and `clippy.toml`.

use std::path::Path;

use super::source::{Token, closing, code_only, files, tokens};

/// The maximum number of lines of a function body. Empty lines and comments do not count, as in clippy.
pub const MOST_FUNCTION_LINES: usize = 40;

/// The maximum lengths.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Lines of a function.
    pub function: usize,
    /// Lines of a file, without the tests at its end.
    pub file: usize,
    /// Columns of code and comments.
    pub columns: usize,
    /// Columns of Markdown.
    pub markdown: usize,
}

/// Checks a Rust file; returns one text per problem.
pub fn rust(path: &str, source: &str, limits: Limits) -> Vec<String> {
    let lines = source.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    let mut problems: Vec<_> =
        longer(lines, limits.file, &format!("{path}: a file, lines")).into_iter().collect();
    for (at, line) in source.lines().enumerate() {
        problems.extend(longer(columns(line), limits.columns, &format!("{path}:{}: columns", at + 1)));
    }
    let code = code_only(source);
    let tokens = tokens(&code);
    for (at, _) in tokens.iter().enumerate().filter(|(_, token)| token.text == "fn") {
        if let Some((open, close)) = body(&tokens, at) {
            let lines = code.lines().skip(open).take((close - open).saturating_sub(1));
            let lines = lines.filter(|line| !line.trim().is_empty()).count();
            let what = format!("{path}:{}: fn {}, lines", tokens[at].line, tokens[at + 1].text);
            problems.extend(longer(lines, limits.function, &what));
        }
    }
    problems
}

/// Checks a Markdown file; returns one text per problem. Tables, code, and lines with only a link are exempt.
pub fn markdown(path: &str, source: &str, limits: Limits) -> Vec<String> {
    let mut in_code = false;
    let mut problems = Vec::new();
    for (at, line) in source.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        if !(in_code || fence || line.trim_start().starts_with('|') || is_link(line)) {
            problems.extend(longer(columns(line), limits.markdown, &format!("{path}:{}: columns", at + 1)));
        }
    }
    problems
}

/// Checks all Rust and Markdown files below these folders of the repository.
pub fn too_long(root: &Path, rust_in: &[&str], markdown_in: &[&str], limits: Limits) -> Vec<String> {
    let mut problems = Vec::new();
    for (folders, ending) in [(rust_in, "rs"), (markdown_in, "md")] {
        for path in folders.iter().flat_map(|folder| files(&root.join(folder), ending)) {
            let source = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().display().to_string();
            let judge = if ending == "rs" { rust } else { markdown };
            problems.extend(judge(&path, &source, limits));
        }
    }
    problems
}

fn columns(line: &str) -> usize {
    line.chars().count()
}

/// The text of the problem if `length` is over the limit.
fn longer(measured: usize, most: usize, what: &str) -> Option<String> {
    (measured > most).then(|| format!("{what}: {measured}, at most {most}"))
}

/// The lines of the braces around the body of the function at this token; `None` if there is no body.
fn body(tokens: &[Token], at: usize) -> Option<(usize, usize)> {
    tokens.get(at + 1).filter(|name| name.is_word())?;
    let mut end = at;
    while end < tokens.len() {
        match tokens[end].text.as_str() {
            "(" | "[" => end = closing(tokens, end),
            ";" => return None,
            "{" => return Some((tokens[end].line, tokens[closing(tokens, end)].line)),
            _ => {}
        }
        end += 1;
    }
    None
}

/// Whether a line consists of one link: `- [words](address)`, `[words]: address`, or a bare address.
fn is_link(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '-', '*', '>', '!']).trim_end_matches(['.', ',', ';', ')']);
    let address = line.rfind("](").map(|at| &line[at + 2..]).filter(|_| line.starts_with('['));
    let address =
        address.or_else(|| line.strip_prefix('[').and_then(|line| line.split_once("]: ")).map(|it| it.1));
    let address = address.or_else(|| line.starts_with("http").then_some(line));
    address.is_some_and(|address| !address.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::{Limits, markdown, rust};

    const LIMITS: Limits = Limits { function: 3, file: 6, columns: 30, markdown: 20 };

    #[test]
    fn a_long_function_a_long_file_and_a_long_line_are_found() {
        let short = "fn a(\n    x: X,\n) {\n    b();\n\n    // c\n}\n";
        let source = &format!("{short}fn d() {{\n    f(\n        g,\n    );\n    h();\n}}\n");
        assert_eq!(
            rust("x.rs", source, LIMITS),
            ["x.rs: a file, lines: 13, at most 6", "x.rs:8: fn d, lines: 4, at most 3",]
        );
        let comment = format!("// {}", "\u{e9}".repeat(28));
        assert_eq!(rust("x.rs", &comment, LIMITS), ["x.rs:1: columns: 31, at most 30"]);
    }

    #[test]
    fn tests_at_the_end_are_no_part_of_a_files_length() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    // 1\n    // 2\n    // 3\n    // 4\n}\n";
        assert!(rust("x.rs", source, LIMITS).is_empty());
    }

    #[test]
    fn tables_code_and_links_may_be_wider() {
        let wide = "x".repeat(30);
        let fine =
            format!("| {wide} |\n```\n{wide}\n```\n- [x](http://{wide}).\n[x]: http://{wide}\nshort\n");
        assert!(markdown("x.md", &fine, LIMITS).is_empty(), "{:?}", markdown("x.md", &fine, LIMITS));
        let found = markdown("x.md", &format!("ok\nsee [x](http://{wide}) too\n"), LIMITS);
        assert_eq!(found.len(), 1);
    }
}
