//! Can the standby of a pair take over?

use super::facts::{Body, Facts};
use super::finding::{Finding, Part, Sheet};
use super::mend::{advice, aws};
use crate::ids::InstanceId;
use crate::spec::GroupSpec;
use crate::world::InstanceState;

pub(super) fn judge(facts: &Facts, spec: &GroupSpec, members: &[InstanceId]) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Pair);
    if let Some(bodies) = sheet.known("members", &facts.bodies) {
        for id in members {
            match bodies.get(id) {
                Some(body) => member(&mut sheet, facts, spec, id, body),
                None if is_unread(facts, id) => {
                    sheet.unknown("members", &format!("EC2 does not describe {id}"));
                }
                None => gone(&mut sheet, id, "there is no instance"),
            }
        }
        let found: Vec<(&InstanceId, &Body)> = members
            .iter()
            .filter_map(|id| bodies.get_key_value(id))
            .filter(|(_, body)| !is_gone(body))
            .collect();
        if let [(first, one), (second, other)] = found.as_slice() {
            together(&mut sheet, (first, one), (second, other));
        }
    }
    sheet.done()
}

pub(super) fn is_gone(body: &Body) -> bool {
    matches!(
        body.state,
        Some(InstanceState::Terminated | InstanceState::ShuttingDown)
    )
}

fn is_unread(facts: &Facts, id: &InstanceId) -> bool {
    let group = facts.world.group.known();
    group.is_none_or(|group| group.members.contains_key(id))
}

fn gone(sheet: &mut Sheet, id: &InstanceId, says: &str) {
    sheet.wrong(
        "members",
        format!("{says} {id}"),
        "there is nobody to take over",
        advice("launch another, and write its id into members"),
    );
}

fn member(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, id: &InstanceId, body: &Body) {
    match body.state {
        _ if is_gone(body) => return gone(sheet, id, "terminated:"),
        Some(state) => {
            let role = if facts.plan.holder.as_ref() == Some(id) {
                "the holder"
            } else {
                "the standby"
            };
            let zone = body.zone.as_ref().map_or("no zone", |zone| zone.as_str());
            let state = format!("{state:?}").to_lowercase();
            sheet.right("members", format!("{id} in {zone}, {state}: {role}"));
        }
        None => sheet.unknown("members", &format!("EC2 does not say how {id} is")),
    }
    if let Some(group) = &body.group {
        sheet.wrong(
            "not-in-a-group",
            format!("{id} is a member of the Auto Scaling group {group}"),
            "Auto Scaling terminates what is stopped: the standby, or the primary that is fenced",
            aws("autoscaling detach-instances --should-decrement-desired-capacity")
                .with("instance-ids", id)
                .with("auto-scaling-group-name", group),
        );
    }
    root(sheet, id, body);
    device(sheet, facts, spec, id, body);
    protection(sheet, facts, id);
}

/// A member must survive being stopped.
fn root(sheet: &mut Sheet, id: &InstanceId, body: &Body) {
    match body.root_kind.as_deref() {
        Some("instance-store") => sheet.wrong(
            "root-volume",
            format!("{id} has its root on an instance store"),
            "it cannot be stopped, so it cannot be fenced",
            advice("launch it from an image with an EBS root volume"),
        ),
        Some(_) => {
            let root = body.root_device.as_deref();
            let there = body
                .mappings
                .iter()
                .any(|m| Some(m.device.as_str()) == root);
            if there {
                sheet.right("root-volume", format!("{id} has its root volume"));
            } else {
                sheet.wrong(
                    "root-volume",
                    format!("{id} has nothing at {}", root.unwrap_or("its root device")),
                    "it cannot be started",
                    aws("ec2 attach-volume --volume-id vol-ITS-ROOT")
                        .with("instance-id", id)
                        .with("device", root.unwrap_or("/dev/xvda")),
                );
            }
        }
        None => {}
    }
}

/// Something at the configured device that is not the group's.
fn device(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, id: &InstanceId, body: &Body) {
    let own = |device: &str| {
        let volumes = facts.world.volumes.known().into_iter().flatten();
        volumes
            .flat_map(|(_, volume)| &volume.attachments)
            .any(|at| at.instance == *id && at.device == device)
    };
    for volume in &spec.volumes {
        let taken = body.mappings.iter().any(|m| m.device == volume.device);
        if taken && !own(&volume.device) && facts.plan.holder.as_ref() != Some(id) {
            sheet.wrong(
                "device",
                format!(
                    "{id} has something at {}, where {} belongs",
                    volume.device, volume.name
                ),
                "the data cannot be attached there when it has to take over",
                advice(format!(
                    "detach it, or configure another device than {}",
                    volume.device
                )),
            );
        }
    }
}

fn protection(sheet: &mut Sheet, facts: &Facts, id: &InstanceId) {
    let Some(seen) = facts.protection.get(id) else {
        return;
    };
    let Some(protection) = sheet.known("protection", seen) else {
        return;
    };
    if protection.shutdown_terminates {
        sheet.wrong(
            "shutdown",
            format!("{id} terminates when it shuts itself down"),
            "a `poweroff`, or a fence that shuts it down, destroys it",
            aws("ec2 modify-instance-attribute --instance-initiated-shutdown-behavior stop")
                .with("instance-id", id),
        );
    }
    if protection.against_stop {
        sheet.wrong(
            "stop",
            format!("{id} is protected from being stopped"),
            "it cannot be fenced, so nothing moves away from it while it runs",
            aws("ec2 modify-instance-attribute --no-disable-api-stop").with("instance-id", id),
        );
    }
    if protection.against_termination {
        sheet.right(
            "protection",
            format!("{id} is protected against termination"),
        );
    } else {
        sheet.warning(
            "protection",
            format!("{id} is not protected against termination"),
            "nobody launches another: one slip, and the pair is alone",
            aws("ec2 modify-instance-attribute --disable-api-termination").with("instance-id", id),
        );
    }
}

/// What both must have in common, and what not.
fn together(sheet: &mut Sheet, one: (&InstanceId, &Body), other: (&InstanceId, &Body)) {
    let ((first, a), (second, b)) = (one, other);
    match (&a.zone, &b.zone) {
        (Some(here), Some(there)) if here == there => sheet.warning(
            "pair-zones",
            format!("{first} and {second} are both in {here}"),
            "when that zone fails, both are gone",
            advice("launch a standby in another zone"),
        ),
        (Some(here), Some(there)) => sheet.right("pair-zones", format!("{here} and {there}")),
        _ => {}
    }
    let differ = |what: &str| format!("{first} and {second} have different {what}");
    if a.network.is_some() && a.network != b.network {
        sheet.warning(
            "reach",
            differ("networks"),
            "what reaches the one may not reach the other",
            advice("launch the standby in the same VPC"),
        );
    } else if a.security_groups != b.security_groups {
        let groups: Vec<&str> = a.security_groups.iter().map(String::as_str).collect();
        sheet.warning(
            "reach",
            differ("security groups"),
            "what reaches the one may not reach the other",
            aws("ec2 modify-instance-attribute")
                .with("instance-id", second)
                .and("--groups")
                .and(&groups.join(" ")),
        );
    } else {
        sheet.right(
            "reach",
            "both are in one network, with the same security groups",
        );
    }
    if a.kind != b.kind {
        let kind = |body: &Body| body.kind.clone().unwrap_or_else(|| "?".to_owned());
        sheet.warning(
            "size",
            format!("{first} is a {}, {second} a {}", kind(a), kind(b)),
            "the weaker one may not carry the load",
            aws("ec2 modify-instance-attribute")
                .with("instance-id", second)
                .with("instance-type", kind(a))
                .note("while it is stopped"),
        );
    }
}
