//! `rehome drill --crashes`: the same story again and again, a runner killed at
//! another call each time, before and after it; or at two calls.

use std::fmt::Write as _;

use super::drill::{DrillError, quietly, spread};
use crate::drill::blows::{Blow, When};
use crate::drill::rehearse_struck;
use crate::drill::scenario::Scenario;
use crate::report::{Rehearsal, terminal};

/// How many failures of one scenario are told.
const TOLD: usize = 5;

/// What came of one scenario.
#[derive(Debug)]
pub struct Explored {
    /// The calls at which a runner could be struck.
    pub points: u64,
    pub runs: usize,
    /// The blows that broke something, and what.
    pub broken: Vec<(Vec<Blow>, Vec<String>)>,
}

/// Every single point, or every pair of them.
///
/// # Errors
/// When a drill cannot be started.
pub fn explore(scenario: &Scenario, seed: u64, pairs: bool) -> Result<Explored, DrillError> {
    let (clean, blows) = one(scenario, seed, &[])?;
    let points = blows.calls();
    if !clean.succeeded() {
        let faults = terminal::faults(&clean);
        return Ok(Explored {
            points,
            runs: 1,
            broken: vec![(Vec::new(), faults)],
        });
    }
    let plans = if pairs {
        all_pairs(points)
    } else {
        singles(points)
    };
    let results = spread(plans.len(), |index| {
        let plan = plans.get(index).cloned().unwrap_or_default();
        let (rehearsal, _) = one(scenario, seed, &plan)?;
        let faults = (!rehearsal.succeeded()).then(|| terminal::faults(&rehearsal));
        Ok(faults.map(|faults| (plan, faults)))
    });
    let broken = results
        .into_iter()
        .collect::<Result<Vec<_>, DrillError>>()?;
    Ok(Explored {
        points,
        runs: plans.len(),
        broken: broken.into_iter().flatten().collect(),
    })
}

fn singles(points: u64) -> Vec<Vec<Blow>> {
    both_ways(1..=points).map(|blow| vec![blow]).collect()
}

/// The second blow counts the calls of the story as the first one left it, in
/// which a few may be made again.
fn all_pairs(points: u64) -> Vec<Vec<Blow>> {
    let firsts = both_ways(1..=points);
    firsts
        .flat_map(|first| {
            let seconds = both_ways(first.call + 1..=points.saturating_add(points / 4));
            seconds.map(move |second| vec![first, second])
        })
        .collect()
}

fn both_ways(calls: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Blow> {
    calls.flat_map(|call| [When::Before, When::After].map(|when| Blow { call, when }))
}

fn one(
    scenario: &Scenario,
    seed: u64,
    plan: &[Blow],
) -> Result<(Rehearsal, crate::drill::blows::Blows), DrillError> {
    quietly(|| rehearse_struck(scenario, seed, plan)).map_err(|source| DrillError::Io {
        what: "cannot start a drill".to_owned(),
        source,
    })
}

/// A line for each scenario, and how to see each failure again.
pub(super) fn report(name: &str, seed: u64, explored: &Explored) -> String {
    let good = explored.runs.saturating_sub(explored.broken.len());
    let mut text = format!(
        "{name:<16} {} points, {good}/{} good\n",
        explored.points, explored.runs
    );
    for (plan, faults) in explored.broken.iter().take(TOLD) {
        let strikes: Vec<String> = plan.iter().map(ToString::to_string).collect();
        let strikes = strikes.join(",");
        let _ = writeln!(
            text,
            "  rehome drill --scenario {name} --seed {seed} --strike {strikes}\n    {}",
            faults.join("; ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_struck_both_ways_and_every_pair_once() {
        assert_eq!(singles(3).len(), 6);
        let pairs = all_pairs(4);
        // 4 calls, and one more that the first blow may cause.
        assert_eq!(pairs.len(), (4 + 3 + 2 + 1) * 4);
        let distinct: std::collections::BTreeSet<_> = pairs.iter().collect();
        assert_eq!(distinct.len(), pairs.len());
    }
}
