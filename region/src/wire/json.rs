//! How does a document become AWS JSON, and back?

use serde_json::{Number, Value};

use super::document::Document;

pub(crate) fn encode(document: &Document) -> Vec<u8> {
    to_json(document).to_string().into_bytes()
}

fn to_json(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(value) => Value::Bool(*value),
        Document::Int(number) => Value::from(*number),
        Document::Float(number) => Value::from(*number),
        Document::Text(text) => Value::String(text.clone()),
        // Seconds since the epoch, with milliseconds.
        Document::Time(at) => Value::from(at.as_millisecond() as f64 / 1000.0),
        Document::List(items) => items.iter().map(to_json).collect(),
        Document::Map(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), to_json(value)))
                .collect(),
        ),
    }
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Document, serde_json::Error> {
    Ok(from_json(serde_json::from_slice(bytes)?))
}

fn from_json(value: Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(value),
        Value::Number(number) => from_number(&number),
        Value::String(text) => Document::Text(text),
        Value::Array(items) => Document::List(items.into_iter().map(from_json).collect()),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, from_json(value)))
            .collect(),
    }
}

fn from_number(number: &Number) -> Document {
    match number.as_i64() {
        Some(whole) => Document::Int(whole),
        None => Document::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_document_survives_the_journey() {
        let text = br#"{"Names":["a","b"],"Number":-7,"Threshold":0.5,"Flag":true,"Nothing":null}"#;
        let document = decode(text).unwrap();
        assert_eq!(document.int("Number"), Some(-7));
        assert_eq!(document.float("Threshold"), Some(0.5));
        assert_eq!(document.texts("Names"), ["a", "b"]);
        assert_eq!(decode(&encode(&document)).unwrap(), document);
    }
}
