//! When does a statement count? Operators on the keys of a call.

use super::ask::Context;
use super::pattern::Pattern;
use super::policy::PolicyError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// One of the values fits.
    Fits,
    FitsNot,
    /// The key is not there (`true`), or is there (`false`).
    IsAbsent,
}

/// How keys with several values, or none, are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Plain,
    IfExists,
    ForAll,
    ForAny,
}

#[derive(Clone, Debug)]
pub(crate) struct Condition {
    test: Test,
    reach: Reach,
    key: String,
    values: Vec<Pattern>,
}

impl Condition {
    pub(crate) fn new(
        place: &str,
        operator: &str,
        key: &str,
        values: &[String],
    ) -> Result<Condition, PolicyError> {
        let (reach, name) = reach(operator);
        let (test, wild, folds) = match name {
            "StringEquals" | "ArnEquals" => (Test::Fits, false, false),
            "StringNotEquals" => (Test::FitsNot, false, false),
            "StringLike" => (Test::Fits, true, false),
            "StringNotLike" => (Test::FitsNot, true, false),
            "Bool" => (Test::Fits, false, true),
            "Null" => (Test::IsAbsent, false, true),
            _ => {
                let says = format!("the operator {operator} is not understood here");
                return Err(PolicyError::at(place, says));
            }
        };
        let value = |value: &String| {
            let value = if folds {
                value.to_lowercase()
            } else {
                value.clone()
            };
            Pattern::of_policy(&value, wild)
                .ok_or_else(|| PolicyError::at(place, format!("{value} uses a variable")))
        };
        Ok(Condition {
            test,
            reach,
            key: key.to_lowercase(),
            values: values.iter().map(value).collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn holds(&self, context: &Context) -> bool {
        let found = context.values(&self.key);
        let fits = |value: &String| self.values.iter().any(|wanted| wanted.fits(value));
        if self.test == Test::IsAbsent {
            let absent = found.is_none().to_string();
            return fits(&absent);
        }
        let meets = |value: &String| fits(value) == (self.test == Test::Fits);
        match (found, self.reach) {
            (None, Reach::IfExists | Reach::ForAll) => true,
            (None, Reach::ForAny) => false,
            // What is not there is equal to nothing.
            (None, Reach::Plain) => self.test == Test::FitsNot,
            (Some(values), Reach::ForAll) => values.iter().all(meets),
            (Some(values), Reach::ForAny) => values.iter().any(meets),
            (Some(values), Reach::Plain | Reach::IfExists) => match self.test {
                Test::Fits => values.iter().any(meets),
                _ => values.iter().all(meets),
            },
        }
    }
}

fn reach(operator: &str) -> (Reach, &str) {
    if let Some(name) = operator.strip_prefix("ForAllValues:") {
        return (Reach::ForAll, name);
    }
    if let Some(name) = operator.strip_prefix("ForAnyValue:") {
        return (Reach::ForAny, name);
    }
    match operator.strip_suffix("IfExists") {
        Some(name) => (Reach::IfExists, name),
        None => (Reach::Plain, operator),
    }
}
