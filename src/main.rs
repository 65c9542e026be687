//! Starts: reads the command line and runs what it says.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use rehome::cli::Cli;

fn main() -> ExitCode {
    rehome::run::run(Cli::parse().command)
}
