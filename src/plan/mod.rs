//! What to do: pure decisions.
//!
//! **Architecture invariant:** nothing here reads a clock, does I/O, draws a
//! random number or knows a type of the SDK. `plan` is a function of what was
//! seen, what was asked for, where the runner sits, and the time it is told.
//! Calling it once more than needed changes nothing.

mod addresses;
mod alarms;
mod claims;
mod fallback;
mod holder;
mod lifecycle;
mod lineage;
mod make;
#[cfg(feature = "mutants")]
pub mod mutant;
mod pair;
mod release;
mod retire;
mod say;
mod scene;
mod sets;
pub mod step;
mod switchover;
mod terms;
mod volumes;
mod workload;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

use self::scene::Scene;
pub use self::sets::{SetSeen, sets};
pub use self::step::{Action, Cause, Hold, Plan, Reason, Step, Wait};
use self::volumes::Placed;
use crate::ids::InstanceId;
use crate::spec::GroupSpec;
use crate::world::{Seen, World};

/// Where the runner sits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    /// On this instance; none for a controller.
    pub at: Option<InstanceId>,
}

/// What to do now about one group, what is waited for, or that all is well.
///
/// The steps do not depend on each other. Nothing irreversible is in the plan
/// unless every part of the world it rests on is known.
pub fn plan(world: &World, spec: &GroupSpec, seat: &Seat, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(scene) = Scene::set(world, spec, seat, now, &mut plan) else {
        // What cannot be seen cannot be moved. But a machine that is told to
        // go can always bring its own house in order, which touches only
        // itself, and an open action is kept open until more is known.
        release::own_house(world, spec, &mut plan);
        lifecycle::keep_open(world, seat, &mut plan);
        return plan;
    };
    release::let_go(&scene, &mut plan);
    let placed = serve(&scene, world, &mut plan);
    lifecycle::complete(&scene, world, &placed, &mut plan);
    pair::tend(&scene, world, &placed, &mut plan);
    alarms::heed(&scene, world, &mut plan);
    let notes = pair::notes_missing(&scene);
    if !plan.is_settled() {
        plan.steps.extend(notes);
    } else if scene.keeps_house() {
        retire::upkeep(&scene, &placed, &mut plan);
        plan.upkeep.extend(notes);
    }
    plan
}

/// The step by which a person asks for another holder: the other member of a
/// pair (`to` says which one is meant), or a new member of an Auto Scaling group.
///
/// # Errors
/// Why that cannot be asked for now.
pub fn switchover(
    world: &World,
    spec: &GroupSpec,
    to: Option<&InstanceId>,
    now: Timestamp,
) -> Result<Step, Reason> {
    let mut plan = Plan::default();
    let seat = Seat::default();
    if let Some(scene) = Scene::set(world, spec, &seat, now, &mut plan) {
        switchover::ask(&scene, to, &mut plan);
    }
    let step = plan.steps.into_iter().next();
    let why = plan.waits.into_iter().next().map(|wait| wait.reason);
    step.ok_or(why.unwrap_or(Reason::NoHolder))
}

/// The step that takes a live set now, which the upkeep would take when it is
/// due: of everything the holder has in use, or of nothing.
///
/// # Errors
/// Why there is no whole set to be taken now.
pub fn snapshot(world: &World, spec: &GroupSpec, now: Timestamp) -> Result<Step, Reason> {
    let mut plan = Plan::default();
    let seat = Seat::default();
    if let Some(scene) = Scene::set(world, spec, &seat, now, &mut plan) {
        let placed = volumes::bring(&scene, &mut plan);
        if placed.complete
            && let Some(step) = retire::live(&scene, &placed)
        {
            return Ok(step);
        }
    }
    let why = plan.waits.into_iter().next().map(|wait| wait.reason);
    Err(why.unwrap_or(Reason::NoHolder))
}

/// Everything that brings the belongings to the holder, if that is this
/// runner's to do; a controller behind an agent only watches that it happens.
fn serve<'a>(scene: &Scene<'a>, world: &World, plan: &mut Plan) -> Placed<'a> {
    let mut serving = Plan::default();
    let placed = volumes::bring(scene, &mut serving);
    workload::run(scene, &placed, &mut serving);
    addresses::follow(scene, world, &placed, &mut serving);
    if scene.may_serve_holder() {
        plan.forsakes = serving.forsakes;
        serving.steps.into_iter().for_each(|step| plan.step(step));
        for wait in serving.waits {
            plan.wait_until(wait.reason, wait.since, wait.until);
        }
    } else if scene.seat.at.is_none() && !serving.is_settled() {
        let steps_in = scene.serves_as_backup_from();
        plan.wait_until(Reason::AgentServes, None, steps_in);
    }
    placed
}

/// Every part the group has belongings for must be known.
fn demand<'a, T>(seen: &'a Seen<T>, what: &'static str, plan: &mut Plan) -> Option<&'a T> {
    match seen {
        Seen::Known(value) => Some(value),
        Seen::Unknown(why) => {
            plan.wait(Reason::Unknown {
                what,
                why: why.clone(),
            });
            None
        }
    }
}

impl Plan {
    fn step(&mut self, step: Step) {
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }

    fn wait(&mut self, reason: Reason) {
        self.wait_until(reason, None, None);
    }

    fn hold(&mut self, hold: Hold) {
        self.wait(Reason::Hold(hold));
    }

    fn wait_until(&mut self, reason: Reason, since: Option<Timestamp>, until: Option<Timestamp>) {
        let wait = Wait {
            reason,
            since,
            until,
        };
        if !self.waits.contains(&wait) {
            self.waits.push(wait);
        }
    }
}
