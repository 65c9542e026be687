//! One visit: all that can be done now, and when to come back for the rest.
//!
//! Where time is paid for and cut off by a clock, long waits are not slept
//! through: whoever sent this visitor sends another one later. The next visit
//! knows nothing of this one, and need not.

use jiff::{SignedDuration, Timestamp};

use super::{Memory, Runner, Told, Turned};
use crate::host::Host;
use crate::plan::{Plan, Reason, Step, Wait};
use crate::spec::GroupSpec;

/// What is nearer than this is sat out: coming back means to look at
/// everything again.
const SITS_OUT: SignedDuration = SignedDuration::from_secs(20);
/// What should be a matter of seconds is given up on for now after this.
const DRAGS_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// When to come back to what drags on, or is in other hands.
const DRAGS: SignedDuration = SignedDuration::from_secs(60);
/// A fence that took no effect by then is not sat out: it is for a dark zone.
const FENCES_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// When to come back to what a person has to decide.
const HELD: SignedDuration = SignedDuration::from_mins(5);
/// When to go on with what the end of the visit interrupted.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// How far a visit goes.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// No turn begins after this.
    pub until: Timestamp,
    pub stay: Stay,
}

/// May a visitor leave while something is still waited for?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Someone comes back exactly when told to.
    Briefly,
    /// Someone comes back some time: not while a lifecycle action has to be
    /// kept open.
    WhileKeptOpen,
    /// Nobody comes back.
    ToTheEnd,
}

/// How a visit ended.
#[derive(Debug)]
pub enum Left {
    Settled,
    /// There is more to do, after this time.
    Unsettled {
        back_in: SignedDuration,
        waits: Vec<Wait>,
        keeps_open: bool,
    },
    /// It would not get better by waiting.
    Failed(String),
}

impl<H: Host> Runner<H> {
    /// Turns until settled, until what is waited for is far away, or until the
    /// visit is over. Open lifecycle actions are heartbeated at once, and again
    /// on leaving, so that the time until the next visit is theirs.
    pub async fn visit(&mut self, spec: &GroupSpec, visit: Visit) -> Left {
        let mut memory = Memory::new();
        let mut idle = Idle {
            since: self.clock.now(),
            acted: false,
        };
        loop {
            let turned = self.turn(spec, &mut memory).await;
            let now = self.clock.now();
            let is_over = now >= visit.until;
            match turned {
                Turned::Failed(why) => return Left::Failed(why),
                Turned::Settled(plan) => {
                    self.tell(&Told::Settled);
                    if self.upkeep(spec, &mut memory, plan).await || is_over {
                        return Left::Settled;
                    }
                }
                Turned::Acted => {
                    idle = Idle {
                        since: now,
                        acted: true,
                    };
                    let away = memory.leave_a_failing_step_for(now);
                    let keeps_open = !memory.beats.is_empty();
                    if is_over || away > SITS_OUT && visit.stay.may_leave(keeps_open) {
                        return Left::unsettled(away, Vec::new(), keeps_open);
                    }
                }
                Turned::Waits(plan) => {
                    let away = memory.leave_for(&plan, idle, now);
                    let keeps_open = !plan.keep_open.is_empty();
                    if away > SITS_OUT && visit.stay.may_leave(keeps_open) {
                        memory.beats.bring_forward(now, away);
                        let beats = memory.beats_due(&plan, now);
                        self.beat(spec, beats).await;
                        return Left::unsettled(away, plan.waits, keeps_open);
                    }
                    if is_over {
                        return Left::unsettled(away.max(SOON), plan.waits, keeps_open);
                    }
                    self.pause(spec, &mut memory, &plan, Some(visit.until))
                        .await;
                }
            }
        }
    }
}

impl Stay {
    fn may_leave(self, keeps_open: bool) -> bool {
        match self {
            Self::Briefly => true,
            Self::WhileKeptOpen => !keeps_open,
            Self::ToTheEnd => false,
        }
    }
}

impl Left {
    fn unsettled(back_in: SignedDuration, waits: Vec<Wait>, keeps_open: bool) -> Self {
        Self::Unsettled {
            back_in,
            waits,
            keeps_open,
        }
    }
}

impl Memory {
    /// How long nobody need look: until the nearest of what is waited for, and
    /// never as long as an open action lives without a heartbeat.
    fn leave_for(&self, plan: &Plan, idle: Idle, now: Timestamp) -> SignedDuration {
        let nearest = plan.waits.iter().map(|wait| distance(wait, idle, now));
        nearest.chain(self.beats.shortest()).min().unwrap_or(SOON)
    }

    /// A step that was tried again and again is left alone for a while; so is a
    /// fence that visitors before this one tried, too.
    fn leave_a_failing_step_for(&self, now: Timestamp) -> SignedDuration {
        let fences_for = self.fences_since.map(|since| now.duration_since(since));
        let is_dark = fences_for.is_some_and(|time| time >= FENCES_WITHIN);
        if self.patience.tries_again_in(now) <= SITS_OUT && !is_dark {
            return SOON;
        }
        self.beats.shortest().map_or(DRAGS, |beat| DRAGS.min(beat))
    }
}

/// Since when somebody is being fenced, where nothing else can be done before that
/// or a person has helped.
pub(super) fn fences_alone_since(plan: &Plan) -> Option<Timestamp> {
    let fence = |step: &Step| matches!(step, Step::Fence { .. });
    let fenced = |wait: &&Wait| matches!(wait.reason, Reason::Fencing { .. });
    let held = |wait: &Wait| matches!(wait.reason, Reason::Hold(_));
    let alone = plan.steps.iter().all(fence) && plan.waits.iter().all(|w| fenced(&w) || held(w));
    let since = plan.waits.iter().filter(fenced).filter_map(|w| w.since);
    since.min().filter(|_| alone)
}

/// How long nothing could be done.
#[derive(Clone, Copy)]
struct Idle {
    since: Timestamp,
    /// Was anything done in this visit before?
    acted: bool,
}

/// How far away it is that this wait ends.
fn distance(wait: &Wait, idle: Idle, now: Timestamp) -> SignedDuration {
    let drags = now.duration_since(idle.since) >= DRAGS_AFTER;
    let far = match &wait.reason {
        Reason::Snapshotting { progress, .. } => until_snapshot(*progress, wait.since, now),
        Reason::Confirming { .. } | Reason::Flapping { .. } => SignedDuration::MAX,
        Reason::Hold(_) => HELD,
        // Others are at work. What they do raises an event as a rule.
        Reason::NoHolder
        | Reason::AnotherRunner { .. }
        | Reason::AgentServes
        | Reason::PredecessorLetsGo { .. } => {
            if idle.acted && !drags {
                SignedDuration::ZERO
            } else {
                DRAGS
            }
        }
        _ if drags => DRAGS,
        _ => SignedDuration::ZERO,
    };
    let decides = wait.until.map(|until| until.duration_since(now));
    far.min(decides.unwrap_or(far)).max(SignedDuration::ZERO)
}

/// A snapshot's progress foretells its end; the visit comes a little before
/// that. Below a few percent the forecast is noise: coming late by a quarter of
/// what it has lasted is the price of not waiting for it.
fn until_snapshot(progress: u8, started: Option<Timestamp>, now: Timestamp) -> SignedDuration {
    let Some(elapsed) = started.map(|at| now.duration_since(at).as_secs_f64().max(0.0)) else {
        return DRAGS;
    };
    let seconds = if progress < 5 {
        (elapsed / 4.0).min(120.0)
    } else {
        elapsed * (100.0 / f64::from(progress) - 1.0) * 0.93
    };
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(DRAGS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::plan::Hold;

    const fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).unwrap()
    }

    /// As it is after a thousand seconds, the last `idle` of which in vain.
    fn away(reason: Reason, until: Option<i64>, idle: i64, acted: bool) -> SignedDuration {
        let wait = Wait {
            reason,
            since: Some(at(0)),
            until: until.map(at),
        };
        let since = at(1_000 - idle);
        distance(&wait, Idle { since, acted }, at(1_000))
    }

    fn upload(progress: u8) -> Reason {
        Reason::Snapshotting {
            snapshot: "snap-1".into(),
            progress,
        }
    }

    #[test]
    fn an_upload_is_as_far_away_as_its_progress_says() {
        assert_eq!(away(upload(50), None, 0, false), seconds(930));
        assert_eq!(away(upload(100), None, 0, false), seconds(0));
        // What says nothing yet is looked at now and then.
        assert_eq!(away(upload(0), None, 0, false), seconds(120));
        assert_eq!(until_snapshot(0, Some(at(960)), at(1_000)), seconds(10));
        // A clock that is behind makes no negative time.
        assert_eq!(until_snapshot(50, Some(at(1_010)), at(1_000)), seconds(0));
    }

    #[test]
    fn what_takes_seconds_is_sat_out_for_a_minute() {
        let reason = || Reason::Attaching {
            volume: "vol-1".into(),
        };
        assert_eq!(away(reason(), None, 59, false), seconds(0));
        assert_eq!(away(reason(), None, 60, true), DRAGS);
    }

    #[test]
    fn a_fence_that_others_tried_for_long_is_left_at_once() {
        let away = |since: Option<i64>| {
            let mut memory = Memory::new();
            memory.fences_since = since.map(at);
            memory.leave_a_failing_step_for(at(1_000))
        };
        assert_eq!(away(Some(400)), DRAGS);
        assert_eq!(away(Some(401)), SOON);
        assert_eq!(away(None), SOON);
    }

    #[test]
    fn a_fence_that_something_else_may_overtake_is_sat_out() {
        let fence = || Step::Fence {
            instance: "i-1".into(),
            force: true,
        };
        let wait = |reason, since| Wait {
            reason,
            since: Some(at(since)),
            until: None,
        };
        let fencing = || Reason::Fencing {
            instance: "i-1".into(),
        };
        let alone = |steps: &[Step], waits: &[Wait]| {
            let mut plan = Plan::default();
            plan.steps.extend_from_slice(steps);
            plan.waits.extend_from_slice(waits);
            fences_alone_since(&plan)
        };
        let hold = wait(
            Reason::Hold(Hold::BadVolume {
                volume: "vol-1".into(),
            }),
            20,
        );
        let since = alone(&[fence()], &[wait(fencing(), 10), hold]);
        assert_eq!(since, Some(at(10)));
        assert_eq!(
            alone(&[fence(), Step::Quiesce], &[wait(fencing(), 10)]),
            None
        );
        let upload = wait(upload(50), 20);
        assert_eq!(alone(&[fence()], &[wait(fencing(), 10), upload]), None);
        assert_eq!(alone(&[], &[]), None);
    }

    #[test]
    fn what_is_in_other_hands_is_sat_out_only_right_after_a_step() {
        assert_eq!(away(Reason::NoHolder, None, 0, false), DRAGS);
        assert_eq!(away(Reason::NoHolder, None, 10, true), seconds(0));
        assert_eq!(away(Reason::NoHolder, None, 60, true), DRAGS);
    }

    #[test]
    fn a_decision_to_come_is_come_back_for() {
        let alarm = || Reason::Confirming {
            alarm: "orders-db-status".to_owned(),
        };
        assert_eq!(away(alarm(), Some(1_047), 0, false), seconds(47));
        assert_eq!(away(alarm(), Some(900), 0, false), seconds(0));
        let hold = Reason::Hold(Hold::BadVolume {
            volume: "vol-1".into(),
        });
        assert_eq!(away(hold, None, 0, false), HELD);
    }
}
