//! What does a policy document say? Read strictly: what is not understood here
//! would be enforced wrongly.

use serde_json::{Map, Value};
use thiserror::Error;

use super::condition::Condition;
use super::pattern::Pattern;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {says}")]
pub struct PolicyError {
    place: String,
    says: String,
}

impl PolicyError {
    pub(crate) fn at(place: &str, says: impl Into<String>) -> PolicyError {
        PolicyError {
            place: place.to_owned(),
            says: says.into(),
        }
    }
}

/// A policy that is attached to somebody.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sid: String,
    pub(crate) allows: bool,
    /// In lower case: IAM does not tell the cases of actions apart.
    pub(crate) actions: Vec<Pattern>,
    pub(crate) resources: Vec<Pattern>,
    pub(crate) conditions: Vec<Condition>,
}

impl Policy {
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        let broken = |error: serde_json::Error| PolicyError::at("policy", error.to_string());
        let document: Map<String, Value> = serde_json::from_str(text).map_err(broken)?;
        only(&document, "policy", &["Version", "Id", "Statement"])?;
        let statements = match document.get("Statement") {
            Some(Value::Array(all)) => all.as_slice(),
            Some(one @ Value::Object(_)) => std::slice::from_ref(one),
            _ => return Err(PolicyError::at("Statement", "there is none")),
        };
        let statements = statements.iter().enumerate();
        Ok(Policy {
            statements: statements
                .map(|(number, value)| statement(number + 1, value))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn statement(number: usize, value: &Value) -> Result<Statement, PolicyError> {
    let place = format!("statement {number}");
    let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
    let Value::Object(value) = value else {
        return Err(PolicyError::at(&place, "it is no object"));
    };
    only(value, &place, &known)?;
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let allows = match text("Effect") {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(PolicyError::at(&place, "Effect is neither Allow nor Deny")),
    };
    let patterns = |key: &str| {
        let all = texts(value.get(key));
        let all = all.filter(|all| !all.is_empty());
        all.ok_or_else(|| PolicyError::at(&place, format!("{key} is no text and no list of texts")))
    };
    let wild = |text: &str| {
        Pattern::of_policy(text, true)
            .ok_or_else(|| PolicyError::at(&place, format!("{text} uses a variable")))
    };
    let actions = patterns("Action")?;
    let actions = actions.iter().map(|action| wild(&action.to_lowercase()));
    let resources = patterns("Resource")?;
    let resources = resources.iter().map(|resource| wild(resource));
    Ok(Statement {
        sid: text("Sid").map_or_else(|| place.clone(), str::to_owned),
        allows,
        actions: actions.collect::<Result<_, _>>()?,
        resources: resources.collect::<Result<_, _>>()?,
        conditions: conditions(&place, value.get("Condition"))?,
    })
}

fn conditions(place: &str, value: Option<&Value>) -> Result<Vec<Condition>, PolicyError> {
    let mut all = Vec::new();
    let Some(value) = value else { return Ok(all) };
    let wrong = || PolicyError::at(place, "Condition is not operator, key and values");
    for (operator, keys) in value.as_object().ok_or_else(wrong)? {
        for (key, values) in keys.as_object().ok_or_else(wrong)? {
            let values = texts(Some(values)).ok_or_else(wrong)?;
            all.push(Condition::new(place, operator, key, &values)?);
        }
    }
    Ok(all)
}

fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    match value? {
        Value::Array(all) => all.iter().map(text).collect(),
        one => Some(vec![text(one)?]),
    }
}

fn only(object: &Map<String, Value>, place: &str, known: &[&str]) -> Result<(), PolicyError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(PolicyError::at(
            place,
            format!("{key} is not understood here, only {}", known.join(", ")),
        )),
    }
}
