//! Why was nothing understood? In words that are safe to log: bounded, and
//! without anything from outside that could pass for a line of its own.

use super::json::{DEEPEST, LARGEST};

/// A payload that says nothing about whom to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unheard {
    #[error("it has more than {LARGEST} bytes")]
    TooLarge,
    #[error("it is not JSON")]
    NotJson,
    #[error("it breaks off in the middle of its JSON")]
    CutOff,
    #[error("its JSON, or the envelopes around it, are nested deeper than {DEEPEST} levels")]
    TooDeep,
    /// A known kind of event, without the name or id that it should have.
    #[error("it is a notice of the kind \"{0}\" that names nobody")]
    Unnamed(&'static str),
    /// Something that rehome has no use for.
    #[error("it is {0}")]
    Foreign(String),
}

/// A few words from outside, quoted: short, on one line, and visible.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let start: String = text.chars().take(MOST).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    // Escaped, each character takes up to ten.
    format!("\"{}{dots}\"", start.escape_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_short_and_on_one_line() {
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("a\nb\u{1b}[2J"), "\"a\\nb\\u{1b}[2J\"");
        let long = quoted(&"\u{10ffff}".repeat(100_000));
        assert!(long.len() < 650 && long.is_ascii() || long.contains('…'));
        assert!(!long.contains('\n'));
    }
}
