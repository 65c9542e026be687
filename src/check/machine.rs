//! Is the instance itself ready: its metadata service, disks, mount points,
//! units? From afar only what EC2 says of it.

use super::facts::{Body, Facts, MachineFacts, PointState, UnitFacts};
use super::finding::{Finding, Part, Sheet};
use super::mend::{advice, aws, rehome};
use crate::ids::InstanceId;
use crate::spec::{GroupSpec, Kind, VolumeSpec};
use crate::world::{Here, Mounted, Standing};

pub(super) fn judge(facts: &Facts, spec: &GroupSpec) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Machine);
    if spec.agent {
        bodies(&mut sheet, facts, spec);
    }
    if let Some(id) = &facts.mute {
        mute(&mut sheet, id);
    }
    if let Some(machine) = &facts.machine {
        let tags = tags_in_metadata(facts, &machine.instance);
        sheet.right(
            "metadata-answers",
            format!(
                "this is {}: its metadata service answers with a token{tags}",
                machine.instance
            ),
        );
        let holds = facts.plan.holder.as_ref() == Some(&machine.instance);
        for volume in &spec.volumes {
            disk(&mut sheet, facts, machine, volume, holds);
        }
        units(&mut sheet, spec, machine);
        programs(&mut sheet, machine);
    }
    sheet.done()
}

/// The members, as EC2 describes them.
fn bodies(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec) {
    let Some(all) = sheet.known("instances", &facts.bodies) else {
        return;
    };
    let pair = match &spec.kind {
        Kind::Pair { members } => members.as_slice(),
        Kind::Asg => &[],
    };
    for (id, body) in all {
        if facts.plan.holder.as_ref() == Some(id) || pair.contains(id) {
            metadata(sheet, id, body);
            role(sheet, id, body);
        }
    }
}

/// It knows from its firmware alone that it is a member.
fn mute(sheet: &mut Sheet, id: &InstanceId) {
    sheet.wrong(
        "metadata-answers",
        format!("this is {id}, and its metadata service does not answer here"),
        "rehome does not know here that it is a member: nobody fetches the data, lets go of it, \
         or takes snapshots",
        aws("ec2 modify-instance-metadata-options")
            .with("instance-id", id)
            .and("--http-endpoint enabled --http-tokens required --http-put-response-hop-limit 2"),
    );
}

fn metadata(sheet: &mut Sheet, id: &InstanceId, body: &Body) {
    let options = || {
        aws("ec2 modify-instance-metadata-options")
            .with("instance-id", id)
            .and("--http-endpoint enabled --http-tokens required")
    };
    if body.metadata_endpoint == Some(false) {
        sheet.wrong(
            "metadata",
            format!("the metadata service of {id} is turned off"),
            "its agent cannot learn who it is, and that it is to go; nor has it credentials",
            options(),
        );
    } else if body.metadata_tokens_required == Some(false) {
        sheet.warning(
            "metadata",
            format!("the metadata service of {id} also answers without a token (version 1)"),
            "a fault in the workload that makes it fetch addresses gives its role away",
            options(),
        );
    } else if body.metadata_tokens_required == Some(true) {
        sheet.right(
            "metadata",
            format!("the metadata service of {id} wants a token (version 2)"),
        );
    }
}

fn role(sheet: &mut Sheet, id: &InstanceId, body: &Body) {
    match &body.profile {
        Some(profile) => sheet.right("role", format!("{id} is {profile}")),
        None => sheet.warning(
            "role",
            format!("{id} has no role"),
            "unless it has credentials of another kind, its agent can ask for nothing",
            aws("ec2 associate-iam-instance-profile")
                .with("instance-id", id)
                .and("--iam-instance-profile Name=PROFILE"),
        ),
    }
}

/// rehome does not need them; whoever's health command does should know.
fn tags_in_metadata(facts: &Facts, id: &InstanceId) -> &'static str {
    let body = facts.bodies.known().and_then(|bodies| bodies.get(id));
    match body.and_then(|body| body.metadata_tags) {
        Some(true) => ", and has the instance's tags",
        Some(false) => ", without the instance's tags, which rehome does not need",
        None => "",
    }
}

fn disk(
    sheet: &mut Sheet,
    facts: &Facts,
    machine: &MachineFacts,
    wanted: &VolumeSpec,
    holds: bool,
) {
    let Some(here) = &facts.world.here else {
        sheet.unknown("disks", "this machine could not be looked at");
        return;
    };
    if holds {
        shown(sheet, facts, here, wanted);
    }
    if let Some(point) = &wanted.mount {
        let point = point.display().to_string();
        match here.mounts.get(&wanted.name) {
            Some(Mounted::Volume(volume)) => {
                sheet.right(
                    "mount",
                    format!("{volume} ({}) is mounted at {point}", wanted.name),
                );
            }
            Some(Mounted::Foreign(what)) => sheet.wrong(
                "mount",
                format!(
                    "{what} is mounted at {point}, where {} belongs",
                    wanted.name
                ),
                "the data cannot be mounted; what is written there does not follow",
                advice(format!("umount {point}  # and take it out of /etc/fstab")),
            ),
            None => unmounted(sheet, machine, wanted, &point, holds),
        }
    }
}

/// By its serial number, never by its name.
fn shown(sheet: &mut Sheet, facts: &Facts, here: &Here, wanted: &VolumeSpec) {
    let volumes = facts.world.volumes.known().into_iter().flatten();
    let own = volumes.filter(|(_, volume)| {
        volume.name.as_ref() == Some(&wanted.name)
            && matches!(volume.standing, Standing::Active(_))
            && volume
                .attachments
                .iter()
                .any(|at| at.instance == here.instance)
    });
    for (id, _) in own {
        // Where nothing is mounted nobody looks for disks.
        match here.disks.get(id) {
            Some(disk) => {
                let device = &wanted.device;
                sheet.right(
                    "disks",
                    format!(
                        "{id} ({}), configured as {device}, is {}",
                        wanted.name, disk.path
                    ),
                );
            }
            None if wanted.mount.is_some() => sheet.wrong(
                "disks",
                format!(
                    "{id} ({}) is attached, and the kernel does not show it",
                    wanted.name
                ),
                "it cannot be mounted",
                advice(
                    "lsblk -o NAME,SERIAL  # if it is not there: detach the volume, and attach it",
                ),
            ),
            None => {}
        }
    }
}

fn unmounted(
    sheet: &mut Sheet,
    machine: &MachineFacts,
    wanted: &VolumeSpec,
    point: &str,
    holds: bool,
) {
    let state = machine.points.get(&wanted.name).map(|point| point.state);
    match state {
        Some(PointState::Filled) => sheet.wrong(
            "mount",
            format!("{point} is a folder on the root disk with something in it"),
            "mounting would hide what is in it, so nothing is mounted there",
            advice(format!(
                "mv {point} {point}.root-disk  # after a look at what it is"
            )),
        ),
        Some(PointState::NotAFolder) => sheet.wrong(
            "mount",
            format!("{point} is no folder, or is reached through a symbolic link"),
            "nothing can be mounted there",
            advice(format!(
                "mv {point} {point}.aside  # or write its real path into mount"
            )),
        ),
        _ if holds => sheet.warning(
            "mount",
            format!("nothing is mounted at {point}, and this is the holder"),
            "the workload has no data here",
            rehome("bootstrap --config FILE"),
        ),
        Some(PointState::Empty | PointState::Missing | PointState::Mounted) => {
            sheet.right("mount", format!("{point} is free for {}", wanted.name));
        }
        None => {}
    }
}

fn units(sheet: &mut Sheet, spec: &GroupSpec, machine: &MachineFacts) {
    let Some(units) = sheet.known("units", &machine.units) else {
        return;
    };
    for unit in units {
        if unit.own {
            own_unit(sheet, spec, unit);
        } else {
            workload_unit(sheet, spec, unit);
        }
    }
}

fn workload_unit(sheet: &mut Sheet, spec: &GroupSpec, unit: &UnitFacts) {
    let name = &unit.name;
    let mounts = spec.volumes.iter().any(|volume| volume.mount.is_some());
    let by_itself = unit.enabled.starts_with("enabled");
    if !unit.installed {
        sheet.wrong(
            "units",
            format!("there is no unit {name}"),
            "the data comes, and nothing that serves it starts",
            advice("install it in the image, or write its real name into units"),
        );
    } else if unit.enabled.starts_with("masked") {
        sheet.wrong(
            "units",
            format!("{name} is masked"),
            "rehome cannot start it",
            advice(format!("systemctl unmask {name}")),
        );
    } else if by_itself && mounts && !unit.asserts_mount {
        sheet.warning(
            "units",
            format!("{name} is enabled, and would start without its volume"),
            "at boot it may begin on the empty root disk; what it writes there keeps the volume \
             from being mounted",
            advice(format!(
                "systemctl disable {name}  # and add AssertPathIsMountPoint= (systemd/README.md)"
            )),
        );
    } else {
        let how = match (by_itself, unit.asserts_mount) {
            (_, true) => "starts only where its volume is mounted",
            (true, false) => "is enabled",
            (false, false) => "is left to rehome to start",
        };
        sheet.right("units", format!("{name} {how}"));
    }
}

fn own_unit(sheet: &mut Sheet, spec: &GroupSpec, unit: &UnitFacts) {
    let name = &unit.name;
    if !spec.agent {
        return;
    }
    let enable = || advice(format!("systemctl enable --now {name}"));
    let daemon = name == "rehome.service";
    if !unit.installed {
        sheet.warning(
            "own-units",
            format!("{name} is not installed"),
            if daemon {
                "unless something else runs the daemon, nobody lets go when the instance is \
                 terminated, and nobody takes snapshots"
            } else {
                "unless the user data runs it, nobody fetches the data at the next boot"
            },
            advice(format!(
                "cp systemd/{name} /etc/systemd/system/ && systemctl enable --now {name}"
            )),
        );
    } else if !unit.enabled.starts_with("enabled") {
        sheet.wrong(
            "own-units",
            format!("{name} is {}", unit.enabled),
            "after the next boot nobody looks after this instance",
            enable(),
        );
    } else if daemon && !unit.active {
        sheet.wrong(
            "own-units",
            format!("{name} does not run"),
            "nobody lets go when the instance is terminated, and nobody takes snapshots",
            advice(format!(
                "systemctl start {name}  # journalctl -u {name} says why, if it ends again"
            )),
        );
    } else {
        sheet.right(
            "own-units",
            format!("{name} is enabled{}", if daemon { " and runs" } else { "" }),
        );
    }
}

fn programs(sheet: &mut Sheet, machine: &MachineFacts) {
    if machine.missing_programs.is_empty() {
        sheet.right("programs", "everything that is needed is installed");
    } else {
        sheet.wrong(
            "programs",
            format!("not installed: {}", machine.missing_programs.join(", ")),
            "a disk cannot be looked at, or no file system made on it",
            advice("dnf install -y e2fsprogs xfsprogs util-linux  # or apt-get install -y"),
        );
    }
}
