//! Can each Elastic IP come to the holder, and does nobody else need it?

use super::facts::Facts;
use super::finding::{Finding, Part, Sheet};
use super::mend::{advice, aws};
use crate::ids::InstanceId;
use crate::spec::{AddressSpec, GroupSpec};
use crate::world::{Address, AddressFound};

pub(super) fn judge(facts: &Facts, spec: &GroupSpec) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Addresses);
    if spec.addresses.is_empty() {
        return sheet.done();
    }
    if let Some(all) = sheet.known("addresses", &facts.world.addresses) {
        for (wanted, found) in spec.addresses.iter().zip(all) {
            one(&mut sheet, facts, spec, wanted, found);
        }
    }
    sheet.done()
}

fn one(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    wanted: &AddressSpec,
    found: &AddressFound,
) {
    match found {
        AddressFound::Missing => sheet.wrong(
            "address",
            format!("there is no Elastic IP with {wanted}"),
            "clients find nobody after a failover",
            match wanted {
                AddressSpec::Allocation(_) => {
                    advice("write the allocation id of an address that exists")
                }
                AddressSpec::Tag { key, value } => aws("ec2 create-tags")
                    .and("--resources eipalloc-THE-ADDRESS")
                    .with("tags", format!("Key={key},Value={value}")),
            },
        ),
        AddressFound::Ambiguous(all) => {
            let ids: Vec<&str> = all.iter().map(|id| id.as_str()).collect();
            sheet.wrong(
                "address",
                format!(
                    "{wanted} fits {} Elastic IPs: {}",
                    ids.len(),
                    ids.join(", ")
                ),
                "rehome moves none of them, because it cannot know which is meant",
                advice("take the tag off all but one, or write the allocation id"),
            );
        }
        AddressFound::One(address) => held(sheet, facts, spec, address),
    }
}

fn held(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, address: &Address) {
    let what = format!("{} ({})", address.public_ip, address.allocation);
    match &address.instance {
        None if address.private_ip.is_some() => sheet.wrong(
            "address",
            format!("{what} is with a network interface that belongs to no instance"),
            "rehome takes it from there: a NAT gateway or a load balancer loses its address",
            elsewhere(address),
        ),
        None => sheet.right("address", format!("{what} is free")),
        Some(holder) if facts.plan.holder.as_ref() == Some(holder) => {
            sheet.right("address", format!("{what} is with the holder {holder}"));
        }
        Some(other) if is_ours(facts, other) => sheet.warning(
            "address",
            format!("{what} is with {other}, which is not the holder"),
            "a move is under way, or stuck",
            super::mend::rehome(&format!("plan --config FILE --group {}", spec.name)),
        ),
        Some(stranger) => sheet.wrong(
            "address",
            format!("{what} is with {stranger}, which is no instance of this group"),
            "rehome takes it from there as soon as it runs, and whoever is served there is cut off",
            elsewhere(address),
        ),
    }
}

/// A member, or one that still has a volume of the group.
fn is_ours(facts: &Facts, instance: &InstanceId) -> bool {
    let member = facts
        .world
        .group
        .known()
        .is_none_or(|group| group.members.contains_key(instance));
    let volumes = facts.world.volumes.known().into_iter().flatten();
    let holds = volumes
        .flat_map(|(_, volume)| &volume.attachments)
        .any(|at| at.instance == *instance);
    member || holds
}

fn elsewhere(address: &Address) -> super::mend::Command {
    aws("ec2 disassociate-address")
        .with("public-ip", &address.public_ip)
        .and("  # or configure another address")
}
