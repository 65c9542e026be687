//! How is an answer written in XML? A writer for trees whose shape is known.

use std::fmt::{Display, Write};

use jiff::Timestamp;

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
        self.node(name, |xml| xml.text(&value.to_string()));
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
        let _ = write!(self.0, "<{name}>");
        inside(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// An element with a default namespace.
    pub(crate) fn root(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Xml)) {
        let _ = write!(self.0, "<{name} xmlns=\"{namespace}\">");
        inside(self);
        let _ = write!(self.0, "</{name}>");
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

    pub(crate) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // XML 1.0 has no way to say the other control characters.
                c if (c as u32) < 0x20 && !matches!(c, '\t' | '\n' | '\r') => {
                    self.0.push('\u{fffd}')
                }
                c => self.0.push(c),
            }
        }
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// `2026-01-01T00:00:00.000Z`, as every AWS API writes it.
pub(crate) fn timestamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
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
    }
}
