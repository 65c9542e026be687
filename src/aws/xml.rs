//! Is this text one whole XML document, and what stands where in it?
//!
//! The SDK's reader takes the end of its input for the end of every list: half
//! an answer reads as a shorter one. Nothing may be decided on half an answer,
//! so it is read to its end here first.

use std::collections::BTreeMap;

use thiserror::Error;
use xmlparser::{ElementEnd, Token, Tokenizer};

/// No answer nests deeper; deeper ones are refused before anything follows them.
const DEEPEST: usize = 64;
/// No structure of an answer has more parts; each is compared with those before it.
const WIDEST: usize = 256;
/// What a list calls its elements; all other names are there once.
const IN_LISTS: [&str; 2] = ["item", "member"];
/// How deep an answer's outline goes: its root, what is in it, and what is in that.
const OUTLINED: usize = 3;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Malformed {
    #[error("it is no XML: {0}")]
    NotXml(String),
    #[error("it ends before </{0}>")]
    Truncated(String),
    #[error("<{opened}> ends with </{closed}>")]
    Crossed { opened: String, closed: String },
    #[error("it nests deeper than any answer does")]
    TooDeep,
    #[error("<{0}> is one part more than anything in an answer has")]
    TooWide(String),
    #[error("it says <{0}> twice, and not the same")]
    Contradiction(String),
    #[error("there is nothing in it")]
    Empty,
}

/// The upper levels of a document: `Root/child/grandchild` → what is inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline<'a> {
    pub(super) root: &'a str,
    inside: BTreeMap<String, &'a str>,
}

impl<'a> Outline<'a> {
    /// What stands between the element's tags, if it is there.
    pub(super) fn get(&self, path: &str) -> Option<&'a str> {
        self.inside.get(path).copied()
    }

    /// Is there nothing but the root?
    pub(super) fn is_hollow(&self) -> bool {
        self.inside.keys().all(|path| path == self.root)
    }
}

/// An element that is not at its end yet.
struct Open<'a> {
    name: &'a str,
    begins: usize,
    /// Where what it says begins, among all that is said.
    says: usize,
}

/// Reads a document to its end.
pub(super) fn outline(text: &str) -> Result<Outline<'_>, Malformed> {
    let mut reading = Reading {
        text,
        open: Vec::new(),
        said: Vec::new(),
        outline: Outline::default(),
    };
    for token in Tokenizer::from(text) {
        reading.take(token.map_err(|error| Malformed::NotXml(error.to_string()))?)?;
    }
    match reading.open.last() {
        Some(open) => Err(Malformed::Truncated(open.name.to_owned())),
        None if reading.outline.root.is_empty() => Err(Malformed::Empty),
        None => Ok(reading.outline),
    }
}

struct Reading<'a> {
    text: &'a str,
    open: Vec<Open<'a>>,
    /// What the open elements say, each after the one it is in: name and inside.
    said: Vec<(&'a str, &'a str)>,
    outline: Outline<'a>,
}

impl<'a> Reading<'a> {
    fn take(&mut self, token: Token<'a>) -> Result<(), Malformed> {
        match token {
            Token::ElementStart { local, .. } => self.opened(local.as_str()),
            Token::ElementEnd { end, span } => match end {
                ElementEnd::Open => {
                    if let Some(open) = self.open.last_mut() {
                        open.begins = span.end();
                    }
                    Ok(())
                }
                ElementEnd::Close(_, local) => self.closed(Some(local.as_str()), span.start()),
                ElementEnd::Empty => self.closed(None, span.end()),
            },
            // No AWS answer has one, and every web page does.
            Token::DtdStart { .. } | Token::EmptyDtd { .. } => {
                Err(Malformed::NotXml("it has a document type".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn opened(&mut self, name: &'a str) -> Result<(), Malformed> {
        if self.open.len() >= DEEPEST {
            return Err(Malformed::TooDeep);
        }
        if self.open.is_empty() {
            self.outline.root = name;
        }
        self.open.push(Open {
            name,
            begins: self.text.len(),
            says: self.said.len(),
        });
        Ok(())
    }

    /// `name` is None where a tag closes itself.
    fn closed(&mut self, name: Option<&str>, at: usize) -> Result<(), Malformed> {
        let Some(open) = self.open.pop() else {
            let stray = name.unwrap_or_default();
            return Err(Malformed::NotXml(format!("</{stray}> closes nothing")));
        };
        if let Some(closed) = name.filter(|name| *name != open.name) {
            return Err(Malformed::Crossed {
                opened: open.name.to_owned(),
                closed: closed.to_owned(),
            });
        }
        let inside = match name {
            Some(_) => self.text.get(open.begins..at).unwrap_or_default(),
            None => "",
        };
        self.said.truncate(open.says);
        if IN_LISTS.contains(&open.name) {
            return Ok(());
        }
        if self.open.len() < OUTLINED {
            let above = self.open.iter().map(|open| open.name);
            let path: Vec<&str> = above.chain([open.name]).collect();
            self.outline.inside.insert(path.join("/"), inside);
        }
        self.say(open.name, inside)
    }

    /// The element that is open now has one of this name in it.
    fn say(&mut self, name: &'a str, inside: &'a str) -> Result<(), Malformed> {
        let from = self.open.last().map_or(0, |open| open.says);
        let siblings = self.said.get(from..).unwrap_or_default();
        if let Some((_, before)) = siblings.iter().find(|(sibling, _)| *sibling == name)
            && *before != inside
        {
            return Err(Malformed::Contradiction(name.to_owned()));
        }
        if siblings.len() >= WIDEST {
            return Err(Malformed::TooWide(name.to_owned()));
        }
        self.said.push((name, inside));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = "<?xml version=\"1.0\"?>\n<DescribeVolumesResponse xmlns=\"http://x/\">\
        <requestId>r-1</requestId><volumeSet><item><volumeId>vol-1</volumeId>\
        <attachmentSet/></item><item><volumeId>vol-2</volumeId><attachmentSet/></item>\
        </volumeSet></DescribeVolumesResponse>";

    #[test]
    fn a_whole_answer_has_an_outline() {
        let outline = outline(ANSWER).unwrap();
        assert_eq!(outline.root, "DescribeVolumesResponse");
        assert_eq!(
            outline.get("DescribeVolumesResponse/requestId"),
            Some("r-1")
        );
        let volumes = outline.get("DescribeVolumesResponse/volumeSet").unwrap();
        assert!(volumes.starts_with("<item>") && volumes.ends_with("</item>"));
        assert_eq!(outline.get("DescribeVolumesResponse/snapshotSet"), None);
        let empty = super::outline("<A><volumeSet/></A>").unwrap();
        assert_eq!(empty.get("A/volumeSet"), Some(""));
    }

    #[test]
    fn half_an_answer_is_none() {
        let whole = ANSWER.len();
        for end in 0..whole {
            let cut = ANSWER.get(..end).unwrap();
            assert!(outline(cut).is_err(), "{cut}");
        }
        assert!(outline(&format!("{ANSWER}\n")).is_ok());
    }

    #[test]
    fn what_is_no_document_of_aws_is_refused() {
        for text in [
            "",
            "   ",
            "Bad Gateway",
            "{\"message\":null}",
            "<!DOCTYPE html><html><body>502</body></html>",
            "<html><body><p>502<br></body></html>",
            "<A/><A/>",
            "</A>",
            "<A></B>",
            "<A><state>in-use</state><state>available</state></A>",
            "<A><volumeSet/><volumeSet><item/></volumeSet></A>",
        ] {
            assert!(outline(text).is_err(), "{text}");
        }
        // Saying the same twice is odd, and does no harm.
        assert!(outline("<A><owner>1</owner><owner>1</owner></A>").is_ok());
    }

    #[test]
    fn nothing_nests_for_ever() {
        let deep = "<a>".repeat(100_000);
        assert_eq!(outline(&deep), Err(Malformed::TooDeep));
        let parts = |count| (0..count).map(|n| format!("<p{n}/>")).collect::<String>();
        assert!(outline(&format!("<A>{}</A>", parts(WIDEST))).is_ok());
        let wide = format!("<A>{}</A>", parts(WIDEST + 1));
        assert_eq!(
            outline(&wide),
            Err(Malformed::TooWide(format!("p{WIDEST}")))
        );
        let list = "<item/>".repeat(WIDEST + 1);
        assert!(outline(&format!("<A><volumeSet>{list}</volumeSet></A>")).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,400}") {
            let _ = outline(&text);
        }

        #[test]
        fn a_bitten_answer_is_read_or_refused(
            at in 0..ANSWER.len(), length in 0..20usize, put in "[<>/a-z\"& ]{0,6}"
        ) {
            let end = (at + length).min(ANSWER.len());
            let bitten = [&ANSWER[..at], &put, &ANSWER[end..]].concat();
            let _ = outline(&bitten);
        }
    }
}
