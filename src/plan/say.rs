//! Steps, waits and holds in words for people. One sentence each; a hold says
//! what a person can do.

use std::fmt::{self, Display, Formatter};

use jiff::Timestamp;

use super::step::{Action, Activation, Cause, Hold, Reason, Retired, Step, Wait};
use crate::ids::{Epoch, InstanceId, VolumeId, VolumeName};
use crate::world::{Consistency, Transition};

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quiesce => f.write_str("stop the workload and unmount"),
            Self::Format {
                name,
                volume,
                filesystem,
            } => write!(f, "make {} on {volume} ({name})", filesystem.name()),
            Self::Mount { name, volume } => write!(f, "mount {volume} ({name})"),
            Self::StartWorkload => f.write_str("start the workload"),
            Self::Fence { instance, force } => write!(f, "fence {instance}: {}", stop(*force)),
            Self::StartInstance { instance } => write!(f, "start {instance}"),
            Self::ReportUnhealthy { instance, .. } => {
                write!(f, "report {instance} as unhealthy to Auto Scaling")
            }
            Self::Appoint { heir, cause, .. } => write!(f, "make {heir} the holder: {cause}"),
            Self::NoteHolder { on, appointed, .. } => {
                write!(f, "note on {on} that {} is the holder", appointed.holder)
            }
            Self::TakeBack { volume, instance } => {
                write!(f, "take back {volume}, whose way to {instance} is stuck")
            }
            Self::Detach {
                volume,
                instance,
                force,
            }
            | Self::Displace {
                volume,
                instance,
                force,
            } => write!(f, "detach {volume} from {instance}{}", by(*force)),
            Self::Capture { .. } | Self::CreateVolume { .. } => self.say_what_is_made(f),
            Self::SnapshotLive { volumes, .. } => {
                write!(f, "snapshot {} live volume(s) as one set", volumes.len())
            }
            Self::Label { snapshot, of, .. } => write!(f, "label {snapshot} as {}", of.name),
            Self::Attach {
                volume,
                instance,
                device,
            } => write!(f, "attach {volume} to {instance} as {device}"),
            Self::Activate {
                holder, volumes, ..
            } => write!(f, "begin the term of {holder} on{}", Listed(volumes)),
            Self::Supersede { volume } => write!(f, "mark {volume} as superseded"),
            Self::DeleteVolume { volume, why } => write!(f, "delete {volume}: {why}"),
            Self::DeleteSnapshot { snapshot, why } => write!(f, "delete {snapshot}: {why}"),
            Self::Associate {
                allocation,
                instance,
                ..
            } => write!(f, "move {allocation} to {instance}"),
            Self::Complete { action } => write!(f, "complete {action}"),
        }
    }
}

impl Step {
    fn say_what_is_made(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture {
                name,
                volume,
                epoch,
                consistency,
                ..
            } => {
                let how = how(*consistency);
                write!(f, "capture the {how} {volume} ({name}, epoch {epoch})")
            }
            Self::CreateVolume {
                name,
                zone,
                epoch,
                source: Some(source),
                ..
            } => write!(f, "restore {name} (epoch {epoch}) from {source} in {zone}"),
            Self::CreateVolume { name, zone, .. } => {
                write!(f, "make the first, blank volume {name} in {zone}")
            }
            other => write!(f, "make {other:?}"),
        }
    }
}

fn by(force: bool) -> &'static str {
    if force { " by force" } else { "" }
}

fn stop(force: bool) -> &'static str {
    if force { "force it to stop" } else { "stop it" }
}

fn how(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Clean => "quiet",
        Consistency::Crash => "live",
    }
}

struct Listed<'a>(&'a [Activation]);

impl Display for Listed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for v in self.0 {
            write!(f, " {} (epoch {})", v.name, v.epoch)?;
        }
        Ok(())
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alarm(name) => write!(f, "alarm {name} has rung long enough"),
            Self::Gone => f.write_str("the holder is terminated"),
            Self::Leaving => f.write_str("the holder was told to go"),
            Self::Asked => f.write_str("a person asked for it"),
        }
    }
}

impl Display for Retired {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "a newer epoch took over, and its keep time is over",
            Self::NeverActive => "it was made for a move that ended otherwise",
            Self::BeyondKeep => "the policy keeps fewer sets",
            Self::Duplicate => "another capture of the same move is kept",
            Self::Failed => "EBS could not take it",
        })
    }
}

impl Display for Transition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Launch => "launch",
            Self::Terminate => "terminate",
        })
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the {} action of {} (hook {})",
            self.transition, self.instance, self.hook
        )
    }
}

impl Display for Wait {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        match self.until {
            Some(until) => write!(f, ", until {until:.0}"),
            None => Ok(()),
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHolder => f.write_str("no member may have the belongings yet"),
            Self::HolderBoots { instance } => write!(f, "{instance} is still booting"),
            Self::PredecessorLetsGo { instance } => {
                write!(f, "{instance} is expected to let go by itself")
            }
            Self::AnotherRunner { what } => {
                write!(f, "another runner is first in line for {what}")
            }
            Self::AgentServes => f.write_str("the holder's own agent is at work"),
            Self::Fencing { instance } => write!(f, "{instance} is being stopped"),
            Self::Detaching { volume } => write!(f, "{volume} is being detached"),
            Self::Snapshotting { snapshot, progress } => {
                write!(f, "{snapshot} is being completed ({progress}%)")
            }
            Self::Creating { volume } => write!(f, "{volume} is being created"),
            Self::Attaching { volume } => write!(f, "{volume} is being attached"),
            Self::DiskAppears { volume } => {
                write!(f, "{volume} is attached, and its disk is not there yet")
            }
            Self::Health { says } => write!(f, "the workload is not healthy yet: {says}"),
            Self::Lifecycle { instance } => {
                write!(f, "Auto Scaling has not moved {instance} on yet")
            }
            Self::Lagging { what } => {
                write!(f, "{what} is not to be seen; a describe may lag behind")
            }
            Self::Confirming { alarm } => {
                write!(f, "alarm {alarm} rings, and has to go on ringing to count")
            }
            Self::Flapping { alarm, moves } => write!(
                f,
                "alarm {alarm} rings, but alarms have moved the group {moves} times within an hour"
            ),
            Self::Unknown { what, why } => write!(f, "the {what} could not be read: {why}"),
            Self::Hold(hold) => hold.fmt(f),
        }
    }
}

impl Display for Hold {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyMembers {
                desired,
                candidates,
            } => too_many_members(f, *desired, *candidates),
            Self::HolderStopped { .. } | Self::HoldsAlready { .. } | Self::NoStandby { .. } => {
                of_pair(f, self)
            }
            Self::DataLoss {
                volume,
                newest_set,
                loses_seconds,
            } => data_loss(f, volume, *newest_set, *loses_seconds),
            Self::AdoptFirst { .. }
            | Self::Nameless { .. }
            | Self::Untagged { .. }
            | Self::Renamed { .. } => of_origin(f, self),
            Self::DeviceTaken {
                volume,
                instance,
                device,
                found,
            } => device_taken(f, volume, (instance, device), found),
            Self::NoFirstVolume { volume } => write!(
                f,
                "{volume} has neither a volume nor a snapshot, and no size_gib to make a first \
                 one: set size_gib, or tag the volume that has the data"
            ),
            Self::TwoLineages { volume, epoch } => write!(
                f,
                "two volumes claim to be {volume} of epoch {epoch}: remove the rehome:volume tag \
                 from the one that is wrong"
            ),
            Self::DoublyAttached { volume } => write!(
                f,
                "{volume} is attached to more than one instance, which a data volume must never \
                 be: detach it from the wrong one"
            ),
            Self::AddressMissing { address } => write!(
                f,
                "there is no Elastic IP with {address} in this region: correct it, or tag one"
            ),
            Self::AddressAmbiguous { address, count } => write!(
                f,
                "{count} Elastic IPs have {address}: leave the tag on one"
            ),
            Self::PrivateAddresses {
                instance,
                needs,
                has,
            } => private_addresses(f, instance, *needs, *has),
            Self::MountTaken { volume, by } => write!(
                f,
                "the mount point of {volume} is taken by {by}: unmount it, or configure another"
            ),
            Self::WrongFilesystem { volume, found } => {
                wrong_filesystem(f, volume, found.as_deref())
            }
            Self::WhichHook { transition, count } => which_hook(f, *transition, *count),
            Self::BadVolume { volume } => write!(
                f,
                "{volume} carries the newest data and is not usable as it is: mend it, or wait \
                 until capture_timeout for the newest complete set"
            ),
        }
    }
}

fn of_pair(f: &mut Formatter<'_>, hold: &Hold) -> fmt::Result {
    match hold {
        Hold::HolderStopped { instance } => write!(
            f,
            "{instance} holds everything and is stopped: start it, or run `rehome switchover`"
        ),
        Hold::HoldsAlready { instance } => write!(
            f,
            "{instance} is the holder already: name the other member, or none"
        ),
        Hold::NoStandby { instance, why } => write!(
            f,
            "{instance} cannot take over ({why}): bring it back, or name another member in the \
             configuration"
        ),
        _ => Ok(()),
    }
}

/// What may be the data that is looked for.
fn of_origin(f: &mut Formatter<'_>, hold: &Hold) -> fmt::Result {
    match hold {
        Hold::AdoptFirst {
            volume,
            instance,
            device,
            found,
        } => adopt_first(f, volume, (instance, device), found),
        Hold::Nameless { volume, found } => nameless(f, volume, found),
        Hold::Untagged {
            volume,
            found,
            epoch,
        } => untagged(f, volume, found, *epoch),
        Hold::Renamed { volume, found } => renamed(f, volume, found),
        _ => Ok(()),
    }
}

fn nameless(f: &mut Formatter<'_>, volume: &VolumeName, found: &str) -> fmt::Result {
    write!(
        f,
        "{found} belongs to this group and does not say whose data it is; before another {volume} \
         is made, tag it with rehome:volume, or take its tag rehome:group away"
    )
}

fn untagged(
    f: &mut Formatter<'_>,
    volume: &VolumeName,
    found: &VolumeId,
    epoch: Epoch,
) -> fmt::Result {
    write!(
        f,
        "{found} may be the newest {volume}, whose tags were taken away: nothing older is used \
         beside it. If it is, give it rehome:group, rehome:volume={volume} and \
         rehome:epoch={epoch}; if not, detach it and take what tags of rehome it has"
    )
}

fn renamed(f: &mut Formatter<'_>, volume: &VolumeName, found: &VolumeName) -> fmt::Result {
    write!(
        f,
        "this group has data of {found}, which is not configured, and none of {volume}: if it was \
         renamed, name it {found} again; if not, take {found}'s tags off its volumes and snapshots \
         and off the group, and a first {volume} is made"
    )
}

fn too_many_members(f: &mut Formatter<'_>, desired: u32, candidates: usize) -> fmt::Result {
    write!(
        f,
        "the group wants {desired} instance(s) and {candidates} could be the holder: nothing is \
         changed; set its desired capacity to 1"
    )
}

fn data_loss(
    f: &mut Formatter<'_>,
    volume: &VolumeName,
    newest_set: Option<Timestamp>,
    loses_seconds: Option<i64>,
) -> fmt::Result {
    write!(f, "the newest data of {volume} is out of reach, and ")?;
    match (newest_set, loses_seconds) {
        (Some(at), Some(loses)) => write!(
            f,
            "the newest complete set ({at:.0}) would lose {loses} s, more than max_data_loss \
             allows: bring the volume or its zone back, or raise max_data_loss to accept the loss"
        ),
        (Some(at), None) => write!(
            f,
            "the newest complete set ({at:.0}) is of an older lineage, so what it would lose is \
             unknown: bring the volume or its zone back, or copy that set's tags onto a snapshot \
             you trust"
        ),
        (None, _) => f.write_str(
            "there is no complete set of snapshots to fall back to: bring the volume or its zone \
             back",
        ),
    }
}

fn wrong_filesystem(
    f: &mut Formatter<'_>,
    volume: &VolumeName,
    found: Option<&str>,
) -> fmt::Result {
    match found {
        Some(found) => write!(
            f,
            "{volume} has {found} on it, not the configured file system: correct `filesystem`"
        ),
        None => write!(
            f,
            "{volume} should hold data, and no file system is found on it: it is never formatted; \
             look at it by hand"
        ),
    }
}

fn adopt_first(
    f: &mut Formatter<'_>,
    volume: &VolumeName,
    (instance, device): (&InstanceId, &str),
    found: &VolumeId,
) -> fmt::Result {
    write!(
        f,
        "{instance} already has {found} at {device}, where {volume} belongs: run `rehome adopt` so \
         that its data is kept, or detach it"
    )
}

fn device_taken(
    f: &mut Formatter<'_>,
    volume: &VolumeName,
    (instance, device): (&InstanceId, &str),
    found: &VolumeId,
) -> fmt::Result {
    write!(
        f,
        "{volume} cannot be attached: {instance} has {found} at {device}; detach that volume, or \
         configure another device"
    )
}

fn private_addresses(
    f: &mut Formatter<'_>,
    instance: &InstanceId,
    needs: usize,
    has: usize,
) -> fmt::Result {
    write!(
        f,
        "{instance} has {has} private address(es) for {needs} Elastic IPs: assign secondary \
         private addresses"
    )
}

fn which_hook(f: &mut Formatter<'_>, transition: Transition, count: usize) -> fmt::Result {
    write!(
        f,
        "the group has {count} {transition} hooks: put \"rehome\" into the name of the one that is \
         meant"
    )
}
