//! If the zone went down now, how much would be lost? The age of the newest
//! restorable set against what the policy promises.

use jiff::{SignedDuration, Timestamp};

use super::facts::Facts;
use super::finding::{Finding, Part, Sheet};
use super::hooks::span;
use super::mend::{Command, advice, rehome};
use crate::plan::{self, SetSeen};
use crate::spec::GroupSpec;
use crate::world::Standing;

/// What the upload of a set may take before it counts as late.
const UPLOAD: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn judge(facts: &Facts, spec: &GroupSpec, now: Timestamp) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Snapshots);
    if spec.volumes.is_empty() {
        return sheet.done();
    }
    objectives(&mut sheet, spec);
    if sheet.known("snapshots", &facts.world.snapshots).is_some()
        && let Some(sets) = plan::sets(&facts.world, spec)
    {
        age(&mut sheet, facts, spec, &sets, now);
        failed(&mut sheet, facts);
    }
    sheet.done()
}

fn objectives(sheet: &mut Sheet, spec: &GroupSpec) {
    let (every, most) = (spec.policy.snapshot_every, spec.policy.max_data_loss);
    let says = format!(
        "a set every {}, and {} may be lost",
        span(every),
        span(most)
    );
    if every >= most {
        sheet.warning(
            "objectives",
            says,
            "just before the next set is complete, more would be lost than may be: an outage at \
             that moment waits for a person",
            advice("make snapshot_every shorter than max_data_loss, by the time an upload takes"),
        );
    } else {
        sheet.right("objectives", says);
    }
}

fn age(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, sets: &[SetSeen], now: Timestamp) {
    let policy = &spec.policy;
    let mut own = sets.iter().filter(|set| set.newest_lineage);
    let Some(newest) = own.find(|set| set.complete) else {
        return none_complete(sheet, facts, spec, sets, now);
    };
    let age = now.duration_since(newest.started);
    let late = policy
        .snapshot_every
        .saturating_add(policy.snapshot_every)
        .saturating_add(UPLOAD);
    let says = format!(
        "the newest complete set holds the data of {} ago ({:.0})",
        span(age),
        newest.started
    );
    if age > policy.max_data_loss {
        sheet.wrong(
            "snapshot-age",
            says,
            format!(
                "if the zone failed now, more than {} would be lost: rehome would wait for a person",
                span(policy.max_data_loss)
            ),
            take(spec),
        );
    } else if age > late {
        sheet.warning(
            "snapshot-age",
            says,
            format!(
                "nobody takes them every {}: the daemon does not run, or is not allowed to",
                span(policy.snapshot_every)
            ),
            take(spec),
        );
    } else {
        sheet.right("snapshot-age", says);
    }
}

fn none_complete(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    sets: &[SetSeen],
    now: Timestamp,
) {
    let Some(since) = in_use_since(facts) else {
        let known = facts.world.volumes.known();
        if known.is_some_and(|volumes| volumes.is_empty()) && sets.is_empty() {
            sheet.right("snapshot-age", "there is no data yet");
        } else {
            sheet.warning(
                "snapshot-age",
                "there is no complete set yet",
                "if the zone failed now, there would be nothing to restore",
                take(spec),
            );
        }
        return;
    };
    let says = format!(
        "no set is complete, {} after the term began",
        span(now.duration_since(since))
    );
    let due = spec.policy.snapshot_every.saturating_add(UPLOAD);
    let risk = "if the zone failed now, there would be nothing to restore";
    if now.duration_since(since) > due.max(spec.policy.max_data_loss) {
        sheet.wrong("snapshot-age", says, risk, take(spec));
    } else {
        sheet.warning("snapshot-age", says, risk, take(spec));
    }
}

fn in_use_since(facts: &Facts) -> Option<Timestamp> {
    let volumes = facts.world.volumes.known()?;
    let terms = volumes
        .values()
        .filter_map(|volume| match &volume.standing {
            Standing::Active(Some(term)) => Some(term.since),
            _ => None,
        });
    terms.max()
}

fn failed(sheet: &mut Sheet, facts: &Facts) {
    let all = facts.world.snapshots.known().into_iter().flatten();
    let unusable: Vec<&str> = all
        .filter(|(_, snapshot)| !snapshot.state.is_usable())
        .map(|(id, _)| id.as_str())
        .collect();
    if let Some(first) = unusable.first() {
        sheet.warning(
            "snapshot-state",
            format!(
                "failed, archived or in the recycle bin: {}",
                unusable.join(", ")
            ),
            "failed snapshots count towards the five a volume may have under way",
            super::mend::aws("ec2 describe-snapshots").with("snapshot-ids", first),
        );
    }
}

fn take(spec: &GroupSpec) -> Command {
    rehome(&format!("snapshot {} --config FILE --wait", spec.name))
}
