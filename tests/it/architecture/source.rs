//! A simple tokenizer for Rust source, which removes comments and string literals.

use std::path::{Path, PathBuf};

/// The files with this extension below a folder, sorted. Build output and installed packages are skipped.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy();
        if entry.is_dir() {
            if !(name.starts_with('.') || name == "target" || name == "node_modules") {
                found.extend(files(&entry, ending));
            }
        } else if entry.extension().is_some_and(|extension| extension == ending) {
            found.push(entry);
        }
    }
    found.sort();
    found
}

/// A word, `::`, or one punctuation character, with its line number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c == '_' || c.is_alphabetic())
    }
}

/// Replaces comments by spaces, and string and character literals by `"`. Line numbers do not change.
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let (length, filler) = opaque(&chars[at..], at.checked_sub(1).map(|before| chars[before]));
        let end = (at + length.max(1)).min(chars.len());
        for &c in &chars[at..end] {
            code.push(if length == 0 || c == '\n' { c } else { filler });
        }
        at = end;
    }
    code
}

/// The length of the comment or literal that starts here (0 if there is none), and its replacement.
fn opaque(rest: &[char], before: Option<char>) -> (usize, char) {
    let starts = |text: &str| text.chars().eq(rest.iter().copied().take(text.chars().count()));
    let inside_word = before.is_some_and(|c| c == '_' || c.is_alphanumeric());
    if starts("//") {
        return (rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()), ' ');
    }
    if starts("/*") {
        return (block_comment(rest), ' ');
    }
    if rest[0] == '"' {
        return (quoted(rest, '"'), '"');
    }
    let raw = rest.iter().skip(1).take_while(|c| **c == '#').count();
    if rest[0] == 'r' && rest.get(raw + 1) == Some(&'"') && (!inside_word || before == Some('b')) {
        let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', raw)).collect();
        let found = rest[raw + 2..].windows(end.len()).position(|window| window == end);
        return (found.map_or(rest.len(), |found| raw + 2 + found + end.len()), '"');
    }
    // A character literal, not a lifetime.
    if rest[0] == '\'' && (rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')) {
        return (quoted(rest, '\''), '"');
    }
    (0, ' ')
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 1),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], mark: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != mark {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The tokens of code from which comments and literals are removed.
pub fn tokens(code: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c == '_' || c.is_alphanumeric();
            let length = match first {
                _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            if !first.is_whitespace() {
                found.push(Token { text: rest[..length].to_owned(), line: number + 1 });
            }
            rest = &rest[length..];
        }
    }
    found
}

/// The index of the bracket that closes the bracket at this token.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

/// The tokens without items marked `#[cfg(test)]`, and the names of the modules among these items.
pub fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let is_attribute = tokens[at].text == "#" && tokens.get(at + 1).is_some_and(|next| next.text == "[");
        let end = if is_attribute { closing(tokens, at + 1) } else { at };
        let words: Vec<_> = tokens[at..=end].iter().map(|token| token.text.as_str()).collect();
        if words != ["#", "[", "cfg", "(", "test", ")", "]"] {
            kept.extend_from_slice(&tokens[at..=end]);
            at = end + 1;
            continue;
        }
        let item = end + 1;
        at = end_of_item(tokens, item);
        let words: Vec<_> = tokens[item..at].iter().map(|token| token.text.as_str()).collect();
        if let [.., "mod", name, ";"] = words[..] {
            modules.push(name.to_owned());
        }
    }
    (kept, modules)
}

/// The index after the item that starts here. The item ends with `;`, or with a block and an optional `;`.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "(" | "[" => at = closing(tokens, at),
            "{" => {
                let end = closing(tokens, at) + 1;
                let semicolon = tokens.get(end).is_some_and(|token| token.text == ";");
                return end + usize::from(semicolon);
            }
            _ => {}
        }
        at += 1;
    }
    at
}

#[test]
fn comments_and_texts_are_no_code() {
    let source =
        "let a = \"x // y\"; // ask\n/* did /* it */ */ let b = r#\"say \"it\" \"#; let c = '\"'; fn d<'a>()";
    let code = code_only(source);
    let words: Vec<_> = tokens(&code).into_iter().filter(Token::is_word).map(|token| token.text).collect();
    assert_eq!(words, ["let", "a", "let", "b", "let", "c", "fn", "d", "a"]);
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn what_only_tests_are_built_with_is_left_out() {
    let source = "use a::b;\n#[cfg(test)]\nmod fixtures;\n#[cfg(test)]\nfn c() { d(); }\nfn e() {}\n\
                  #[cfg(test)]\nmod tests { use super::*; }";
    let (kept, modules) = without_tests(&tokens(source));
    let words: Vec<_> = kept.into_iter().filter(Token::is_word).map(|token| token.text).collect();
    assert_eq!(words, ["use", "a", "b", "fn", "e"]);
    assert_eq!(modules, ["fixtures", "tests"].map(str::to_owned)[..1]);
}
