//! Pausing without missing anything: what a wait deserves, and what this
//! machine tells meanwhile.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::{LOOK_AROUND, Memory, Runner, later};
use crate::aws::Focus;
use crate::host::Host;
use crate::patience::is_soon_after;
use crate::plan::{Plan, Reason};
use crate::spec::GroupSpec;
use crate::world::Here;

/// How often a pausing runner asks its own machine, which costs no API call.
const LOOK_HERE: SignedDuration = SignedDuration::from_secs(1);
/// A settled one asks only whether it is to go that often, if more than that
/// costs something: how its disks and its workload are, it asks more seldom.
const LOOK_CLOSER: SignedDuration = SignedDuration::from_secs(10);

/// The members are looked at along with what is due this soon after them.
const ALONG: SignedDuration = SignedDuration::from_secs(4);

impl<H: Host> Runner<H> {
    /// Sleeps as long as what is waited for deserves, and sets what to look at then.
    pub(super) async fn pause(
        &self,
        spec: &GroupSpec,
        memory: &mut Memory,
        plan: &Plan,
        deadline: Option<Timestamp>,
    ) {
        let now = self.clock.now();
        let (pause, due) = memory.due_waits(plan, now);
        let look_at = later(now, pause);
        let soonest = |dues: &mut dyn Iterator<Item = Timestamp>| dues.filter(|at| *at > now).min();
        // Whatever is waited for, who is a member may change meanwhile.
        let members = memory.members_due(now);
        let members = members.filter(|at| later(*at, ALONG) < look_at);
        let next = members.unwrap_or(look_at);
        // When a wait is over, what is decided then rests on a new look.
        let over = soonest(&mut plan.waits.iter().filter_map(|w| w.until).chain(deadline))
            .filter(|at| *at < next);
        let beat = soonest(&mut memory.beats.dues()).filter(|at| *at < over.unwrap_or(next));
        let until = beat.or(over).unwrap_or(next);
        let around = memory
            .looked_around
            .map_or(now, |at| later(at, LOOK_AROUND));
        memory.focus = if now >= around || (beat.is_none() && over.is_some()) {
            Focus::ALL
        } else if beat.is_some() {
            Focus::NONE
        } else if members.is_some() {
            Focus::GROUP
        } else {
            due.into_iter()
                .fold(Focus::NONE, |all, reason| all.union(Focus::of(reason)))
        };
        self.sleep_watching(spec, memory, until.duration_since(now))
            .await;
    }

    /// Until a step is tried again that has not moved the world so far. What
    /// else is waited for, and the open actions, do not wait for that: a fence
    /// that a dark zone never obeys must not keep a runner from seeing an heir.
    pub(super) async fn between_tries(
        &self,
        spec: &GroupSpec,
        memory: &mut Memory,
        plan: &Plan,
        not_yet: SignedDuration,
    ) {
        let now = self.clock.now();
        let again = later(now, not_yet);
        let (pause, due) = memory.due_waits(plan, now);
        let look_at = later(now, pause);
        // What is tried soon after is looked at along with it.
        let waits_first = !plan.waits.is_empty() && !is_soon_after(again, look_at, pause);
        let looks = if waits_first { look_at } else { again };
        let members = memory.members_due(now);
        let members = members.filter(|at| later(*at, ALONG) < looks);
        let next = members.unwrap_or(looks);
        let beat = memory
            .beats
            .dues()
            .filter(|at| *at > now && *at < next)
            .min();
        let around = memory
            .looked_around
            .map_or(now, |at| later(at, LOOK_AROUND));
        let rests_on = memory.rest_on(plan.steps.iter(), plan.forsakes);
        memory.focus = if now >= around {
            Focus::ALL
        } else if beat.is_some() {
            Focus::NONE
        } else if members.is_some() {
            Focus::GROUP
        } else {
            let waits = due.into_iter().filter(|_| look_at <= next);
            let steps = plan.steps.iter().map(Focus::after).chain([rests_on]);
            let tried = steps.filter(|_| !waits_first);
            waits
                .map(Focus::of)
                .chain(tried)
                .fold(Focus::NONE, Focus::union)
        };
        let until = beat.unwrap_or(next);
        self.sleep_watching(spec, memory, until.duration_since(now))
            .await;
    }

    /// A settled runner's pause: its own machine is asked often, because that
    /// is free and tells first that the end is near. Returns what that, or a
    /// wake-up, makes worth a look.
    pub(super) async fn idle(
        &self,
        spec: &GroupSpec,
        memory: &mut Memory,
        poll_every: SignedDuration,
        wake: &Notify,
    ) -> Option<Focus> {
        let end = later(self.clock.now(), poll_every);
        let mut closer = later(self.clock.now(), LOOK_CLOSER);
        loop {
            let now = self.clock.now();
            if now >= end {
                return None;
            }
            let rest = end.duration_since(now);
            let nap = if self.host.is_some() {
                rest.min(LOOK_HERE)
            } else {
                rest
            };
            tokio::select! {
                biased;
                () = self.sleep(nap) => {}
                () = wake.notified() => return Some(Focus::ALL),
            }
            let now = self.clock.now();
            let changed = if !H::LOOKS_FREELY && now < closer {
                self.is_told_otherwise(spec, memory).await
            } else {
                closer = later(now, LOOK_CLOSER);
                self.listen_to_ec2(spec, memory).await;
                self.has_changed_here(spec, memory).await
            };
            if changed.is_some() {
                return changed;
            }
        }
    }

    /// A long pause on an instance still notices that the instance is to go.
    pub(super) async fn sleep_watching(
        &self,
        spec: &GroupSpec,
        memory: &mut Memory,
        pause: SignedDuration,
    ) {
        if self.host.is_none() || pause <= LOOK_HERE {
            return self.sleep(pause).await;
        }
        let end = later(self.clock.now(), pause);
        loop {
            let now = self.clock.now();
            if now >= end {
                return;
            }
            self.sleep(end.duration_since(now).min(LOOK_HERE)).await;
            match self.has_changed_here(spec, memory).await {
                // A disk that appeared, a workload that became healthy: what
                // was to be looked at is enough.
                Some(Focus::ALL) => return,
                Some(focus) => {
                    memory.focus = focus;
                    return;
                }
                None => {}
            }
        }
    }

    /// Whether this machine is to go, and whether that is news.
    async fn is_told_otherwise(&self, spec: &GroupSpec, memory: &Memory) -> Option<Focus> {
        let host = self.host.as_ref()?;
        let before = memory.world.as_ref().and_then(|w| w.here.as_ref())?;
        let leaving = host.leaving(spec).await.ok()?;
        if leaving == before.leaving {
            None
        } else if leaving.is_some() {
            Some(Focus::leaving())
        } else {
            Some(Focus::ALL)
        }
    }

    /// What EC2 announces for this instance is told once, while it stands.
    /// Nothing is moved for it: what comes of it, Auto Scaling decides.
    async fn listen_to_ec2(&self, spec: &GroupSpec, memory: &mut Memory) {
        let Some(host) = &self.host else { return };
        let announced = host.announced().await;
        for what in announced.difference(&memory.announced) {
            tracing::warn!(group = %spec.name, what, "EC2 announces something for this instance");
        }
        memory.announced = announced;
    }

    /// What this machine alone tells, and how much of the world it makes worth
    /// a look. One that is told to go has to know who it is and what it holds,
    /// no more: its time is short.
    async fn has_changed_here(&self, spec: &GroupSpec, memory: &Memory) -> Option<Focus> {
        let host = self.host.as_ref()?;
        let before = memory.world.as_ref().and_then(|w| w.here.as_ref());
        let here = host.look(spec).await.ok()?;
        if before.is_some_and(|before| is_as_before(before, &here)) {
            None
        } else if here.leaving.is_some() {
            Some(Focus::leaving())
        } else {
            Some(Focus::ALL)
        }
    }
}

impl Memory {
    fn due_waits<'a>(
        &mut self,
        plan: &'a Plan,
        now: Timestamp,
    ) -> (SignedDuration, Vec<&'a Reason>) {
        let looked = self.focus;
        let saw = |reason: &Reason| looked.union(Focus::of(reason)) == looked;
        self.patience.pause(&plan.waits, now, saw)
    }
}

/// What an unhealthy workload says may differ each time; that it is unhealthy
/// is what counts.
fn is_as_before(before: &Here, now: &Here) -> bool {
    let workload = |here: &Here| std::mem::discriminant(&here.workload);
    workload(before) == workload(now)
        && before.leaving == now.leaving
        && before.disks == now.disks
        && before.mounts == now.mounts
}
