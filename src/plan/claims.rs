//! Which of several volumes that claim the newest epoch has its data?
//!
//! Two runners may each have restored a copy of the same predecessor, and each
//! begun the heir's term on its own before either saw the other's: no call of
//! AWS lets only one of them through. What the heir has at its device is then
//! what it serves from; the other was never attached. Before either is, and
//! where no agent could have let go of one, they are still alike, and every
//! runner takes the same. Everything else is for a person to say.

use crate::ids::InstanceId;
use crate::spec::GroupSpec;
use crate::world::{Group, Lifecycle, Snapshot, Standing, Term, Volume};

/// The claims, and beside them what was made for the same move and the same heir, of a
/// lower epoch. A runner whose copy failed makes another, of the next epoch, and may not
/// see yet what others made meanwhile.
pub(super) fn with_rivals<'a>(
    claims: &[&'a Volume],
    active: impl Iterator<Item = &'a Volume>,
) -> Vec<&'a Volume> {
    let claimed = |v: &&Volume| {
        let mut claims = claims.iter();
        claims.any(|claim| claim.id == v.id || are_for_one_heir(claim, v))
    };
    active.filter(claimed).collect()
}

fn are_for_one_heir(one: &Volume, other: &Volume) -> bool {
    let heir = |v: &Volume| term(v).map(|term| term.holder.clone());
    one.incident.is_some() && one.incident == other.incident && heir(one) == heir(other)
}

/// Was one of lower epoch captured, and so in use, and none of the claims? Then the epoch
/// does not say which is the newest.
pub(super) fn is_belied(claims: &[&Volume], rivals: &[&Volume], snapshots: &[&Snapshot]) -> bool {
    let was_used = |v: &&Volume| snapshots.iter().any(|s| s.volume == v.id);
    let is_claim = |v: &&Volume| claims.iter().any(|claim| claim.id == v.id);
    let mut lower = rivals.iter().filter(|v| !is_claim(v));
    lower.any(was_used) && !claims.iter().any(was_used)
}

/// The one that is right, if it can be told.
pub(super) fn winner<'a>(
    claims: &[&'a Volume],
    snapshots: &[&Snapshot],
    group: &Group,
    spec: &GroupSpec,
) -> Option<&'a Volume> {
    if let [only] = claims {
        return Some(only);
    }
    let holder = &term(claims.first()?)?.holder;
    let of_one = |v: &&Volume| term(v).is_some_and(|term| term.holder == *holder);
    if !claims.iter().all(of_one) {
        return None;
    }
    let mut in_use = claims.iter().filter(|v| !v.attachments.is_empty());
    match (in_use.next(), in_use.next()) {
        (Some(only), None) => Some(only).filter(|v| is_on(v, holder)).copied(),
        (None, _) if is_unused(claims, holder, snapshots, group, spec) => {
            let began = |v: &&&Volume| (term(v).map(|term| term.since), v.id.clone());
            claims.iter().min_by_key(began).copied()
        }
        _ => None,
    }
}

fn term(volume: &Volume) -> Option<&Term> {
    match &volume.standing {
        Standing::Active(term) => term.as_ref(),
        Standing::New | Standing::Superseded => None,
    }
}

fn is_on(volume: &Volume, holder: &InstanceId) -> bool {
    volume.attachments.iter().all(|at| at.instance == *holder)
}

/// None of them was let go of, or captured: they were not attached yet.
fn is_unused(
    claims: &[&Volume],
    holder: &InstanceId,
    snapshots: &[&Snapshot],
    group: &Group,
    spec: &GroupSpec,
) -> bool {
    let stays = |lifecycle: &Lifecycle| lifecycle.is_candidate();
    let member = group.members.get(holder);
    let captured = |v: &&Volume| snapshots.iter().any(|s| s.volume == v.id);
    !spec.agent && member.is_some_and(|m| stays(&m.lifecycle)) && !claims.iter().any(captured)
}
