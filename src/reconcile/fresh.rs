//! How old may a look be that a step rests on?

use jiff::{SignedDuration, Timestamp};

use super::Memory;
use crate::aws::Focus;
use crate::plan::{Plan, Step};
use crate::world::Transition;

/// Something blank is made, an older set is restored, something is deleted, an
/// address is moved, somebody is fenced only on a look at everything this young.
const FRESH: SignedDuration = SignedDuration::from_secs(15);

impl Memory {
    pub(super) fn note_look(&mut self, now: Timestamp) {
        self.looks
            .retain(|(at, _)| now.duration_since(*at) <= FRESH);
        self.looks.push((now, self.focus));
    }

    /// Was the last look one at everything, or such a look not long ago?
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        self.is_fresh_of(Focus::ALL, now)
    }

    /// Was all of this looked at last, or not long ago? (That a look took long must not
    /// keep a runner looking for ever.) Looks at each part are not one at everything:
    /// what nobody knows of yet shows in that alone.
    pub(super) fn is_fresh_of(&self, parts: Focus, now: Timestamp) -> bool {
        let recent = self.looks.iter();
        let recent = recent.filter(|(at, _)| now.duration_since(*at) <= FRESH);
        let mut seen = recent.map(|(_, focus)| *focus).chain([self.focus]);
        if parts.is_all() {
            seen.any(Focus::is_all)
        } else {
            seen.fold(Focus::NONE, Focus::union).covers(parts)
        }
    }

    /// Is nothing older used, or did two looks at everything in a row say that it has
    /// to be? A zone that comes back during a look shows in a part of it only.
    pub(super) fn is_sure_to_forsake(&mut self, plan: &Plan) -> bool {
        let forsakes = plan.forsakes && plan.steps.iter().any(uses_older_data);
        let saw_all = self.focus.is_all();
        let forsook = std::mem::replace(&mut self.forsook, forsakes && saw_all);
        !forsakes || forsook && saw_all
    }

    /// What these steps rest on that must not be old.
    pub(super) fn rest_on<'a>(
        &self,
        steps: impl Iterator<Item = &'a Step>,
        forsakes: bool,
    ) -> Focus {
        steps
            .map(|step| match step {
                // What was waited for shows no address that others moved meanwhile.
                Step::Complete { action } if action.transition == Transition::Launch => {
                    Focus::ADDRESSES
                }
                // A dark zone obeys for hours to nothing: who is to be fenced was found
                // out by a look at everything when it was first tried.
                Step::Fence { .. } if self.patience.was_tried(step) => Focus::KEEPERS,
                _ if needs_full_look(step, forsakes) => Focus::ALL,
                _ => Focus::NONE,
            })
            .fold(Focus::NONE, Focus::union)
    }
}

/// In a plan that forsakes the newest data.
pub(super) fn uses_older_data(step: &Step) -> bool {
    matches!(step, Step::CreateVolume { .. } | Step::Activate { .. })
}

/// What cannot be taken back rests on a look at everything, not on memory. (A
/// term that begins is checked against the group's marker, and against all
/// volumes in use, by the step itself.)
fn needs_full_look(step: &Step, forsakes: bool) -> bool {
    forsakes && uses_older_data(step)
        || matches!(
            step,
            Step::CreateVolume { source: None, .. }
                | Step::Fence { .. }
                | Step::Associate { .. }
                | Step::DeleteVolume { .. }
                | Step::DeleteSnapshot { .. }
                | Step::Supersede { .. }
                | Step::ReportUnhealthy { .. }
                | Step::Appoint { .. }
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;
    use crate::plan::step::Activation;

    /// Two zones came back while a runner looked: it saw the heir, and not yet whoever
    /// had the newest data (tale 16012280 of the swarm).
    #[test]
    fn older_data_is_used_only_when_two_looks_at_everything_say_so() {
        let begin = Step::Activate {
            holder: "i-2".into(),
            since: Timestamp::UNIX_EPOCH,
            volumes: vec![Activation {
                name: "data".into(),
                volume: "vol-2".into(),
                epoch: Epoch(2),
                marked: Some(Epoch(1)),
            }],
        };
        let plan = |forsakes| Plan {
            steps: vec![begin.clone()],
            forsakes,
            ..Plan::default()
        };
        let mut memory = Memory::new();
        let mut sure = |focus, plan: &Plan| {
            memory.focus = focus;
            memory.is_sure_to_forsake(plan)
        };
        let (all, part) = (Focus::ALL, Focus::NONE);
        assert!(!sure(all, &plan(true)), "the first");
        assert!(sure(all, &plan(true)));
        assert!(!sure(part, &plan(true)), "a look at a part");
        assert!(!sure(all, &plan(true)), "and again the first");
        assert!(sure(all, &plan(false)), "the newest");
        assert!(!sure(all, &plan(true)), "in between was another answer");
        let mut harmless = plan(true);
        harmless.steps.clear();
        assert!(sure(part, &harmless));
    }
}
