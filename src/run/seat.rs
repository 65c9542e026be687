//! Does this process sit on an instance of the group, or is it a controller?

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::host::linux::LinuxHost;
use crate::host::{Host as _, HostError, Identity};
use crate::spec::{GroupSpec, Kind};
use crate::world::{Mounted, World};

/// A metadata service that is there answers at once, unless the machine is busy.
const QUICK: Duration = Duration::from_secs(1);
/// For as long is it asked again where nothing can go on without it…
const PATIENT: SignedDuration = SignedDuration::from_mins(1);
/// … each time after such a pause.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Where something can, it is asked seldom, and ever more seldom.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// This machine, if it is an EC2 instance.
pub(super) async fn instance() -> Option<LinuxHost> {
    let host = LinuxHost::new();
    let answered = tokio::time::timeout(QUICK, host.identity()).await;
    match answered {
        Ok(Ok(_)) => Some(host),
        _ => None,
    }
}

/// This machine, once it turns out to be an EC2 instance after all: at boot,
/// and under load, its metadata service may be slow to answer.
pub(super) async fn instance_at_last() -> LinuxHost {
    let host = LinuxHost::new();
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        if host.identity().await.is_ok() {
            return host;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks the metadata service until it answers, for a minute at most.
///
/// # Errors
/// What it said last.
pub(super) async fn patiently<T>(
    clock: &Clock,
    deadline: Timestamp,
    ask: impl AsyncFn() -> Result<T, HostError>,
) -> Result<T, HostError> {
    let last = clock.now().checked_add(PATIENT).unwrap_or(deadline);
    let last = last.min(deadline);
    loop {
        match ask().await {
            Err(error) if clock.now() < last => {
                tracing::warn!(%error, "asks again");
                tokio::time::sleep(ASK_AGAIN).await;
            }
            answer => return answer,
        }
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
