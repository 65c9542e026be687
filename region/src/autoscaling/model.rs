//! What Auto Scaling knows: groups, members, hooks and open actions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use crate::record::Tags;

#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub arn: String,
    pub source: LaunchSource,
    pub min: u64,
    pub max: u64,
    pub desired: u64,
    pub zones: Vec<String>,
    /// `VPCZoneIdentifier` as it was given.
    pub subnets: Option<String>,
    /// Where the next launch goes, whatever the balance says.
    pub next_zone: Option<String>,
    /// Where the newest launch went: the next one prefers another zone.
    pub last_zone: Option<String>,
    /// `balanced-only` keeps trying a zone that fails.
    pub balanced_only: bool,
    pub hooks: BTreeMap<String, Hook>,
    pub members: BTreeMap<String, Member>,
    pub tags: Tags,
    /// Keys of the tags that new instances get as well.
    pub propagated: BTreeSet<String>,
    pub activities: Vec<Activity>,
    pub created: Timestamp,
    pub cooldown_s: u64,
    pub grace_period_s: u64,
    pub health_check_type: String,
    pub maintenance: Option<Maintenance>,
    /// An abandoned terminate hook retains the instance.
    pub retain_on_abandon: bool,
    /// Replace a spot instance at its notice, not after its end.
    pub capacity_rebalance: bool,
    pub suspended: BTreeSet<String>,
    pub warm_pool: Option<WarmPool>,
    pub handovers: Vec<Handover>,
    /// Data volumes that each instance gets by its launch template.
    pub data_volumes: Vec<TemplateVolume>,
    /// Launches that failed since the last one that reached service.
    pub launch_failures: u32,
    pub no_launch_before: Option<Timestamp>,
    /// Zones where a launch failed since the last one that succeeded.
    pub failed_zones: BTreeSet<String>,
    /// Deleted by force: gone when its last member is.
    pub deleting: bool,
    /// Numbers launches and steps.
    pub serial: u64,
}

/// What instances are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchSource {
    Template {
        id: String,
        name: String,
        version: String,
    },
    Configuration(String),
}

/// `InstanceMaintenancePolicy`, in percent of the desired capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maintenance {
    pub min_healthy: u64,
    pub max_healthy: u64,
}

impl Maintenance {
    /// All must stay healthy and more are allowed: launch before terminate.
    pub fn launches_first(self) -> bool {
        self.min_healthy >= 100 && self.max_healthy > 100
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateVolume {
    pub device: String,
    pub size_gib: u64,
    pub delete_on_termination: bool,
}

/// A member that stays until another one is in service in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    pub old: String,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    Launching,
    Terminating,
}

impl Transition {
    pub fn parse(text: &str) -> Option<Transition> {
        match text {
            "autoscaling:EC2_INSTANCE_LAUNCHING" => Some(Transition::Launching),
            "autoscaling:EC2_INSTANCE_TERMINATING" => Some(Transition::Terminating),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Transition::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Transition::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    Abandon,
}

impl Verdict {
    pub fn parse(text: &str) -> Option<Verdict> {
        match text {
            "CONTINUE" => Some(Verdict::Continue),
            "ABANDON" => Some(Verdict::Abandon),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Continue => "CONTINUE",
            Verdict::Abandon => "ABANDON",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub name: String,
    pub transition: Transition,
    pub heartbeat_timeout_s: u64,
    pub default_result: Verdict,
    /// ARN of a queue that is told directly.
    pub target: Option<String>,
    pub role: Option<String>,
    pub metadata: Option<String>,
}

const GLOBAL_TIMEOUT_S_MAX: u64 = 48 * 3600;

impl Hook {
    pub fn global_timeout_s(&self) -> u64 {
        self.heartbeat_timeout_s
            .saturating_mul(100)
            .min(GLOBAL_TIMEOUT_S_MAX)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifecycle {
    Pending,
    PendingWait,
    PendingProceed,
    InService,
    Terminating,
    TerminatingWait,
    TerminatingProceed,
    TerminatingRetained,
    Terminated,
    EnteringStandby,
    Standby,
    WarmedPending,
    WarmedPendingWait,
    WarmedPendingProceed,
    WarmedStopped,
    WarmedRunning,
    WarmedTerminating,
    WarmedTerminatingWait,
    WarmedTerminatingProceed,
}

impl Lifecycle {
    pub fn as_str(self) -> &'static str {
        match self {
            Lifecycle::Pending => "Pending",
            Lifecycle::PendingWait => "Pending:Wait",
            Lifecycle::PendingProceed => "Pending:Proceed",
            Lifecycle::InService => "InService",
            Lifecycle::Terminating => "Terminating",
            Lifecycle::TerminatingWait => "Terminating:Wait",
            Lifecycle::TerminatingProceed => "Terminating:Proceed",
            Lifecycle::TerminatingRetained => "Terminating:Retained",
            Lifecycle::Terminated => "Terminated",
            Lifecycle::EnteringStandby => "EnteringStandby",
            Lifecycle::Standby => "Standby",
            Lifecycle::WarmedPending => "Warmed:Pending",
            Lifecycle::WarmedPendingWait => "Warmed:Pending:Wait",
            Lifecycle::WarmedPendingProceed => "Warmed:Pending:Proceed",
            Lifecycle::WarmedStopped => "Warmed:Stopped",
            Lifecycle::WarmedRunning => "Warmed:Running",
            Lifecycle::WarmedTerminating => "Warmed:Terminating",
            Lifecycle::WarmedTerminatingWait => "Warmed:Terminating:Wait",
            Lifecycle::WarmedTerminatingProceed => "Warmed:Terminating:Proceed",
        }
    }

    /// Counts towards the desired capacity.
    pub fn counts(self) -> bool {
        matches!(
            self,
            Lifecycle::Pending
                | Lifecycle::PendingWait
                | Lifecycle::PendingProceed
                | Lifecycle::InService
        )
    }

    pub fn leaves(self) -> bool {
        matches!(
            self,
            Lifecycle::Terminating
                | Lifecycle::TerminatingWait
                | Lifecycle::TerminatingProceed
                | Lifecycle::TerminatingRetained
                | Lifecycle::Terminated
                | Lifecycle::WarmedTerminating
                | Lifecycle::WarmedTerminatingWait
                | Lifecycle::WarmedTerminatingProceed
        )
    }

    pub fn warmed(self) -> bool {
        self.as_str().starts_with("Warmed:")
    }

    pub fn waits(self) -> bool {
        self.as_str().ends_with(":Wait")
    }

    pub fn in_standby(self) -> bool {
        matches!(self, Lifecycle::EnteringStandby | Lifecycle::Standby)
    }

    /// What IMDS calls the target lifecycle state.
    pub fn target(self) -> &'static str {
        match self {
            Lifecycle::EnteringStandby | Lifecycle::Standby => "Standby",
            Lifecycle::WarmedPending
            | Lifecycle::WarmedPendingWait
            | Lifecycle::WarmedPendingProceed
            | Lifecycle::WarmedStopped => "Warmed:Stopped",
            Lifecycle::WarmedRunning => "Warmed:Running",
            Lifecycle::WarmedTerminating
            | Lifecycle::WarmedTerminatingWait
            | Lifecycle::WarmedTerminatingProceed => "Warmed:Terminated",
            leaving if leaving.leaves() => "Terminated",
            _ => "InService",
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug)]
pub struct Member {
    pub instance: String,
    pub zone: String,
    pub lifecycle: Lifecycle,
    /// What describes still say, until the instant beside it.
    pub before: Option<(Lifecycle, Timestamp)>,
    pub healthy: bool,
    pub protected: bool,
    /// A hook that is open for this member is an entry here.
    pub actions: Vec<LifecycleAction>,
    /// One of the hooks of the present transition was abandoned.
    pub abandoned: bool,
    /// It came from the warm pool, or goes back there.
    pub pooled: bool,
    pub launched: Timestamp,
    pub in_service_since: Option<Timestamp>,
    /// The activity that brings it in or takes it out.
    pub activity: Option<String>,
    /// Members in order of launch.
    pub serial: u64,
    /// Which step is planned: an earlier one does nothing.
    pub step: u64,
}

impl Member {
    /// The lifecycle state as describes show it.
    pub fn shown(&self, now: Timestamp) -> Lifecycle {
        match self.before {
            Some((before, until)) if now < until => before,
            _ => self.lifecycle,
        }
    }
}

/// A hook that is open for a member.
#[derive(Clone, Debug)]
pub struct LifecycleAction {
    pub hook: String,
    pub transition: Transition,
    pub token: String,
    pub opened: Timestamp,
    pub deadline: Timestamp,
    /// No heartbeat moves the deadline beyond this.
    pub last_deadline: Timestamp,
    pub heartbeat_timeout_s: u64,
    pub default_result: Verdict,
    pub heartbeats: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolState {
    Stopped,
    Running,
}

impl PoolState {
    pub fn as_str(self) -> &'static str {
        match self {
            PoolState::Stopped => "Stopped",
            PoolState::Running => "Running",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmPool {
    pub min: u64,
    /// Members of group and pool together; the group's maximum by default.
    pub prepared_max: Option<u64>,
    pub state: PoolState,
    pub reuse_on_scale_in: bool,
    pub deleting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityStatus {
    InProgress,
    MidLifecycleAction,
    Successful,
    Failed,
    Cancelled,
}

impl ActivityStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            ActivityStatus::InProgress => "InProgress",
            ActivityStatus::MidLifecycleAction => "MidLifecycleAction",
            ActivityStatus::Successful => "Successful",
            ActivityStatus::Failed => "Failed",
            ActivityStatus::Cancelled => "Cancelled",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Activity {
    pub id: String,
    pub description: String,
    pub cause: String,
    pub status: ActivityStatus,
    pub message: Option<String>,
    pub progress: u8,
    pub zone: Option<String>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
}
