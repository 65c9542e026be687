//! Writes the manual pages and the shells' completions, from the command line
//! as it is declared. A program of its own, so that none of this is in rehome.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use rehome::cli::Cli;

const FILES: &[(&str, &str)] = &[
    (
        "/etc/rehome.toml",
        "what an instance is told by its units; no package owns it",
    ),
    (
        "/etc/rehome-controller.toml",
        "what rehome-controller.service is told",
    ),
    ("/etc/rehome/example.toml", "an example of either"),
    ("/usr/share/doc/rehome", "every key, and what is done when"),
];

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
    let mut text = page(&whole, "rehome")?;
    files(&mut text)?;
    fs::write(folder.join("rehome.8"), text)?;
    for command in whole.get_subcommands().filter(|one| !one.is_hide_set()) {
        let name = format!("rehome-{}", command.get_name());
        let mut text = page(command, &name)?;
        see_also(&mut text)?;
        fs::write(folder.join(format!("{name}.8")), text)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone().display_name(name.to_owned()))
        .section("8")
        .source(concat!("rehome ", env!("CARGO_PKG_VERSION")))
        .manual("System administration");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(help) = command.get_after_help() {
        notes(&help.to_string(), &mut text)?;
    }
    Ok(text)
}

/// What --help says at its end, line by line as it is there.
fn notes(help: &str, text: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["NOTES"]).control("nf", []);
    for line in help.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []).to_writer(text)
}

fn files(text: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["FILES"]);
    for (path, what) in FILES {
        roff.control("TP", []);
        roff.text([bold(*path)]).text([roman(*what)]);
    }
    roff.to_writer(text)
}

fn see_also(text: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("rehome"), roman("(8)")]).to_writer(text)
}

fn completions(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut shown(), "rehome", folder)?;
    }
    Ok(())
}

/// Without what is for rehome's own use: bash would be offered that as well.
fn shown() -> Command {
    let whole = Cli::command();
    Command::new("rehome")
        .version(env!("CARGO_PKG_VERSION"))
        .args(whole.get_arguments().cloned())
        .subcommands(
            whole
                .get_subcommands()
                .filter(|one| !one.is_hide_set())
                .cloned(),
        )
}
