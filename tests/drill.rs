//! Every scenario: against its golden timeline, and with another seed; some twice
//! with one seed, as two processes that must print the same bytes. And every tale that
//! is kept. What is told through the SDK is the same by the way that a swarm takes.
//!
//! `UPDATE_GOLDEN=1 cargo test --test drill` writes the timelines anew; the
//! review of a change in behaviour is then a readable diff.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use rehome::drill::blows::Blow;
use rehome::drill::scenario::{Scenario, parse};
use rehome::drill::{Way, rehearse_by};
use rehome::report::{Rehearsal, terminal};

type Outcome = Result<(), Box<dyn Error>>;

const GOLDEN_SEED: u64 = 1;
/// One more than the golden one; `tests/explore` tells each over ten.
const ANOTHER_SEED: u64 = 2;

fn scenario(path: &Path) -> Result<Scenario, Box<dyn Error>> {
    let name = path.file_stem().ok_or("no name")?.to_string_lossy();
    Ok(parse(&name, &fs::read_to_string(path)?)?)
}

fn goes_as_written(path: &Path) -> Outcome {
    let rehearsal = told(&scenario(path)?, GOLDEN_SEED)?;
    let told = terminal::golden(&rehearsal);
    let golden = path.with_extension("golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &told)?;
    }
    let written = fs::read_to_string(&golden)
        .map_err(|error| format!("{}: {error}; UPDATE_GOLDEN=1 writes it", golden.display()))?;
    if let Some((line, (was, is))) = first_difference(&written, &told) {
        return Err(format!(
            "{}, line {line}, was\n  {was}\nand is\n  {is}\nIf that is right, UPDATE_GOLDEN=1 writes it.",
            golden.display()
        )
        .into());
    }
    is_good(&rehearsal)
}

fn first_difference<'a>(was: &'a str, is: &'a str) -> Option<(usize, (&'a str, &'a str))> {
    if was == is {
        return None;
    }
    let longest = was.lines().count().max(is.lines().count());
    let line = |text: &'a str, index: usize| text.lines().nth(index).unwrap_or("(nothing)");
    (0..longest)
        .map(|index| (index + 1, (line(was, index), line(is, index))))
        .find(|(_, (was, is))| was != is)
}

fn keeps_every_promise(path: &Path) -> Outcome {
    is_good(&tell(Way::Express, &scenario(path)?, ANOTHER_SEED)?)
}

/// What the swarm once found, shrunk.
fn stays_good(path: &Path) -> Outcome {
    is_good(&told(&scenario(path)?, seed_of(path))?)
}

/// A tale's seed is its name.
fn seed_of(path: &Path) -> u64 {
    let name = path.file_stem().and_then(|stem| stem.to_str());
    let seed = name.and_then(|name| name.parse().ok());
    seed.unwrap_or(GOLDEN_SEED)
}

fn is_good(rehearsal: &Rehearsal) -> Outcome {
    let faults = terminal::faults(rehearsal);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n").into())
    }
}

/// By the whole of the SDK; what the swarm tells by a shorter way is what happens by that.
fn told(scenario: &Scenario, seed: u64) -> Result<Rehearsal, Box<dyn Error>> {
    let (whole, short) = (
        tell(Way::Sdk, scenario, seed)?,
        tell(Way::Express, scenario, seed)?,
    );
    let say = |rehearsal: &Rehearsal| format!("{rehearsal:#?}");
    match first_difference(&say(&whole), &say(&short)) {
        None => Ok(whole),
        Some((line, (by_sdk, by_express))) => Err(format!(
            "line {line} is\n  {by_sdk}\nby the SDK, and\n  {by_express}\nby the shorter way"
        )
        .into()),
    }
}

/// A blow that falls nowhere shows nothing: the story has become another one.
fn tell(way: Way, scenario: &Scenario, seed: u64) -> Result<Rehearsal, Box<dyn Error>> {
    let (rehearsal, blows) = rehearse_by(way, scenario, seed, &[])?;
    let fell = |planned: &&Blow| blows.struck.iter().any(|fall| fall.blow == **planned);
    match scenario.strikes.iter().find(|planned| !fell(planned)) {
        Some(planned) => Err(format!("strike {planned} fell nowhere").into()),
        None => Ok(rehearsal),
    }
}

/// Some of them; `tests/explore` asks the same of all.
fn same_seed_same_bytes(path: &Path) -> Outcome {
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_rehome"))
            .args(["drill", "--json", "--seed", "3", "--scenario"])
            .arg(path)
            .output()?;
        Ok::<_, std::io::Error>(output.stdout)
    };
    let (first, second) = (run()?, run()?);
    assert!(!first.is_empty(), "nothing was printed");
    if first == second {
        Ok(())
    } else {
        Err("the same seed printed different bytes".into())
    }
}

datatest_stable::harness! {
    { test = goes_as_written, root = "tests/scenarios", pattern = r"^[^/]+\.txt$" },
    { test = keeps_every_promise, root = "tests/scenarios", pattern = r"^[^/]+\.txt$" },
    { test = stays_good, root = "tests/tales", pattern = r"\.txt$" },
    { test = same_seed_same_bytes, root = "tests/scenarios", pattern = r"^(first-boot|overlap|pair|same-zone)\.txt$" },
}
