//! Where are the Elastic IPs?

use std::collections::BTreeSet;

use aws_sdk_ec2::types;

use super::super::call::Ask;
use super::super::existing::{Wanted, existing};
use super::super::tagging::Tags;
use super::super::{Aws, AwsError, convert};
use super::{understood, unknown};
use crate::ids::AllocationId;
use crate::spec::AddressSpec;
use crate::world::{Address, AddressFound, Seen};

/// Addresses as read, with their tags.
#[derive(Debug, Default)]
pub(super) struct Directory(Vec<(Address, Tags)>);

impl Directory {
    /// What each configured address found, in order.
    pub(super) fn find(&self, specs: &[AddressSpec]) -> Vec<AddressFound> {
        specs.iter().map(|spec| self.find_one(spec)).collect()
    }

    fn find_one(&self, spec: &AddressSpec) -> AddressFound {
        let mut fitting = self.0.iter().filter(|(address, tags)| match spec {
            AddressSpec::Allocation(id) => address.allocation == *id,
            AddressSpec::Tag { key, value } => tags.get(key) == Some(value),
        });
        let Some((first, _)) = fitting.next() else {
            return AddressFound::Missing;
        };
        // One address may have been read by its id and by its tag.
        let ids: BTreeSet<&AllocationId> =
            fitting.map(|(address, _)| &address.allocation).collect();
        if ids.iter().all(|id| **id == first.allocation) {
            return AddressFound::One(first.clone());
        }
        let all = ids.into_iter().chain([&first.allocation]);
        AddressFound::Ambiguous(all.cloned().collect::<BTreeSet<_>>().into_iter().collect())
    }
}

impl Aws {
    pub(super) async fn see_addresses(&self, specs: &[AddressSpec]) -> Seen<Vec<AddressFound>> {
        match self.directory(specs).await {
            Err(error) => unknown(&error),
            Ok(read) => understood(directory(&read).map(|directory| directory.find(specs))),
        }
    }

    /// Every address that one of these could mean: by id in one call, by tag
    /// in another.
    pub(super) async fn directory(
        &self,
        specs: &[AddressSpec],
    ) -> Result<Vec<types::Address>, AwsError> {
        let mut ids = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for spec in specs {
            match spec {
                AddressSpec::Allocation(id) => ids.insert(id.to_string()),
                AddressSpec::Tag { key, .. } => keys.insert(key.clone()),
            };
        }
        let (by_id, by_key) = tokio::join!(
            self.addresses_by_id(ids.into_iter().collect()),
            self.addresses_by_tag_key(keys.into_iter().collect()),
        );
        let mut read = by_id?;
        read.extend(by_key?);
        Ok(read)
    }

    /// Those of them that exist.
    pub(in crate::aws) async fn addresses_by_id(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<types::Address>, AwsError> {
        let doing = format!("look at the addresses {}", ids.join(", "));
        let ask = Ask::new("ec2:DescribeAddresses", doing);
        let wanted = Wanted {
            ids,
            id_of: types::Address::allocation_id,
            doing: &ask.doing,
            action: ask.action,
        };
        existing(wanted, async |ids: Vec<String>| {
            let answer = self
                .ask(&ask, || {
                    let request = self.ec2.describe_addresses();
                    request.set_allocation_ids(Some(ids.clone()))
                })
                .await?;
            Ok(answer.addresses.unwrap_or_default())
        })
        .await
    }

    async fn addresses_by_tag_key(
        &self,
        keys: Vec<String>,
    ) -> Result<Vec<types::Address>, AwsError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let doing = format!("look for addresses with a tag {}", keys.join(" or "));
        let ask = Ask::new("ec2:DescribeAddresses", doing);
        let filter = types::Filter::builder()
            .name("tag-key")
            .set_values(Some(keys))
            .build();
        let answer = self
            .ask(&ask, || {
                let request = self.ec2.describe_addresses();
                request.filters(filter.clone())
            })
            .await?;
        let addresses = answer.addresses.unwrap_or_default();
        ask.all_fit(&[filter], &addresses)?;
        Ok(addresses)
    }
}

/// Old addresses outside of any VPC have no allocation id, and cannot be ours.
pub(super) fn directory(read: &[types::Address]) -> Result<Directory, String> {
    read.iter()
        .filter(|of| of.allocation_id().is_some())
        .map(convert::address)
        .collect::<Result<_, _>>()
        .map(Directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(id: &str, value: &str) -> (Address, Tags) {
        let address = Address {
            allocation: id.into(),
            public_ip: "198.51.100.7".to_owned(),
            instance: None,
            private_ip: None,
        };
        (
            address,
            Tags::from([("service".to_owned(), value.to_owned())]),
        )
    }

    #[test]
    fn each_configured_address_finds_one_none_or_too_many() {
        let directory = Directory(vec![
            address("eipalloc-1", "orders"),
            address("eipalloc-2", "shared"),
            address("eipalloc-3", "shared"),
            address("eipalloc-1", "orders"),
        ]);
        let tag = |value: &str| AddressSpec::Tag {
            key: "service".to_owned(),
            value: value.to_owned(),
        };
        let found = directory.find(&[
            AddressSpec::Allocation("eipalloc-2".into()),
            tag("orders"),
            tag("nobody"),
            tag("shared"),
        ]);
        assert!(matches!(&found[0], AddressFound::One(of) if of.allocation == "eipalloc-2".into()));
        assert!(matches!(&found[1], AddressFound::One(of) if of.allocation == "eipalloc-1".into()));
        assert_eq!(found[2], AddressFound::Missing);
        let both = vec!["eipalloc-2".into(), "eipalloc-3".into()];
        assert_eq!(found[3], AddressFound::Ambiguous(both));
    }
}
