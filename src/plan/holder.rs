//! Who should have the belongings?

use std::collections::BTreeMap;

use crate::ids::InstanceId;
use crate::plan::step::{Hold, Reason};
use crate::world::{Group, Instance, InstanceState, Lifecycle};

/// The answer, or why there is none.
#[derive(Debug, PartialEq)]
pub(super) enum Who {
    /// This one; and perhaps a newer one that takes over once it is ready.
    One(InstanceId, Option<InstanceId>),
    Nobody(Reason),
}

/// The one member that Auto Scaling means to keep.
///
/// Two candidates are a handover to the newer one (launch before terminate),
/// once that one is ready; until then the older keeps everything, or both
/// would wait for each other until the hook times out. Anything beyond that
/// cannot be explained, and nothing is changed.
///
/// `leaving` is the runner's own machine when it was told to go, which it may
/// know before Auto Scaling's describe does.
pub(super) fn holder(
    group: &Group,
    instances: &BTreeMap<InstanceId, Instance>,
    leaving: Option<&InstanceId>,
) -> Who {
    let candidates: Vec<&InstanceId> = group
        .members
        .iter()
        .filter(|(id, member)| {
            member.lifecycle.is_candidate() && leaving != Some(id) && !is_ending(id, instances)
        })
        .map(|(id, _)| id)
        .collect();
    if group.desired > 1 || candidates.len() > 2 {
        return Who::Nobody(Reason::Hold(Hold::TooManyMembers {
            desired: group.desired,
            candidates: candidates.len(),
        }));
    }
    match candidates.as_slice() {
        [] => Who::Nobody(Reason::NoHolder),
        [one] => Who::One((*one).clone(), None),
        several => newest_ready(group, instances, several),
    }
}

fn newest_ready(
    group: &Group,
    instances: &BTreeMap<InstanceId, Instance>,
    candidates: &[&InstanceId],
) -> Who {
    let mut by_age = Vec::new();
    for id in candidates {
        let Some(instance) = instances.get(*id) else {
            // In a dark zone: Auto Scaling has given it up, and launched the other.
            if group.members.get(*id).is_some_and(|m| !m.healthy) {
                continue;
            }
            return Who::Nobody(Reason::Unknown {
                what: "instances",
                why: format!("{id} is a member of the group, but EC2 did not describe it"),
            });
        };
        by_age.push((instance.launched, *id, instance.state));
    }
    by_age.sort();
    let ready = by_age.iter().rev().find(|(_, id, state)| {
        *state == InstanceState::Running
            && group
                .members
                .get(*id)
                .is_some_and(|member| member.lifecycle != Lifecycle::Pending)
    });
    let newest = by_age.last().map(|(_, id, _)| (*id).clone());
    match ready {
        Some((_, id, _)) => Who::One((*id).clone(), newest.filter(|newest| newest != *id)),
        None => Who::Nobody(Reason::NoHolder),
    }
}

/// EC2 already takes it away, whatever Auto Scaling still believes.
fn is_ending(id: &InstanceId, instances: &BTreeMap<InstanceId, Instance>) -> bool {
    instances.get(id).is_some_and(|instance| {
        matches!(
            instance.state,
            InstanceState::Stopping
                | InstanceState::Stopped
                | InstanceState::ShuttingDown
                | InstanceState::Terminated
        )
    })
}
