//! Is this text a name or an id? Whatever is not is treated as not there.

use serde_json::Value;

use super::Subject;
use super::json::text;
use crate::ids::{GroupName, InstanceId, SnapshotId, VolumeId};

/// An event that names more than this is not from AWS.
pub(super) const MOST: usize = 1000;

pub(super) fn group(value: &Value, path: &[&str]) -> Option<Subject> {
    name(text(value, path)?).map(|name| Subject::Group(GroupName::new(name)))
}

pub(super) fn alarm(value: &Value, path: &[&str]) -> Option<Subject> {
    name(text(value, path)?).map(|name| Subject::Alarm(name.to_owned()))
}

pub(super) fn instance(value: &Value, path: &[&str]) -> Option<Subject> {
    id(text(value, path)?, "i-").map(|id| Subject::Instance(InstanceId::new(id)))
}

/// What an id, or an ARN that ends in one, means. Of an ARN only the end
/// counts: its other fields are not always where they belong.
pub(super) fn resource(value: &Value) -> Option<Subject> {
    let tail = value.as_str()?.rsplit('/').next()?;
    let instance = || id(tail, "i-").map(|id| Subject::Instance(InstanceId::new(id)));
    let volume = || id(tail, "vol-").map(|id| Subject::Volume(VolumeId::new(id)));
    let snapshot = || id(tail, "snap-").map(|id| Subject::Snapshot(SnapshotId::new(id)));
    instance().or_else(volume).or_else(snapshot)
}

fn name(text: &str) -> Option<&str> {
    let fits = !text.is_empty() && text.chars().count() <= 255;
    (fits && !text.chars().any(char::is_control)).then_some(text)
}

fn id<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(prefix)?;
    let fits = (1..=40).contains(&rest.len());
    (fits
        && rest
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
    .then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_an_arn_only_the_end_counts() {
        let of = |text: &str| resource(&json!(text));
        let instance = Some(Subject::Instance("i-0abc".into()));
        assert_eq!(of("i-0abc"), instance);
        assert_eq!(
            of("arn:aws:ec2:us-east-1:123456789012:instance/i-0abc"),
            instance
        );
        assert_eq!(of("arn:aws:ec2:us-east-1b:instance/i-0abc"), instance);
        assert_eq!(
            of("arn:aws:ec2::us-east-1:snapshot/snap-0a"),
            Some(Subject::Snapshot("snap-0a".into()))
        );
        assert_eq!(
            of("arn:aws:ec2::us-east-1:volume/vol-0b"),
            Some(Subject::Volume("vol-0b".into()))
        );
        for none in ["", "i-", "i-0ABC", "i-0/", "eni-1", "i-0 a", "i-0\n"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(of(&format!("i-{}", "0".repeat(41))), None);
    }

    #[test]
    fn a_name_is_of_visible_letters() {
        let of = |text: &str| group(&json!({ "a": text }), &["a"]);
        assert_eq!(of("my group/1"), Some(Subject::Group("my group/1".into())));
        assert!(of(&"ä".repeat(255)).is_some());
        assert!(of(&"ä".repeat(256)).is_none());
        assert!(of("").is_none() && of("a\nb").is_none());
        assert!(group(&json!({ "a": 1 }), &["a"]).is_none());
    }
}
