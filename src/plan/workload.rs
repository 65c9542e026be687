//! What the holder's own machine does with its volumes: format once, mount,
//! start, and say whether it serves.

use super::scene::Scene;
use super::step::{Hold, Plan, Reason, Step};
use super::terms::is_blank;
use super::volumes::Placed;
use crate::spec::VolumeSpec;
use crate::world::{Here, Mounted, Volume, Workload};

/// Steps that only the runner on the holder can do.
pub(super) fn run(scene: &Scene<'_>, placed: &Placed<'_>, plan: &mut Plan) {
    let Some(here) = scene
        .here
        .filter(|_| scene.spec.agent && scene.holds_here())
    else {
        return;
    };
    let mut mounted = true;
    for (spec, _) in scene.volumes_in_order() {
        if spec.mount.is_none() {
            continue;
        }
        match placed.active.get(&spec.name) {
            Some(volume) => mounted &= mount(here, spec, volume, plan),
            None => {
                mounted = false;
                if let Some(volume) = placed.attached.get(&spec.name) {
                    format(here, spec, volume, plan);
                }
            }
        }
    }
    // The workload starts on its data or not at all: a mount that is missing
    // must never let it begin anew on the root disk.
    if !mounted || !placed.complete {
        return;
    }
    match &here.workload {
        Workload::Stopped => plan.step(Step::StartWorkload),
        Workload::Unhealthy(says) => plan.wait(Reason::Health { says: says.clone() }),
        Workload::None | Workload::Healthy => {}
    }
}

/// Does the holder's own machine say that all is in place? Only it can.
pub(super) fn serves(scene: &Scene<'_>, placed: &Placed<'_>) -> bool {
    if !scene.spec.agent {
        return placed.complete;
    }
    scene.here.is_some_and(|here| {
        let mounted = scene.spec.volumes.iter().all(|spec| {
            spec.mount.is_none()
                || placed.active.get(&spec.name).is_some_and(|volume| {
                    here.mounts.get(&spec.name) == Some(&Mounted::Volume(volume.id.clone()))
                })
        });
        placed.complete && mounted && matches!(here.workload, Workload::None | Workload::Healthy)
    })
}

fn format(here: &Here, spec: &VolumeSpec, volume: &Volume, plan: &mut Plan) {
    if !is_blank(volume) {
        return;
    }
    match here.disks.get(&volume.id) {
        None => disk_appears(volume, plan),
        Some(disk) if disk.filesystem.is_none() => plan.step(Step::Format {
            name: spec.name.clone(),
            volume: volume.id.clone(),
            filesystem: spec.filesystem,
        }),
        Some(_) => {}
    }
}

/// Mounts what is not mounted yet. Returns whether it already is.
fn mount(here: &Here, spec: &VolumeSpec, volume: &Volume, plan: &mut Plan) -> bool {
    match here.mounts.get(&spec.name) {
        Some(Mounted::Volume(id)) if *id == volume.id => return true,
        Some(Mounted::Volume(_)) => {
            // An older copy is still mounted here: it lost.
            plan.step(Step::Quiesce);
            return false;
        }
        Some(Mounted::Foreign(by)) => {
            plan.hold(Hold::MountTaken {
                volume: spec.name.clone(),
                by: by.clone(),
            });
            return false;
        }
        None => {}
    }
    match here.disks.get(&volume.id) {
        None => disk_appears(volume, plan),
        Some(disk) if disk.filesystem.as_deref() == Some(spec.filesystem.name()) => {
            plan.step(Step::Mount {
                name: spec.name.clone(),
                volume: volume.id.clone(),
            });
        }
        Some(disk) => plan.hold(Hold::WrongFilesystem {
            volume: spec.name.clone(),
            found: disk.filesystem.clone(),
        }),
    }
    false
}

fn disk_appears(volume: &Volume, plan: &mut Plan) {
    plan.wait(Reason::DiskAppears {
        volume: volume.id.clone(),
    });
}
