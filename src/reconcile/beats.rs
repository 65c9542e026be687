//! Which open lifecycle actions are heartbeated, and when?

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::later;
use crate::plan::{Action, Plan};
use crate::world::Group;

/// An action that was opened since the last look is heartbeated this soon.
const FIRST_BEAT: SignedDuration = SignedDuration::from_secs(60);
/// The shortest heartbeat time-out that Auto Scaling allows.
const SHORTEST: SignedDuration = SignedDuration::from_secs(30);

/// The actions that this runner keeps open.
#[derive(Debug)]
pub(super) struct Beats {
    first: SignedDuration,
    open: BTreeMap<Action, Beat>,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    due: Timestamp,
    every: SignedDuration,
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
    /// a look in three that fails must not begin its time anew.
    pub(super) fn due(
        &mut self,
        plan: &Plan,
        group: Option<&Group>,
        now: Timestamp,
    ) -> Vec<Action> {
        if let Some(group) = group {
            self.open
                .retain(|action, _| plan.keep_open.contains(action));
            for action in &plan.keep_open {
                let every = period(group, action);
                let due = later(now, every.min(self.first));
                let new = Beat { due, every };
                self.open.entry(action.clone()).or_insert(new).every = every;
            }
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
}
