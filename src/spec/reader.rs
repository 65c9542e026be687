//! How a TOML document is read strictly: every value knows its line and its
//! key, and a table takes no key it does not know.
//!
//! The document is walked by hand instead of derived, because a person who
//! mistyped a line at night is owed more than "invalid type at offset 212".

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;

/// Longer than anything a policy means, short enough for every sum of times.
const LONGEST: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

/// Where the text came from, for the messages.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The line that an offset lies on, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn refuse(&self, span: &Range<usize>, key: &str, says: &str) -> ConfigError {
        ConfigError::at(self.file, self.line(span.start), format!("{key}: {says}"))
    }
}

/// One value, with its key and its place.
#[derive(Clone)]
pub(super) struct Item<'a> {
    source: Source<'a>,
    key: String,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    /// This value will not do.
    pub(super) fn refuse(&self, says: impl AsRef<str>) -> ConfigError {
        self.source.refuse(&self.span, &self.key, says.as_ref())
    }

    pub(super) fn line(&self) -> usize {
        self.source.line(self.span.start)
    }

    fn wanted(&self, what: &str) -> ConfigError {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.refuse(format!("must be {what}, but is {found}"))
    }

    /// A text with something in it.
    pub(super) fn text(&self, example: &str) -> Result<&'a str, ConfigError> {
        let text = self.any_text(example)?;
        if text.trim().is_empty() {
            return Err(self.refuse(format!("must not be empty; it is like \"{example}\"")));
        }
        Ok(text)
    }

    /// A text that may be empty.
    pub(super) fn any_text(&self, example: &str) -> Result<&'a str, ConfigError> {
        let text = self
            .value
            .as_str()
            .ok_or_else(|| self.wanted(&format!("a text in quotes, such as \"{example}\"")))?;
        if text.chars().any(char::is_control) {
            return Err(self.refuse("must not contain control characters"));
        }
        Ok(text)
    }

    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.wanted("true or false, without quotes"))
    }

    pub(super) fn number(&self, allowed: Range<u32>) -> Result<u32, ConfigError> {
        let what = format!(
            "a whole number from {} to {}",
            allowed.start,
            allowed.end.saturating_sub(1)
        );
        let integer = self.value.as_integer().ok_or_else(|| self.wanted(&what))?;
        u32::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|number| allowed.contains(number))
            .ok_or_else(|| self.refuse(format!("must be {what}, but is {integer}")))
    }

    pub(super) fn duration(&self, example: &str) -> Result<SignedDuration, ConfigError> {
        let text = match self.value {
            DeValue::Integer(number) => {
                return Err(self.refuse(format!(
                    "{number} has no unit; write a time with s, m or h in quotes, such as \"{example}\""
                )));
            }
            _ => self.text(example)?,
        };
        let duration: SignedDuration = text.parse().map_err(|_| {
            self.refuse(format!(
                "\"{text}\" is no length of time; write s, m or h after each number, such as \"{example}\" or \"1h30m\""
            ))
        })?;
        if !duration.is_positive() {
            return Err(self.refuse(format!(
                "\"{text}\" must be longer than nothing, such as \"{example}\""
            )));
        }
        if duration > LONGEST {
            return Err(self.refuse(format!("\"{text}\" is longer than ten years")));
        }
        Ok(duration)
    }

    /// The items of a list of values: they share the key and have their own lines.
    pub(super) fn list(&self, example: &str) -> Result<Vec<Item<'a>>, ConfigError> {
        let DeValue::Array(values) = self.value else {
            return Err(self.wanted(&format!("a list, such as {example}")));
        };
        let items = values.iter().map(|value| self.beside(value));
        Ok(items.collect())
    }

    /// The tables of a `[[list]]`.
    pub(super) fn tables(&self, known: &[&str]) -> Result<Vec<Table<'a>>, ConfigError> {
        let DeValue::Array(values) = self.value else {
            let says = match self.value {
                DeValue::Table(_) => "there can be several, so write it with two brackets",
                _ => "must be a list of tables",
            };
            return Err(self.refuse(format!("{says}: [[{}]]", self.key)));
        };
        values
            .iter()
            .map(|value| self.beside(value).table(known))
            .collect()
    }

    pub(super) fn table(&self, known: &[&str]) -> Result<Table<'a>, ConfigError> {
        let DeValue::Table(entries) = self.value else {
            return Err(self.wanted(&format!("a table: [{}]", self.key)));
        };
        let table = Table {
            source: self.source,
            key: self.key.clone(),
            span: self.span.clone(),
            entries,
        };
        table.knows_only(known)?;
        Ok(table)
    }

    fn beside(&self, value: &'a Spanned<DeValue<'a>>) -> Item<'a> {
        Item {
            source: self.source,
            key: self.key.clone(),
            span: value.span(),
            value: value.get_ref(),
        }
    }
}

/// A table whose keys are all known ones.
pub(super) struct Table<'a> {
    source: Source<'a>,
    /// Empty for the document itself.
    key: String,
    span: Range<usize>,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn root(
        source: Source<'a>,
        document: &'a Spanned<DeTable<'a>>,
        known: &[&str],
    ) -> Result<Self, ConfigError> {
        let table = Table {
            source,
            key: String::new(),
            span: document.span(),
            entries: document.get_ref(),
        };
        table.knows_only(known)?;
        Ok(table)
    }

    pub(super) fn get(&self, key: &str) -> Option<Item<'a>> {
        let value = self.entries.get(key)?;
        Some(Item {
            source: self.source,
            key: self.path(key),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    pub(super) fn need(&self, key: &str, example: &str) -> Result<Item<'a>, ConfigError> {
        self.get(key)
            .ok_or_else(|| self.lacks(key, &format!("{key} = {example}")))
    }

    /// Something this table must have is not there.
    pub(super) fn lacks(&self, key: &str, example: &str) -> ConfigError {
        let says = format!("is missing; write {example}");
        self.source.refuse(&self.span, &self.path(key), &says)
    }

    /// The table as a whole will not do.
    pub(super) fn refuse(&self, says: impl AsRef<str>) -> ConfigError {
        self.source.refuse(&self.span, &self.key, says.as_ref())
    }

    fn path(&self, key: &str) -> String {
        if self.key.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.key)
        }
    }

    /// The first key of the file that is not known here, if any, is refused.
    fn knows_only(&self, known: &[&str]) -> Result<(), ConfigError> {
        let unknown = self.entries.keys();
        let unknown = unknown.filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else {
            return Ok(());
        };
        let name: String = key.get_ref().chars().take(60).collect();
        let known_ones = known.join(", ");
        let says = match closest(&name, known) {
            Some(close) => format!("unknown key; did you mean {close}? known are {known_ones}"),
            None => format!("unknown key; known are {known_ones}"),
        };
        let path = self.path(&name.escape_debug().to_string());
        Err(self.source.refuse(&key.span(), &path, &says))
    }
}

/// Refuses what was already said on another line.
pub(super) struct Once<'n> {
    rule: &'n str,
    seen: BTreeMap<String, usize>,
}

impl<'n> Once<'n> {
    pub(super) fn of(rule: &'n str) -> Self {
        Self {
            rule,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn check(&mut self, value: &str, item: &Item<'_>) -> Result<(), ConfigError> {
        match self.seen.insert(value.to_owned(), item.line()) {
            None => Ok(()),
            Some(line) => {
                Err(item.refuse(format!("this is on line {line} already; {}", self.rule)))
            }
        }
    }
}

/// The known key that is a typing slip away, if there is one.
fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let distances = known.iter().map(|key| (distance(name, key), *key));
    let (slips, key) = distances.min()?;
    (slips <= 1 + key.len() / 4).then_some(key)
}

/// How many letters must be put in, taken out or changed (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, above) in to.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b))
                .min(above + 1)
                .min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
