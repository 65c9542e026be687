//! What does a form-encoded request say? Flat names like `Filter.1.Value.2`,
//! read as lists and structures.

use std::collections::BTreeMap;

use super::Request;
use super::error::ApiError;

/// The parameters of a request, or of one structure inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params {
    values: BTreeMap<String, String>,
}

impl Params {
    /// From the query string and the body; the body wins.
    pub(crate) fn of(request: &Request) -> Params {
        let mut values = BTreeMap::new();
        let body = String::from_utf8_lossy(&request.body);
        for pair in request
            .query
            .split('&')
            .chain(body.split('&'))
            .filter(|p| !p.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.insert(decode(name), decode(value));
        }
        Params { values }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Every name with its value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name)
            .filter(|v| !v.is_empty())
            .ok_or_else(|| ApiError::missing(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("true" | "True" | "1") => Ok(Some(true)),
            Some("false" | "False" | "0") => Ok(Some(false)),
            Some(other) => Err(ApiError::invalid(name, other)),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        self.get(name)
            .map(|value| value.parse().map_err(|_| ApiError::invalid(name, value)))
            .transpose()
    }

    /// `Name.1`, `Name.2` …, or `Name.member.1` as Auto Scaling writes it.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let mut found = BTreeMap::new();
        for (key, value) in &self.values {
            if let Some((number, "")) = split(key, name) {
                found.insert(number, value.clone());
            }
        }
        found.into_values().collect()
    }

    /// `Name.1.Key`, `Name.1.Value`, `Name.2.Key` … as one set of parameters each.
    pub(crate) fn structures(&self, name: &str) -> Vec<Params> {
        let mut found: BTreeMap<u64, Params> = BTreeMap::new();
        for (key, value) in &self.values {
            if let Some((number, rest)) = split(key, name).filter(|(_, rest)| !rest.is_empty()) {
                found
                    .entry(number)
                    .or_default()
                    .values
                    .insert(rest.to_owned(), value.clone());
            }
        }
        found.into_values().collect()
    }

    /// `Name.Key` … as a set of parameters of its own; empty if there are none.
    pub(crate) fn within(&self, name: &str) -> Params {
        let prefix = format!("{name}.");
        let inside = |(key, value): (&String, &String)| {
            Some((key.strip_prefix(&prefix)?.to_owned(), value.clone()))
        };
        Params {
            values: self.values.iter().filter_map(inside).collect(),
        }
    }

    /// These, and of the others what these say nothing about: by the first part
    /// of the name, so that a list replaces a list.
    pub(crate) fn over(mut self, others: &Params) -> Params {
        let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let said: Vec<String> = self.values.keys().map(|name| first(name)).collect();
        let rest = others
            .values
            .iter()
            .filter(|(name, _)| !said.contains(&first(name)));
        self.values
            .extend(rest.map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A canonical text of everything but the named parameters: two requests
    /// with the same text ask for the same thing.
    pub(crate) fn fingerprint(&self, without: &[&str]) -> String {
        let kept = self
            .values
            .iter()
            .filter(|(key, _)| !without.contains(&key.as_str()));
        kept.map(|(key, value)| format!("{key}={value}\n"))
            .collect()
    }

    /// Every value whose name, or whose list's name, is one of these.
    pub(crate) fn any_of(&self, names: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for name in names {
            found.extend(self.get(name).map(str::to_owned));
            found.extend(self.list(name));
        }
        found
    }
}

/// What a request says under one plain name, without reading the rest of it: asked
/// of every call several times.
pub(crate) fn value(request: &Request, name: &str) -> Option<String> {
    let said = |text: &str| {
        let mut pairs = text.rsplit('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, v)| decode(v))
    };
    let body = std::str::from_utf8(&request.body).ok()?;
    said(body).or_else(|| said(&request.query))
}

/// The number and what follows it, if `key` is an element of the list `name`.
fn split<'a>(key: &'a str, name: &str) -> Option<(u64, &'a str)> {
    let rest = key.strip_prefix(name)?.strip_prefix('.')?;
    let rest = rest.strip_prefix("member.").unwrap_or(rest);
    let (number, rest) = rest.split_once('.').unwrap_or((rest, ""));
    Some((number.parse().ok()?, rest))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                match (ahead.next().and_then(hex), ahead.next().and_then(hex)) {
                    (Some(high), Some(low)) => {
                        bytes.push(high << 4 | low);
                        rest = ahead;
                    }
                    _ => bytes.push(b'%'),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(body: &str) -> Params {
        Params::of(&Request {
            body: body.as_bytes().to_vec(),
            ..Request::default()
        })
    }

    #[test]
    fn lists_keep_the_order_of_their_numbers() {
        let p = params("VolumeId.10=c&VolumeId.2=b&VolumeId.1=a&VolumeIdX.1=no");
        assert_eq!(p.list("VolumeId"), ["a", "b", "c"]);
        assert_eq!(
            params("Names.member.1=x&Names.member.2=y").list("Names"),
            ["x", "y"]
        );
    }

    #[test]
    fn one_value_is_what_all_of_them_say_under_its_name() {
        for (query, body) in [
            ("", "Action=A&Version=2016-11-15"),
            ("Action=Q&Version=2", "Action=A%20B"),
            ("Action=Q", "Version=1&Version=2"),
            ("", "ActionX=1&XAction=2"),
            ("", ""),
        ] {
            let request = Request {
                query: query.to_owned(),
                body: body.as_bytes().to_vec(),
                ..Request::default()
            };
            let all = Params::of(&request);
            for name in ["Action", "Version"] {
                assert_eq!(value(&request, name).as_deref(), all.get(name));
            }
        }
    }

    #[test]
    fn structures_nest() {
        let p = params(
            "Filter.1.Name=tag%3Aa%20b&Filter.1.Value.2=z&Filter.1.Value.1=y+x&Filter.2.Name=n",
        );
        let filters = p.structures("Filter");
        assert_eq!(filters.len(), 2);
        assert_eq!(filters.first().and_then(|f| f.get("Name")), Some("tag:a b"));
        assert_eq!(
            filters.first().map(|f| f.list("Value")),
            Some(vec!["y x".to_owned(), "z".to_owned()])
        );
    }

    #[test]
    fn broken_escapes_and_foreign_bytes_are_kept_as_they_are() {
        assert_eq!(params("a=%zz%4").get("a"), Some("%zz%4"));
        let request = Request {
            body: vec![0xff, b'=', 0xfe],
            ..Request::default()
        };
        assert!(!Params::of(&request).is_empty());
    }

    #[test]
    fn wrong_numbers_and_flags_are_refused_by_name() {
        let p = params("Size=ten&Force=maybe");
        assert!(p.number("Size").is_err_and(|e| e.message.contains("Size")));
        assert!(p.flag("Force").is_err_and(|e| e.message.contains("maybe")));
        assert!(
            p.required("VolumeId")
                .is_err_and(|e| e.code == "MissingParameter")
        );
    }
}
