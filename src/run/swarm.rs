//! `rehome drill --swarm`: tales drawn from seeds, as many as asked for. One
//! that breaks a promise is shrunk to the lines that matter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use super::drill::{DrillError, TALE, quietly, spread};
use crate::drill::blows::Blows;
use crate::drill::scenario::{self, Scenario};
use crate::drill::swarm::{draw, name_strikes, shrink};
use crate::drill::{Way, rehearse_by};
use crate::report::{Rehearsal, terminal};

/// How many tales that went wrong are shrunk and told.
const TOLD: usize = 5;

/// What came of those that were told so far.
#[derive(Debug, Default)]
pub struct Swarmed {
    pub tales: u64,
    /// How often a service went away and came back.
    pub failovers: usize,
    pub calls: u64,
    /// The seeds of those that went wrong, with what was wrong.
    pub broken: BTreeMap<u64, Vec<String>>,
}

/// Performs the tales of these seeds. `told` hears what came of all so far, and what
/// was wrong with the last one.
///
/// # Errors
/// When a drill cannot be started.
pub fn swarm(
    first: u64,
    count: u64,
    jobs: Option<usize>,
    told: impl Fn(&Swarmed, Option<(u64, &str)>) + Sync,
) -> Result<Swarmed, DrillError> {
    let swarmed = Mutex::new(Swarmed::default());
    let tales = usize::try_from(count).unwrap_or(usize::MAX);
    let results = spread(tales, jobs, |index| {
        let seed = first.wrapping_add(index as u64);
        let rehearsal = quietly(|| perform(&tale(seed, &draw(seed))?, seed).map_err(unstarted))?.0;
        let faults = (!rehearsal.succeeded()).then(|| terminal::faults(&rehearsal));
        let wrong = faults.as_ref().and_then(|faults| faults.first()).cloned();
        let mut swarmed = swarmed.lock().unwrap_or_else(PoisonError::into_inner);
        swarmed.tales += 1;
        swarmed.failovers += rehearsal.failovers();
        swarmed.calls += rehearsal.calls();
        swarmed.broken.extend(faults.map(|faults| (seed, faults)));
        told(&swarmed, wrong.as_deref().map(|fault| (seed, fault)));
        Ok::<_, DrillError>(())
    });
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(swarmed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn perform(tale: &Scenario, seed: u64) -> std::io::Result<(Rehearsal, Blows)> {
    rehearse_by(Way::Express, tale, seed, &[])
}

fn tale(seed: u64, text: &str) -> Result<Scenario, DrillError> {
    Ok(scenario::parse(&format!("tale {seed}"), text)?)
}

fn unstarted(source: std::io::Error) -> DrillError {
    DrillError::Io {
        what: "cannot start a drill".to_owned(),
        source,
    }
}

pub(super) fn totals(swarmed: &Swarmed, seconds: f64) -> String {
    let good = swarmed.tales.saturating_sub(swarmed.broken.len() as u64);
    format!(
        "{good} of {} tales good: {} failovers, {} API calls, {seconds:.1} s\n",
        swarmed.tales, swarmed.failovers, swarmed.calls
    )
}

/// Of the first that went wrong the shortest tale that still does: one that never
/// settles takes minutes to shrink.
pub(super) fn shortest(swarmed: &Swarmed) -> String {
    let mut text = String::new();
    for (seed, faults) in swarmed.broken.iter().take(TOLD) {
        let _ = writeln!(
            text,
            "\nrehome drill --scenario {TALE}{seed} --seed {seed}\n  {}\n{}",
            faults.join("\n  "),
            shrunk(*seed, faults)
        );
    }
    if let Some(beyond) = swarmed.broken.len().checked_sub(TOLD).filter(|n| *n > 0) {
        let seeds = swarmed.broken.keys().skip(TOLD);
        let seeds: Vec<String> = seeds.map(u64::to_string).collect();
        let _ = writeln!(text, "\n{beyond} more: seeds {}", seeds.join(" "));
    }
    text
}

/// As bad means: what was wrong first is wrong still. A scenario file with these
/// lines, and the same seed, goes wrong the same way.
fn shrunk(seed: u64, faults: &[String]) -> String {
    let wrong = faults.first().map(|fault| kind(fault));
    let is_bad = |text: &str| {
        let Ok(scenario) = tale(seed, text) else {
            return false;
        };
        quietly(|| perform(&scenario, seed)).is_ok_and(|(rehearsal, _)| {
            let faults = terminal::faults(&rehearsal);
            faults.iter().any(|fault| Some(kind(fault)) == wrong)
        })
    };
    let short = shrink(&draw(seed), is_bad);
    let told = tale(seed, &short).ok().and_then(|scenario| {
        let (_, blows) = quietly(|| perform(&scenario, seed)).ok()?;
        Some(blows)
    });
    match told {
        Some(blows) => name_strikes(&short, &blows.struck),
        None => short,
    }
}

/// Which promise it is, without what was found.
fn kind(fault: &str) -> &str {
    fault.split(':').next().unwrap_or(fault)
}
