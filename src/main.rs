//! Starts: reads what was asked for and runs it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use rehome::cli::Cli;

fn main() -> ExitCode {
    rehome::run::run(Cli::read().command)
}
