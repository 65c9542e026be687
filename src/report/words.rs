//! How is a step, or a wait, said to a person?

use crate::plan::step::{Hold, Reason, Retired, Step, Wait};
use crate::world::{Consistency, Transition};

/// What a runner does, as a sentence without its subject.
pub fn step(step: &Step) -> String {
    match step {
        Step::Quiesce => "stops the workload and unmounts".to_owned(),
        Step::Format { volume, filesystem, .. } => format!("formats {volume} as {}", filesystem.name()),
        Step::Mount { volume, .. } => format!("mounts {volume}"),
        Step::StartWorkload => "starts the workload".to_owned(),
        Step::Fence { instance, force } => {
            format!("fences {instance}: {}", if *force { "stops it by force" } else { "stops it" })
        }
        Step::StartInstance { instance } => format!("starts {instance}"),
        Step::ReportUnhealthy { instance } => format!("reports {instance} as unhealthy"),
        Step::Detach { volume, force, .. } => {
            format!("detaches {volume}{}", if *force { " by force" } else { "" })
        }
        Step::Capture { volume, consistency, .. } => match consistency {
            Consistency::Clean => format!("captures {volume}, which is quiet"),
            Consistency::Crash => format!("captures {volume} as after a power cut"),
        },
        Step::SnapshotLive { volumes, .. } => {
            let volumes: Vec<&str> = volumes.iter().map(|live| live.volume.as_str()).collect();
            format!("takes a periodic set of {}", volumes.join(", "))
        }
        Step::CreateVolume { name, zone, source: Some(source), .. } => {
            format!("makes a volume for {name} in {zone} from {source}")
        }
        Step::CreateVolume { name, zone, source: None, .. } => {
            format!("makes the first, blank volume for {name} in {zone}")
        }
        Step::Attach { volume, instance, device } => format!("attaches {volume} to {instance} as {device}"),
        Step::Activate { holder, .. } => format!("begins the term of {holder}"),
        Step::Supersede { volume } => format!("notes that {volume} is superseded"),
        Step::DeleteVolume { volume, why } => format!("deletes {volume}, {}", retired(*why)),
        Step::DeleteSnapshot { snapshot, why } => format!("deletes {snapshot}, {}", retired(*why)),
        Step::Associate { allocation, instance, .. } => format!("moves {allocation} to {instance}"),
        Step::Complete { action } => match action.transition {
            Transition::Launch => format!("completes the launch of {}", action.instance),
            Transition::Terminate => format!("lets {} terminate", action.instance),
        },
    }
}

fn retired(why: Retired) -> &'static str {
    match why {
        Retired::Superseded => "superseded long enough",
        Retired::NeverActive => "which was never used",
        Retired::BeyondKeep => "one more than the policy keeps",
        Retired::Duplicate => "a duplicate",
    }
}

/// Why a runner waits.
pub fn wait(wait: &Wait) -> String {
    match &wait.reason {
        Reason::NoHolder => "waits for a member that may be the holder".to_owned(),
        Reason::HolderBoots { instance } => format!("waits for {instance} to boot"),
        Reason::PredecessorLetsGo { instance } => format!("waits for {instance} to let go"),
        Reason::AnotherRunner { what } => format!("leaves it to another runner: {what}"),
        Reason::Fencing { instance } => format!("waits until {instance} is stopped"),
        Reason::Detaching { volume } => format!("waits until {volume} is detached"),
        // Without the percentage: each new one would be a new line.
        Reason::Snapshotting { snapshot, .. } => format!("waits for {snapshot} to complete"),
        Reason::Creating { volume } => format!("waits until {volume} is available"),
        Reason::Attaching { volume } => format!("waits until {volume} is attached"),
        Reason::DiskAppears { volume } => format!("waits for the disk of {volume} to show"),
        Reason::Health { says } => format!("waits for the workload to be healthy ({says})"),
        Reason::Lifecycle { instance } => format!("waits for Auto Scaling to move {instance} on"),
        Reason::Lagging { what } => format!("waits for reads to catch up: {what}"),
        Reason::Confirming { alarm } => format!("waits to be sure that {alarm} goes on ringing"),
        Reason::Unknown { what, why } => format!("cannot see the {what}: {why}"),
        Reason::Hold(hold) => format!("holds: {}", held(hold)),
    }
}

/// What a person has to decide, and what they can do.
pub fn held(hold: &Hold) -> String {
    match hold {
        Hold::TooManyMembers { desired, candidates } => format!(
            "the group wants {desired} and has {candidates} members that could be the holder; set desired to 1"
        ),
        Hold::DataLoss { volume, newest_set, loses_seconds } => match (newest_set, loses_seconds) {
            (Some(set), Some(lost)) => format!(
                "the newest data of {volume} is out of reach, and the set of {set} loses {lost} s; raise max_data_loss to use it"
            ),
            _ => format!("the newest data of {volume} is out of reach, and there is no set to go back to"),
        },
        Hold::AdoptFirst { volume, instance, device, found } => format!(
            "{instance} has {found} at {device}, where {volume} belongs; run `rehome adopt` to make it the group's own"
        ),
        Hold::DeviceTaken { volume, instance, device, found } => format!(
            "{instance} has {found} at {device}, where {volume} belongs, and it is not the group's; detach it, or choose another device"
        ),
        Hold::NoFirstVolume { volume } => format!("{volume} has no data yet, and no size_gib to make its first volume of"),
        Hold::TwoLineages { volume, epoch } => format!(
            "two volumes claim to be {volume} of epoch {epoch}; take rehome:group off the one that is wrong"
        ),
        Hold::DoublyAttached { volume } => format!("{volume} is attached to two instances"),
        Hold::AddressMissing { index } => format!("no Elastic IP fits address {} of the group", index + 1),
        Hold::AddressAmbiguous { index, count } => {
            format!("{count} Elastic IPs fit address {} of the group", index + 1)
        }
        Hold::PrivateAddresses { instance, needs, has } => {
            format!("{instance} has {has} private addresses, and {needs} Elastic IPs need one each")
        }
        Hold::MountTaken { volume, by } => format!("{by} is mounted where {volume} belongs"),
        Hold::WrongFilesystem { volume, found } => match found {
            Some(found) => format!("{volume} came with {found} on it"),
            None => format!("{volume} came without a file system"),
        },
        Hold::WhichHook { transition, count } => format!(
            "the group has {count} {} hooks, and none has rehome in its name",
            match transition {
                Transition::Launch => "launch",
                Transition::Terminate => "terminate",
            }
        ),
        Hold::BadVolume { volume } => format!("{volume} is in an error state that only AWS or a person can mend"),
    }
}
