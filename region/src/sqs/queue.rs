//! What is in one queue, and who sees which message when?

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(crate) const VISIBILITY_TIMEOUT_MAX_S: i64 = 43_200;

/// Attributes a queue may be given, with their defaults and limits.
const ATTRIBUTES: [(&str, &str, i64, i64); 5] = [
    ("DelaySeconds", "0", 0, 900),
    ("MaximumMessageSize", "1048576", 1024, 1_048_576),
    ("MessageRetentionPeriod", "345600", 60, 1_209_600),
    ("ReceiveMessageWaitTimeSeconds", "0", 0, 20),
    ("VisibilityTimeout", "30", 0, VISIBILITY_TIMEOUT_MAX_S),
];
/// Attributes that are stored as they are.
const OPAQUE_ATTRIBUTES: [&str; 6] = [
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
];

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    /// `MessageAttributes` as they came.
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) sent: Timestamp,
    pub(crate) first_received: Option<Timestamp>,
    pub(crate) receive_count: u32,
    visible_from: Timestamp,
    /// Only the newest receipt handle can change the message's visibility.
    receipt: Option<String>,
}

impl Message {
    pub(crate) fn new(id: String, body: String, sent: Timestamp, delay: SignedDuration) -> Self {
        Message {
            id,
            body,
            attributes: BTreeMap::new(),
            sent,
            first_received: None,
            receive_count: 0,
            visible_from: sent + delay,
            receipt: None,
        }
    }

    pub(crate) fn receipt(&self) -> Option<&str> {
        self.receipt.as_deref()
    }

    fn in_flight(&self, now: Timestamp) -> bool {
        self.receipt.is_some() && self.visible_from > now
    }
}

/// Why an attribute was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadAttribute {
    Name(String),
    Value(String),
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    attributes: BTreeMap<String, String>,
    messages: Vec<Message>,
}

/// What a receive took out: messages to hand over, and those that go to the dead-letter queue instead.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) messages: Vec<Message>,
    pub(crate) dead: Vec<Message>,
}

impl Queue {
    pub(crate) fn new(now: Timestamp) -> Self {
        Queue {
            created: now,
            modified: now,
            attributes: BTreeMap::new(),
            messages: Vec::new(),
        }
    }

    /// All or nothing: one bad attribute leaves the queue as it was.
    pub(crate) fn set_attributes(
        &mut self,
        wanted: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<(), BadAttribute> {
        for (name, value) in wanted {
            check_attribute(name, value)?;
        }
        for (name, value) in wanted {
            // An empty policy takes the policy away.
            if value.is_empty() {
                self.attributes.remove(name);
            } else {
                self.attributes.insert(name.clone(), value.clone());
            }
        }
        self.modified = now;
        Ok(())
    }

    /// The attributes a second CreateQueue of the same name must agree with.
    pub(crate) fn agrees_with(&self, wanted: &BTreeMap<String, String>) -> bool {
        wanted
            .iter()
            .all(|(name, value)| self.attribute(name) == Some(value.as_str()))
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let default = || {
            ATTRIBUTES
                .iter()
                .find(|known| known.0 == name)
                .map(|known| known.1)
        };
        self.attributes
            .get(name)
            .map(String::as_str)
            .or_else(default)
    }

    fn seconds(&self, name: &str) -> SignedDuration {
        let seconds = self
            .attribute(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        SignedDuration::from_secs(seconds)
    }

    pub(crate) fn delay(&self) -> SignedDuration {
        self.seconds("DelaySeconds")
    }

    pub(crate) fn size_bytes_max(&self) -> usize {
        self.attribute("MaximumMessageSize")
            .and_then(|value| value.parse().ok())
            .unwrap_or(usize::MAX)
    }

    /// Everything there is to say about the queue, for GetQueueAttributes.
    pub(crate) fn all_attributes(&mut self, now: Timestamp) -> BTreeMap<String, String> {
        self.forget_old(now);
        let mut all = self.attributes.clone();
        for (name, default, ..) in ATTRIBUTES {
            all.entry(name.to_owned())
                .or_insert_with(|| default.to_owned());
        }
        let in_flight = self
            .messages
            .iter()
            .filter(|message| message.in_flight(now))
            .count();
        let visible = self
            .messages
            .iter()
            .filter(|message| message.visible_from <= now)
            .count();
        let delayed = self.messages.len() - in_flight - visible;
        for (name, count) in [
            ("", visible),
            ("NotVisible", in_flight),
            ("Delayed", delayed),
        ] {
            all.insert(
                format!("ApproximateNumberOfMessages{name}"),
                count.to_string(),
            );
        }
        all.insert(
            "CreatedTimestamp".to_owned(),
            self.created.as_second().to_string(),
        );
        all.insert(
            "LastModifiedTimestamp".to_owned(),
            self.modified.as_second().to_string(),
        );
        all
    }

    /// Is there something to hand over right now?
    pub(crate) fn has_visible(&self, now: Timestamp) -> bool {
        self.messages
            .iter()
            .any(|message| message.visible_from <= now)
    }

    /// How long a receive waits that does not say so itself.
    pub(crate) fn wait(&self) -> SignedDuration {
        self.seconds("ReceiveMessageWaitTimeSeconds")
    }

    /// Does the queue's policy deny this to everyone? Nothing finer is read in it.
    pub(crate) fn denies(&self, action: &str) -> bool {
        let policy = self
            .attribute("Policy")
            .and_then(|policy| serde_json::from_str::<Value>(policy).ok());
        let statements = policy.as_ref().and_then(|policy| policy.get("Statement"));
        one_or_many(statements).any(|statement| {
            let is = |key, value| statement.get(key).and_then(Value::as_str) == Some(value);
            let named = one_or_many(statement.get("Action"))
                .filter_map(Value::as_str)
                .filter_map(|named| named.split_once(':'));
            is("Effect", "Deny")
                && is("Principal", "*")
                && named.into_iter().any(|(service, named)| {
                    service.eq_ignore_ascii_case("sqs")
                        && (named == "*" || named.eq_ignore_ascii_case(action))
                })
        })
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.messages.push(message);
    }

    pub(crate) fn receive(
        &mut self,
        count_max: usize,
        visibility: Option<SignedDuration>,
        mut receipt: impl FnMut() -> String,
        now: Timestamp,
    ) -> Received {
        self.forget_old(now);
        let hidden_until = now + visibility.unwrap_or_else(|| self.seconds("VisibilityTimeout"));
        let receive_count_max = self
            .redrive()
            .map(|(_, receive_count_max)| receive_count_max);
        let mut received = Received::default();
        let mut index = 0;
        while received.messages.len() < count_max {
            let Some(message) = self.messages.get_mut(index) else {
                break;
            };
            if message.visible_from > now {
                index += 1;
            } else if receive_count_max.is_some_and(|max| message.receive_count >= max) {
                received.dead.push(self.messages.remove(index));
            } else {
                message.receive_count += 1;
                message.first_received.get_or_insert(now);
                message.visible_from = hidden_until;
                message.receipt = Some(receipt());
                received.messages.push(message.clone());
                index += 1;
            }
        }
        received
    }

    /// The dead-letter queue's ARN and after how many receives a message goes there.
    pub(crate) fn redrive(&self) -> Option<(String, u32)> {
        let policy: Value = serde_json::from_str(self.attribute("RedrivePolicy")?).ok()?;
        let target = policy.get("deadLetterTargetArn")?.as_str()?.to_owned();
        let count = policy.get("maxReceiveCount")?;
        // The console writes a number, many tools a string.
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
        Some((target, u32::try_from(count).ok()?))
    }

    /// A message moved here from the queue whose dead letters this one takes.
    pub(crate) fn bury(&mut self, mut message: Message, now: Timestamp) {
        message.visible_from = now;
        message.receipt = None;
        self.messages.push(message);
    }

    /// Deleting with a handle whose message is gone or was received again since is a quiet success.
    pub(crate) fn delete(&mut self, receipt: &str) {
        self.messages
            .retain(|message| message.receipt() != Some(receipt));
    }

    /// False when no message in flight carries this handle.
    pub(crate) fn change_visibility(
        &mut self,
        receipt: &str,
        timeout: SignedDuration,
        now: Timestamp,
    ) -> bool {
        let holder = self
            .messages
            .iter_mut()
            .find(|message| message.receipt() == Some(receipt));
        match holder {
            Some(message) if message.in_flight(now) => {
                message.visible_from = now + timeout;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn purge(&mut self) {
        self.messages.clear();
    }

    fn forget_old(&mut self, now: Timestamp) {
        let retention = self.seconds("MessageRetentionPeriod");
        self.messages
            .retain(|message| message.sent + retention > now);
    }
}

/// A policy has one thing, or a list of them.
fn one_or_many(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let many = value.and_then(Value::as_array);
    let one = value.filter(|value| !value.is_array());
    many.into_iter().flatten().chain(one)
}

fn check_attribute(name: &str, value: &str) -> Result<(), BadAttribute> {
    if OPAQUE_ATTRIBUTES.contains(&name) {
        return Ok(());
    }
    let Some((_, _, least, most)) = ATTRIBUTES.iter().find(|known| known.0 == name) else {
        return Err(BadAttribute::Name(name.to_owned()));
    };
    match value.parse::<i64>() {
        Ok(number) if (*least..=*most).contains(&number) => Ok(()),
        _ => Err(BadAttribute::Value(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn queue_with(bodies: &[&str]) -> Queue {
        let mut queue = Queue::new(at(0));
        for body in bodies {
            queue.send(Message::new(
                format!("id-{body}"),
                (*body).to_owned(),
                at(0),
                SignedDuration::ZERO,
            ));
        }
        queue
    }

    fn bodies(received: &Received) -> Vec<&str> {
        received
            .messages
            .iter()
            .map(|message| message.body.as_str())
            .collect()
    }

    fn receive(queue: &mut Queue, now: Timestamp) -> Received {
        let handle = format!("receipt-{now}");
        queue.receive(10, None, || handle.clone(), now)
    }

    #[test]
    fn a_received_message_hides_and_comes_back() {
        let mut queue = queue_with(&["a"]);
        assert_eq!(bodies(&receive(&mut queue, at(1))), ["a"]);
        assert!(receive(&mut queue, at(30)).messages.is_empty());
        let again = receive(&mut queue, at(31));
        assert_eq!(again.messages[0].receive_count, 2);
    }

    #[test]
    fn only_the_newest_receipt_deletes() {
        let mut queue = queue_with(&["a"]);
        let old = receive(&mut queue, at(1)).messages[0]
            .receipt()
            .unwrap()
            .to_owned();
        let new = receive(&mut queue, at(40)).messages[0]
            .receipt()
            .unwrap()
            .to_owned();
        queue.delete(&old);
        assert_eq!(bodies(&receive(&mut queue, at(80))), ["a"]);
        let newest = receive(&mut queue, at(120)).messages[0]
            .receipt()
            .unwrap()
            .to_owned();
        assert_ne!(new, newest);
        queue.delete(&newest);
        assert!(receive(&mut queue, at(400)).messages.is_empty());
    }

    #[test]
    fn visibility_changes_only_in_flight() {
        let mut queue = queue_with(&["a"]);
        let receipt = receive(&mut queue, at(1)).messages[0]
            .receipt()
            .unwrap()
            .to_owned();
        assert!(queue.change_visibility(&receipt, SignedDuration::from_secs(100), at(10)));
        assert!(receive(&mut queue, at(109)).messages.is_empty());
        assert!(!queue.change_visibility(&receipt, SignedDuration::ZERO, at(110)));
        assert_eq!(bodies(&receive(&mut queue, at(110))), ["a"]);
    }

    #[test]
    fn too_many_receives_send_a_message_to_the_dead_letters() {
        let mut queue = queue_with(&["poison"]);
        let policy =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:dead","maxReceiveCount":"2"}"#;
        queue
            .set_attributes(
                &[("RedrivePolicy".to_owned(), policy.to_owned())].into(),
                at(0),
            )
            .unwrap();
        assert_eq!(receive(&mut queue, at(0)).messages.len(), 1);
        assert_eq!(receive(&mut queue, at(60)).messages.len(), 1);
        let third = receive(&mut queue, at(120));
        assert!(third.messages.is_empty());
        assert_eq!(third.dead[0].body, "poison");
    }

    #[test]
    fn attributes_are_checked_before_any_is_changed() {
        let mut queue = queue_with(&[]);
        let wanted = [("VisibilityTimeout", "60"), ("DelaySeconds", "901")];
        let wanted = wanted
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert_eq!(
            queue.set_attributes(&wanted, at(1)),
            Err(BadAttribute::Value("DelaySeconds".to_owned()))
        );
        assert_eq!(queue.attribute("VisibilityTimeout"), Some("30"));
        let unknown = [("Colour".to_owned(), "red".to_owned())].into();
        assert_eq!(
            queue.set_attributes(&unknown, at(1)),
            Err(BadAttribute::Name("Colour".to_owned()))
        );
    }

    #[test]
    fn old_messages_are_forgotten() {
        let mut queue = queue_with(&["a"]);
        assert!(receive(&mut queue, at(345_600)).messages.is_empty());
    }
}
