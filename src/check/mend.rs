//! How does a person mend it? A command to copy, with the real names in it.

use std::fmt::Display;

/// A command line, or advice where no single command does it.
#[derive(Clone, Debug)]
pub(super) struct Command(String);

impl Command {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// A flag and its value.
    pub(super) fn with(mut self, flag: &str, value: impl Display) -> Self {
        self.0
            .push_str(&format!(" --{flag} {}", quoted(&value.to_string())));
        self
    }

    /// Behind it, for whoever reads it: a shell does not.
    pub(super) fn note(self, words: &str) -> Self {
        self.and(&format!(" # {words}"))
    }

    /// A flag without a value, or words that need no quoting.
    pub(super) fn and(mut self, words: &str) -> Self {
        self.0.push_str(&format!(" {words}"));
        self
    }
}

/// `aws SERVICE OPERATION`.
pub(super) fn aws(operation: &str) -> Command {
    Command(format!("aws {operation}"))
}

pub(super) fn rehome(words: &str) -> Command {
    Command(format!("rehome {words}"))
}

/// What a person does in no single command.
pub(super) fn advice(sentence: impl Into<String>) -> Command {
    Command(sentence.into())
}

impl From<&str> for Command {
    fn from(sentence: &str) -> Self {
        advice(sentence)
    }
}

impl From<String> for Command {
    fn from(sentence: String) -> Self {
        advice(sentence)
    }
}

/// For a shell: as it is where that is safe.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        for (word, expected) in [
            ("orders-db", "orders-db"),
            ("orders db", "'orders db'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected, "{word}");
        }
    }
}
