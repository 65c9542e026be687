//! The real host on real block devices: loop devices with real ext4 and xfs,
//! real mounts, real freezes, a real `kill -9`. Needs root; says so loudly
//! where it is left out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod disks;
mod freeze;
mod life;
mod machine;
mod refusals;

use std::path::Path;

use machine::{Machine, on_a_machine};
use rehome::host::linux::LinuxHost;
use rehome::host::{Host as _, HostError};
use rehome::ids::VolumeId;
use rehome::spec::GroupSpec;
use rehome::world::{Here, Mounted};

/// One thread is all a runner has.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn look(machine: &Machine, spec: &GroupSpec) -> Here {
    block_on(look_at(&machine.host(), spec))
}

/// Looks as a runner does: a machine that stood still hears nothing of its
/// metadata service for a while, and is looked at again.
async fn look_at(host: &LinuxHost, spec: &GroupSpec) -> Here {
    for _ in 0..20 {
        match host.look(spec).await {
            Err(HostError::NoMetadata(_)) => {}
            seen => return seen.unwrap(),
        }
    }
    host.look(spec).await.unwrap()
}

fn format(machine: &Machine, spec: &GroupSpec, volume: &str) -> Result<(), HostError> {
    let filesystem = spec.volumes[0].filesystem;
    block_on(machine.host().format(&VolumeId::new(volume), filesystem))
}

fn mount(machine: &Machine, spec: &GroupSpec, volume: &str) -> Result<(), HostError> {
    block_on(
        machine
            .host()
            .mount(&spec.volumes[0], &VolumeId::new(volume)),
    )
}

fn quiesce(machine: &Machine, spec: &GroupSpec) -> Result<(), HostError> {
    block_on(machine.host().quiesce(spec))
}

/// Which volume is mounted as `data`.
fn mounted(machine: &Machine, spec: &GroupSpec) -> Option<String> {
    let here = look(machine, spec);
    match here.mounts.get(&spec.volumes[0].name)? {
        Mounted::Volume(volume) => Some(volume.as_str().to_owned()),
        Mounted::Foreign(what) => panic!("something else is mounted: {what}"),
    }
}

/// Formatted and mounted, with one file that was written through to the disk.
fn serve(machine: &Machine, spec: &GroupSpec, volume: &str) {
    format(machine, spec, volume).unwrap();
    mount(machine, spec, volume).unwrap();
    write(&machine.mount_point("data").join("row"), "kept");
}

/// Written and on the disk when this returns.
fn write(path: &Path, what: &str) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(what.as_bytes()).unwrap();
    file.sync_all().unwrap();
    std::fs::File::open(path.parent().unwrap())
        .unwrap()
        .sync_all()
        .unwrap();
}
