//! How does a document travel in the query protocol? Flat names one way, XML the other.

use std::collections::BTreeMap;

use super::Request;
use super::document::Document;
use super::query::Params;
use super::xml::{Xml, timestamp};

/// Names deeper than this are nobody's; the rest of such a name is ignored.
const DEPTH_MAX: usize = 12;

/// `Dimensions.member.1.Name=…` as lists and maps; every scalar stays text.
pub(crate) fn decode(request: &Request) -> Document {
    let mut root = Node::default();
    for (name, value) in Params::of(request).pairs() {
        let parts: Vec<&str> = name
            .split('.')
            .filter(|part| *part != "member")
            .take(DEPTH_MAX)
            .collect();
        root.put(&parts, value);
    }
    root.into_document()
}

#[derive(Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn put(&mut self, parts: &[&str], value: &str) {
        match parts.split_first() {
            None => self.value = Some(value.to_owned()),
            Some((first, rest)) => self
                .children
                .entry((*first).to_owned())
                .or_default()
                .put(rest, value),
        }
    }

    fn into_document(self) -> Document {
        if self.children.is_empty() {
            return self.value.map_or(Document::Null, Document::Text);
        }
        let mut numbered: BTreeMap<u64, &str> = BTreeMap::new();
        for name in self.children.keys() {
            if let Ok(number) = name.parse() {
                numbered.insert(number, name);
            }
        }
        if numbered.len() < self.children.len() {
            return self
                .children
                .into_iter()
                .map(|(name, node)| (name, node.into_document()))
                .collect();
        }
        let order: Vec<String> = numbered.into_values().map(str::to_owned).collect();
        let mut children = self.children;
        let items = order.iter().filter_map(|name| children.remove(name));
        Document::List(items.map(Node::into_document).collect())
    }
}

pub(crate) fn encode(action: &str, namespace: &str, output: &Document, request_id: &str) -> String {
    let mut xml = Xml::document();
    xml.root(&format!("{action}Response"), namespace, |xml| {
        xml.node(&format!("{action}Result"), |xml| write(xml, output));
        xml.node("ResponseMetadata", |xml| xml.leaf("RequestId", request_id));
    });
    xml.finish()
}

fn write(xml: &mut Xml, document: &Document) {
    match document {
        Document::Null => {}
        Document::Bool(value) => xml.text(value),
        Document::Int(number) => xml.text(number),
        Document::Float(number) => xml.text(format_args!("{number:?}")),
        Document::Text(text) => xml.text(text),
        Document::Time(at) => xml.text(timestamp(*at)),
        Document::List(items) => items
            .iter()
            .for_each(|item| xml.node("member", |xml| write(xml, item))),
        Document::Map(members) => {
            members
                .iter()
                .for_each(|(name, value)| xml.node(name, |xml| write(xml, value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::map;
    use super::*;

    #[test]
    fn flat_names_become_lists_and_maps() {
        let body = b"Dimensions.member.1.Name=InstanceId&Dimensions.member.1.Value=i-1&AlarmName=a&Period=60".to_vec();
        let document = decode(&Request {
            body,
            ..Request::default()
        });
        assert_eq!(document.text("AlarmName"), Some("a"));
        assert_eq!(document.int("Period"), Some(60));
        let dimension = document.list("Dimensions").first();
        assert_eq!(
            dimension.and_then(|dimension| dimension.text("Value")),
            Some("i-1")
        );
    }

    #[test]
    fn answers_are_wrapped_as_the_action_wants_it() {
        let output = map([
            ("Names", Some(vec!["a"].into())),
            ("Threshold", Some(1.0.into())),
        ]);
        let xml = encode("Do", "urn:x", &output, "r");
        assert!(
            xml.contains(
                "<DoResult><Names><member>a</member></Names><Threshold>1.0</Threshold></DoResult>"
            ),
            "{xml}"
        );
    }
}
