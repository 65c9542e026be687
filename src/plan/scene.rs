//! The known parts of the world, in the shape in which decisions ask for them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Seat;
use super::demand;
use super::holder::{Who, holder};
use super::lineage::Lineage;
use super::pair;
use super::step::{Plan, Reason};
use crate::ids::{InstanceId, SnapshotId, VolumeId, VolumeName};
use crate::spec::{GroupSpec, Kind, VolumeSpec};
use crate::world::{
    Attachment, Consistency, Group, Here, Instance, InstanceState, Lifecycle, Member, Snapshot,
    Standing, Volume, World,
};

/// How long an index-backed describe may lag behind (AWS documents "minutes").
pub(super) const LAG: SignedDuration = SignedDuration::from_mins(5);
/// How long after anything that EBS completed another upload may end, and be seen to:
/// that describes lag, and five minutes by which this clock may be ahead.
const UPLOADS_GO_ON: SignedDuration = SignedDuration::from_mins(5 + 5);
/// What a predecessor that still serves is granted on top of the quiesce
/// time-out: it has to notice its heir first.
const NOTICE: SignedDuration = SignedDuration::from_secs(60);
/// How long a stop may take, forced in the end, before its instance counts as
/// out of reach.
const STOPS_WITHIN: SignedDuration = SignedDuration::from_mins(6);
/// How long a runner that is not first in line stands back.
const STAND_BACK: SignedDuration = SignedDuration::from_secs(30);

pub(super) struct Scene<'a> {
    pub(super) spec: &'a GroupSpec,
    pub(super) seat: &'a Seat,
    pub(super) now: Timestamp,
    pub(super) group: &'a Group,
    pub(super) instances: &'a BTreeMap<InstanceId, Instance>,
    pub(super) volumes: &'a BTreeMap<VolumeId, Volume>,
    pub(super) snapshots: &'a BTreeMap<SnapshotId, Snapshot>,
    pub(super) here: Option<&'a Here>,
    pub(super) holder: Option<Heir<'a>>,
    /// The holder of a pair by all that is noted, if EC2 knows it no longer: an
    /// hour after its end.
    pub(super) forgotten: Option<&'a InstanceId>,
    pub(super) lineages: BTreeMap<&'a VolumeName, Lineage<'a>>,
}

/// The holder, or holder-to-be.
#[derive(Clone, Copy)]
pub(super) struct Heir<'a> {
    pub(super) id: &'a InstanceId,
    pub(super) member: &'a Member,
    /// None while EC2 does not describe it.
    pub(super) instance: Option<&'a Instance>,
    /// When it was made the holder of a pair, if it was.
    pub(super) appointed: Option<Timestamp>,
}

impl Heir<'_> {
    /// When it was called to take over: that is when its predecessor was given up.
    pub(super) fn called(&self) -> Option<Timestamp> {
        self.appointed.or(self.instance.map(|i| i.launched))
    }

    /// What is waited for while EC2 does not describe it, or it does not run yet.
    pub(super) fn boots(&self) -> Reason {
        Reason::HolderBoots {
            instance: self.id.clone(),
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.instance
            .is_some_and(|i| i.state == InstanceState::Running)
    }

    /// Booted as far as Auto Scaling is concerned: at its hook, or past it.
    pub(super) fn is_ready(&self) -> bool {
        self.runs() && self.member.lifecycle != Lifecycle::Pending
    }
}

/// Where a volume with the newest data is, seen from the holder.
pub(super) enum Keeper<'a> {
    /// Attached to nobody.
    Free,
    Holder,
    /// Another instance; what EC2 says of it, if anything.
    Other(&'a InstanceId, Option<&'a Instance>),
}

impl<'a> Scene<'a> {
    /// None, with the reason in the plan, where something that the group's
    /// belongings rest on is unknown.
    pub(super) fn set(
        world: &'a World,
        spec: &'a GroupSpec,
        seat: &'a Seat,
        now: Timestamp,
        plan: &mut Plan,
    ) -> Option<Self> {
        static NO_VOLUMES: BTreeMap<VolumeId, Volume> = BTreeMap::new();
        static NO_SNAPSHOTS: BTreeMap<SnapshotId, Snapshot> = BTreeMap::new();
        let group = demand(&world.group, "group", plan);
        let instances = demand(&world.instances, "instances", plan);
        let (volumes, snapshots) = if spec.volumes.is_empty() {
            (Some(&NO_VOLUMES), Some(&NO_SNAPSHOTS))
        } else {
            (
                demand(&world.volumes, "volumes", plan),
                demand(&world.snapshots, "snapshots", plan),
            )
        };
        #[cfg(feature = "mutants")]
        let volumes = volumes.or_else(|| {
            let absent = super::mutant::is(super::mutant::Mutant::UnknownIsAbsent);
            absent.then_some(&NO_VOLUMES)
        });
        let (group, instances, volumes, snapshots) = (group?, instances?, volumes?, snapshots?);
        let lineages: BTreeMap<_, _> = spec
            .volumes
            .iter()
            .map(|v| {
                (
                    &v.name,
                    Lineage::of(&v.name, group, spec, volumes, snapshots),
                )
            })
            .collect();
        let mut forgotten = None;
        let holder = match &spec.kind {
            Kind::Asg => appointed_by_group(world, group, instances, plan)?,
            Kind::Pair { members } => {
                let chosen = pair::holder(members, group, &lineages, &world.addresses);
                if chosen.is_none() {
                    plan.wait(Reason::NoHolder);
                }
                let is = |id: &&InstanceId| chosen.as_ref().is_some_and(|of| of.holder == **id);
                forgotten = members.iter().find(is);
                chosen.and_then(|of| heir(group, instances, &of.holder, of.appointed))
            }
        };
        let forgotten = forgotten.filter(|_| holder.is_none());
        plan.holder = holder.map(|h| h.id.clone());
        Some(Self {
            spec,
            seat,
            now,
            group,
            instances,
            volumes,
            snapshots,
            here: world.here.as_ref(),
            holder,
            forgotten,
            lineages,
        })
    }

    /// Is the runner on this instance?
    pub(super) fn sits_at(&self, instance: &InstanceId) -> bool {
        self.seat.at.as_ref() == Some(instance)
    }

    pub(super) fn holds_here(&self) -> bool {
        self.holder.is_some_and(|h| self.sits_at(h.id))
    }

    /// May this runner make the holder's API calls now? The holder itself may;
    /// a controller may at once where no agent does it, else as a backup; and
    /// nobody else.
    pub(super) fn may_serve_holder(&self) -> bool {
        match (&self.seat.at, self.holder) {
            (Some(_), _) => self.holds_here(),
            (None, _) if !self.spec.agent => true,
            (None, Some(_)) => self
                .serves_as_backup_from()
                .is_some_and(|due| self.now >= due),
            // The predecessor is gone and no heir is there yet: nobody else is
            // there to begin.
            (None, None) => true,
        }
    }

    /// From when on a controller does what the holder's agent should have done.
    pub(super) fn serves_as_backup_from(&self) -> Option<Timestamp> {
        let due = self.fence_due(None)?;
        // A standby that was called has to start first.
        let started = self.holder.and_then(|h| h.instance).map(|i| {
            i.launched
                .saturating_add_or_max(self.spec.policy.quiesce_timeout)
        });
        Some(
            started
                .map_or(due, |s| s.max(due))
                .saturating_add_or_max(STAND_BACK),
        )
    }

    /// Does this runner look after snapshots and what is to be deleted?
    pub(super) fn keeps_house(&self) -> bool {
        self.holder
            .is_some_and(|h| h.member.lifecycle == Lifecycle::InService)
            && if self.spec.agent {
                self.holds_here()
            } else {
                self.seat.at.is_none()
            }
    }

    /// From when on a predecessor that has not let go is fenced. Counted from
    /// when its heir was called: that is when the predecessor was given up.
    pub(super) fn fence_due(&self, predecessor: Option<&InstanceId>) -> Option<Timestamp> {
        let called = self.holder?.called()?;
        let mut grant = if self.spec.agent {
            self.spec.policy.quiesce_timeout
        } else {
            SignedDuration::ZERO
        };
        let serves = predecessor
            .and_then(|id| self.group.members.get(id))
            .is_some_and(|m| m.lifecycle == Lifecycle::InService);
        // The primary of a pair was found sick: it is granted no more than that.
        if serves && self.spec.agent && self.spec.kind == Kind::Asg {
            grant = grant.saturating_add(NOTICE);
        }
        Some(called.saturating_add_or_max(grant))
    }

    /// The last sign of a predecessor that served after this heir was launched: one
    /// that waited in a warm pool was called long after that, and nobody notes when.
    pub(super) fn served_until(&self) -> Option<Timestamp> {
        let heir = self.holder?;
        let launched = heir.instance?.launched;
        // Once it serves, the signs are its own.
        if heir.appointed.is_some() || heir.member.lifecycle == Lifecycle::InService {
            return None;
        }
        let began = |v: &Volume| match &v.standing {
            Standing::Active(Some(term)) if term.holder != *heir.id => Some(term.since),
            _ => None,
        };
        let signs = self.lineages.values().flat_map(|lineage| {
            let of_newest = |s: &&&Snapshot| lineage.top == Some(s.epoch);
            let live = lineage.snapshots.iter().filter(of_newest);
            let live = live.filter(|s| s.consistency == Consistency::Crash);
            lineage
                .current
                .and_then(began)
                .into_iter()
                .chain(live.map(|s| s.started))
        });
        signs.max().filter(|last| *last > launched)
    }

    /// From when on data that cannot be reached is given up for older data: never
    /// before whoever has it had its time to let go.
    pub(super) fn give_up_due(&self) -> Option<Timestamp> {
        let called = self.holder?.called().max(self.served_until())?;
        let due = called.saturating_add_or_max(self.spec.policy.capture_timeout);
        Some(due).max(self.fence_due(None))
    }

    /// Until when data that cannot be seen may be on a volume that a describe does
    /// not show yet; after that the volume is gone.
    pub(super) fn lost_from(&self) -> Option<Timestamp> {
        let called = self.holder?.called().max(self.served_until())?;
        Some(called.saturating_add_or_max(LAG.min(self.spec.policy.capture_timeout)))
    }

    /// Until when a capture that has begun is waited for. What EBS completes when that
    /// is over shows that uploads go on, as when a zone comes back: the newest is not
    /// given up for a set that is complete a moment sooner, or is seen to be.
    pub(super) fn capture_due(&self, snapshot: &Snapshot) -> Timestamp {
        let own = snapshot
            .started
            .saturating_add_or_max(self.spec.policy.capture_timeout);
        let due = self.give_up_due().map_or(own, |due| due.max(own));
        let all = self.lineages.values().flat_map(|l| &l.snapshots);
        let goes_on = all.filter_map(|of| of.completed).filter(|at| *at > due);
        goes_on
            .max()
            .map_or(due, |at| at.saturating_add_or_max(UPLOADS_GO_ON))
    }

    pub(super) fn keeper(&self, volume: &'a Volume) -> Keeper<'a> {
        match volume.attachments.first() {
            None => Keeper::Free,
            Some(a) if self.holder.is_some_and(|h| *h.id == a.instance) => Keeper::Holder,
            Some(a) => Keeper::Other(&a.instance, self.instances.get(&a.instance)),
        }
    }

    /// Nothing can write to it: it is detached, or its instance is down.
    pub(super) fn is_quiet(&self, volume: &Volume) -> bool {
        #[cfg(feature = "mutants")]
        if super::mutant::is(super::mutant::Mutant::SkipFence) {
            return true;
        }
        volume.attachments.iter().all(|a| {
            self.instances
                .get(&a.instance)
                .is_some_and(|i| i.state.is_down())
        })
    }

    /// Whoever still has it can be made to let go: EC2 shows it running, so that
    /// it can be stopped, or stopping for no longer than that may take. A zone
    /// that came back is in reach again, however late it is.
    pub(super) fn is_in_reach(&self, volume: &Volume) -> bool {
        let instance = |a: &Attachment| self.instances.get(&a.instance);
        volume
            .attachments
            .iter()
            .filter_map(instance)
            .any(|i| match i.state {
                InstanceState::Pending | InstanceState::Running => true,
                InstanceState::Stopping | InstanceState::ShuttingDown => {
                    let stops = |told: Timestamp| told.saturating_add_or_max(STOPS_WITHIN);
                    i.just_back || i.told_to_end.is_some_and(|told| self.now < stops(told))
                }
                InstanceState::Stopped | InstanceState::Terminated => false,
            })
    }

    /// When whoever may have written to the volume was last started: the instance
    /// that still has it. Of one that is detached it is the last holder, unless
    /// that holds again: it may have been started in the instant before.
    pub(super) fn up_since(&self, volume: &Volume) -> Option<Timestamp> {
        let launched = |id: &InstanceId| self.instances.get(id).map(|i| i.launched);
        if volume.attachments.is_empty() {
            let Standing::Active(Some(term)) = &volume.standing else {
                return None;
            };
            let holds_again = self.holder.is_some_and(|h| *h.id == term.holder);
            return launched(&term.holder).filter(|_| !holds_again);
        }
        let on = volume.attachments.iter();
        on.filter_map(|a| launched(&a.instance)).max()
    }

    pub(super) fn volumes_in_order(
        &self,
    ) -> impl Iterator<Item = (&'a VolumeSpec, &Lineage<'a>)> + '_ {
        self.spec
            .volumes
            .iter()
            .filter_map(|v| self.lineages.get(&v.name).map(|l| (v, l)))
    }
}

/// The member that Auto Scaling means to keep, if there is one. None where
/// nothing may be changed.
#[allow(clippy::option_option)] // no plan at all, or one without a holder
fn appointed_by_group<'a>(
    world: &World,
    group: &'a Group,
    instances: &'a BTreeMap<InstanceId, Instance>,
    plan: &mut Plan,
) -> Option<Option<Heir<'a>>> {
    let leaving = world.here.as_ref().filter(|h| h.leaving.is_some());
    match holder(group, instances, leaving.map(|h| &h.instance)) {
        Who::One(id, newer) => {
            if let Some(newer) = newer {
                // A handover is on its way.
                plan.wait(Reason::HolderBoots { instance: newer });
            }
            Some(heir(group, instances, &id, None))
        }
        Who::Nobody(reason @ Reason::NoHolder) => {
            // Who goes itself does not wait for an heir.
            if leaving.is_none() {
                plan.wait(reason);
            }
            Some(None)
        }
        // More members than can be explained, or not to be told apart:
        // nothing is changed.
        Who::Nobody(reason) => {
            plan.wait(reason);
            None
        }
    }
}

fn heir<'a>(
    group: &'a Group,
    instances: &'a BTreeMap<InstanceId, Instance>,
    id: &InstanceId,
    appointed: Option<Timestamp>,
) -> Option<Heir<'a>> {
    let (id, member) = group.members.get_key_value(id)?;
    Some(Heir {
        id,
        member,
        instance: instances.get(id),
        appointed,
    })
}

/// Time arithmetic that cannot overflow into a panic.
pub(super) trait SaturatingTime {
    fn saturating_add_or_max(self, by: SignedDuration) -> Timestamp;
}

impl SaturatingTime for Timestamp {
    fn saturating_add_or_max(self, by: SignedDuration) -> Timestamp {
        self.checked_add(by).unwrap_or(Timestamp::MAX)
    }
}
