//! What is used when the newest data is out of reach, if anything may be.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::lineage::{Lineage, Set, sets};
use super::make::{Next, blank, restored};
use super::scene::{Heir, Scene};
use super::step::{Hold, Plan};
use crate::ids::VolumeName;
use crate::world::{Lifecycle, Standing};

/// The newest complete set, if what it loses is within what a person allowed.
pub(super) fn older_set<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    name: &VolumeName,
    plan: &mut Plan,
) -> Option<Set<'a>> {
    let complete: Vec<Set<'a>> = sets(&scene.lineages)
        .into_iter()
        .filter(Set::is_complete)
        .collect();
    let set_started = complete.first().map(|s| s.started);
    // What an older lineage lost is not known: its last set may be young and
    // its data old. So only the newest lineage is taken without a person.
    let newest = complete
        .into_iter()
        .find(|s| s.is_newest_lineage || heeds_no_lineage());
    let set_started = newest.as_ref().map_or(set_started, |s| Some(s.started));
    let loses = newest
        .as_ref()
        .map(|set| last_write(scene, heir).duration_since(set.started));
    let allowed = loses.is_some_and(|l| l <= scene.spec.policy.max_data_loss || heeds_no_loss());
    if allowed {
        return newest;
    }
    plan.hold(Hold::DataLoss {
        volume: name.clone(),
        newest_set: set_started,
        loses_seconds: loses.map(|l| l.as_secs()),
    });
    None
}

#[cfg(feature = "mutants")]
fn heeds_no_lineage() -> bool {
    super::mutant::is(super::mutant::Mutant::NewestByStartTime) || heeds_no_loss()
}

#[cfg(not(feature = "mutants"))]
const fn heeds_no_lineage() -> bool {
    false
}

#[cfg(feature = "mutants")]
fn heeds_no_loss() -> bool {
    super::mutant::is(super::mutant::Mutant::IgnoreDataLoss)
}

#[cfg(not(feature = "mutants"))]
const fn heeds_no_loss() -> bool {
    false
}

/// Until when the lost data may have been written: until the heir was called,
/// if that is known, it never served and no predecessor runs on; else until now. A predecessor
/// that was started once more wrote no longer than until it was captured.
fn last_write(scene: &Scene<'_>, heir: Heir<'_>) -> Timestamp {
    let called = match heir.called() {
        Some(called)
            if !runs_on(scene, heir)
                && !has_served(scene, heir)
                && scene.served_until().is_none() =>
        {
            called
        }
        _ => return scene.now,
    };
    let lineages = || scene.lineages.values();
    let started_again = lineages()
        .filter_map(|lineage| scene.up_since(lineage.current?))
        .any(|up| up > called);
    let captured = lineages()
        .flat_map(Lineage::captures)
        .map(|(_, s)| s.started);
    match captured.max() {
        Some(captured) => captured.max(called),
        None if started_again => scene.now,
        None => called,
    }
}

/// Is a predecessor up that still has the newest data?
fn runs_on(scene: &Scene<'_>, heir: Heir<'_>) -> bool {
    let currents = scene.lineages.values().filter_map(|l| l.current);
    currents
        .flat_map(|v| &v.attachments)
        .filter(|a| a.instance != *heir.id)
        .filter_map(|a| scene.instances.get(&a.instance))
        .any(|i| !i.state.is_down())
}

/// What an appointed heir holds already, it may have written itself.
fn has_served(scene: &Scene<'_>, heir: Heir<'_>) -> bool {
    if heir.appointed.is_none() {
        return heir.member.lifecycle == Lifecycle::InService;
    }
    let mut currents = scene.lineages.values().filter_map(|l| l.current);
    currents.any(|v| matches!(&v.standing, Standing::Active(Some(t)) if t.holder == *heir.id))
}

/// All volumes of one set, or none: half of an older state is no state.
pub(super) fn restore_set<'a>(
    scene: &Scene<'a>,
    heir: Heir<'a>,
    set: &Set<'a>,
    plan: &mut Plan,
) -> BTreeMap<&'a VolumeName, Next<'a>> {
    plan.forsakes = true;
    let mut wanted = BTreeMap::new();
    for (spec, lineage) in scene.volumes_in_order() {
        let next = match set.snapshots.get(&spec.name) {
            Some(snapshot) => {
                #[cfg(feature = "mutants")]
                let snapshot = &super::mutant::mixed(lineage, snapshot);
                let model = lineage.current;
                restored(
                    scene,
                    heir,
                    spec,
                    lineage,
                    &snapshot.id,
                    model.map_or(&snapshot.shape, |v| &v.shape),
                    model.map_or(&snapshot.tags, |v| &v.tags),
                )
            }
            // It joined the group later and never had data.
            None => blank(scene, heir, spec, lineage, plan),
        };
        wanted.insert(&spec.name, next);
    }
    wanted
}
