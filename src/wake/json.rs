//! Is this JSON that may be read at all? Not too large, not too deep.

use serde_json::Value;
use serde_json::error::Category;

use super::Unheard;

/// As much as SQS, SNS and EventBridge carry at most.
pub(super) const LARGEST: usize = 1024 * 1024;
/// The deepest payload AWS sends has less than a fifth of this.
pub(super) const DEEPEST: usize = 64;

pub(super) fn parse(payload: &[u8]) -> Result<Value, Unheard> {
    if payload.len() > LARGEST {
        return Err(Unheard::TooLarge);
    }
    if depth(payload) > DEEPEST {
        return Err(Unheard::TooDeep);
    }
    serde_json::from_slice(payload).map_err(|error| match error.classify() {
        Category::Eof => Unheard::CutOff,
        Category::Io | Category::Syntax | Category::Data => Unheard::NotJson,
    })
}

/// How many brackets are open at once at most, without building anything.
fn depth(payload: &[u8]) -> usize {
    let (mut open, mut most) = (0_usize, 0_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in payload {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                open = open.saturating_add(1);
                most = most.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// The text at the end of this path of members.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    member(value, path)?.as_str()
}

/// The elements at the end of this path; none where there is no list.
pub(super) fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    member(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn member<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_text_nest_nothing() {
        assert_eq!(depth(br#"{"a":"[[[[\"[[","b":[{}]}"#), 3);
        assert_eq!(depth(b"]]]][["), 2);
        assert_eq!(depth(br#""\\"[["#), 2);
    }

    #[test]
    fn the_bounds_are_exact() {
        let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert!(parse(&nested(DEEPEST)).is_ok());
        assert_eq!(parse(&nested(DEEPEST + 1)), Err(Unheard::TooDeep));
        let text = |size: usize| format!("\"{}\"", "a".repeat(size - 2)).into_bytes();
        assert!(parse(&text(LARGEST)).is_ok());
        assert_eq!(parse(&text(LARGEST + 1)), Err(Unheard::TooLarge));
        assert_eq!(parse(b""), Err(Unheard::CutOff));
        assert_eq!(parse(b"{\"a\":"), Err(Unheard::CutOff));
        assert_eq!(parse(b"hello"), Err(Unheard::NotJson));
        assert_eq!(parse(b"\"\xff\""), Err(Unheard::NotJson));
    }
}
