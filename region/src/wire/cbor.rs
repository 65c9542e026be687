//! How does a document become Smithy RPC v2 CBOR, and back?
//!
//! Definite lengths on the way out, definite and indefinite ones on the way in
//! (the Rust SDK writes indefinite maps, botocore definite ones). A timestamp
//! is tag 1 over seconds since the epoch.

use std::collections::BTreeMap;

use jiff::Timestamp;
use minicbor::data::{IanaTag, Type};
use minicbor::decode::Error;
use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};

use super::document::Document;

/// Nesting nobody honest needs; deeper input is refused instead of recursed into.
const DEPTH_MAX: u32 = 32;

pub(crate) fn encode(document: &Document) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    // Writing to a vector cannot fail: its error type has no values.
    match put(&mut encoder, document) {
        Ok(()) => encoder.into_writer(),
        Err(_) => Vec::new(),
    }
}

type Put<W> = Result<(), minicbor::encode::Error<<W as Write>::Error>>;

fn put<W: Write>(to: &mut Encoder<W>, document: &Document) -> Put<W> {
    match document {
        Document::Null => to.null()?,
        Document::Bool(value) => to.bool(*value)?,
        Document::Int(number) => to.i64(*number)?,
        Document::Float(number) => to.f64(*number)?,
        Document::Text(text) => to.str(text)?,
        Document::Time(at) => {
            let seconds = at.as_millisecond() as f64 / 1000.0;
            to.tag(IanaTag::Timestamp)?.f64(seconds)?
        }
        Document::List(items) => {
            to.array(items.len() as u64)?;
            for item in items {
                put(to, item)?;
            }
            to
        }
        Document::Map(members) => {
            to.map(members.len() as u64)?;
            for (name, value) in members {
                to.str(name)?;
                put(to, value)?;
            }
            to
        }
    };
    Ok(())
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Document, Error> {
    take(&mut Decoder::new(bytes), 0)
}

fn take(from: &mut Decoder<'_>, depth: u32) -> Result<Document, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::message("nested too deep"));
    }
    Ok(match from.datatype()? {
        Type::Null => {
            from.null()?;
            Document::Null
        }
        Type::Undefined => {
            from.undefined()?;
            Document::Null
        }
        Type::Bool => Document::Bool(from.bool()?),
        Type::F16 => Document::Float(from.f16()?.into()),
        Type::F32 => Document::Float(from.f32()?.into()),
        Type::F64 => Document::Float(from.f64()?),
        Type::String | Type::StringIndef => Document::Text(text(from)?),
        Type::Array | Type::ArrayIndef => Document::List(list(from, depth)?),
        Type::Map | Type::MapIndef => Document::Map(members(from, depth)?),
        Type::Tag => tagged(from, depth)?,
        Type::Bytes | Type::BytesIndef | Type::Simple | Type::Break | Type::Unknown(_) => {
            return Err(Error::message("a kind of item this service has no use for"));
        }
        _ => Document::Int(from.i64()?),
    })
}

fn text(from: &mut Decoder<'_>) -> Result<String, Error> {
    from.str_iter()?.collect()
}

fn list(from: &mut Decoder<'_>, depth: u32) -> Result<Vec<Document>, Error> {
    let mut left = from.array()?;
    let mut items = Vec::new();
    while more(from, &mut left)? {
        items.push(take(from, depth + 1)?);
    }
    Ok(items)
}

fn members(from: &mut Decoder<'_>, depth: u32) -> Result<BTreeMap<String, Document>, Error> {
    let mut left = from.map()?;
    let mut members = BTreeMap::new();
    while more(from, &mut left)? {
        let name = text(from)?;
        members.insert(name, take(from, depth + 1)?);
    }
    Ok(members)
}

/// Is there another item? Counts a definite length down, looks for the break of an indefinite one.
fn more(from: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, Error> {
    match left {
        Some(0) => Ok(false),
        Some(count) => {
            *count -= 1;
            Ok(true)
        }
        None if from.datatype()? == Type::Break => {
            from.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

fn tagged(from: &mut Decoder<'_>, depth: u32) -> Result<Document, Error> {
    let tag = from.tag()?;
    let inner = take(from, depth + 1)?;
    if tag != IanaTag::Timestamp.tag() {
        return Ok(inner);
    }
    let milliseconds = match inner {
        Document::Int(seconds) => seconds.checked_mul(1000),
        Document::Float(seconds) => Some((seconds * 1000.0).round() as i64),
        _ => None,
    };
    milliseconds
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .map(Document::Time)
        .ok_or_else(|| Error::message("a timestamp out of range"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::document::map;
    use super::*;

    #[test]
    fn a_document_survives_the_journey() {
        let document = map([
            ("Flag", Some(true.into())),
            ("Names", Some(vec!["a", "b"].into())),
            ("Number", Some((-7).into())),
            ("Threshold", Some(0.5.into())),
            (
                "At",
                Some(
                    Timestamp::from_millisecond(1_700_000_000_250)
                        .unwrap()
                        .into(),
                ),
            ),
            ("Nothing", Some(Document::Null)),
        ]);
        assert_eq!(decode(&encode(&document)).unwrap(), document);
    }

    #[test]
    fn indefinite_lengths_are_read() {
        // {_ "a": [_ 1, 2]}
        let bytes = [0xbf, 0x61, b'a', 0x9f, 0x01, 0x02, 0xff, 0xff];
        assert_eq!(
            decode(&bytes).unwrap(),
            map([("a", Some(vec![1, 2].into()))])
        );
    }

    #[test]
    fn garbage_is_an_error_and_deep_nesting_is_refused() {
        assert!(decode(&[]).is_err());
        assert!(decode(&[0xff]).is_err());
        assert!(decode(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(decode(&[0x81; 100_000]).is_err());
    }
}
