//! Does this process sit on an instance of the group, or is it a controller?

use std::time::Duration;

use crate::host::linux::LinuxHost;
use crate::host::{Host as _, Identity};
use crate::spec::{GroupSpec, Kind};
use crate::world::{Mounted, World};

/// A metadata service that is there answers at once.
const QUICK: Duration = Duration::from_secs(1);

/// This machine, if it is an EC2 instance.
pub(super) async fn instance() -> Option<LinuxHost> {
    let host = LinuxHost::new();
    let answered = tokio::time::timeout(QUICK, host.identity()).await;
    match answered {
        Ok(Ok(_)) => Some(host),
        _ => None,
    }
}

/// Is this instance of the group: a member, or one that still has something of
/// it? A former member must be able to put its own house in order.
pub(super) async fn is_taken(host: &LinuxHost, spec: &GroupSpec, world: &World) -> bool {
    is_known(host, spec, world).await || has_mounts(host, spec).await
}

/// As far as AWS and the configuration tell.
pub(super) async fn is_known(host: &LinuxHost, spec: &GroupSpec, world: &World) -> bool {
    let Ok(Identity { instance: here, .. }) = host.identity().await else {
        return false;
    };
    if let Kind::Pair { members } = &spec.kind
        && members.contains(here)
    {
        return true;
    }
    let member = world
        .group
        .known()
        .is_some_and(|group| group.members.contains_key(here));
    let holds = world.volumes.known().is_some_and(|volumes| {
        let mut attachments = volumes.values().flat_map(|volume| &volume.attachments);
        attachments.any(|attachment| attachment.instance == *here)
    });
    member || holds
}

async fn has_mounts(host: &LinuxHost, spec: &GroupSpec) -> bool {
    let Ok(here) = host.look(spec).await else {
        return false;
    };
    here.mounts
        .values()
        .any(|mounted| matches!(mounted, Mounted::Volume(_)))
}
