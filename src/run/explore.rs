//! `rehome drill --crashes`, `--crash-pairs`, `--pauses`, `--interleave`: the
//! same story again and again, something else befalling its runners each time,
//! until everything of one kind has befallen them.

use std::fmt::Write as _;

use serde::Serialize;

use super::drill::{DrillError, quietly, spread};
use crate::drill::blows::{Blow, Blows, When};
use crate::drill::scenario::Scenario;
use crate::drill::{Way, rehearse_by};
use crate::report::{Rehearsal, terminal};

/// How many failures of one scenario are told.
const TOLD: usize = 5;
/// A frozen runner's call that AWS still accepts when it goes out: a request
/// is signed for five minutes.
const NODS_OFF: u32 = 240;
/// A runner that is frozen for longer than any call, plan or look may last.
const SLEEPS: u32 = 3_600;
/// By so many calls of the others a call is overtaken, or by all they make
/// before its sender gives it up.
const OVERTAKEN_BY: [u8; 7] = [1, 2, 3, 4, 5, 6, u8::MAX];

/// What befalls the runners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// One is killed, before and after each call.
    Crashes,
    /// Two are, at every two calls.
    CrashPairs,
    /// One is frozen at each call, briefly and for an hour.
    Pauses,
    /// So many calls at most are overtaken by those of the others.
    Overtaking { bound: u8 },
}

impl What {
    /// Is it about one runner while another goes on?
    pub fn needs_company(self) -> bool {
        matches!(self, Self::Pauses | Self::Overtaking { .. })
    }
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub what: What,
    /// Only every so manieth call is the first at which something befalls
    /// anybody; which ones, the seed says.
    pub every: u64,
    /// No more than so many, spread over the story.
    pub most: Option<u64>,
    pub jobs: Option<usize>,
}

/// What came of one scenario.
#[derive(Debug, Serialize)]
pub struct Explored {
    pub scenario: String,
    pub seed: u64,
    /// The calls at which something could befall a runner, and at how many of
    /// them it did first.
    pub points: u64,
    pub covered: u64,
    pub runs: u64,
    pub broken: Vec<Broken>,
}

/// One that broke something.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// Shows it again.
    pub replay: String,
    pub faults: Vec<String>,
}

/// Everything of one kind.
///
/// # Errors
/// When a drill cannot be started.
pub fn explore(scenario: &Scenario, seed: u64, extent: Extent) -> Result<Explored, DrillError> {
    let tale = Tale { scenario, seed };
    let mut tally = Tally::default();
    let points = tale.perform(&[], &mut tally)?.calls();
    let every = extent
        .most
        .map_or(extent.every, |most| points.div_ceil(most.max(1)));
    let chosen = chosen(points, every, seed);
    let mut explored = Explored {
        scenario: scenario.name.clone(),
        seed,
        points,
        covered: 0,
        runs: tally.runs,
        broken: tally.broken,
    };
    if !explored.broken.is_empty() {
        return Ok(explored); // nothing more can be learned from it
    }
    let branches = spread(chosen.len(), extent.jobs, |index| {
        let mut tally = Tally::default();
        if let Some(call) = chosen.get(index) {
            tale.branch(extent.what, *call, points, &mut tally)?;
        }
        Ok::<_, DrillError>(tally)
    });
    for branch in branches {
        let branch: Tally = branch?;
        explored.covered += 1;
        explored.runs += branch.runs;
        explored.broken.extend(branch.broken);
    }
    Ok(explored)
}

fn chosen(points: u64, every: u64, seed: u64) -> Vec<u64> {
    let every = every.max(1);
    let offset = seed % every;
    (1..=points).filter(|call| call % every == offset).collect()
}

/// What came of a part.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    broken: Vec<Broken>,
}

#[derive(Clone, Copy)]
struct Tale<'a> {
    scenario: &'a Scenario,
    seed: u64,
}

impl Tale<'_> {
    /// All of a kind in which this is the first call at which something
    /// befalls anybody.
    fn branch(
        &self,
        what: What,
        call: u64,
        points: u64,
        tally: &mut Tally,
    ) -> Result<(), DrillError> {
        let fatal = [When::Before, When::After];
        match what {
            What::Crashes => self.each(&[], call, &fatal, tally),
            What::CrashPairs => {
                for when in fatal {
                    let first = [Blow::at_call(call, when)];
                    // In the story as the first blow leaves it a few calls may
                    // be made again.
                    for second in call + 1..=points.saturating_add(points / 4) {
                        self.each(&first, second, &fatal, tally)?;
                    }
                }
                Ok(())
            }
            What::Pauses => {
                let naps = [
                    When::FrozenBefore(NODS_OFF),
                    When::FrozenBefore(SLEEPS),
                    When::FrozenAfter(NODS_OFF),
                    When::FrozenAfter(SLEEPS),
                ];
                self.each(&[], call, &naps, tally)
            }
            What::Overtaking { bound } => self.overtake(&[], call, bound, tally),
        }
    }

    fn each(
        &self,
        before: &[Blow],
        call: u64,
        ways: &[When],
        tally: &mut Tally,
    ) -> Result<(), DrillError> {
        for when in ways {
            let blow = Blow::at_call(call, *when);
            self.perform(&[before, &[blow]].concat(), tally)?;
        }
        Ok(())
    }

    /// This call overtaken by more and more, and then a later one as well.
    fn overtake(
        &self,
        before: &[Blow],
        call: u64,
        bound: u8,
        tally: &mut Tally,
    ) -> Result<(), DrillError> {
        for calls in OVERTAKEN_BY {
            let when = When::Held(calls);
            let plan = [before, &[Blow::at_call(call, when)]].concat();
            let blows = self.perform(&plan, tally)?;
            for later in call + 1..=blows.calls() {
                if bound > 1 {
                    self.overtake(&plan, later, bound - 1, tally)?;
                }
            }
            let passed = blows.passed.get(before.len()).copied().unwrap_or_default();
            if passed < u64::from(calls) {
                break; // the others had no more to say
            }
        }
        Ok(())
    }

    fn perform(&self, plan: &[Blow], tally: &mut Tally) -> Result<Blows, DrillError> {
        let performed = quietly(|| rehearse_by(Way::Express, self.scenario, self.seed, plan));
        let (rehearsal, blows) = performed.map_err(|source| DrillError::Io {
            what: "cannot start a drill".to_owned(),
            source,
        })?;
        tally.runs += 1;
        // An instance whose runner stands still for an hour may be replaced:
        // then the story goes another way, in which the same promises hold.
        let is_good = if plan.iter().any(|blow| blow.when.is_frozen()) {
            rehearsal.settled && rehearsal.promises.iter().all(|promise| promise.held)
        } else {
            rehearsal.succeeded()
        };
        if !is_good {
            tally.broken.push(self.broken(plan, &rehearsal));
        }
        Ok(blows)
    }

    fn broken(&self, plan: &[Blow], rehearsal: &Rehearsal) -> Broken {
        let Self { scenario, seed } = self;
        let mut replay = format!("rehome drill --scenario {} --seed {seed}", scenario.name);
        if scenario.in_company {
            replay.push_str(" --second-runner");
        }
        if !plan.is_empty() {
            let strikes: Vec<String> = plan.iter().map(ToString::to_string).collect();
            let _ = write!(replay, " --strike {}", strikes.join(","));
        }
        let faults = terminal::faults(rehearsal);
        Broken { replay, faults }
    }
}

/// A line for the scenario, and how to see each failure again.
pub(super) fn report(explored: &Explored) -> String {
    let good = explored.runs.saturating_sub(explored.broken.len() as u64);
    let mut text = format!(
        "{:<16} {} of {} points, {good}/{} runs good\n",
        explored.scenario, explored.covered, explored.points, explored.runs
    );
    for broken in explored.broken.iter().take(TOLD) {
        let _ = writeln!(
            text,
            "  {}\n    {}",
            broken.replay,
            broken.faults.join("; ")
        );
    }
    text
}

/// All of them in one line.
pub(super) fn total(all: &[Explored], seconds: f64) -> String {
    let sum = |of: fn(&Explored) -> u64| all.iter().map(of).sum::<u64>();
    format!(
        "{}, {} of {} points, {} runs, {} broken, in {seconds:.0} s\n",
        number(all.len()),
        sum(|one| one.covered),
        sum(|one| one.points),
        sum(|one| one.runs),
        sum(|one| one.broken.len() as u64),
    )
}

fn number(scenarios: usize) -> String {
    let plural = if scenarios == 1 { "" } else { "s" };
    format!("{scenarios} scenario{plural}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::drill::scenario::built_in;

    fn first_boot(what: What, every: u64) -> Explored {
        let mut scenario = built_in("first-boot").unwrap().unwrap();
        if matches!(what, What::Overtaking { .. }) {
            scenario.in_company();
        }
        let (jobs, most) = (None, None);
        let extent = Extent {
            what,
            every,
            most,
            jobs,
        };
        explore(&scenario, 1, extent).unwrap()
    }

    #[test]
    fn every_point_is_struck_both_ways() {
        let all = first_boot(What::Crashes, 1);
        assert!(all.broken.is_empty(), "{:?}", all.broken);
        assert!(all.points > 10);
        assert_eq!(all.covered, all.points);
        assert_eq!(all.runs, 1 + 2 * all.points);
    }

    #[test]
    fn a_long_story_is_sampled() {
        let scenario = built_in("first-boot").unwrap().unwrap();
        let extent = Extent {
            what: What::Crashes,
            every: 1,
            most: Some(4),
            jobs: None,
        };
        let some = explore(&scenario, 1, extent).unwrap();
        assert!((3..=4).contains(&some.covered), "{}", some.covered);
        assert_eq!(some.runs, 1 + 2 * some.covered);
    }

    #[test]
    fn a_sample_is_moved_by_the_seed() {
        assert_eq!(chosen(10, 4, 1), [1, 5, 9]);
        assert_eq!(chosen(10, 4, 6), [2, 6, 10]);
        assert_eq!(chosen(3, 1, 5), [1, 2, 3]);
    }

    #[test]
    fn calls_are_overtaken_while_there_is_somebody_to_do_it() {
        let once = first_boot(What::Overtaking { bound: 1 }, 8);
        assert!(once.broken.is_empty(), "{:?}", once.broken);
        assert!(once.runs > 2 * once.covered);
        assert!(once.runs <= 1 + 7 * once.covered);
    }

    #[test]
    fn a_failure_says_how_to_see_it_again() {
        let mut scenario = built_in("first-boot").unwrap().unwrap();
        scenario.in_company();
        let tale = Tale {
            scenario: &scenario,
            seed: 3,
        };
        let blow = Blow::at_call(7, When::Held(2));
        let rehearsal = crate::drill::rehearse(&scenario, 3).unwrap();
        assert_eq!(
            tale.broken(&[blow], &rehearsal).replay,
            "rehome drill --scenario first-boot --seed 3 --second-runner --strike 7:held-2"
        );
    }
}
