//! How does what a group had before rehome came become its own? By tags on
//! volumes and addresses, and by nothing else.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::Tag;

use super::call::Ask;
use super::tagging::{self, Tags};
use super::{Aws, AwsError};
use crate::ids::{AllocationId, GroupName, VolumeId, VolumeName};
use crate::tags;

/// What is to become the group's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adoption {
    pub volumes: Vec<(VolumeName, VolumeId)>,
    pub addresses: Vec<AllocationId>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Tagged now, or by an earlier try.
    pub resources: Vec<String>,
    /// How many of them were not tagged before.
    pub newly: usize,
}

impl Aws {
    /// Tags everything, or nothing where one of them is somebody else's, and
    /// looks whether the tags stand.
    ///
    /// # Errors
    /// When a resource is not there, belongs to another group or plays
    /// another part in this one, or when AWS says no.
    pub async fn adopt(&self, group: &GroupName, adoption: &Adoption) -> Result<Adopted, AwsError> {
        let before = self.tags_of(adoption).await?;
        let mut newly = 0;
        let mut wanted = Vec::new();
        for (id, name) in parts(adoption) {
            let Some((_, tags)) = before.iter().find(|(found, _)| *found == id) else {
                return Err(refused(&id, "it does not exist"));
            };
            if missing(&id, tags, group, name)? {
                newly += 1;
                wanted.push((id, name));
            }
        }
        for (id, name) in &wanted {
            self.tag(id, ours(group, *name)).await?;
        }
        let after = self.tags_of(adoption).await?;
        let mut resources = Vec::new();
        for (id, name) in parts(adoption) {
            let stands = match after.iter().find(|(found, _)| *found == id) {
                Some((_, tags)) => !missing(&id, tags, group, name)?,
                None => false,
            };
            if !stands {
                return Err(refused(
                    &id,
                    "its tags do not show yet; run it again to be sure",
                ));
            }
            resources.push(id);
        }
        Ok(Adopted { resources, newly })
    }

    async fn tag(&self, id: &str, tags: Vec<Tag>) -> Result<(), AwsError> {
        let ask = Ask::new("ec2:CreateTags", format!("tag {id}"));
        self.call(&ask, async || {
            let request = self.ec2.create_tags().resources(id);
            request.set_tags(Some(tags.clone())).send().await
        })
        .await?;
        Ok(())
    }

    async fn tags_of(&self, adoption: &Adoption) -> Result<Vec<(String, Tags)>, AwsError> {
        let volumes: BTreeSet<VolumeId> =
            adoption.volumes.iter().map(|(_, id)| id.clone()).collect();
        let addresses = adoption.addresses.iter().map(ToString::to_string).collect();
        let volumes = self.volumes_by_id(&volumes).await?;
        let addresses = self.addresses_by_id(addresses).await?;
        let volumes = volumes
            .iter()
            .filter_map(|of| Some((of.volume_id()?, of.tags())));
        let addresses = addresses
            .iter()
            .filter_map(|of| Some((of.allocation_id()?, of.tags())));
        Ok(volumes
            .chain(addresses)
            .map(|(id, tags)| (id.to_owned(), tagging::read(tags)))
            .collect())
    }
}

/// Every resource by its id; a volume also has a part to play.
fn parts(adoption: &Adoption) -> impl Iterator<Item = (String, Option<&VolumeName>)> {
    let volumes = adoption
        .volumes
        .iter()
        .map(|(name, id)| (id.to_string(), Some(name)));
    volumes.chain(adoption.addresses.iter().map(|id| (id.to_string(), None)))
}

fn ours(group: &GroupName, name: Option<&VolumeName>) -> Vec<Tag> {
    let name = name.map(|name| tagging::tag(tags::VOLUME, name.as_str()));
    [tagging::tag(tags::GROUP, group.as_str())]
        .into_iter()
        .chain(name)
        .collect()
}

/// Does it lack one of our tags? Refused where it carries somebody else's.
fn missing(
    id: &str,
    found: &Tags,
    group: &GroupName,
    name: Option<&VolumeName>,
) -> Result<bool, AwsError> {
    let group = lacks(id, found, tags::GROUP, group.as_str())?;
    let name = match name {
        Some(name) => lacks(id, found, tags::VOLUME, name.as_str())?,
        None => false,
    };
    Ok(group || name)
}

fn lacks(id: &str, found: &Tags, key: &str, wanted: &str) -> Result<bool, AwsError> {
    match found.get(key) {
        None => Ok(true),
        Some(value) if value == wanted => Ok(false),
        Some(other) => Err(refused(
            id,
            &format!("its tag {key} says {other:?}; take that tag off first if it is wrong"),
        )),
    }
}

fn refused(id: &str, why: &str) -> AwsError {
    AwsError::odd(&format!("adopt {id}"), "ec2:CreateTags", why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_somebody_elses_is_refused() {
        let (group, name) = (GroupName::from("orders-db"), VolumeName::from("data"));
        let missing = |found: &[(&str, &str)]| missing("vol-1", &tags(found), &group, Some(&name));
        assert!(missing(&[]).unwrap());
        assert!(missing(&[(tags::GROUP, "orders-db")]).unwrap());
        assert!(!missing(&[(tags::GROUP, "orders-db"), (tags::VOLUME, "data")]).unwrap());
        assert_eq!(
            missing(&[(tags::GROUP, "gateway")])
                .unwrap_err()
                .to_string(),
            "could not adopt vol-1: its tag rehome:group says \"gateway\"; take that tag off first if it is wrong"
        );
        assert!(missing(&[(tags::GROUP, "orders-db"), (tags::VOLUME, "log")]).is_err());
    }

    #[test]
    fn an_address_has_a_group_and_no_part() {
        let group = GroupName::from("orders-db");
        assert!(
            !missing(
                "eipalloc-1",
                &tags(&[(tags::GROUP, "orders-db")]),
                &group,
                None
            )
            .unwrap()
        );
        assert_eq!(ours(&group, None).len(), 1);
        assert_eq!(ours(&group, Some(&VolumeName::from("data"))).len(), 2);
    }
}
