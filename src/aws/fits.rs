//! Is a filtered answer about what was asked for? All it shows must fit the
//! filters: what does not was somebody else's question.

use aws_sdk_ec2::types::{Address, Filter, Snapshot, Tag, Volume};

use super::AwsError;
use super::call::Ask;

/// What can be filtered, and what it shows of itself.
pub(super) trait Shown {
    fn tags(&self) -> &[Tag];

    /// None: it does not tell.
    fn attribute(&self, name: &str) -> Option<&str>;

    /// What it says twice, it says the same. A damaged id names what is nowhere
    /// to be found.
    fn is_consistent(&self) -> bool {
        true
    }
}

impl Shown for Volume {
    fn tags(&self) -> &[Tag] {
        self.tags()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        match name {
            "volume-id" => self.volume_id(),
            "availability-zone" => self.availability_zone(),
            _ => None,
        }
    }

    fn is_consistent(&self) -> bool {
        let mut of = self.attachments().iter().filter_map(|at| at.volume_id());
        of.all(|id| Some(id) == self.volume_id())
    }
}

impl Shown for Snapshot {
    fn tags(&self) -> &[Tag] {
        self.tags()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        match name {
            "snapshot-id" => self.snapshot_id(),
            "volume-id" => self.volume_id(),
            _ => None,
        }
    }
}

impl Shown for Address {
    fn tags(&self) -> &[Tag] {
        self.tags()
    }

    fn attribute(&self, _: &str) -> Option<&str> {
        None
    }
}

impl Ask {
    /// # Errors
    /// When something was shown that was not asked for, or contradicts itself.
    pub(super) fn all_fit(&self, filters: &[Filter], shown: &[impl Shown]) -> Result<(), AwsError> {
        let stranger = shown
            .iter()
            .any(|one| !one.is_consistent() || filters.iter().any(|filter| !fits(one, filter)));
        if stranger {
            let problem = "the answer shows what was not asked for";
            return Err(AwsError::garbled(&self.doing, self.action, problem));
        }
        Ok(())
    }
}

fn fits(one: &impl Shown, filter: &Filter) -> bool {
    let name = filter.name().unwrap_or_default();
    let wanted = |value: &str| {
        filter
            .values()
            .iter()
            .any(|of| of == value || is_pattern(of))
    };
    if let Some(key) = name.strip_prefix("tag:") {
        let mut tags = one.tags().iter();
        return tags.any(|tag| tag.key() == Some(key) && wanted(tag.value().unwrap_or_default()));
    }
    if name == "tag-key" {
        return one.tags().iter().any(|tag| tag.key().is_some_and(wanted));
    }
    one.attribute(name).is_none_or(wanted)
}

/// EC2 takes these for "anything".
fn is_pattern(value: &str) -> bool {
    value.contains(['*', '?', '\\'])
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::VolumeAttachment;

    use super::*;
    use crate::aws::tagging::{filter, tag};

    fn volume(group: &str) -> Volume {
        Volume::builder()
            .volume_id("vol-1")
            .availability_zone("us-east-1a")
            .tags(tag("rehome:group", group))
            .build()
    }

    #[test]
    fn what_was_not_asked_for_does_not_fit() {
        let of = |filters: &[Filter], group| {
            let ask = Ask::new("ec2:DescribeVolumes", "look");
            ask.all_fit(filters, &[volume(group)]).is_ok()
        };
        let orders = || filter("tag:rehome:group", "orders");
        assert!(of(&[orders()], "orders") && !of(&[orders()], "other"));
        assert!(!of(&[orders(), filter("volume-id", "vol-2")], "orders"));
        assert!(!of(&[filter("availability-zone", "us-east-1b")], "orders"));
        assert!(of(&[filter("tag-key", "rehome:group")], "orders"));
        assert!(!of(&[filter("tag-key", "service")], "orders"));
        let attached = |id: &str| {
            let at = VolumeAttachment::builder().volume_id(id).build();
            let ask = Ask::new("ec2:DescribeVolumes", "look");
            let mut volume = volume("orders");
            volume.attachments = Some(vec![at]);
            ask.all_fit(&[orders()], &[volume]).is_ok()
        };
        assert!(attached("vol-1") && !attached("vol-"));
        // What is not shown cannot be wrong; and a pattern is EC2's to match.
        assert!(of(&[filter("attachment.status", "attached")], "orders"));
        assert!(of(&[filter("tag:rehome:group", "or*")], "orders"));
    }
}
