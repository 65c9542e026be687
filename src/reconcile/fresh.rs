//! How old may a look be that a step rests on?

use jiff::{SignedDuration, Timestamp};

use super::Memory;
use crate::aws::Focus;
use crate::plan::Step;
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
