//! A group as a person reads it.

use std::fmt::Write as _;

use super::operate::View;
use crate::ids::{InstanceId, VolumeName};
use crate::world::{
    AddressFound, Lifecycle, Seen, SnapshotState, Standing, Volume, Workload, World,
};

/// How each belonging is, and what is waited for.
pub(super) fn status(view: &View) -> String {
    let mut text = heading(view);
    holder(&mut text, view);
    for volume in &view.spec.volumes {
        volumes(&mut text, &view.world, &volume.name);
    }
    addresses(&mut text, &view.world);
    alarms(&mut text, &view.world);
    workload(&mut text, &view.world);
    for why in unseen(&view.world) {
        row(&mut text, "unseen", &why);
    }
    decisions(&mut text, view);
    text
}

/// What would be done now, and why nothing else.
pub(super) fn plan(view: &View) -> String {
    let mut text = heading(view);
    decisions(&mut text, view);
    for step in &view.plan.upkeep {
        row(&mut text, "at leisure", &step.to_string());
    }
    text
}

/// The parts of the world that could not be read, and why.
pub(super) fn unseen(world: &World) -> Vec<String> {
    fn why<T>(part: &str, seen: &Seen<T>) -> Option<String> {
        match seen {
            Seen::Known(_) => None,
            Seen::Unknown(why) => Some(format!("{part}: {why}")),
        }
    }
    let parts = [
        why("group", &world.group),
        why("instances", &world.instances),
        why("volumes", &world.volumes),
        why("snapshots", &world.snapshots),
        why("addresses", &world.addresses),
        why("alarms", &world.alarms),
    ];
    parts.into_iter().flatten().collect()
}

fn heading(view: &View) -> String {
    let how = match (view.settled, view.steps.is_empty()) {
        (true, _) => "settled",
        (false, true) => "waits",
        (false, false) => "has work to do",
    };
    format!("{}: {how}\n", view.group)
}

fn row(text: &mut String, name: &str, value: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "  {name:<11} {value}");
}

fn decisions(text: &mut String, view: &View) {
    for step in &view.steps {
        row(text, "now", step);
    }
    for wait in &view.waits {
        row(text, "waits", wait);
    }
}

fn holder(text: &mut String, view: &View) {
    let Some(group) = view.world.group.known() else {
        return;
    };
    let is_holder = |id: &InstanceId| view.plan.holder.as_ref() == Some(id);
    if view.plan.holder.is_none() {
        row(text, "holder", "none");
    }
    for (id, member) in &group.members {
        let name = if is_holder(id) { "holder" } else { "member" };
        let sick = if member.healthy { "" } else { ", unhealthy" };
        let says = format!(
            "{id}, {} in {}{sick}",
            lifecycle(&member.lifecycle),
            member.zone
        );
        row(text, name, &says);
    }
}

fn lifecycle(lifecycle: &Lifecycle) -> &str {
    match lifecycle {
        Lifecycle::Pending => "Pending",
        Lifecycle::PendingWait => "Pending:Wait",
        Lifecycle::PendingProceed => "Pending:Proceed",
        Lifecycle::InService => "InService",
        Lifecycle::Standby => "Standby",
        Lifecycle::Terminating => "Terminating",
        Lifecycle::TerminatingWait => "Terminating:Wait",
        Lifecycle::TerminatingProceed => "Terminating:Proceed",
        Lifecycle::TerminatingRetained => "Terminating:Retained",
        Lifecycle::Terminated => "Terminated",
        Lifecycle::Warmed(state) | Lifecycle::Other(state) => state,
    }
}

fn volumes(text: &mut String, world: &World, name: &VolumeName) {
    let Some(all) = world.volumes.known() else {
        return;
    };
    let mut own: Vec<&Volume> = all
        .values()
        .filter(|v| v.name.as_ref() == Some(name))
        .collect();
    own.sort_by(|a, b| b.epoch.cmp(&a.epoch).then_with(|| a.id.cmp(&b.id)));
    if own.is_empty() {
        row(text, name.as_str(), "no volume");
    }
    for volume in own {
        row(text, name.as_str(), &one_volume(volume));
    }
    let Some(snapshots) = world.snapshots.known() else {
        return;
    };
    let own = snapshots.values().filter(|s| s.name.as_ref() == Some(name));
    let complete: Vec<_> = own
        .filter(|s| s.state == SnapshotState::Completed)
        .collect();
    let newest = complete.iter().max_by_key(|s| (s.epoch, s.started));
    if let Some(newest) = newest {
        let says = format!(
            "{} complete snapshot(s), the newest {} of {:.0} (epoch {})",
            complete.len(),
            newest.id,
            newest.started,
            newest.epoch
        );
        row(text, "", &says);
    }
}

fn one_volume(volume: &Volume) -> String {
    let part = match &volume.standing {
        Standing::New => "new",
        Standing::Active(_) => "active",
        Standing::Superseded => "superseded",
    };
    let mut says = format!(
        "{}, epoch {}, {part}, in {}",
        volume.id, volume.epoch, volume.zone
    );
    for at in &volume.attachments {
        let _ = write!(says, ", {:?} to {} at {}", at.state, at.instance, at.device);
    }
    if volume.attachments.is_empty() {
        let _ = write!(says, ", {:?}", volume.state);
    }
    says.to_lowercase()
}

fn addresses(text: &mut String, world: &World) {
    for found in world.addresses.known().into_iter().flatten() {
        let says = match found {
            AddressFound::One(address) => {
                let whose = address
                    .instance
                    .as_ref()
                    .map_or("nobody", InstanceId::as_str);
                format!("{} ({}), at {whose}", address.public_ip, address.allocation)
            }
            AddressFound::Missing => "not found".to_owned(),
            AddressFound::Ambiguous(all) => format!("not unique: {} fit", all.len()),
        };
        row(text, "address", &says);
    }
}

fn alarms(text: &mut String, world: &World) {
    for (name, alarm) in world.alarms.known().into_iter().flatten() {
        let how = if alarm.ringing { "rings" } else { "is quiet" };
        row(
            text,
            "alarm",
            &format!("{name} {how} since {:.0}", alarm.since),
        );
    }
}

fn workload(text: &mut String, world: &World) {
    let Some(here) = &world.here else { return };
    let says = match &here.workload {
        Workload::None => return,
        Workload::Stopped => "stopped",
        Workload::Unhealthy(says) => says,
        Workload::Healthy => "healthy",
    };
    row(text, "workload", says);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::{BTreeMap, BTreeSet};

    use jiff::Timestamp;

    use super::*;
    use crate::plan::Plan;
    use crate::spec;
    use crate::world::{
        Address, Alarm, Attachment, AttachmentState, Group, Member, Shape, VolumeState,
    };

    fn view() -> View {
        let text = "[[group]]\nname = \"orders-db\"\n[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\n";
        let spec = spec::parse("x", text).unwrap().groups.remove(0);
        View {
            group: spec.name.to_string(),
            spec,
            settled: true,
            waits: Vec::new(),
            steps: Vec::new(),
            world: World::unseen(),
            plan: Plan::default(),
        }
    }

    fn member() -> Member {
        Member {
            lifecycle: Lifecycle::InService,
            zone: "us-east-1a".into(),
            healthy: true,
        }
    }

    fn volume() -> Volume {
        Volume {
            id: "vol-1".into(),
            name: Some("data".into()),
            epoch: crate::ids::Epoch(2),
            standing: Standing::Active(None),
            state: VolumeState::InUse,
            zone: "us-east-1a".into(),
            attachments: vec![Attachment {
                instance: "i-1".into(),
                device: "/dev/sdf".into(),
                state: AttachmentState::Attached,
                delete_on_termination: false,
                since: None,
            }],
            source: None,
            shape: Shape::default(),
            created: Timestamp::UNIX_EPOCH,
            incident: None,
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn a_settled_group_is_shown_with_all_it_has() {
        let mut view = view();
        view.plan.holder = Some("i-1".into());
        view.world.group = Seen::Known(Group {
            desired: 1,
            members: BTreeMap::from([("i-1".into(), member())]),
            ..Group::default()
        });
        view.world.instances = Seen::Known(BTreeMap::new());
        view.world.volumes = Seen::Known(BTreeMap::from([("vol-1".into(), volume())]));
        view.world.snapshots = Seen::Known(BTreeMap::new());
        view.world.addresses = Seen::Known(vec![AddressFound::One(Address {
            allocation: "eipalloc-1".into(),
            public_ip: "192.0.2.1".into(),
            instance: Some("i-1".into()),
            private_ip: None,
        })]);
        let alarm = Alarm {
            ringing: false,
            since: Timestamp::UNIX_EPOCH,
            about: BTreeSet::new(),
        };
        view.world.alarms = Seen::Known(BTreeMap::from([("status".to_owned(), alarm)]));
        assert_eq!(
            status(&view),
            "\
orders-db: settled
  holder      i-1, InService in us-east-1a
  data        vol-1, epoch 2, active, in us-east-1a, attached to i-1 at /dev/sdf
  address     192.0.2.1 (eipalloc-1), at i-1
  alarm       status is quiet since 1970-01-01T00:00:00Z
"
        );
        assert!(unseen(&view.world).is_empty());
    }

    #[test]
    fn what_could_not_be_seen_is_said() {
        let mut view = view();
        view.settled = false;
        view.waits = vec!["the volumes could not be read: no answer".to_owned()];
        view.world.volumes = Seen::Unknown("no answer".to_owned());
        let text = status(&view);
        assert!(text.starts_with("orders-db: waits\n"), "{text}");
        assert!(
            text.contains("  unseen      volumes: no answer\n"),
            "{text}"
        );
        assert!(
            text.ends_with("  waits       the volumes could not be read: no answer\n"),
            "{text}"
        );
    }
}
