//! What does a policy look like to IAM?

use std::collections::BTreeMap;

use serde::Serialize;

/// IAM's language has had this version since 2012.
const VERSION: &str = "2012-10-17";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    pub version: &'static str,
    pub statement: Vec<Statement>,
}

/// A single one is written without brackets, as IAM itself would show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Operator → key → values.
pub type Condition = BTreeMap<&'static str, BTreeMap<String, OneOrMany>>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    pub sid: String,
    pub effect: &'static str,
    pub action: OneOrMany,
    pub resource: OneOrMany,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Condition,
    /// For people; IAM has no place for it.
    #[serde(skip)]
    pub why: &'static str,
}

impl Policy {
    pub(super) fn new(statement: Vec<Statement>) -> Self {
        Self {
            version: VERSION,
            statement,
        }
    }

    /// As it is printed.
    pub fn text(&self) -> String {
        // Maps with text for keys, and nothing that could fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As IAM counts: without the white space between things.
    pub fn characters(&self) -> usize {
        serde_json::to_string(self).map_or(0, |text| text.chars().count())
    }
}

impl Statement {
    pub(super) fn allow(sid: impl Into<String>, why: &'static str) -> Self {
        Self {
            sid: sid.into(),
            effect: "Allow",
            action: OneOrMany::Many(Vec::new()),
            resource: OneOrMany::Many(Vec::new()),
            condition: Condition::new(),
            why,
        }
    }

    pub(super) fn to<'a>(mut self, actions: impl IntoIterator<Item = &'a str>) -> Self {
        self.action = OneOrMany::of(actions);
        self
    }

    pub(super) fn on(mut self, resources: impl IntoIterator<Item = String>) -> Self {
        self.resource = OneOrMany::of(resources);
        self
    }

    pub(super) fn when(
        mut self,
        operator: &'static str,
        key: impl Into<String>,
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        let keys = self.condition.entry(operator).or_default();
        keys.insert(key.into(), OneOrMany::of(values));
        self
    }
}

impl OneOrMany {
    /// In order, each once.
    pub(super) fn of<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Self {
        let mut items: Vec<String> = items.into_iter().map(Into::into).collect();
        items.sort_unstable();
        items.dedup();
        match <[String; 1]>::try_from(items) {
            Ok([one]) => Self::One(one),
            Err(many) => Self::Many(many),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}
