//! What does a request or answer look like before a codec gets hold of it?
//!
//! CloudWatch speaks three protocols (CBOR, JSON, query) about the same
//! members, so its operations work on this tree and the codecs translate.

use std::collections::BTreeMap;

use jiff::Timestamp;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Document {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Time(Timestamp),
    List(Vec<Document>),
    Map(BTreeMap<String, Document>),
}

impl Document {
    pub(crate) fn get(&self, key: &str) -> Option<&Document> {
        match self {
            Document::Map(members) => members.get(key),
            _ => None,
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Document::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Query protocols send every scalar as text, so text that reads as a number counts.
    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Document::Int(number) => Some(*number),
            Document::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.get(key)? {
            Document::Float(number) => Some(*number),
            // Alarm thresholds are far below 2^53, where this is exact.
            Document::Int(number) => Some(*number as f64),
            Document::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn list(&self, key: &str) -> &[Document] {
        match self.get(key) {
            Some(Document::List(items)) => items,
            _ => &[],
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        let text = |item: &Document| match item {
            Document::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.list(key).iter().filter_map(text).collect()
    }
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Document::Text(text.to_owned())
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Document::Text(text)
    }
}

impl From<i64> for Document {
    fn from(number: i64) -> Self {
        Document::Int(number)
    }
}

impl From<f64> for Document {
    fn from(number: f64) -> Self {
        Document::Float(number)
    }
}

impl From<bool> for Document {
    fn from(value: bool) -> Self {
        Document::Bool(value)
    }
}

impl From<Timestamp> for Document {
    fn from(at: Timestamp) -> Self {
        Document::Time(at)
    }
}

impl<T: Into<Document>> From<Vec<T>> for Document {
    fn from(items: Vec<T>) -> Self {
        Document::List(items.into_iter().map(Into::into).collect())
    }
}

impl FromIterator<(String, Document)> for Document {
    fn from_iter<I: IntoIterator<Item = (String, Document)>>(members: I) -> Self {
        Document::Map(members.into_iter().collect())
    }
}

/// A map of the members that are there.
pub(crate) fn map<const N: usize>(members: [(&str, Option<Document>); N]) -> Document {
    members
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
        .collect()
}
