//! The ways to run, one file each, and how they end.
//!
//! Only here is a clock read: everything below is told the time.

mod adopt;
mod arrival;
mod bootstrap;
mod check;
mod crew;
mod daemon;
#[cfg(feature = "drill")]
pub mod drill;
#[cfg(feature = "drill")]
pub mod explore;
mod freeze;
mod history;
mod iam_policy;
mod lambda;
mod listen;
#[cfg(feature = "drill")]
mod live;
mod logging;
mod notify;
mod operate;
#[cfg(feature = "drill")]
pub mod region;
mod seat;
mod snapshot;
mod survey;
#[cfg(feature = "drill")]
pub mod swarm;
mod switchover;
mod table;
mod tell;

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::LocalSet;

use crate::aws::AwsError;
use crate::cli::Command;
use crate::clock::Clock;
use crate::spec::{self, Config, ConfigError, GroupSpec};

/// The variable that may hold the configuration itself.
const CONFIGURATION: &str = "REHOME_CONFIG";

/// How long a thread that waits for a disk may hold up the end of the process.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a command did not do what it was asked: an exit code and a sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It would not get better by trying again as it is.
    #[error("{0}")]
    Failed(String),
    /// Wrong usage or configuration.
    #[error("{0}")]
    Usage(String),
    /// Not settled in time; running it again goes on.
    #[error("{0}")]
    OutOfTime(String),
    /// Everything was said already.
    #[cfg_attr(
        not(feature = "drill"),
        expect(dead_code, reason = "only a drill has said it all before it ends")
    )]
    #[error("")]
    Said(u8),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::OutOfTime(_) => 3,
            Self::Said(code) => *code,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        Self::Failed(with_sources(&error))
    }
}

/// Runs one command to its end.
pub fn run(command: Command) -> ExitCode {
    logging::start();
    match dispatch(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Said(_)) {
                // A closed stderr leaves the exit code to speak.
                let _ = writeln!(io::stderr(), "rehome: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Bootstrap(options) => on_runtime(bootstrap::run(&options)),
        Command::Daemon(options) => on_runtime(daemon::run(&options)),
        Command::Lambda(options) => on_runtime(lambda::run(&options)),
        Command::Status(options) => on_runtime(operate::status(&options)),
        Command::Plan(options) => on_runtime(operate::plan(&options)),
        Command::Check(options) => on_runtime(check::run(&options)),
        Command::Snapshot(options) => on_runtime(snapshot::run(&options)),
        Command::History(options) => on_runtime(history::run(&options)),
        Command::Adopt(options) => on_runtime(adopt::run(&options)),
        Command::Switchover(options) => on_runtime(switchover::run(&options)),
        Command::IamPolicy(options) => iam_policy::run(&options),
        #[cfg(feature = "drill")]
        Command::Drill(options) if options.live => live::run(&options),
        Command::Thaw(options) => on_runtime(freeze::thaw(&options)),
        Command::FreezeGuard(options) => on_runtime(freeze::hold(&options)),
        #[cfg(feature = "drill")]
        Command::Drill(options) => rehearse(options),
        #[cfg(feature = "drill")]
        Command::Region(options) => on_runtime(play(options)),
    }
}

#[cfg(feature = "drill")]
async fn play(options: crate::cli::Region) -> Result<(), Failure> {
    use region::RegionError;

    let judged = match &options.judge {
        None => None,
        Some(file) => Some(configuration(Some(file))?.groups),
    };
    let options = region::Options {
        listen: options.listen,
        seed: options.seed,
        latency_scale: options.latency_scale,
        mishaps: options.mishap,
        judged,
        policies: options.policy,
    };
    let sentences = region::run(&options, clock())
        .await
        .map_err(|error| match error {
            RegionError::Policy { .. } | RegionError::NoPolicy { .. } => {
                Failure::Usage(error.to_string())
            }
            other => Failure::Failed(other.to_string()),
        })?;
    for sentence in &sentences {
        print_json(sentence)?;
    }
    match sentences.iter().all(|sentence| sentence.is_good()) {
        true => Ok(()),
        false => Err(Failure::Said(1)),
    }
}

#[cfg(feature = "drill")]
fn rehearse(options: crate::cli::Drill) -> Result<(), Failure> {
    use drill::DrillError;

    let explore = exploration(&options);
    let options = drill::Options {
        scenario: Some(options.scenario),
        seed: options.seed,
        seeds: options.seeds,
        json: options.json,
        html: options.html,
        config: options.config,
        bench: options.bench,
        strike: options.strike,
        second_runner: options.second_runner,
        explore,
        every: options.every,
        most: options.most,
        jobs: options.jobs.map(usize::from),
        swarm: options.swarm,
    };
    match drill::run(&options) {
        Ok(true) => Ok(()),
        // The report says which promise was broken.
        Ok(false) => Err(Failure::Said(1)),
        Err(error @ DrillError::Io { .. }) => Err(Failure::Failed(error.to_string())),
        Err(error) => Err(Failure::Usage(error.to_string())),
    }
}

#[cfg(feature = "drill")]
fn exploration(options: &crate::cli::Drill) -> Option<explore::What> {
    let bound = options.bound;
    [
        (options.crashes, explore::What::Crashes),
        (options.crash_pairs, explore::What::CrashPairs),
        (options.pauses, explore::What::Pauses),
        (options.interleave, explore::What::Overtaking { bound }),
    ]
    .into_iter()
    .find_map(|(asked, what)| asked.then_some(what))
}

/// One thread serves everything: nothing here needs a second one.
fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let done = LocalSet::new().block_on(&runtime, work);
    runtime.shutdown_timeout(LAST_WORDS);
    done
}

fn configuration(file: Option<&Path>) -> Result<Config, ConfigError> {
    spec::load(file, std::env::var_os(CONFIGURATION))
}

/// The groups that are meant: the named one, or all.
fn groups(config: Config, name: Option<&str>) -> Result<Vec<GroupSpec>, Failure> {
    let Some(name) = name else {
        return Ok(config.groups);
    };
    let names: Vec<String> = config
        .groups
        .iter()
        .map(|group| group.name.to_string())
        .collect();
    let mut groups = config.groups;
    groups.retain(|group| group.name.as_str() == name);
    if groups.is_empty() {
        return Err(Failure::Usage(format!(
            "there is no group \"{name}\" in the configuration; it has {}",
            names.join(", ")
        )));
    }
    Ok(groups)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one clock that is handed down"
)]
fn clock() -> Clock {
    Clock::new(Timestamp::now)
}

/// What it did, and how many seconds it took.
#[cfg(feature = "drill")]
#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures this machine"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = std::time::Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64())
}

/// A question to the person at the terminal; only yes is yes.
fn ask(question: &str) -> Result<bool, Failure> {
    let unheard = |error: io::Error| Failure::Failed(format!("cannot ask: {error}"));
    let mut out = io::stderr().lock();
    out.write_all(question.as_bytes())
        .and_then(|()| out.flush())
        .map_err(unheard)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(unheard)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Prints; whoever stops reading has read enough.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string(value)
        .map_err(|error| Failure::Failed(format!("cannot write JSON: {error}")))?;
    text.push('\n');
    print(&text)
}

/// An error and what lies behind it, each once.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let says = error.to_string();
        if !text.contains(&says) {
            text.push_str(": ");
            text.push_str(&says);
        }
        source = error.source();
    }
    text
}
