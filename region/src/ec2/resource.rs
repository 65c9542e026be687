//! What can resources be filtered by?

use jiff::Timestamp;

use super::ids::Kind;
use crate::model::{Address, Instance, Snapshot, Tags, Volume};
use crate::wire::xml::timestamp;

/// A thing with an id and tags that describes can find.
pub(crate) trait Resource {
    const KIND: Kind;
    /// The filters it knows, besides those on tags.
    const FILTERS: &'static [&'static str];
    fn id(&self) -> &str;
    fn tags(&self) -> &Tags;
    /// Reads by id see it from here on.
    fn visible(&self) -> Timestamp;
    /// The values of one of its filters.
    fn field(&self, name: &str) -> Vec<String>;
}

impl Resource for Instance {
    const KIND: Kind = Kind::Instance;
    const FILTERS: &'static [&'static str] = &[
        "instance-id",
        "instance-state-name",
        "instance-state-code",
        "availability-zone",
        "image-id",
        "instance-type",
        "private-ip-address",
        "ip-address",
        "network-interface.network-interface-id",
        "client-token",
        "root-device-name",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn visible(&self) -> Timestamp {
        self.visible
    }

    fn field(&self, name: &str) -> Vec<String> {
        match name {
            "instance-id" => vec![self.id.clone()],
            "instance-state-name" => vec![self.state.as_str().to_owned()],
            "instance-state-code" => vec![self.state.code().to_string()],
            "availability-zone" => vec![self.zone.clone()],
            "image-id" => vec![self.image.clone()],
            "instance-type" => vec![self.kind.clone()],
            "private-ip-address" => self.private_ips.clone(),
            "ip-address" => self.public_ip.iter().cloned().collect(),
            "network-interface.network-interface-id" => vec![self.interface.clone()],
            "client-token" => self.token.iter().cloned().collect(),
            "root-device-name" => vec![self.root_device.clone()],
            _ => Vec::new(),
        }
    }
}

impl Resource for Volume {
    const KIND: Kind = Kind::Volume;
    const FILTERS: &'static [&'static str] = &[
        "volume-id",
        "status",
        "availability-zone",
        "size",
        "volume-type",
        "encrypted",
        "snapshot-id",
        "create-time",
        "attachment.instance-id",
        "attachment.device",
        "attachment.status",
        "attachment.delete-on-termination",
        "attachment.attach-time",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn visible(&self) -> Timestamp {
        self.visible
    }

    fn field(&self, name: &str) -> Vec<String> {
        let attachment = self.attachment.as_ref();
        match name {
            "volume-id" => vec![self.id.clone()],
            "status" => vec![self.state.as_str().to_owned()],
            "availability-zone" => vec![self.zone.clone()],
            "size" => vec![self.size_gib.to_string()],
            "volume-type" => vec![self.kind.clone()],
            "encrypted" => vec![self.encrypted.to_string()],
            "snapshot-id" => vec![self.snapshot.clone().unwrap_or_default()],
            "create-time" => vec![timestamp(self.created)],
            "attachment.instance-id" => {
                attachment.map(|a| a.instance.clone()).into_iter().collect()
            }
            "attachment.device" => attachment.map(|a| a.device.clone()).into_iter().collect(),
            "attachment.status" => attachment
                .map(|a| a.state.as_str().to_owned())
                .into_iter()
                .collect(),
            "attachment.delete-on-termination" => attachment
                .map(|a| a.delete_on_termination.to_string())
                .into_iter()
                .collect(),
            "attachment.attach-time" => {
                attachment.map(|a| timestamp(a.since)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Resource for Snapshot {
    const KIND: Kind = Kind::Snapshot;
    const FILTERS: &'static [&'static str] = &[
        "snapshot-id",
        "volume-id",
        "volume-size",
        "status",
        "start-time",
        "description",
        "encrypted",
        "owner-id",
        "storage-tier",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn visible(&self) -> Timestamp {
        self.visible
    }

    fn field(&self, name: &str) -> Vec<String> {
        match name {
            "snapshot-id" => vec![self.id.clone()],
            "volume-id" => vec![self.volume.clone()],
            "volume-size" => vec![self.size_gib.to_string()],
            "status" => vec![self.state.as_str().to_owned()],
            "start-time" => vec![timestamp(self.started)],
            "description" => vec![self.description.clone()],
            "encrypted" => vec![self.encrypted.to_string()],
            "owner-id" => vec![self.owner.clone()],
            "storage-tier" => vec!["standard".to_owned()],
            _ => Vec::new(),
        }
    }
}

impl Resource for Address {
    const KIND: Kind = Kind::Allocation;
    const FILTERS: &'static [&'static str] = &[
        "allocation-id",
        "association-id",
        "instance-id",
        "network-interface-id",
        "public-ip",
        "private-ip-address",
        "domain",
    ];

    fn id(&self) -> &str {
        &self.allocation
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Addresses are read as they are: a move shows at once.
    fn visible(&self) -> Timestamp {
        Timestamp::MIN
    }

    fn field(&self, name: &str) -> Vec<String> {
        match name {
            "allocation-id" => vec![self.allocation.clone()],
            "association-id" => self.association.iter().cloned().collect(),
            "instance-id" => self.instance.iter().cloned().collect(),
            "network-interface-id" => self.interface.iter().cloned().collect(),
            "public-ip" => vec![self.public_ip.clone()],
            "private-ip-address" => self.private_ip.iter().cloned().collect(),
            "domain" => vec!["vpc".to_owned()],
            _ => Vec::new(),
        }
    }
}
