//! `rehome drill`: rehearse a failover on the emulated region, and show how it
//! went.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;
use tracing::subscriber::NoSubscriber;

use super::{explore, swarm};
use crate::drill::blows::Blow;
use crate::drill::rehearse_struck;
use crate::drill::scenario::{self, BUILT_IN, Scenario, ScenarioError};
use crate::drill::swarm::draw;
use crate::report::terminal::{self, Colour};
use crate::report::{Rehearsal, html};
use crate::spec::{self, ConfigError, Kind};

/// What is told in full when everything is rehearsed.
const MAIN_JOB: &str = "cross-zone";
/// How a tale of the swarm is named: by its seed.
pub(super) const TALE: &str = "tale:";
/// Over how many seeds the benchmark looks, and how many drills it times.
const BENCH_SEEDS: u64 = 100;
const BENCH_DRILLS: u64 = 1_000;

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A built-in name, a file, or `all`.
    pub scenario: Option<String>,
    pub seed: u64,
    /// Rehearse over so many seeds and print statistics.
    pub seeds: Option<u64>,
    pub json: bool,
    pub html: Option<PathBuf>,
    /// Rehearse this configuration's first group.
    pub config: Option<PathBuf>,
    pub bench: bool,
    /// What befalls runners at these calls.
    pub strike: Vec<Blow>,
    /// One runner more looks after the group.
    pub second_runner: bool,
    /// Everything of one kind befalls them; of every so manieth call.
    pub explore: Option<explore::What>,
    pub every: u64,
    /// Of a longer story, no more than so many.
    pub most: Option<u64>,
    /// How many drills at once.
    pub jobs: Option<usize>,
    /// Tales drawn from so many seeds.
    pub swarm: Option<u64>,
}

#[derive(Debug, Error)]
pub enum DrillError {
    /// Wrong usage, with what is allowed.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
}

/// Rehearses; true if everything settled and every promise held.
pub fn run(options: &Options) -> Result<bool, DrillError> {
    let mut scenarios = scenarios(options)?;
    if options.second_runner || options.explore.is_some_and(explore::What::needs_company) {
        scenarios.iter_mut().for_each(Scenario::in_company);
    }
    if options.bench {
        return bench(options.seed);
    }
    if let Some(count) = options.swarm {
        return every_tale(options.seed, count, options.jobs);
    }
    if let Some(what) = options.explore {
        return explore_all(&scenarios, what, options);
    }
    if let Some(seeds) = options.seeds {
        return over_seeds(&scenarios, options.seed, seeds, options.jobs);
    }
    let progress = Progress::new(scenarios.len());
    let mut rehearsals = Vec::new();
    for scenario in &scenarios {
        progress.begin(&scenario.name);
        rehearsals.push(perform(scenario, options.seed, &options.strike)?);
    }
    progress.end();
    if let Some(path) = &options.html {
        write_file(path, &html::page(&rehearsals))?;
    }
    show(&rehearsals, options)?;
    Ok(rehearsals.iter().all(Rehearsal::succeeded))
}

fn show(rehearsals: &[Rehearsal], options: &Options) -> Result<(), DrillError> {
    let colour = colour();
    let mut out = String::new();
    for rehearsal in rehearsals {
        if options.json {
            out.push_str(&json(rehearsal)?);
        } else if rehearsals.len() == 1 || rehearsal.scenario == MAIN_JOB {
            out.push_str(&terminal::full(rehearsal, colour));
            out.push('\n');
        }
    }
    if !options.json && rehearsals.len() > 1 {
        for rehearsal in rehearsals {
            out.push_str(&terminal::line(rehearsal, colour));
            out.push('\n');
            for fault in terminal::faults(rehearsal) {
                out.push_str(&format!("          {fault}\n"));
            }
        }
    }
    print(&out)
}

/// In one line.
fn json(what: &impl serde::Serialize) -> Result<String, DrillError> {
    let json = serde_json::to_string(what).map_err(|error| DrillError::Io {
        what: "cannot write JSON".to_owned(),
        source: error.into(),
    })?;
    Ok(json + "\n")
}

fn scenarios(options: &Options) -> Result<Vec<Scenario>, DrillError> {
    let wanted = options.scenario.as_deref().unwrap_or("all");
    let mut scenarios = match wanted {
        "all" => {
            let all = BUILT_IN
                .iter()
                .map(|(name, text)| scenario::parse(name, text));
            all.collect::<Result<Vec<_>, _>>()?
        }
        name => vec![one(name)?],
    };
    if let Some(path) = &options.config {
        let config = spec::load(Some(path), None)?;
        let group = config.groups.into_iter().next();
        let group =
            group.ok_or_else(|| DrillError::Usage("the configuration has no group".to_owned()))?;
        let is_pair = matches!(group.kind, Kind::Pair { .. });
        if wanted == "all" {
            scenarios.retain(|scenario| !scenario.own_group && scenario.pair.is_some() == is_pair);
        }
        if let Some(other) = scenarios.iter().find(|s| s.pair.is_some() != is_pair) {
            let (about, kind) = if is_pair {
                ("an Auto Scaling group", "a pair")
            } else {
                ("a pair", "an Auto Scaling group")
            };
            return Err(DrillError::Usage(format!(
                "{} is about {about}, and {} is {kind}; --scenario all takes those that fit",
                other.name, group.name
            )));
        }
        scenarios = scenarios
            .into_iter()
            .map(|scenario| scenario.about(group.clone()))
            .collect();
    }
    Ok(scenarios)
}

fn one(name: &str) -> Result<Scenario, DrillError> {
    if let Some(scenario) = scenario::built_in(name) {
        return Ok(scenario?);
    }
    if let Some(seed) = name.strip_prefix(TALE).and_then(|n| n.parse().ok()) {
        return Ok(scenario::parse(name, &draw(seed))?);
    }
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "txt") {
        let text = fs::read_to_string(path).map_err(|error| {
            DrillError::Usage(format!("cannot read the scenario {name}: {error}"))
        })?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        return Ok(scenario::parse(&stem, &text)?);
    }
    let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    Err(DrillError::Usage(format!(
        "there is no scenario `{name}`; there are {}, all, {TALE}N (of the swarm, by its seed), \
         and any file that ends in .txt",
        known.join(", ")
    )))
}

fn perform(scenario: &Scenario, seed: u64, blows: &[Blow]) -> Result<Rehearsal, DrillError> {
    let performed = quietly(|| rehearse_struck(scenario, seed, blows));
    let (rehearsal, _) = performed.map_err(|source| DrillError::Io {
        what: "cannot start a drill".to_owned(),
        source,
    })?;
    Ok(rehearsal)
}

/// In a drill calls fail on purpose: the timeline tells of it, and logs would
/// only drown it. Whoever asks for them gets them.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let _quiet = std::env::var_os("RUST_LOG")
        .is_none()
        .then(|| tracing::subscriber::set_default(NoSubscriber::new()));
    work()
}

/// Tales drawn from seeds.
fn every_tale(seed: u64, count: u64, jobs: Option<usize>) -> Result<bool, DrillError> {
    let progress = Progress::new(usize::try_from(count).unwrap_or(usize::MAX));
    let (swarmed, seconds) = super::timed(|| {
        swarm::swarm(seed, count, jobs, |so_far, wrong| {
            if let Some((seed, fault)) = wrong {
                progress.tell(&format!("{TALE}{seed} {fault}"));
            }
            progress.at(so_far);
        })
    });
    let swarmed = swarmed?;
    progress.end();
    print(&swarm::totals(&swarmed, seconds))?;
    print(&swarm::shortest(&swarmed))?;
    Ok(swarmed.broken.is_empty())
}

/// Every scenario with everything of one kind.
fn explore_all(
    scenarios: &[Scenario],
    what: explore::What,
    options: &Options,
) -> Result<bool, DrillError> {
    let extent = explore::Extent {
        what,
        every: options.every,
        most: options.most,
        jobs: options.jobs,
    };
    let progress = Progress::new(scenarios.len());
    let mut all = Vec::new();
    let mut seconds = 0.0;
    for scenario in scenarios {
        progress.begin(&scenario.name);
        let (explored, took) = super::timed(|| explore::explore(scenario, options.seed, extent));
        let explored = explored?;
        seconds += took;
        progress.end();
        if options.json {
            print(&json(&explored)?)?;
        } else {
            print(&explore::report(&explored))?;
        }
        all.push(explored);
    }
    if !options.json {
        print(&explore::total(&all, seconds))?;
    }
    Ok(all.iter().all(|explored| explored.broken.is_empty()))
}

/// The same scenarios with many seeds, as statistics.
fn over_seeds(
    scenarios: &[Scenario],
    first: u64,
    seeds: u64,
    jobs: Option<usize>,
) -> Result<bool, DrillError> {
    let mut all_held = true;
    let mut out = String::new();
    let progress = Progress::new(scenarios.len());
    for scenario in scenarios {
        progress.begin(&scenario.name);
        let rehearsals = many(scenario, first, seeds, jobs)?;
        out.push_str(&statistics(&scenario.name, &rehearsals));
        for rehearsal in rehearsals.iter().filter(|rehearsal| !rehearsal.succeeded()) {
            all_held = false;
            out.push_str(&format!(
                "  seed {}: {}\n",
                rehearsal.seed,
                terminal::faults(rehearsal).join("; ")
            ));
        }
    }
    progress.end();
    print(&out)?;
    Ok(all_held)
}

fn many(
    scenario: &Scenario,
    first: u64,
    seeds: u64,
    jobs: Option<usize>,
) -> Result<Vec<Rehearsal>, DrillError> {
    let seeds = usize::try_from(seeds).unwrap_or(usize::MAX);
    let done = spread(seeds, jobs, |index| {
        perform(scenario, first.wrapping_add(index as u64), &[])
    });
    done.into_iter().collect()
}

/// Every drill has a thread, a clock and a region of its own, so they can be
/// spread over the machine without touching each other. The results come in
/// order.
pub(super) fn spread<T: Send>(
    count: usize,
    jobs: Option<usize>,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = jobs.unwrap_or_else(all);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let result = work(index);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(index, result);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_values().collect()
}

fn statistics(name: &str, rehearsals: &[Rehearsal]) -> String {
    let ratios = sorted(rehearsals.iter().filter_map(Rehearsal::ratio));
    let times = sorted(
        rehearsals
            .iter()
            .filter_map(|rehearsal| rehearsal.rto_seconds),
    );
    let calls = sorted(rehearsals.iter().map(|rehearsal| rehearsal.calls() as f64));
    let good = rehearsals.iter().filter(|r| r.succeeded()).count();
    let mut line = format!("{name:<14} {good}/{} good", rehearsals.len());
    if let (Some(median), Some(p95)) = (quantile(&times, 0.5), quantile(&times, 0.95)) {
        line.push_str(&format!("  RTO median {median:.1} s p95 {p95:.1} s"));
    }
    if let (Some(median), Some(p95)) = (quantile(&ratios, 0.5), quantile(&ratios, 0.95)) {
        line.push_str(&format!(
            "  to the shortest: median {median:.3} p95 {p95:.3}"
        ));
    }
    if let (Some(median), Some(most)) = (quantile(&calls, 0.5), quantile(&calls, 1.0)) {
        line.push_str(&format!("  calls median {median:.0} max {most:.0}"));
    }
    line.push('\n');
    line
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied()
}

/// The figures of the project: how near to the shortest possible, how many
/// calls, and how long a thousand drills take here.
fn bench(seed: u64) -> Result<bool, DrillError> {
    let mut held = true;
    for name in [MAIN_JOB, "same-zone"] {
        let rehearsals = many(&one(name)?, seed, BENCH_SEEDS, None)?;
        held &= rehearsals.iter().all(Rehearsal::succeeded);
        print(&statistics(name, &rehearsals))?;
    }
    let scenario = one(MAIN_JOB)?;
    let (rehearsals, seconds) = super::timed(|| many(&scenario, seed, BENCH_DRILLS, None));
    held &= rehearsals?.iter().all(Rehearsal::succeeded);
    print(&format!("{BENCH_DRILLS} drills in {seconds:.1} s\n"))?;
    Ok(held)
}

/// Says on stderr what is being done, where somebody watches or it takes a while.
struct Progress {
    total: usize,
    done: AtomicUsize,
    live: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self {
            total,
            done: AtomicUsize::new(0),
            live: io::stderr().is_terminal(),
        }
    }

    fn begin(&self, name: &str) {
        let number = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.live {
            let _ = write!(io::stderr(), "\r\u{1b}[K[{number}/{}] {name}", self.total);
        } else if self.total > 1 {
            let _ = writeln!(io::stderr(), "[{number}/{}] {name}", self.total);
        }
    }

    /// What a long run came to so far is not lost when somebody ends it.
    fn at(&self, so_far: &swarm::Swarmed) {
        let stride = if self.live { 10 } else { 1_000 };
        if so_far.tales.is_multiple_of(stride) {
            let end = if self.live { "" } else { "\n" };
            let start = if self.live { "\r\u{1b}[K" } else { "" };
            let _ = write!(
                io::stderr(),
                "{start}[{}/{}] {} failovers, {} broken{end}",
                so_far.tales,
                self.total,
                so_far.failovers,
                so_far.broken.len()
            );
        }
    }

    /// Something that is not to wait for the end.
    fn tell(&self, what: &str) {
        let start = if self.live { "\r\u{1b}[K" } else { "" };
        let _ = writeln!(io::stderr(), "{start}{what}");
    }

    fn end(&self) {
        if self.live {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn colour() -> Colour {
    let wanted = io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted { Colour::On } else { Colour::Off }
}

fn print(text: &str) -> Result<(), DrillError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| DrillError::Io {
            what: "cannot print".to_owned(),
            source,
        }),
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), DrillError> {
    fs::write(path, text).map_err(|source| DrillError::Io {
        what: format!("cannot write {}", path.display()),
        source,
    })
}
