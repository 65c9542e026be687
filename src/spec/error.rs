//! What is wrong with a configuration, in one sentence that says where.

use std::fmt;

/// A configuration that cannot be used: file, line, key and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: Option<String>,
    line: Option<usize>,
    says: String,
}

impl ConfigError {
    /// Something a line of the file is to blame for.
    pub(super) fn at(file: &str, line: usize, says: impl Into<String>) -> Self {
        Self {
            file: Some(file.to_owned()),
            line: Some(line),
            says: says.into(),
        }
    }

    /// Something the whole file is to blame for.
    pub(super) fn of(file: &str, says: impl Into<String>) -> Self {
        Self {
            file: Some(file.to_owned()),
            line: None,
            says: says.into(),
        }
    }

    /// There is no file to blame.
    pub(super) fn nowhere(says: impl Into<String>) -> Self {
        Self {
            file: None,
            line: None,
            says: says.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.says)
    }
}

impl std::error::Error for ConfigError {}
