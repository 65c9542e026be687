//! What does a source file say, apart from its comments, its texts and its
//! tests? Enough of Rust's lexical rules to answer that, and no more.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file, and the views of it that the rules look at. All views have
/// the same lines.
pub(crate) struct Source {
    /// From the top of the project, `src/plan/holder.rs`.
    pub(crate) path: String,
    pub(crate) raw: String,
    /// Comments are blank, and so is what stands between quotes.
    pub(crate) code: String,
    /// `code`, with everything under `#[cfg(test)]` blank as well.
    pub(crate) shipped: String,
    /// What stands between quotes, comments and code are blank.
    pub(crate) texts: String,
}

/// Every `.rs` file under these folders of the project, in order. Files that a
/// `#[cfg(test)] mod name;` brings in ship nothing.
pub(crate) fn read(folders: &[&str]) -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in folders {
        collect(&top.join(folder), &mut paths);
    }
    paths.sort();
    let mut sources: Vec<Source> = paths.iter().map(|path| Source::read(top, path)).collect();
    let test_files: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        if test_files.iter().any(|stem| source.is_module(stem)) {
            source.shipped = blank(&source.shipped, 0, source.shipped.len());
        }
    }
    sources
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

impl Source {
    fn read(top: &Path, path: &Path) -> Self {
        let raw = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path
            .strip_prefix(top)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        Self::new(name, raw)
    }

    pub(crate) fn new(path: String, raw: String) -> Self {
        let (code, texts) = split(&raw);
        let shipped = without_tests(&code);
        Self {
            path,
            raw,
            code,
            shipped,
            texts,
        }
    }

    /// `src/plan/mod.rs` → `src/plan`, `src/plan.rs` → `src/plan`.
    fn stem(&self) -> &str {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        ["/mod", "/lib", "/main"]
            .iter()
            .find_map(|end| stem.strip_suffix(end))
            .unwrap_or(stem)
    }

    fn is_module(&self, stem: &str) -> bool {
        let rest = self.path.strip_prefix(stem);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// The modules that only tests have: `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (_, after) in test_marks(&self.code) {
            let item = self.code[after..].trim_start();
            let declared = item
                .strip_prefix("mod ")
                .and_then(|rest| rest.split_once(';'));
            if let Some((name, _)) = declared
                && name.chars().all(|c| c.is_alphanumeric() || c == '_')
            {
                found.push(format!("{}/{name}", self.stem()));
            }
        }
        found
    }
}

/// Where each `#[cfg(test)]` or `#[cfg(all(test, …))]` begins and ends.
fn test_marks(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let end = code[at..].find(']').map_or(code.len(), |end| at + end + 1);
        let only_tests = ["#[cfg(test)", "#[cfg(all(test,"];
        if only_tests
            .iter()
            .any(|start| code[at..end].starts_with(start))
        {
            found.push((at, end));
        }
    }
    found
}

/// Where a view says something: its line numbers, from 1, and the line.
pub(crate) fn lines_with<'a>(
    view: &'a str,
    word: &'a str,
) -> impl Iterator<Item = (usize, &'a str)> {
    numbered(view).filter(move |(_, line)| contains_word(line, word))
}

pub(crate) fn numbered(view: &str) -> impl Iterator<Item = (usize, &str)> {
    view.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// `word` in `line`, not as a part of a longer name.
pub(crate) fn contains_word(line: &str, word: &str) -> bool {
    let name = |c: char| c.is_alphanumeric() || c == '_';
    let starts_name = word.starts_with(name);
    let ends_name = word.ends_with(name);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !(starts_name && before.is_some_and(name) || ends_name && after.is_some_and(name))
    })
}

pub(crate) struct Function {
    pub(crate) name: String,
    /// The line its `fn` stands in.
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// Every function that has a body, from the line of its `fn` to its last brace.
pub(crate) fn functions(view: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in view.match_indices("fn ") {
        let part_of_a_name = view[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &view[at + "fn ".len()..];
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if part_of_a_name || name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(view, at) {
            found.push(Function {
                name,
                line: view[..at].matches('\n').count() + 1,
                lines: view[at..end].matches('\n').count() + 1,
            });
        }
    }
    found
}

/// Past the brace that closes the first one after `from`; none if a semicolon
/// outside of brackets comes before any brace.
fn body_end(code: &str, from: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(from + at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Blanks each item that only tests have.
fn without_tests(code: &str) -> String {
    let mut shipped = code.to_owned();
    for (at, after) in test_marks(code) {
        let end = body_end(code, after)
            .or_else(|| {
                code[after..]
                    .find(';')
                    .map(|semicolon| after + semicolon + 1)
            })
            .unwrap_or(code.len());
        shipped = blank(&shipped, at, end);
    }
    shipped
}

fn blank(text: &str, from: usize, to: usize) -> String {
    let blanks = text[from..to]
        .bytes()
        .map(|b| if b == b'\n' { '\n' } else { ' ' });
    let mut blanked = text[..from].to_owned();
    blanked.extend(blanks);
    blanked.push_str(&text[to..]);
    blanked
}

/// The code without comments and texts, and the texts alone.
fn split(raw: &str) -> (String, String) {
    let bytes = raw.as_bytes();
    let (mut code, mut texts) = (
        Vec::with_capacity(bytes.len()),
        Vec::with_capacity(bytes.len()),
    );
    let mut at = 0;
    while at < bytes.len() {
        let (end, kind) = token(raw, at);
        for &byte in &bytes[at..end] {
            let hole = if byte == b'\n' { b'\n' } else { b' ' };
            code.push(if kind == Kind::Code { byte } else { hole });
            texts.push(if kind == Kind::Text { byte } else { hole });
        }
        at = end;
    }
    (
        String::from_utf8_lossy(&code).into_owned(),
        String::from_utf8_lossy(&texts).into_owned(),
    )
}

#[derive(PartialEq)]
enum Kind {
    Code,
    Comment,
    Text,
}

/// Where the piece that starts at `at` ends, and what it is.
fn token(raw: &str, at: usize) -> (usize, Kind) {
    let rest = &raw.as_bytes()[at..];
    let to = |length: usize| at + length;
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        return (to(length), Kind::Comment);
    }
    if rest.starts_with(b"/*") {
        return (to(block_comment(rest)), Kind::Comment);
    }
    if rest[0] == b'"' {
        return (to(quoted(rest, b'"')), Kind::Text);
    }
    if let Some(length) = character(rest) {
        return (to(length), Kind::Text);
    }
    let inside_a_name = at > 0
        && (raw.as_bytes()[at - 1].is_ascii_alphanumeric() || raw.as_bytes()[at - 1] == b'_');
    if !inside_a_name && let Some(length) = raw_text(rest) {
        return (to(length), Kind::Text);
    }
    (to(1), Kind::Code)
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..rest.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a text that begins with `quote` and ends with the next one
/// that no backslash hides.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    rest.len().min(at + 1)
}

/// `'x'` or `'\n'`, but not the lifetime `'x`.
fn character(rest: &[u8]) -> Option<usize> {
    if rest[0] != b'\'' || rest.len() < 3 {
        return None;
    }
    if rest[1] == b'\\' {
        return Some(quoted(rest, b'\''));
    }
    let width = std::str::from_utf8(&rest[1..rest.len().min(5)])
        .or_else(|e| std::str::from_utf8(&rest[1..=e.valid_up_to()]))
        .ok()?
        .chars()
        .next()?
        .len_utf8();
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

/// `r"…"`, `r#"…"#` and their byte forms.
fn raw_text(rest: &[u8]) -> Option<usize> {
    let prefix = if rest.starts_with(b"br") { 2 } else { 1 };
    if rest[0] != b'r' && prefix == 1 {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|&&b| b == b'#').count();
    let start = prefix + hashes;
    if rest.get(start) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.extend(std::iter::repeat_n(b'#', hashes));
    let inside = &rest[start + 1..];
    let end = inside.windows(closing.len()).position(|w| w == closing);
    Some(end.map_or(rest.len(), |end| start + 1 + end + closing.len()))
}
