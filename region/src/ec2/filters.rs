//! Does a resource match the filters of a request?

use super::resource::Resource;
use crate::wire::error::ApiError;
use crate::wire::query::Params;

const MOST_VALUES: usize = 200;

/// The filters of one request: all must match, each by any of its values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    pub(crate) fn of<T: Resource>(params: &Params) -> Result<Filters, ApiError> {
        Filters::among(params, T::FILTERS)
    }

    /// Unknown filters are refused, whether or not anything is there to filter.
    pub(crate) fn among(params: &Params, known: &[&str]) -> Result<Filters, ApiError> {
        let mut filters = Vec::new();
        for filter in params.structures("Filter") {
            let name = filter.required("Name")?.to_owned();
            let values = filter.list("Value");
            let on_tags =
                name.starts_with("tag:") || matches!(name.as_str(), "tag-key" | "tag-value");
            if !on_tags && !known.contains(&name.as_str()) {
                let message = format!("The filter '{name}' is invalid");
                return Err(ApiError::new("InvalidParameterValue", message));
            }
            if values.is_empty() {
                let message = format!("The filter '{name}' must have at least one value");
                return Err(ApiError::new("InvalidParameterValue", message));
            }
            filters.push((name, values));
        }
        let values: usize = filters.iter().map(|(_, values)| values.len()).sum();
        if values > MOST_VALUES {
            return Err(ApiError::new(
                "FilterLimitExceeded",
                format!(
                    "The maximum number of filter values specified on a single call is {MOST_VALUES}"
                ),
            ));
        }
        Ok(Filters(filters))
    }

    pub(crate) fn accept<T: Resource>(&self, resource: &T) -> bool {
        self.accept_fields(|name| {
            if let Some(key) = name.strip_prefix("tag:") {
                return resource.tags().get(key).cloned().into_iter().collect();
            }
            match name {
                "tag-key" => resource.tags().keys().cloned().collect(),
                "tag-value" => resource.tags().values().cloned().collect(),
                name => resource.field(name),
            }
        })
    }

    /// The same for what is no resource of its own.
    pub(crate) fn accept_fields(&self, field: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let found = field(name);
            found
                .iter()
                .any(|value| wanted.iter().any(|pattern| like(pattern, value)))
        })
    }
}

/// `*` stands for any characters, `?` for one.
fn like(pattern: &str, value: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let value: Vec<char> = value.chars().collect();
    let (mut p, mut v) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while v < value.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, v));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == value.get(v) => {
                p += 1;
                v += 1;
            }
            _ => match star {
                // Let the last star take one character more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    v = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Volume;
    use crate::wire::Request;

    fn params(body: &str) -> Params {
        Params::of(&Request {
            body: body.as_bytes().to_vec(),
            ..Request::default()
        })
    }

    #[test]
    fn wildcards() {
        let table = [
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("**b", "aab", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
        ];
        for (pattern, value, expected) in table {
            assert_eq!(like(pattern, value), expected, "{pattern} {value}");
        }
    }

    #[test]
    fn unknown_and_empty_filters_are_refused() {
        let code = |body: &str| Filters::of::<Volume>(&params(body)).err().map(|e| e.code);
        assert_eq!(
            code("Filter.1.Name=colour&Filter.1.Value.1=x").as_deref(),
            Some("InvalidParameterValue")
        );
        assert_eq!(
            code("Filter.1.Name=status").as_deref(),
            Some("InvalidParameterValue")
        );
        assert_eq!(code("Filter.1.Name=tag:a&Filter.1.Value.1=x"), None);
    }

    #[test]
    fn more_than_two_hundred_values_are_too_many() {
        let values: String = (1..=201)
            .map(|n| format!("&Filter.1.Value.{n}=v{n}"))
            .collect();
        let body = format!("Filter.1.Name=tag:a{values}");
        let error = Filters::of::<Volume>(&params(&body)).err();
        assert_eq!(
            error.map(|e| e.code).as_deref(),
            Some("FilterLimitExceeded")
        );
    }
}
