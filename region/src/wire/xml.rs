//! How is an answer written in XML? A writer for trees whose shape is known.

use std::fmt::{self, Display, Write};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// A piece of XML: a whole document, or the inside of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Xml {
        Xml(String::new())
    }

    pub(crate) fn document() -> Xml {
        Xml("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    pub(crate) fn leaf(&mut self, name: &str, value: impl Display) {
        self.node(name, |xml| xml.text(value));
    }

    /// Written only if there is a value.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.leaf(name, value);
        }
    }

    pub(crate) fn time(&mut self, name: &str, at: Timestamp) {
        self.leaf(name, timestamp(at));
    }

    pub(crate) fn node(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) {
        self.tag("<", name);
        inside(self);
        self.tag("</", name);
    }

    fn tag(&mut self, opens: &str, name: &str) {
        self.0.push_str(opens);
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element with a default namespace.
    pub(crate) fn root(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Xml)) {
        let _ = write!(self.0, "<{name} xmlns=\"{namespace}\">");
        inside(self);
        self.tag("</", name);
    }

    /// `<name><item>…</item><item>…</item></name>`; `item` is `item` in EC2's
    /// dialect and `member` in Auto Scaling's.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        item: &str,
        of: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Xml, T),
    ) {
        self.node(name, |xml| {
            for one in of {
                xml.node(item, |xml| each(xml, one));
            }
        });
    }

    /// XML that is finished already.
    pub(crate) fn raw(&mut self, inside: &Xml) {
        self.0.push_str(&inside.0);
    }

    pub(crate) fn text(&mut self, text: impl Display) {
        let _ = write!(Escaped(&mut self.0), "{text}");
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// Writes text into a document.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = text;
        while let Some(at) = plain.find(is_special) {
            let (before, rest) = plain.split_at(at);
            self.0.push_str(before);
            let mut rest = rest.chars();
            self.0.push_str(match rest.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "\u{fffd}",
            });
            plain = rest.as_str();
        }
        self.0.push_str(plain);
        Ok(())
    }
}

/// Of the control characters XML 1.0 can say but three.
fn is_special(c: char) -> bool {
    matches!(c, '&' | '<' | '>' | '"') || (c < ' ' && !matches!(c, '\t' | '\n' | '\r'))
}

/// `2026-01-01T00:00:00.000Z`, as every AWS API writes it.
pub(crate) fn timestamp(at: Timestamp) -> String {
    const MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    MILLISECONDS.timestamp_to_string(&at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_lists_and_escapes_text() {
        let mut xml = Xml::new();
        xml.list("tagSet", "item", ["a<b", "c\u{1}"], |xml, key| {
            xml.leaf("key", key)
        });
        assert_eq!(
            xml.finish(),
            "<tagSet><item><key>a&lt;b</key></item><item><key>c\u{fffd}</key></item></tagSet>"
        );
    }

    #[test]
    fn writes_whole_milliseconds() {
        assert_eq!(timestamp(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        let late = Timestamp::from_microsecond(1_767_225_599_999_999).unwrap();
        assert_eq!(timestamp(late), "2025-12-31T23:59:59.999Z");
    }
}
