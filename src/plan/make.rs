//! How one volume is made for the holder: restored, or blank for a group that
//! never had data.

use std::collections::BTreeMap;

use super::lineage::Lineage;
use super::scene::{Heir, Keeper, Scene};
use super::step::{Hold, Plan, Reason, Retired, Step};
use super::terms::is_blank;
use crate::ids::{InstanceId, SnapshotId, VolumeId, VolumeName};
use crate::spec::VolumeSpec;
use crate::world::{AttachmentState, InstanceState, Shape, Standing, Volume, VolumeState};

/// What one volume name needs next.
pub(super) enum Next<'a> {
    /// This volume is, or is to be, the holder's.
    Use(&'a Volume),
    /// Make one; the step says how.
    Make(Box<Step>),
    /// Nothing now; the reason stands in the plan.
    Wait,
    /// The newest data is out of reach, and its time is over.
    OutOfReach,
}

/// A volume of the next epoch in the holder's zone: the one that was made for
/// this, or the step that makes it.
pub(super) fn restored<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    spec: &VolumeSpec,
    lineage: &Lineage<'a>,
    source: &SnapshotId,
    shape: &Shape,
    tags: &BTreeMap<String, String>,
) -> Next<'a> {
    if let Some(volume) = prepared(scene, heir, lineage, Some(source)) {
        return Next::Use(volume);
    }
    #[cfg(feature = "mutants")]
    let forgotten = Shape::default();
    #[cfg(feature = "mutants")]
    let shape = if super::mutant::is(super::mutant::Mutant::ForgetShape) {
        &forgotten
    } else {
        shape
    };
    Next::Make(Box::new(Step::CreateVolume {
        name: spec.name.clone(),
        zone: heir.member.zone.clone(),
        epoch: lineage.next,
        incident: lineage.incident.clone(),
        source: Some(source.clone()),
        shape: shape.clone(),
        tags: tags.clone(),
    }))
}

/// A never-active volume that was made from this source for this zone.
fn prepared<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    lineage: &Lineage<'a>,
    source: Option<&SnapshotId>,
) -> Option<&'a Volume> {
    #[cfg(feature = "mutants")]
    if super::mutant::is(super::mutant::Mutant::BeginAnew) {
        return None;
    }
    lineage
        .others
        .iter()
        .filter(|v| {
            v.standing == Standing::New
                && v.source.as_ref() == source
                && v.zone == heir.member.zone
                && lineage.top.is_none_or(|top| v.epoch > top)
                && v.state != VolumeState::Error
                && matches!(scene.keeper(v), Keeper::Free | Keeper::Holder)
        })
        .max_by_key(|v| (v.epoch, std::cmp::Reverse(v.id.clone())))
        .copied()
}

/// The very first volume, for a group that positively never had one.
pub(super) fn blank<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    spec: &VolumeSpec,
    lineage: &Lineage<'a>,
    plan: &mut Plan,
) -> Next<'a> {
    if let Some(volume) = prepared(scene, heir, lineage, None) {
        return Next::Use(volume);
    }
    if heir.instance.is_none() {
        plan.wait(heir.boots());
        return Next::Wait;
    }
    if let Some(found) = nameless(scene) {
        plan.hold(Hold::Nameless {
            volume: spec.name.clone(),
            found,
        });
        return Next::Wait;
    }
    if let Some(hold) = life_before(scene, spec) {
        plan.hold(hold);
        return Next::Wait;
    }
    if let Some(hold) = renamed(scene, spec) {
        plan.hold(hold);
        return Next::Wait;
    }
    if spec.first.size_gib.is_none() {
        plan.hold(Hold::NoFirstVolume {
            volume: spec.name.clone(),
        });
        return Next::Wait;
    }
    if takes_the_other(scene, lineage, plan) {
        return Next::Wait;
    }
    Next::Make(Box::new(Step::CreateVolume {
        name: spec.name.clone(),
        zone: heir.member.zone.clone(),
        epoch: lineage.next,
        incident: lineage.incident.clone(),
        source: None,
        shape: spec.first.clone(),
        tags: BTreeMap::new(),
    }))
}

/// A blank volume that was made for another member is taken from it, or deleted, before
/// there is a second one: each of them could begin a term on its own, not seeing the
/// other's, and only a device lets one of two through. What cannot be taken is let be.
fn takes_the_other(scene: &Scene<'_>, lineage: &Lineage<'_>, plan: &mut Plan) -> bool {
    if scene.give_up_due().is_none_or(|due| scene.now >= due) {
        return false;
    }
    let usable = |v: &&&Volume| is_blank(v) && v.state != VolumeState::Error;
    for other in lineage.others.iter().filter(usable) {
        match other.attachments.first() {
            None => plan.step(Step::DeleteVolume {
                volume: other.id.clone(),
                why: Retired::NeverActive,
            }),
            Some(_) if !scene.is_in_reach(other) => continue,
            Some(at) if at.state == AttachmentState::Attached => plan.step(Step::Displace {
                volume: other.id.clone(),
                instance: at.instance.clone(),
                force: false,
            }),
            Some(at) if at.state == AttachmentState::Attaching => plan.wait(Reason::Attaching {
                volume: other.id.clone(),
            }),
            Some(_) => plan.wait(Reason::Detaching {
                volume: other.id.clone(),
            }),
        }
        return true;
    }
    false
}

/// A copy that lost its name, by whatever hand, may be the only one.
fn nameless(scene: &Scene<'_>) -> Option<String> {
    let mut snapshots = scene.snapshots.values().filter(|s| s.name.is_none());
    let snapshot = snapshots.next().map(|snapshot| snapshot.id.to_string());
    snapshot.or_else(|| nameless_volume(scene).map(ToString::to_string))
}

fn nameless_volume<'a>(scene: &Scene<'a>) -> Option<&'a VolumeId> {
    let mut volumes = scene.volumes.values().filter(|v| v.name.is_none());
    volumes.next().map(|volume| &volume.id)
}

/// The volume with the newest data is not to be seen, and one that does not say
/// what it is may be it: no older data is used beside it.
pub(super) fn without_tags(
    scene: &Scene<'_>,
    spec: &VolumeSpec,
    lineage: &Lineage<'_>,
) -> Option<Hold> {
    if let Some(found) = nameless_volume(scene) {
        return Some(Hold::Nameless {
            volume: spec.name.clone(),
            found: found.to_string(),
        });
    }
    let undated = lineage.others.iter().find(|v| v.is_undated());
    let untagged = || untagged(scene, spec).map(|(_, found)| found);
    let found = undated.map(|volume| &volume.id).or_else(untagged)?;
    Some(Hold::Untagged {
        volume: spec.name.clone(),
        found: found.clone(),
        epoch: lineage.top.unwrap_or_default(),
    })
}

/// May the group have data that nothing configured accounts for? Nobody's end may
/// take it along before a person has said what it is.
pub(super) fn may_have_strays(scene: &Scene<'_>) -> bool {
    scene.volumes_in_order().any(|(spec, lineage)| {
        if lineage.ever_had_data() {
            lineage.current.is_none() && without_tags(scene, spec, lineage).is_some()
        } else {
            renamed(scene, spec).is_some()
        }
    })
}

/// Any member that has something untagged at the configured device had a life
/// before rehome: its data is to be adopted, never replaced.
fn life_before(scene: &Scene<'_>, spec: &VolumeSpec) -> Option<Hold> {
    let (instance, found) = untagged(scene, spec)?;
    Some(Hold::AdoptFirst {
        volume: spec.name.clone(),
        instance: instance.clone(),
        device: spec.device.clone(),
        found: found.clone(),
    })
}

/// The member that has something untagged in this volume's place.
fn untagged<'a>(scene: &Scene<'a>, spec: &VolumeSpec) -> Option<(&'a InstanceId, &'a VolumeId)> {
    let members = scene.group.members.keys();
    let mut found = members.filter_map(|id| {
        let instance = scene.instances.get(id)?;
        let ended = instance.state == InstanceState::Terminated;
        let found = at_device(instance, &spec.device).filter(|_| !ended)?;
        Some((id, found))
    });
    found.find(|(_, found)| !scene.volumes.contains_key(*found))
}

/// Data of a name that the configuration has no more may be this volume's, under
/// the name it had.
fn renamed(scene: &Scene<'_>, spec: &VolumeSpec) -> Option<Hold> {
    let is_configured = |name: &&VolumeName| scene.spec.volumes.iter().any(|v| v.name == **name);
    let markers = scene.group.markers.keys();
    let volumes = scene.volumes.values().filter_map(|v| v.name.as_ref());
    let snapshots = scene.snapshots.values().filter_map(|s| s.name.as_ref());
    let mut names = markers.chain(volumes).chain(snapshots);
    let found = names.find(|name| !is_configured(name))?;
    Some(Hold::Renamed {
        volume: spec.name.clone(),
        found: found.clone(),
    })
}

/// `/dev/sdf` and `/dev/xvdf` are one attachment point.
pub(super) fn at_device<'a>(
    instance: &'a crate::world::Instance,
    device: &str,
) -> Option<&'a VolumeId> {
    let plain = |name: &str| name.replace("/dev/xvd", "/dev/sd");
    instance
        .devices
        .iter()
        .find(|(name, _)| plain(name) == plain(device))
        .map(|(_, volume)| volume)
}
