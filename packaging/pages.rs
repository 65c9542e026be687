//! Writes the manual pages and the shells' completions, from the command line
//! as it is declared. A program of its own, so that none of this is in rehome.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::CommandFactory as _;
use clap_complete::Shell;
use rehome::cli::Cli;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("give the folder to write to"))?;
    manual(&folder.join("man"))?;
    completions(&folder.join("completions"))
}

/// One page for rehome, and one for each of its commands.
fn manual(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    page(&whole, "rehome", folder)?;
    for command in whole.get_subcommands().filter(|one| !one.is_hide_set()) {
        page(command, &format!("rehome-{}", command.get_name()), folder)?;
    }
    Ok(())
}

fn page(command: &clap::Command, name: &str, folder: &Path) -> io::Result<()> {
    let source = concat!("rehome ", env!("CARGO_PKG_VERSION"));
    let command = command.clone().display_name(name.to_owned());
    clap_mangen::Man::new(command)
        .section("8")
        .source(source)
        .manual("System administration")
        .generate_to(folder)
        .map(drop)
}

fn completions(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "rehome", folder)?;
    }
    Ok(())
}
