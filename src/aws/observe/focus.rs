//! Which parts of the world are worth a look? After a step, what it changes;
//! during a wait, what ends it; now and then, everything.

use crate::plan::step::{Reason, Step};
use crate::spec::GroupSpec;

/// The parts of the world to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Focus {
    pub group: bool,
    pub instances: bool,
    pub volumes: bool,
    pub snapshots: bool,
    pub addresses: bool,
    pub alarms: bool,
}

impl Focus {
    pub const NONE: Self = Self {
        group: false,
        instances: false,
        volumes: false,
        snapshots: false,
        addresses: false,
        alarms: false,
    };
    pub const ALL: Self = Self {
        group: true,
        instances: true,
        volumes: true,
        snapshots: true,
        addresses: true,
        alarms: true,
    };
    pub const GROUP: Self = Self {
        group: true,
        ..Self::NONE
    };
    /// Who is a member, who has the volumes, and how they are.
    pub const KEEPERS: Self = Self {
        group: true,
        instances: true,
        volumes: true,
        ..Self::NONE
    };
    const INSTANCES: Self = Self {
        instances: true,
        ..Self::NONE
    };
    const VOLUMES: Self = Self {
        volumes: true,
        ..Self::NONE
    };
    const SNAPSHOTS: Self = Self {
        snapshots: true,
        ..Self::NONE
    };
    pub const ADDRESSES: Self = Self {
        addresses: true,
        ..Self::NONE
    };
    const ALARMS: Self = Self {
        alarms: true,
        ..Self::NONE
    };

    /// Where the end of this wait will show.
    #[must_use]
    pub fn of(reason: &Reason) -> Self {
        match reason {
            Reason::NoHolder | Reason::Lifecycle { .. } => Self::GROUP,
            Reason::HolderBoots { .. } => Self::GROUP.union(Self::INSTANCES),
            Reason::PredecessorLetsGo { .. } => Self {
                addresses: false,
                alarms: false,
                ..Self::ALL
            },
            Reason::Fencing { .. } => Self::INSTANCES.union(Self::VOLUMES),
            Reason::Detaching { .. } | Reason::Creating { .. } | Reason::Attaching { .. } => {
                Self::VOLUMES
            }
            Reason::Snapshotting { .. } => Self::SNAPSHOTS,
            // The machine itself will show it.
            Reason::DiskAppears { .. } | Reason::Health { .. } => Self::NONE,
            Reason::Confirming { .. } => Self::ALARMS,
            // What comes from elsewhere may show anywhere.
            _ => Self::ALL,
        }
    }

    /// What this step changes.
    #[must_use]
    pub fn after(step: &Step) -> Self {
        match step {
            Step::Quiesce | Step::Format { .. } | Step::Mount { .. } | Step::StartWorkload => {
                Self::NONE
            }
            Step::Fence { .. } | Step::StartInstance { .. } | Step::NoteHolder { .. } => {
                Self::INSTANCES
            }
            Step::ReportUnhealthy { .. } | Step::Complete { .. } => Self::GROUP,
            Step::Appoint { .. } => Self::ALL,
            Step::Detach { .. }
            | Step::Displace { .. }
            | Step::TakeBack { .. }
            | Step::CreateVolume { .. }
            | Step::Attach { .. }
            | Step::Supersede { .. }
            | Step::DeleteVolume { .. } => Self::VOLUMES,
            Step::Capture { .. }
            | Step::SnapshotLive { .. }
            | Step::Label { .. }
            | Step::DeleteSnapshot { .. } => Self::SNAPSHOTS,
            Step::Activate { .. } => Self::VOLUMES.union(Self::GROUP),
            Step::Associate { .. } => Self::ADDRESSES,
        }
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            group: self.group || other.group,
            instances: self.instances || other.instances,
            volumes: self.volumes || other.volumes,
            snapshots: self.snapshots || other.snapshots,
            addresses: self.addresses || other.addresses,
            alarms: self.alarms || other.alarms,
        }
    }

    /// What a settled runner looks at between whole looks: whether the group
    /// has a new member, and whether an alarm rings.
    #[must_use]
    pub fn idle(spec: &GroupSpec) -> Self {
        Self {
            group: true,
            alarms: !spec.alarms.is_empty(),
            ..Self::NONE
        }
    }

    /// What a machine that is told to go has to know: its place in the group,
    /// and what it holds.
    #[must_use]
    pub fn leaving() -> Self {
        Self::GROUP.union(Self::VOLUMES)
    }

    #[must_use]
    pub fn is_all(self) -> bool {
        self == Self::ALL
    }

    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.union(other) == self
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::step::Retired;

    #[test]
    fn union_adds_and_none_is_empty() {
        assert!(Focus::NONE.is_empty() && !Focus::ALL.is_empty());
        assert_eq!(Focus::NONE.union(Focus::VOLUMES), Focus::VOLUMES);
        let both = Focus::VOLUMES.union(Focus::ALARMS);
        assert!(both.volumes && both.alarms && !both.group);
        assert_eq!(both.union(Focus::ALL), Focus::ALL);
    }

    #[test]
    fn a_step_shows_where_it_acts() {
        let delete = Step::DeleteVolume {
            volume: "vol-1".into(),
            why: Retired::Superseded,
        };
        assert_eq!(Focus::after(&delete), Focus::VOLUMES);
        assert_eq!(Focus::after(&Step::Quiesce), Focus::NONE);
    }

    #[test]
    fn a_wait_for_a_snapshot_asks_nothing_else() {
        let wait = Reason::Snapshotting {
            snapshot: "snap-1".into(),
            progress: 3,
        };
        assert_eq!(Focus::of(&wait), Focus::SNAPSHOTS);
        let unclear = Reason::Lagging {
            what: "a volume".to_owned(),
        };
        assert_eq!(Focus::of(&unclear), Focus::ALL);
    }
}
