//! `rehome history`: what became of a group, as far as AWS remembers.

use std::fmt::Write as _;

use super::{Failure, clock, configuration, groups, print, print_json};
use crate::aws::{Aws, Focus};
use crate::cli::History as Options;
use crate::history::{self, Goes, History, Loss, Move};

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let config = configuration(options.configuration.config.as_deref())?;
    let spec = groups(config, Some(&options.group))?.swap_remove(0);
    let aws = Aws::from_env().await?;
    let world = aws.observe(&spec, Focus::ALL, None).await;
    let sources = aws.chronicle(&spec, world).await;
    let history = history::tell(&sources, &spec, clock().now());
    if options.json {
        print_json(&history)?;
    } else {
        print(&face(&history))?;
    }
    // An API that is down must not look like a group without a past.
    let world = &sources.world;
    match (
        &world.group.known(),
        world.volumes.known(),
        world.snapshots.known(),
    ) {
        (Some(_), Some(_), Some(_)) => Ok(()),
        _ => Err(Failure::Failed("not everything could be seen".to_owned())),
    }
}

fn face(history: &History) -> String {
    let mut text = String::new();
    let (terms, moves) = (history.terms.len(), history.moves.len());
    let _ = writeln!(
        text,
        "{}: {terms} term(s) and {moves} move(s) can be told",
        history.group
    );
    worst(&mut text, history);
    for why in &history.unknown {
        let _ = writeln!(text, "  not known: {why}");
    }
    section(&mut text, "terms", terms);
    for term in &history.terms {
        let volumes: Vec<String> = term
            .volumes
            .iter()
            .map(|of| format!("{} {} (epoch {})", of.name, of.volume, of.epoch))
            .collect();
        let end = match (term.current, term.captured, term.clean) {
            (true, None, _) => "holds now".to_owned(),
            (true, Some(at), _) => format!("holds now; captured {at:.0}"),
            (false, Some(at), Some(true)) => format!("until {at:.0}, captured clean"),
            (false, Some(at), _) => format!("until {at:.0}, captured as after a power cut"),
            (false, None, _) => "no capture of its end is left".to_owned(),
        };
        let _ = writeln!(
            text,
            "  {:.0}  {}  {}; {end}",
            term.since,
            term.holder,
            volumes.join(", ")
        );
    }
    section(&mut text, "moves", moves);
    for one in &history.moves {
        a_move(&mut text, one);
    }
    copies(&mut text, history);
    text
}

fn worst(text: &mut String, history: &History) {
    let objectives = &history.objectives;
    let said = |seconds: Option<f64>| seconds.map_or_else(|| "not known".to_owned(), span);
    let _ = writeln!(
        text,
        "  longest recovery {}; greatest loss {} (objectives: a set every {}, at most {} lost)",
        said(history.worst_rto_seconds),
        said(history.worst_loss_seconds),
        span(objectives.snapshot_every_seconds),
        span(objectives.max_data_loss_seconds)
    );
}

fn section(text: &mut String, name: &str, count: usize) {
    let none = if count == 0 { ": none" } else { "" };
    let _ = writeln!(text, "\n{name}{none}");
}

fn a_move(text: &mut String, one: &Move) {
    let how = match one.restored {
        true => "restored from a copy",
        false => "the volumes themselves",
    };
    let _ = writeln!(text, "  {:.0}  {} → {}, {how}", one.at, one.from, one.to);
    let recovery = match (one.rto_seconds, one.rto_unknown) {
        (Some(seconds), _) => span(seconds),
        (None, Some(why)) => format!("not known: {why}"),
        (None, None) => "not known".to_owned(),
    };
    let away = one.data_away_seconds.map_or_else(String::new, |seconds| {
        format!("; {} without the data", span(seconds))
    });
    let _ = writeln!(text, "      recovery  {recovery}{away}");
    let loss = match &one.loss {
        Loss::Nothing => "nothing".to_owned(),
        Loss::Unwritten => "what had not reached the disk, as in a power cut".to_owned(),
        Loss::AtMost {
            seconds,
            restored_from,
        } => format!("at most the last {} (from {restored_from})", span(*seconds)),
        Loss::Unknown { why } => format!("not known: {why}"),
    };
    let _ = writeln!(text, "      lost      {loss}");
    if let Some(cause) = &one.cause {
        let _ = writeln!(text, "      because   {cause}");
    }
}

fn copies(text: &mut String, history: &History) {
    section(text, "copies", history.copies.len());
    for set in &history.copies {
        let ids: Vec<&str> = set.snapshots.iter().map(|id| id.as_str()).collect();
        let state = match (set.complete, set.clean) {
            (false, _) => "not complete yet",
            (true, true) => "clean",
            (true, false) => "as after a power cut",
        };
        let older = match set.newest_lineage {
            true => "",
            false => ", of an older lineage",
        };
        let _ = writeln!(
            text,
            "  {:.0}  {}, {state}{older}; {}",
            set.started,
            ids.join(" "),
            goes(set.goes)
        );
    }
    if !history.old_volumes.is_empty() {
        section(text, "old volumes", history.old_volumes.len());
    }
    for volume in &history.old_volumes {
        let _ = writeln!(
            text,
            "  {} ({}, epoch {}, in {}); {}",
            volume.volume,
            volume.name,
            volume.epoch,
            volume.zone,
            goes(volume.goes)
        );
    }
}

fn goes(goes: Goes) -> String {
    match goes {
        Goes::Never => "stays until a person deletes it".to_owned(),
        Goes::After { newer_sets, about } => {
            format!("goes after {newer_sets} newer set(s), about {about:.0}")
        }
        Goes::NotBefore { at } => format!("goes after {at:.0}"),
        Goes::WithItsVolume => "kept for the volume that was made from it".to_owned(),
        Goes::Now => "goes with the next upkeep".to_owned(),
        Goes::WhenComplete => "counts once it is complete".to_owned(),
    }
}

fn span(seconds: f64) -> String {
    match seconds {
        short if short < 120.0 => format!("{short:.1} s"),
        longer if longer < 7_200.0 => format!("{:.0} min", longer / 60.0),
        long => format!("{:.1} h", long / 3_600.0),
    }
}
