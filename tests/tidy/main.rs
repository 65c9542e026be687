//! Does the code keep to the rules of its house? Each rule is a test, and each
//! breach is named by file and line. ARCHITECTURE.md says why the rules are.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod source;

use std::fs;
use std::path::Path;

use source::{Source, contains_word, functions, lines_with, numbered, read};

const AGENT: &[&str] = &["src"];
const SHIPPED: &[&str] = &["src", "region/src"];
const ALL: &[&str] = &["src", "region", "tests"];

/// Which modules of the crate a module may name: arrows run downward only.
const ARROWS: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("clock", &[]),
    ("tags", &[]),
    ("world", &["ids"]),
    ("spec", &["ids", "world"]),
    ("plan", &["ids", "world", "spec"]),
    ("iam", &["spec", "tags"]),
    ("check", &["ids", "tags", "world", "spec", "plan"]),
    ("history", &["ids", "world", "spec", "plan"]),
    ("host", &["ids", "world", "spec", "check"]),
    (
        "aws",
        &[
            "ids", "tags", "clock", "world", "spec", "plan", "check", "history",
        ],
    ),
    ("wake", &["ids", "spec", "aws", "host"]),
    ("patience", &["ids", "world", "spec", "plan"]),
    (
        "reconcile",
        &[
            "ids", "clock", "world", "spec", "plan", "aws", "host", "patience",
        ],
    ),
];

/// At the top of the house: they may name everything but each other's callers.
const TOP: &[(&str, &[&str])] = &[
    ("report", &["run", "cli"]),
    ("drill", &["run", "cli"]),
    ("cli", &["run"]),
    ("run", &[]),
    ("main", &[]),
    ("lib", &[]),
];

/// Who may know the SDK, and why.
const SDK: &[(&str, &str)] = &[
    ("src/aws/", "the one place that knows it"),
    (
        "src/drill/connector.rs",
        "plugs the emulated region into the real clients",
    ),
    ("src/drill/time.rs", "lends the clients the drill's clock"),
    (
        "src/host/imds.rs",
        "asks the instance who it is with the SDK's own client",
    ),
];

/// Who may read a clock, and why.
const CLOCKS: &[(&str, &str)] = &[
    ("src/run/", "the outermost runners hand the time down"),
    (
        "src/drill/time.rs",
        "turns tokio's paused clock into a date",
    ),
    ("region/src/serve", "a region on a port lives in real time"),
];

const LONGEST_FUNCTION: usize = 70;
const LONGEST_FILE: usize = 600;

#[test]
fn arrows_run_downward() {
    let mut breaches = Vec::new();
    for source in read(AGENT) {
        let module = source.module();
        let allowed = ARROWS.iter().find(|(name, _)| *name == module);
        let banned = TOP.iter().find(|(name, _)| *name == module);
        if allowed.is_none() && banned.is_none() {
            breaches.push(format!(
                "{}: tests/tidy does not say what `{module}` may name",
                source.path
            ));
        }
        for (line, named) in source.named_modules() {
            let breach = match (allowed, banned) {
                (Some((_, allowed)), _) => named != module && !allowed.contains(&named.as_str()),
                (_, Some((_, banned))) => banned.contains(&named.as_str()),
                (None, None) => false,
            };
            if breach {
                breaches.push(format!(
                    "{}:{line}: `{module}` names `{named}`",
                    source.path
                ));
            }
        }
    }
    report("Modules name only what lies below them", breaches);
}

#[test]
fn the_plan_is_pure() {
    let mut breaches = Vec::new();
    for source in read(AGENT) {
        let banned: &[&str] = match source.module() {
            "plan" | "world" | "check" | "history" => &[
                "tokio",
                "async",
                "fastrand",
                "std::env",
                "std::process",
                "std::net",
                "std::fs",
            ],
            // It reads its file, and nothing else.
            "spec" => &["tokio", "async", "fastrand", "std::process", "std::net"],
            _ => &[],
        };
        breaches.extend(banned.iter().flat_map(|word| source.naming(word)));
    }
    report(
        "plan, check, history, world and spec have no runtime, no randomness, no input or output",
        breaches,
    );
}

#[test]
fn only_one_place_knows_the_sdk() {
    let mut breaches = Vec::new();
    for source in read(SHIPPED).iter().filter(|s| !s.is_among(SDK)) {
        for (line, text) in numbered(&source.shipped) {
            for prefix in [
                "aws_sdk_",
                "aws_config",
                "aws_smithy_",
                "aws_credential_types",
            ] {
                if text.contains(prefix) {
                    breaches.push(format!("{}:{line}: {}", source.path, text.trim()));
                }
            }
        }
    }
    report(
        "Only src/aws, and the seams the list SDK names, know the SDK",
        breaches,
    );
}

#[test]
fn only_one_file_knows_backoff() {
    let sources = read(SHIPPED);
    let elsewhere = sources.iter().filter(|s| s.path != "src/aws/retry.rs");
    let breaches = elsewhere.flat_map(|s| s.naming("backoff::")).collect();
    report(
        "The unmaintained crate backoff is named by src/aws/retry.rs alone",
        breaches,
    );
}

#[test]
fn the_region_does_not_know_the_agent() {
    let mut breaches = Vec::new();
    for source in read(&["region"]) {
        for (line, text) in numbered(&source.texts).filter(|(_, text)| text.contains("rehome:")) {
            breaches.push(format!("{}:{line}: {}", source.path, text.trim()));
        }
    }
    for dependency in dependencies("region/Cargo.toml") {
        if dependency.name == "rehome" {
            breaches.push(format!(
                "region/Cargo.toml:{}: depends on the agent",
                dependency.line
            ));
        }
    }
    report("The region is AWS's side of the wire", breaches);
}

#[test]
fn time_is_handed_down() {
    let mut breaches = Vec::new();
    for source in read(SHIPPED).iter().filter(|s| !s.is_among(CLOCKS)) {
        for word in [
            "SystemTime::now",
            "Timestamp::now",
            "Zoned::now",
            "thread::sleep",
        ] {
            breaches.extend(source.naming(word));
        }
        // The runtime's own timer tells no date, and stands still in a drill.
        if !source.measures_with_tokio() {
            let instants = source.naming("Instant::now");
            breaches.extend(
                instants
                    .into_iter()
                    .filter(|b| !b.contains("tokio::time::Instant::now")),
            );
        }
    }
    report("Nobody below src/run reads a clock", breaches);
}

#[test]
fn nothing_is_left_to_do() {
    let mut breaches = Vec::new();
    for source in read(ALL) {
        for (line, text) in numbered(&source.raw) {
            // Put together here, so that this file does not find itself.
            for word in [
                concat!("TO", "DO"),
                concat!("FIX", "ME"),
                concat!("X", "XX"),
            ] {
                if contains_word(text, word) {
                    breaches.push(format!("{}:{line}: {}", source.path, text.trim()));
                }
            }
        }
        for word in ["todo!", "unimplemented!", "dbg!"] {
            let found = lines_with(&source.code, word);
            breaches.extend(
                found.map(|(line, text)| format!("{}:{line}: {}", source.path, text.trim())),
            );
        }
    }
    report("What is committed is finished", breaches);
}

#[test]
fn functions_fit_on_a_screen() {
    let mut breaches = Vec::new();
    for source in read(SHIPPED) {
        for function in functions(&source.shipped) {
            if function.lines > LONGEST_FUNCTION {
                let (name, line, lines) = (function.name, function.line, function.lines);
                breaches.push(format!("{}:{line}: {name} has {lines} lines", source.path));
            }
        }
    }
    report(
        &format!("A function has at most {LONGEST_FUNCTION} lines"),
        breaches,
    );
}

#[test]
fn a_file_answers_one_question() {
    let mut breaches = Vec::new();
    for source in read(SHIPPED) {
        let lines = source.raw.lines().count();
        if lines > LONGEST_FILE {
            breaches.push(format!(
                "{}:{LONGEST_FILE}: goes on to line {lines}",
                source.path
            ));
        }
        if !source.raw.starts_with("//!") {
            breaches.push(format!("{}:1: does not begin with `//!`", source.path));
        }
    }
    report(
        &format!("A file says which question it answers, in at most {LONGEST_FILE} lines"),
        breaches,
    );
}

#[test]
fn every_dependency_has_a_reason() {
    let mut breaches = Vec::new();
    for manifest in ["Cargo.toml", "region/Cargo.toml"] {
        let unexplained = dependencies(manifest).into_iter().filter(|d| !d.explained);
        breaches.extend(unexplained.map(|d| format!("{manifest}:{}: {}", d.line, d.name)));
    }
    report(
        "A comment beside or above each dependency says what it is for",
        breaches,
    );
}

#[test]
fn nothing_that_ships_can_panic_by_choice() {
    let mut breaches = Vec::new();
    for source in read(SHIPPED) {
        for word in [
            ".unwrap()",
            ".expect(",
            ".unwrap_err()",
            ".expect_err(",
            "panic!",
        ] {
            breaches.extend(source.naming(word));
        }
        // A method of one's own may have that name.
        breaches.retain(|breach| !breach.contains("self.expect("));
    }
    report(
        "Outside of tests an error is an answer, not a crash",
        breaches,
    );
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let roots = ["src/lib.rs", "src/main.rs", "region/src/lib.rs"];
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let mut breaches = Vec::new();
    if !manifest.unwrap().contains("unsafe_code = \"forbid\"") {
        breaches.push("Cargo.toml: the workspace's lints".to_owned());
    }
    for source in read(SHIPPED) {
        if roots.contains(&source.path.as_str()) && !source.raw.contains("#![forbid(unsafe_code)]")
        {
            breaches.push(source.path.clone());
        }
        breaches.extend(source.naming("unsafe {"));
        breaches.extend(source.naming("unsafe fn"));
    }
    report("No crate has unsafe code, and none may", breaches);
}

fn report(rule: &str, breaches: Vec<String>) {
    assert!(
        breaches.is_empty(),
        "{rule}:\n  {}\n",
        breaches.join("\n  ")
    );
}

impl Source {
    /// The top module of the crate this file belongs to: `src/plan/step.rs` → `plan`.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inside.split('/').next().unwrap_or(inside);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Each `crate::name` of shipped code, with its line.
    fn named_modules(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, start) in self.shipped.match_indices("crate::") {
            let line = self.shipped[..at].matches('\n').count() + 1;
            let rest = &self.shipped[at + start.len()..];
            for name in first_names(rest) {
                found.push((line, name));
            }
        }
        found
    }

    /// This file's `Instant` is tokio's.
    fn measures_with_tokio(&self) -> bool {
        let mut lines = self.shipped.lines();
        lines.any(|line| line.starts_with("use tokio::time::") && contains_word(line, "Instant"))
    }

    fn is_among(&self, list: &[(&str, &str)]) -> bool {
        list.iter().any(|(path, _)| self.path.starts_with(path))
    }

    /// Where shipped code names this, as messages.
    fn naming(&self, word: &str) -> Vec<String> {
        let found = lines_with(&self.shipped, word);
        found
            .map(|(line, text)| format!("{}:{line}: {}", self.path, text.trim()))
            .collect()
    }
}

/// `plan::step` → `plan`; `{ids::A, world::{B, C}}` → `ids`, `world`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let (mut names, mut depth, mut item) = (Vec::new(), 1, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(std::mem::take(&mut item)),
            _ => item.push(c),
        }
        if depth == 0 {
            break;
        }
    }
    names.push(item);
    names
        .iter()
        .map(|item| name(item.trim()))
        .filter(|name: &String| !name.is_empty())
        .collect()
}

struct Dependency {
    name: String,
    line: usize,
    explained: bool,
}

/// A comment explains the dependency beside it, or those below it up to the
/// next empty line.
fn dependencies(manifest: &str) -> Vec<Dependency> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
    let text = fs::read_to_string(path).unwrap();
    let (mut found, mut inside, mut explained) = (Vec::new(), false, false);
    for (line, content) in numbered(&text) {
        if content.starts_with('[') {
            inside = content.trim_end_matches(']').ends_with("dependencies");
            explained = false;
        } else if content.is_empty() {
            explained = false;
        } else if content.starts_with('#') {
            explained = true;
        } else if let Some((name, value)) = content.split_once('=').filter(|_| inside) {
            let name = name.trim().to_owned();
            found.push(Dependency {
                name,
                line,
                explained: explained || value.contains(" # "),
            });
        }
    }
    found
}

/// The rules look at what is code; these hold the looking to its word.
mod looking {
    use super::*;

    fn source(raw: &str) -> Source {
        Source::new("src/plan/x.rs".to_owned(), raw.to_owned())
    }

    #[test]
    fn comments_and_texts_are_not_code() {
        let s = source(
            "let a = \"// no \\\" } \"; // b\nlet c = r#\"d \" e\"#; /* f /* g */ h */ i('{', '\\'');",
        );
        for word in ["no", "b", "d", "e", "f", "g", "h", "}", "{"] {
            assert!(!contains_word(&s.code, word), "{word} in {}", s.code);
        }
        assert!(
            contains_word(&s.code, "i") && s.texts.contains("d \" e"),
            "{}",
            s.texts
        );
    }

    #[test]
    fn lifetimes_are_not_texts() {
        let s = source("fn f<'a>(x: &'a str) -> char { 'ü' }");
        assert!(
            s.code.starts_with("fn f<'a>(x: &'a str) -> char {"),
            "{}",
            s.code
        );
        assert!(!s.code.contains('ü') && s.code.ends_with('}'), "{}", s.code);
    }

    #[test]
    fn tests_do_not_ship() {
        let s =
            source("fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { if c { } }\n}\nfn d() {}\n");
        assert!(
            contains_word(&s.shipped, "d") && !contains_word(&s.shipped, "b"),
            "{}",
            s.shipped
        );
        assert_eq!(s.raw.lines().count(), s.shipped.lines().count());
    }

    #[test]
    fn functions_are_measured_to_their_last_brace() {
        let s = source(
            "trait T { fn no_body(&self, x: [u8; 2]); }\nfn long(\n  x: u8,\n) {\n  { }\n}\n",
        );
        let found: Vec<_> = functions(&s.code)
            .into_iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect();
        assert_eq!(found, [("long".to_owned(), 2, 5)]);
    }

    #[test]
    fn grouped_imports_are_seen() {
        let s = source("use crate::{ids::A, world::{B, C}};\nuse crate::aws;\n");
        let named: Vec<_> = s
            .named_modules()
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(named, ["ids", "world", "aws"]);
    }
}
