//! Which groups need someone? All that are settled are watched together, with
//! one describe for as many as it takes; most of the time with two.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::crew::{Call, Common};
use super::seat;
use crate::host::linux::LinuxHost;
use crate::ids::GroupName;
use crate::plan::{self, Seat};
use crate::spec::GroupSpec;
use crate::world::{Seen, World};

/// Every this many looks at members and alarms, everything is looked at.
const FULL_EVERY: u32 = 20;

pub(super) struct Survey {
    common: Common,
    machine: Option<Rc<LinuxHost>>,
    now: Rc<Notify>,
    /// The settled groups as they were seen last.
    last: BTreeMap<GroupName, World>,
}

/// What a look at a group from afar makes of it.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Settled,
    WorthALook,
    /// It was settled, and cannot be seen now: a closer look could not either.
    Unseen(String),
    /// It is this machine's own.
    Ours,
    /// It cannot be seen yet whether it is.
    Unclear(String),
}

impl Survey {
    /// `now` cuts the pause until the next survey short.
    pub(super) fn new(common: Common, machine: Option<Rc<LinuxHost>>, now: Rc<Notify>) -> Self {
        Self {
            common,
            machine,
            now,
            last: BTreeMap::new(),
        }
    }

    pub(super) async fn keep(mut self) -> Infallible {
        let poll_every = self.common.config.wake.poll_every.unsigned_abs();
        let mut rounds = 0_u32;
        loop {
            self.look_around().await;
            rounds = rounds.wrapping_add(1);
            let asked = tokio::select! {
                () = tokio::time::sleep(poll_every) => false,
                () = self.now.notified() => true,
            };
            if asked || rounds.is_multiple_of(FULL_EVERY) {
                self.last.clear();
            }
        }
    }

    async fn look_around(&mut self) {
        let specs = self.common.roster.watched(&self.common.config.groups);
        let before = std::mem::take(&mut self.last);
        let mut worlds = self.common.aws.observe_all_again(&specs, &before).await;
        let now = self.common.clock.now();
        for spec in &specs {
            let Some(world) = worlds.remove(&spec.name) else {
                continue;
            };
            let group = &spec.name;
            match self.judge(spec, &world, before.get(group), now).await {
                Verdict::Settled => {
                    self.common.manager.is_settled(group);
                    self.last.insert(group.clone(), world);
                }
                Verdict::Unseen(why) => {
                    if self.common.manager.cannot_see(group) {
                        tracing::warn!(%group, %why, "a settled group cannot be seen");
                    }
                    // As it was; sooner or later everything is looked at anew.
                    self.last.extend(before.get_key_value(group).map(owned));
                }
                Verdict::WorthALook => self.call(Call::Look(group.clone())).await,
                Verdict::Ours => self.call(Call::Seat(group.clone())).await,
                Verdict::Unclear(why) => {
                    tracing::warn!(%group, %why, "cannot see yet whether this instance is a member");
                }
            }
        }
    }

    async fn judge(
        &self,
        spec: &GroupSpec,
        world: &World,
        before: Option<&World>,
        now: Timestamp,
    ) -> Verdict {
        if let Some(verdict) = self.find_seat(spec, world).await {
            return verdict;
        }
        self.common.roster.place(&spec.name);
        if let (Some(_), Some(why)) = (before, unseen(world)) {
            return Verdict::Unseen(why);
        }
        // The rest was not looked at again, and may have changed as well.
        let moved = before.is_some_and(|before| has_moved(before, world));
        let plan = plan::plan(world, spec, &Seat::default(), now);
        if moved || !plan.is_settled() || !plan.upkeep.is_empty() {
            Verdict::WorthALook
        } else {
            Verdict::Settled
        }
    }

    /// None: the group is surely another machine's. A former member that still
    /// has something of it is found out at the start; one that becomes a
    /// member, whenever it does, as long as nobody serves the group from afar.
    async fn find_seat(&self, spec: &GroupSpec, world: &World) -> Option<Verdict> {
        let machine = self.machine.as_ref()?;
        let ours = if self.common.roster.is_placed(&spec.name) {
            self.common.roster.post(&spec.name).is_none()
                && seat::is_known(machine, spec, world).await
        } else {
            seat::is_taken(machine, spec, world).await
        };
        if ours {
            return Some(Verdict::Ours);
        }
        match (&world.group, &world.volumes) {
            _ if self.common.roster.is_placed(&spec.name) => None,
            (Seen::Known(_), Seen::Known(_)) => None,
            (Seen::Unknown(why), _) | (_, Seen::Unknown(why)) => {
                Some(Verdict::Unclear(why.clone()))
            }
        }
    }

    async fn call(&self, call: Call) {
        // A crew that is gone needs nobody.
        let _ = self.common.calls.send(call).await;
    }
}

/// Is anything new about who is a member? (Its hooks, a survey may not know.)
fn has_moved(before: &World, now: &World) -> bool {
    match (before.group.known(), now.group.known()) {
        (Some(before), Some(now)) => {
            (before.desired, &before.members, &before.markers)
                != (now.desired, &now.members, &now.markers)
        }
        _ => true,
    }
}

/// What a second look at a settled group should have shown, and did not.
fn unseen(world: &World) -> Option<String> {
    match (&world.group, &world.alarms) {
        (Seen::Unknown(why), _) | (_, Seen::Unknown(why)) => Some(why.clone()),
        (Seen::Known(_), Seen::Known(_)) => None,
    }
}

fn owned((group, world): (&GroupName, &World)) -> (GroupName, World) {
    (group.clone(), world.clone())
}
