//! Which open lifecycle actions are heartbeated, and when?

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::later;
use crate::plan::{Action, Plan};
use crate::world::Group;

/// An action that was opened since the last look is heartbeated this soon.
const FIRST_BEAT: SignedDuration = SignedDuration::from_secs(60);
/// What fails is sent again in this part of the time between two…
const AGAIN: i32 = 4;
/// … and no sooner than this: whoever is in the dark fails each time.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// The shortest heartbeat time-out that Auto Scaling allows.
const SHORTEST: SignedDuration = SignedDuration::from_secs(30);

/// The actions that this runner keeps open.
#[derive(Debug)]
pub(super) struct Beats {
    first: SignedDuration,
    open: BTreeMap<Action, Beat>,
}

/// What became of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beaten {
    Arrived,
    Failed,
    /// Auto Scaling knows of no such open action.
    NotOpen,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    due: Timestamp,
    every: SignedDuration,
    /// Auto Scaling knew nothing of it when it was heartbeated last.
    is_closed: bool,
}

impl Beats {
    /// Of a runner that has not looked yet. What is open at its first look may be so
    /// for long: whoever boots slowly, or is started again, cannot tell, so that it is
    /// heartbeated at once.
    pub(super) const fn new() -> Self {
        Self {
            first: SignedDuration::ZERO,
            open: BTreeMap::new(),
        }
    }

    /// Keeps open what must stay open: three beats in every period. `group` is what
    /// the last look showed of it. Where that was nothing, what was open is open still:
    /// a look in three that fails must not begin its time anew. It ends when Auto
    /// Scaling says so, as of a group that is gone.
    pub(super) fn due(
        &mut self,
        plan: &Plan,
        group: Option<&Group>,
        now: Timestamp,
    ) -> Vec<Action> {
        match group {
            Some(group) => self.see(plan, group, now),
            None => self.open.retain(|_, beat| !beat.is_closed),
        }
        let mut actions = Vec::new();
        for (action, beat) in &mut self.open {
            if now >= beat.due {
                beat.due = later(now, beat.every);
                actions.push(action.clone());
            }
        }
        actions
    }

    fn see(&mut self, plan: &Plan, group: &Group, now: Timestamp) {
        let is_open = |action: &Action| plan.keep_open.contains(action);
        self.open.retain(|action, _| is_open(action));
        for action in &plan.keep_open {
            let every = period(group, action);
            let due = later(now, every.min(self.first));
            let due = self.open.get(action).map_or(due, |beat| beat.due);
            let beat = Beat {
                due,
                every,
                is_closed: false,
            };
            self.open.insert(action.clone(), beat);
        }
    }

    /// Two in a row that fail would leave no time for a third: one that failed comes
    /// again much sooner. True: one turned out to be closed, of which no look told.
    pub(super) fn note(&mut self, beaten: &[(Action, Beaten)], now: Timestamp) -> bool {
        let mut is_news = false;
        for (action, how) in beaten {
            let Some(beat) = self.open.get_mut(action) else {
                continue;
            };
            beat.is_closed = *how == Beaten::NotOpen;
            is_news |= beat.is_closed;
            if *how == Beaten::Failed {
                let pause = (beat.every / AGAIN).max(AGAIN_AFTER);
                beat.due = beat.due.min(later(now, pause));
            }
        }
        is_news
    }

    /// From a look that showed the group on, what is found open was opened since the
    /// look before.
    pub(super) fn has_seen(&mut self, group: Option<&Group>) {
        if group.is_some() {
            self.first = FIRST_BEAT;
        }
    }

    /// When each of them is due.
    pub(super) fn dues(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.open.values().map(|beat| beat.due)
    }

    pub(super) fn shortest(&self) -> Option<SignedDuration> {
        self.open.values().map(|beat| beat.every).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What would be heartbeated within this time is heartbeated now.
    pub(super) fn bring_forward(&mut self, now: Timestamp, away: SignedDuration) {
        let back = later(now, away);
        for beat in self.open.values_mut().filter(|beat| beat.due < back) {
            beat.due = now;
        }
    }
}

/// A third of the hook's period; of the shortest one allowed, if unknown.
fn period(group: &Group, action: &Action) -> SignedDuration {
    let mut hooks = group.hooks.iter();
    let hook = hooks.find(|hook| hook.name == action.hook);
    hook.map_or(SHORTEST, |hook| hook.heartbeat) / 3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;
    use crate::world::{Hook, Transition};

    fn at(second: i64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, SignedDuration::from_secs(second))
    }

    fn group() -> Group {
        Group {
            hooks: vec![Hook {
                name: "launch".to_owned(),
                transition: Transition::Launch,
                heartbeat: SignedDuration::from_secs(300),
            }],
            ..Group::default()
        }
    }

    fn open(hook: &str) -> Plan {
        let mut plan = Plan::default();
        plan.keep_open.push(Action {
            hook: hook.to_owned(),
            transition: Transition::Launch,
            instance: "i-1".into(),
        });
        plan
    }

    /// When something is heartbeated, of looks at these seconds.
    fn beaten(beats: &mut Beats, looks: &[(i64, &Plan, bool)]) -> Vec<i64> {
        let group = group();
        let mut beaten = Vec::new();
        for (second, plan, seen) in looks {
            let group = Some(&group).filter(|_| *seen);
            if !beats.due(plan, group, at(*second)).is_empty() {
                beaten.push(*second);
            }
            beats.has_seen(group);
        }
        beaten
    }

    #[test]
    fn what_is_open_is_heartbeated_three_times_in_its_period() {
        let plan = open("launch");
        let looks: Vec<_> = (0..=400)
            .step_by(10)
            .map(|second| (second, &plan, true))
            .collect();
        // At once by whoever comes; later, soon after it was opened.
        assert_eq!(beaten(&mut Beats::new(), &looks), [0, 100, 200, 300, 400]);
        let mut beats = Beats::new();
        beats.has_seen(Some(&group()));
        assert_eq!(beaten(&mut beats, &looks), [60, 160, 260, 360]);
        // Of a hook that nobody sees it is not known how long that lets it wait.
        let unknown = open("another");
        assert_eq!(
            beaten(
                &mut Beats::new(),
                &[(0, &unknown, true), (10, &unknown, true)]
            ),
            [0, 10]
        );
    }

    #[test]
    fn what_was_open_is_heartbeated_while_the_group_is_not_to_be_seen() {
        let (plan, nothing) = (open("launch"), Plan::default());
        // Every other look fails, and each that does not comes after one that did.
        let looks: Vec<_> = (0..=400)
            .step_by(30)
            .map(|second| match second % 60 {
                0 => (second, &plan, true),
                _ => (second, &nothing, false),
            })
            .collect();
        let mut beats = Beats::new();
        assert_eq!(beaten(&mut beats, &looks), [0, 120, 240, 360]);
        // Once it is seen that it is over, nothing is.
        assert!(beaten(&mut beats, &[(600, &nothing, true)]).is_empty());
        assert!(beats.is_empty());
    }

    #[test]
    fn one_that_did_not_arrive_is_sent_again_soon() {
        let plan = open("launch");
        let mut beats = Beats::new();
        let looks: Vec<_> = (0..=60).step_by(5).map(|at| (at, &plan, true)).collect();
        assert_eq!(beaten(&mut beats, &looks), [0]);
        let how = |how| [(plan.keep_open[0].clone(), how)];
        assert!(!beats.note(&how(Beaten::Failed), at(60)));
        let looks: Vec<_> = (65..=200).step_by(5).map(|at| (at, &plan, true)).collect();
        assert_eq!(beaten(&mut beats, &looks), [85, 185]);
        assert!(!beats.note(&how(Beaten::Arrived), at(200)));
        assert!(beaten(&mut beats, &[(280, &plan, true)]).is_empty());
    }

    #[test]
    fn what_auto_scaling_calls_closed_is_left_alone_until_it_is_seen_open() {
        let (plan, nothing) = (open("launch"), Plan::default());
        let mut beats = Beats::new();
        assert_eq!(beaten(&mut beats, &[(0, &plan, true)]), [0]);
        let closed = [(plan.keep_open[0].clone(), Beaten::NotOpen)];
        assert!(beats.note(&closed, at(0)));
        // A describe that lags behind shows it for a while.
        assert_eq!(beaten(&mut beats, &[(100, &plan, true)]), [100]);
        assert!(beats.note(&closed, at(100)));
        assert!(beaten(&mut beats, &[(200, &nothing, false)]).is_empty());
        assert!(beats.is_empty());
    }
}
