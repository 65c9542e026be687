//! The runner's own machine in the loop: what it is told of EC2's view of it,
//! and how it holds still while its volumes are captured.

use std::collections::BTreeMap;

use super::{Memory, Runner};
use crate::host::{Freeze, Host};
use crate::ids::{InstanceId, VolumeId};
use crate::plan::Step;
use crate::spec::GroupSpec;
use crate::world::{AttachmentState, Here, World};

impl<H: Host> Runner<H> {
    pub(super) async fn look_here(&self, spec: &GroupSpec, memory: &mut Memory) -> Option<Here> {
        match self.host.as_ref()?.look(spec).await {
            Ok(here) => {
                memory.seat.at = Some(here.instance.clone());
                Some(here)
            }
            Err(error) => {
                memory.last_error = Some(error.to_string());
                tracing::warn!(%error, "this machine could not be looked at");
                None
            }
        }
    }

    /// Some machines can tell their disks apart only with EC2's help; then they
    /// are looked at once more.
    pub(super) async fn look_again(
        &self,
        spec: &GroupSpec,
        memory: &mut Memory,
        world: &World,
        here: Option<Here>,
    ) -> Option<Here> {
        let (host, seen) = (self.host.as_ref()?, here?);
        if !host.learn(&attached(world, &seen.instance)) {
            return Some(seen);
        }
        self.look_here(spec, memory).await
    }

    /// What a process before this one may have left behind here.
    pub(super) async fn recover(&self, spec: &GroupSpec) {
        let Some(host) = &self.host else { return };
        if let Err(error) = host.recover(spec).await {
            tracing::error!(group = %spec.name, %error, "could not put right what was left behind here");
        }
    }

    /// A live set is begun while the file systems hold still, if the policy says
    /// so. Without the freeze the snapshots are as good as after a power cut,
    /// which is what they are marked as in any case.
    pub(super) async fn freeze(&self, spec: &GroupSpec, steps: &[&Step]) -> Freeze {
        let live = steps
            .iter()
            .any(|step| matches!(step, Step::SnapshotLive { .. }));
        let Some(host) = self.host.as_ref().filter(|_| live && spec.policy.freeze) else {
            return Freeze::none();
        };
        host.freeze(spec).await.unwrap_or_else(|error| {
            tracing::warn!(group = %spec.name, %error, "takes the snapshots without a freeze");
            Freeze::none()
        })
    }

    pub(super) async fn thaw(&self, spec: &GroupSpec, frozen: Freeze) {
        match frozen.thaw().await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(group = %spec.name, "the freeze was over before the snapshots had begun");
            }
            Err(error) => tracing::error!(group = %spec.name, %error, "could not thaw"),
        }
    }
}

/// Which of the group's volumes are at which of the instance's devices, where
/// nothing that EC2 says contradicts it.
fn attached(world: &World, instance: &InstanceId) -> BTreeMap<VolumeId, String> {
    let devices = world.instances.known().and_then(|all| all.get(instance));
    let volumes = world.volumes.known().into_iter().flat_map(BTreeMap::values);
    let mut attached = BTreeMap::new();
    for volume in volumes {
        let here = volume.attachments.iter().find(|attachment| {
            attachment.instance == *instance && attachment.state != AttachmentState::Attaching
        });
        let Some(here) = here else { continue };
        let named = devices.and_then(|found| found.devices.get(&here.device));
        if named.is_none_or(|named| *named == volume.id) {
            attached.insert(volume.id.clone(), here.device.clone());
        }
    }
    attached
}
