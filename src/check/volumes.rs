//! Is the data where it should be, and does it survive its instance?

use super::facts::Facts;
use super::finding::{Finding, Part, Sheet};
use super::mend::{Command, advice, aws, rehome};
use crate::ids::InstanceId;
use crate::plan::{Hold, Reason};
use crate::spec::{GroupSpec, VolumeSpec};
use crate::world::{Attachment, Standing, Volume, World};

pub(super) fn judge(facts: &Facts, spec: &GroupSpec) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Volumes);
    holds(&mut sheet, facts, spec);
    if spec.volumes.is_empty() {
        return sheet.done();
    }
    if sheet.known("volumes", &facts.world.volumes).is_some() {
        for volume in &spec.volumes {
            one(&mut sheet, facts, spec, volume);
        }
        strangers(&mut sheet, facts, spec);
    }
    sheet.done()
}

/// Whatever the planner leaves to a person stops every failover.
fn holds(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec) {
    for wait in &facts.plan.waits {
        let Reason::Hold(hold) = &wait.reason else {
            continue;
        };
        if let Some((check, mend)) = of_hold(hold, facts, spec) {
            sheet.wrong(
                check,
                wait.reason.to_string(),
                "rehome changes nothing before a person has decided",
                mend,
            );
        }
    }
}

/// None: another part of the check says so, and better.
fn of_hold(hold: &Hold, facts: &Facts, spec: &GroupSpec) -> Option<(&'static str, Command)> {
    Some(match hold {
        Hold::TooManyMembers { .. }
        | Hold::AddressMissing { .. }
        | Hold::AddressAmbiguous { .. }
        | Hold::WhichHook { .. } => return None,
        Hold::AdoptFirst { .. } => (
            "adopted",
            rehome(&format!("adopt {} --config FILE", spec.name)),
        ),
        Hold::DeviceTaken {
            found, instance, ..
        } => (
            "device",
            aws("ec2 detach-volume")
                .with("volume-id", found)
                .with("instance-id", instance)
                .note("or configure another device"),
        ),
        Hold::NoFirstVolume { volume } => (
            "first-volume",
            advice(format!(
                "write size_gib into [[group.volume]] {volume}, or tag the volume that has the data"
            )),
        ),
        Hold::TwoLineages { .. } => (
            "lineage",
            aws("ec2 delete-tags --resources THE-WRONG-COPY --tags Key=rehome:group")
                .note("a person decides which one it is"),
        ),
        Hold::PrivateAddresses {
            instance,
            needs,
            has,
        } => (
            "private-addresses",
            aws("ec2 assign-private-ip-addresses")
                .with("network-interface-id", interface(facts, instance))
                .with(
                    "secondary-private-ip-address-count",
                    needs.saturating_sub(*has),
                ),
        ),
        _ => (
            "hold",
            advice("decide what the line says, then run `rehome plan` again"),
        ),
    })
}

fn interface(facts: &Facts, instance: &InstanceId) -> String {
    let known = facts.world.instances.known();
    let of = known.and_then(|all| all.get(instance)?.interface.as_ref());
    of.map_or_else(|| "eni-PRIMARY".to_owned(), |of| of.id.to_string())
}

fn one(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, wanted: &VolumeSpec) {
    let own = of_name(&facts.world, wanted);
    let Some(current) = newest(&own) else {
        if wanted.first.size_gib.is_some() {
            sheet.right(
                "volume",
                format!("{} was never made; the first boot makes it", wanted.name),
            );
        }
        return;
    };
    tags(sheet, wanted, current);
    match current.attachments.as_slice() {
        [] => sheet.warning(
            "volume",
            format!("{} ({}) is attached to nobody", current.id, wanted.name),
            "nothing serves it now",
            rehome("plan --config FILE  # says what is waited for"),
        ),
        [at] => attached(sheet, facts, spec, wanted, current, at),
        _ => {}
    }
    encryption(sheet, wanted, current, &own);
}

/// Tagged for this group, and none of its volumes.
fn strangers(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec) {
    let all = facts.world.volumes.known().into_iter().flatten();
    for (id, volume) in all {
        let is_configured = spec
            .volumes
            .iter()
            .any(|wanted| volume.name.as_ref() == Some(&wanted.name));
        if is_configured || !matches!(volume.standing, Standing::Active(_)) {
            continue;
        }
        let named = match &volume.name {
            Some(name) => format!("is called {name}"),
            None => "has no name (rehome:volume)".to_owned(),
        };
        sheet.warning(
            "tags",
            format!(
                "{id} carries rehome:group={} and {named}; no such volume is configured",
                spec.name
            ),
            "it does not follow the group, and nobody takes snapshots of it",
            aws("ec2 create-tags")
                .with("resources", id)
                .and("--tags Key=rehome:volume,Value=NAME  # or delete-tags, Key=rehome:group"),
        );
    }
}

fn of_name<'a>(world: &'a World, wanted: &VolumeSpec) -> Vec<&'a Volume> {
    let all = world
        .volumes
        .known()
        .into_iter()
        .flat_map(|all| all.values());
    all.filter(|volume| volume.name.as_ref() == Some(&wanted.name))
        .collect()
}

fn newest<'a>(own: &[&'a Volume]) -> Option<&'a Volume> {
    own.iter()
        .filter(|volume| matches!(volume.standing, Standing::Active(_)))
        .max_by_key(|volume| volume.epoch)
        .copied()
}

fn attached(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    wanted: &VolumeSpec,
    current: &Volume,
    at: &Attachment,
) {
    let what = format!("{} ({}) on {}", current.id, wanted.name, at.instance);
    if at.delete_on_termination {
        sheet.wrong(
            "delete-on-termination",
            format!("{what} is deleted when the instance terminates"),
            "an instance that crashes takes the data with it: only snapshots are left",
            keep(at),
        );
    } else {
        sheet.right(
            "delete-on-termination",
            format!("{what} stays when the instance terminates"),
        );
    }
    if at.device != wanted.device {
        sheet.warning(
            "device",
            format!("{what} is at {}, and configured for {}", at.device, wanted.device),
            "after the next move it is at the configured one: what names the old one does not find it",
            advice(format!("write device = \"{}\", or leave it to the next move", at.device)),
        );
    }
    if facts
        .plan
        .holder
        .as_ref()
        .is_some_and(|holder| *holder != at.instance)
    {
        sheet.warning(
            "volume",
            format!("{what}, which is not the holder"),
            "a move is under way, or stuck",
            rehome(&format!("plan --config FILE --group {}", spec.name)),
        );
    } else {
        sheet.right(
            "volume",
            format!("{what} at {}, epoch {}", at.device, current.epoch),
        );
    }
}

fn keep(at: &Attachment) -> Command {
    let mapping = format!(
        "[{{\"DeviceName\":\"{}\",\"Ebs\":{{\"DeleteOnTermination\":false}}}}]",
        at.device
    );
    aws("ec2 modify-instance-attribute")
        .with("instance-id", &at.instance)
        .with("block-device-mappings", mapping)
}

fn tags(sheet: &mut Sheet, wanted: &VolumeSpec, current: &Volume) {
    match &current.standing {
        Standing::Active(None) => sheet.warning(
            "term",
            format!("{} ({}) carries no term yet", current.id, wanted.name),
            "until a run has written one, a copy that others made counts as much as it does",
            rehome("bootstrap --config FILE  # a running daemon writes it, too"),
        ),
        Standing::Active(Some(term)) => sheet.right(
            "term",
            format!(
                "{}: the term of {} since {:.0}",
                wanted.name, term.holder, term.since
            ),
        ),
        Standing::New | Standing::Superseded => {}
    }
}

/// Whether a role may use a key shows only when a volume is made with it: that
/// one was made is the proof.
fn encryption(sheet: &mut Sheet, wanted: &VolumeSpec, current: &Volume, own: &[&Volume]) {
    let has = current.shape.kms_key_id.as_deref();
    let encrypted = current.shape.encrypted == Some(true);
    match (&wanted.first.kms_key_id, encrypted) {
        (None, false) => {}
        (Some(key), false) => sheet.warning(
            "encryption",
            format!("{} is not encrypted, though {key} is configured", current.id),
            "the key counts for the first, blank volume only: every move keeps the volume as it is",
            aws("ec2 copy-snapshot --encrypted")
                .with("kms-key-id", key)
                .and("--source-region REGION --source-snapshot-id SNAPSHOT  # then adopt a volume of that"),
        ),
        (_, true) => {
            let proven = own.iter().any(|volume| {
                volume.source.is_some() && volume.shape.kms_key_id.as_deref() == has
            });
            let key = has.unwrap_or("the account's default key");
            if proven {
                sheet.right("encryption", format!("{} was restored with {key} before", wanted.name));
            } else {
                sheet.untold(
                    "encryption",
                    format!(
                        "whether {key} can be used for a restore shows only when one is made; it \
                         needs kms:Decrypt, kms:GenerateDataKeyWithoutPlaintext and kms:CreateGrant"
                    ),
                );
            }
        }
    }
}
