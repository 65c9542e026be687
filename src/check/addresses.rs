//! Can each Elastic IP come to the holder, and does nobody else need it?

use super::facts::Facts;
use super::finding::{Finding, Part, Sheet};
use super::mend::{Command, advice, aws, rehome};
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
                AddressSpec::Allocation(_) => aws("ec2 describe-addresses")
                    .and("--query 'Addresses[].[AllocationId,PublicIp]'  # which one is meant?"),
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
                untag(wanted, &ids),
            );
        }
        AddressFound::One(address) => held(sheet, facts, spec, address),
    }
}

/// Off all but the first: which of them is meant, a person knows.
fn untag(wanted: &AddressSpec, ids: &[&str]) -> Command {
    match (wanted, ids) {
        (AddressSpec::Tag { key, value }, [first, others @ ..]) => aws("ec2 delete-tags")
            .and(&format!("--resources {}", others.join(" ")))
            .with("tags", format!("Key={key},Value={value}"))
            .note(&format!("if {first} is the one that is meant")),
        _ => advice("write the allocation id of the one that is meant"),
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
        Some(other) if facts.world.group.known().is_none() && !holds(facts, other) => sheet.untold(
            "address",
            format!(
                "{what} is with {other}; whether that is an instance of this group is not known"
            ),
        ),
        Some(other) if is_ours(facts, other) => sheet.warning(
            "address",
            format!("{what} is with {other}, which is not the holder"),
            "a move is under way, or stuck",
            rehome(&format!("plan --config FILE --group {}", spec.name)),
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
    let group = facts.world.group.known();
    let member = group.is_some_and(|group| group.members.contains_key(instance));
    member || holds(facts, instance)
}

fn holds(facts: &Facts, instance: &InstanceId) -> bool {
    let volumes = facts.world.volumes.known().into_iter().flatten();
    volumes
        .flat_map(|(_, volume)| &volume.attachments)
        .any(|at| at.instance == *instance)
}

fn elsewhere(address: &Address) -> Command {
    aws("ec2 disassociate-address")
        .with("public-ip", &address.public_ip)
        .note("or configure another address")
}
