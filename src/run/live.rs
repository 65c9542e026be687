//! `rehome drill --live`: failovers that carry real data, on this machine.

use super::{Failure, clock, on_runtime, print, print_json};
use crate::cli::Drill;
use crate::drill::live::{self, LiveError, Options};

/// Outside, it makes room and waits; inside, it performs.
pub(super) fn run(options: &Drill) -> Result<(), Failure> {
    if options.inside {
        return on_runtime(perform(options));
    }
    live::check()?;
    match live::descend(&arguments(options))? {
        0 => Ok(()),
        // It said itself what was wrong.
        code => Err(Failure::Said(code)),
    }
}

fn arguments(options: &Drill) -> Vec<String> {
    let mut arguments = ["drill", "--live", "--inside"].map(str::to_owned).to_vec();
    arguments.extend(["--rounds".to_owned(), options.rounds.to_string()]);
    arguments.extend(["--seed".to_owned(), options.seed.to_string()]);
    if options.json {
        arguments.push("--json".to_owned());
    }
    arguments
}

async fn perform(options: &Drill) -> Result<(), Failure> {
    let json = options.json;
    let tell = |text: &str| {
        if !json {
            // Nobody reading this is no reason to stop.
            let _ = print(text);
        }
    };
    let wanted = Options {
        rounds: usize::from(options.rounds),
        seed: options.seed,
    };
    let report = live::perform(&wanted, clock(), tell).await?;
    if json {
        print_json(&report)?;
    } else {
        print(&report.table())?;
    }
    match report.held {
        true => Ok(()),
        false => Err(Failure::Said(1)),
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Refused(_) => Self::Usage(error.to_string()),
            LiveError::Stage { .. } | LiveError::Late { .. } => Self::Failed(error.to_string()),
        }
    }
}
