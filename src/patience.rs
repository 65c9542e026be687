//! How long to wait before looking, or trying, again.
//!
//! There is no fixed poll interval: what takes about two seconds is looked at
//! after one and then in small, growing steps; what says how far it is (a
//! snapshot) is looked at when it should be done. The figures are the usual
//! latencies of AWS, with sources in `docs/latencies.md`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::plan::{Reason, Step, Wait};

/// What a runner remembers of its own waiting.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    waits: BTreeMap<String, Waited>,
    tries: BTreeMap<String, Tried>,
}

#[derive(Clone, Copy, Debug)]
struct Waited {
    began: Timestamp,
    looks: u32,
    look_at: Timestamp,
    /// How long it is left alone now, in seconds.
    pause: f64,
    /// The last progress that was reported, and when.
    progress: Option<(u8, Timestamp)>,
}

#[derive(Clone, Copy, Debug)]
struct Tried {
    began: Timestamp,
    times: u32,
    again_at: Timestamp,
}

/// First look after `first`, then after `step`, growing by a half up to `most`.
struct Pace {
    first: f64,
    step: f64,
    most: f64,
}

/// How long a wait is kept in mind that nobody could see.
const KEPT_UNSEEN: SignedDuration = SignedDuration::from_mins(10);
const GROWTH: f64 = 1.5;
const TRY_GROWTH: f64 = 1.7;
const TRY_MOST: f64 = 45.0;
/// A dark zone obeys for hours to nothing: then each try costs for nothing, too.
/// It may be late by this share of what it was tried for already.
const TRY_LATE_SHARE: f64 = 0.1;
const TRY_LATE_MOST: f64 = 120.0;
/// Pauses differ by up to this share, so that a thousand groups do not march
/// in step.
const JITTER: f64 = 0.1;
/// A look comes late by at most this share of what was already waited…
const LATE_SHARE: f64 = 0.05;
/// … and this many seconds.
const LATE_MOST: f64 = 60.0;
/// A look comes sooner by at most so many seconds, or this share of its pause,
/// where another one is due…
const TOGETHER: f64 = 0.3;
const SOONER_SHARE: f64 = 0.5;
/// … and later by this share of it.
const LATER_SHARE: f64 = 0.25;

impl Patience {
    /// Which of these steps may be carried out now. A step that was carried
    /// out and is planned again did not move the world: it is given longer
    /// each time. With none due: when the first will be.
    pub(crate) fn due(
        &mut self,
        steps: &[Step],
        now: Timestamp,
    ) -> Result<Vec<Step>, SignedDuration> {
        let keys: Vec<String> = steps.iter().map(Step::key).collect();
        self.tries.retain(|key, _| keys.contains(key));
        let mut due = Vec::new();
        let mut earliest: Option<Timestamp> = None;
        for (step, key) in steps.iter().zip(keys) {
            let tried = self.tries.get(&key).copied();
            if let Some(tried) = tried.filter(|t| now < t.again_at) {
                earliest = Some(earliest.map_or(tried.again_at, |e| e.min(tried.again_at)));
                continue;
            }
            let times = tried.map_or(0, |t| t.times);
            let began = tried.map_or(now, |t| t.began);
            let lasted = now.duration_since(began).as_secs_f64() * TRY_LATE_SHARE;
            let pause = (try_first(step)
                * TRY_GROWTH.powi(i32::try_from(times).unwrap_or(i32::MAX)))
            .min(TRY_MOST.max(lasted.min(TRY_LATE_MOST)));
            self.tries.insert(
                key,
                Tried {
                    began,
                    times: times.saturating_add(1),
                    again_at: later(now, pause),
                },
            );
            due.push(step.clone());
        }
        match earliest {
            Some(at) if due.is_empty() => Err(at.duration_since(now)),
            _ => Ok(due),
        }
    }

    /// Was this step not tried yet, or is it due again?
    pub(crate) fn is_due(&self, step: &Step, now: Timestamp) -> bool {
        let tried = self.tries.get(&step.key());
        tried.is_none_or(|tried| tried.again_at <= now)
    }

    /// Was this step tried before, in vain?
    pub(crate) fn was_tried(&self, step: &Step) -> bool {
        self.tries.contains_key(&step.key())
    }

    /// In how long the first of the steps that were tried may be tried again.
    pub(crate) fn tries_again_in(&self, now: Timestamp) -> SignedDuration {
        let first = self.tries.values().map(|tried| tried.again_at).min();
        first.map_or(SignedDuration::ZERO, |at| at.duration_since(now))
    }

    /// How long to pause until the next look is due, and what it is for: each
    /// wait has its own pace, and only what is due is looked at. `saw` says what
    /// the last look was at: what was due and was not seen is due still.
    pub(crate) fn pause<'a>(
        &mut self,
        waits: &'a [Wait],
        now: Timestamp,
        saw: impl Fn(&Reason) -> bool,
    ) -> (SignedDuration, Vec<&'a Reason>) {
        let keys: Vec<String> = waits.iter().map(|w| paced_by(&w.reason)).collect();
        // A look that saw only a part says nothing about what else is waited for.
        let is_blind = |wait: &Wait| matches!(wait.reason, Reason::Unknown { .. });
        let is_blind = waits.iter().any(is_blind);
        self.waits.retain(|key, waited| {
            let age = now.duration_since(waited.look_at);
            keys.contains(key) || is_blind && age < KEPT_UNSEEN
        });
        for (wait, key) in waits.iter().zip(&keys) {
            let waited = self.waits.entry(key.clone()).or_insert(Waited {
                began: now,
                looks: 0,
                progress: None,
                look_at: now,
                pause: 0.0,
            });
            let is_new = waited.looks == 0;
            if is_new || waited.look_at <= now && saw(&wait.reason) {
                let jitter = 1.0 + JITTER * (fastrand::f64() - 0.5);
                let pause = one_pause(wait, waited, now) * jitter;
                waited.look_at = later(now, pause);
                waited.pause = pause;
                waited.looks = waited.looks.saturating_add(1);
            }
        }
        let look_at = |key: &String| self.waits.get(key).map(|waited| waited.look_at);
        let Some(first) = keys.iter().filter_map(look_at).min() else {
            return (seconds(1.0), Vec::new());
        };
        let first = first.max(now);
        let pause = first.duration_since(now);
        // What would be due a little later is looked at along with the first, and
        // from then on with it.
        let along =
            |w: &&mut Waited| w.look_at <= later(first, TOGETHER.max(w.pause * SOONER_SHARE));
        let mut due = Vec::new();
        for (wait, key) in waits.iter().zip(&keys) {
            if let Some(waited) = self.waits.get_mut(key).filter(along) {
                waited.look_at = first;
                due.push(&wait.reason);
            }
        }
        (pause, due)
    }
}

/// What cannot be read differs from look to look where AWS answers now and then:
/// that makes no new wait, which would be looked at at once.
fn paced_by(reason: &Reason) -> String {
    match reason {
        Reason::Unknown { .. } => "unknown".to_owned(),
        other => other.key(),
    }
}

fn one_pause(wait: &Wait, waited: &mut Waited, now: Timestamp) -> f64 {
    if let Reason::Snapshotting { progress, .. } = wait.reason {
        return until_snapshot(progress, wait.since, waited, now);
    }
    let pace = pace(&wait.reason);
    // What has lasted long may be noticed a little later.
    let lasted = now.duration_since(waited.began).as_secs_f64() * LATE_SHARE;
    match waited.looks.checked_sub(1) {
        None => pace.first,
        Some(n) => (pace.step * GROWTH.powi(i32::try_from(n).unwrap_or(i32::MAX)))
            .min(pace.most.max(lasted.min(LATE_MOST))),
    }
}

/// A snapshot reports how far it is. The look comes a little before the end
/// that this promises, and the pauses shrink with what is left.
fn until_snapshot(
    progress: u8,
    started: Option<Timestamp>,
    waited: &mut Waited,
    now: Timestamp,
) -> f64 {
    let elapsed = started.map_or(1.0, |at| now.duration_since(at).as_secs_f64().max(0.5));
    let moved = waited.progress.is_none_or(|(before, _)| before != progress);
    if moved {
        waited.progress = Some((progress, now));
    }
    // Below a few percent the forecast is noise.
    if progress < 5 || !moved {
        return (elapsed * 0.1).clamp(2.0, 15.0);
    }
    let done = f64::from(progress);
    let left = elapsed * (100.0 - done) / done;
    (left * 0.93).clamp(2.0, 120.0)
}

fn pace(reason: &Reason) -> Pace {
    let (first, step, most) = match reason {
        Reason::Creating { .. } | Reason::Attaching { .. } | Reason::Detaching { .. } => {
            (0.6, 0.8, 5.0)
        }
        // On this machine: looking costs no call.
        Reason::DiskAppears { .. } | Reason::Health { .. } => (0.2, 0.2, 2.0),
        Reason::Lifecycle { .. } | Reason::HolderBoots { .. } => (1.0, 1.0, 5.0),
        Reason::PredecessorLetsGo { .. } | Reason::Fencing { .. } => (1.0, 1.0, 5.0),
        Reason::Lagging { .. } => (1.0, 1.5, 15.0),
        Reason::NoHolder | Reason::AnotherRunner { .. } => (2.0, 2.0, 10.0),
        // Nothing to do before its end, which the wait names.
        Reason::AgentServes => (5.0, 5.0, 30.0),
        Reason::Confirming { .. } => (5.0, 5.0, 15.0),
        Reason::Unknown { .. } => (1.0, 1.0, 30.0),
        Reason::Flapping { .. } => (15.0, 15.0, 60.0),
        Reason::Hold(_) => (5.0, 5.0, 60.0),
        Reason::Snapshotting { .. } => (1.0, 1.0, 15.0),
    };
    Pace { first, step, most }
}

/// How long what a step begins takes as a rule: looking much sooner is a call
/// for nothing. None where the next look cannot wait.
pub(crate) fn takes_about(step: &Step) -> Option<SignedDuration> {
    match step {
        Step::CreateVolume { .. } => Some(seconds(1.5)),
        Step::Attach { .. }
        | Step::Detach { .. }
        | Step::Displace { .. }
        | Step::TakeBack { .. } => Some(seconds(1.6)),
        Step::Fence { .. } => Some(seconds(5.0)),
        // Even a read by id does not see it at once.
        Step::Capture { .. } => Some(seconds(0.9)),
        Step::Complete { .. } => Some(seconds(0.5)),
        Step::Quiesce | Step::Format { .. } | Step::Mount { .. } | Step::StartWorkload => None,
        _ => Some(SignedDuration::ZERO),
    }
}

/// The first pause before the same step is tried again, in seconds. Auto
/// Scaling's describes lag behind a completed action.
fn try_first(step: &Step) -> f64 {
    match step {
        Step::Complete { .. } => 3.0,
        _ => 0.6,
    }
}

/// Is this so soon after a look that follows this pause that the look can wait
/// for it?
pub(crate) fn is_soon_after(at: Timestamp, look: Timestamp, pause: SignedDuration) -> bool {
    at <= later(look, TOGETHER.max(pause.as_secs_f64() * LATER_SHARE))
}

fn later(now: Timestamp, by_seconds: f64) -> Timestamp {
    now.checked_add(seconds(by_seconds))
        .unwrap_or(Timestamp::MAX)
}

fn seconds(seconds: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::from_secs(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    fn at(second: f64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, second)
    }

    fn wait(reason: Reason) -> Wait {
        Wait {
            reason,
            since: None,
            until: None,
        }
    }

    fn unknown(what: &'static str) -> Wait {
        let why = "AWS gave no answer".to_owned();
        wait(Reason::Unknown { what, why })
    }

    fn fencing() -> Wait {
        let instance = "i-1".into();
        wait(Reason::Fencing { instance })
    }

    /// The pauses between looks that show these waits, from `second` on.
    fn pauses(patience: &mut Patience, second: &mut f64, looks: &[&[Wait]]) -> Vec<f64> {
        let mut pauses = Vec::new();
        for waits in looks {
            let (pause, _) = patience.pause(waits, at(*second), |_| true);
            pauses.push(pause.as_secs_f64());
            *second += pause.as_secs_f64();
        }
        pauses
    }

    #[test]
    fn pauses_grow_and_not_without_end() {
        let waits = [fencing()];
        let looks = vec![waits.as_slice(); 400];
        let pauses = pauses(&mut Patience::default(), &mut 0.0, &looks);
        assert!((0.9..=1.1).contains(&pauses[0]), "{pauses:?}");
        assert!((4.5..=5.5).contains(&pauses[10]), "{pauses:?}");
        let longest = pauses.into_iter().fold(0.0, f64::max);
        assert!((LATE_MOST * 0.95..=LATE_MOST * 1.05).contains(&longest));
    }

    /// Where AWS answers now and then, another part is missing at each look.
    #[test]
    fn what_cannot_be_read_is_one_wait_whatever_it_is() {
        let (volumes, group) = ([unknown("volumes")], [unknown("group")]);
        let looks = [volumes.as_slice(), group.as_slice()].repeat(6);
        let pauses = pauses(&mut Patience::default(), &mut 0.0, &looks);
        assert!(pauses[0] < 1.1 && pauses[11] > 25.0, "{pauses:?}");
    }

    #[test]
    fn a_look_that_saw_a_part_forgets_no_wait() {
        let (seen, blind) = ([fencing()], [unknown("instances")]);
        let (mut patience, mut second) = (Patience::default(), 0.0);
        pauses(&mut patience, &mut second, &[seen.as_slice(); 8]);
        let after_a_blind_one = [blind.as_slice(), seen.as_slice()];
        let after = pauses(&mut patience, &mut second, &after_a_blind_one);
        assert!(after[0] < 1.1 && after[1] > 2.0, "{after:?}");
        // One that saw everything, and not this: it is over.
        let clear = [[].as_slice(), seen.as_slice()];
        let anew = pauses(&mut patience, &mut second, &clear);
        assert!(anew[1] < 1.1, "{anew:?}");
    }

    #[test]
    fn what_is_due_a_little_later_is_looked_at_along() {
        let (mut patience, mut second) = (Patience::default(), 0.0);
        let old = [fencing()];
        pauses(&mut patience, &mut second, &[old.as_slice(); 8]);
        let holder_boots = || Reason::HolderBoots {
            instance: "i-2".into(),
        };
        let both = [fencing(), wait(holder_boots())];
        // The new one is due first, and alone; in the end both are, at once.
        let (pause, due) = patience.pause(&both, at(second), |_| true);
        assert!(pause.as_secs_f64() < 1.1 && due == [&both[1].reason]);
        second += pause.as_secs_f64();
        pauses(&mut patience, &mut second, &[both.as_slice(); 30]);
        let (_, due) = patience.pause(&both, at(second), |_| true);
        assert_eq!(due, [&both[0].reason, &both[1].reason]);
    }
}
