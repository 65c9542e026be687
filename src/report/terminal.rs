//! A rehearsal as text: a timeline, then what came of it.

use std::fmt::Write;

use super::{Incident, Kind, Moment, Rehearsal, Verdict};

/// Colour only where somebody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    On,
    Off,
}

#[derive(Clone, Copy)]
enum Ink {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Colour {
    fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Red => 31,
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Cyan => 36,
        };
        match self {
            Self::On => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// Everything: who did what when, and what came of it.
pub fn full(rehearsal: &Rehearsal, colour: Colour) -> String {
    let mut text = String::new();
    let title = colour.paint(
        Ink::Bold,
        &format!("{}: {}", rehearsal.scenario, rehearsal.title),
    );
    let _ = writeln!(text, "{title}   (seed {})\n", rehearsal.seed);
    timeline(&mut text, rehearsal, colour);
    outcome(&mut text, rehearsal, colour);
    text
}

/// One line for a table of many.
pub fn line(rehearsal: &Rehearsal, colour: Colour) -> String {
    let mark = if rehearsal.succeeded() {
        colour.paint(Ink::Green, "ok    ")
    } else {
        colour.paint(Ink::Red, "FAILED")
    };
    let kept = rehearsal
        .promises
        .iter()
        .filter(|promise| promise.held)
        .count();
    let rto = rehearsal
        .rto_seconds
        .map_or_else(|| "-".to_owned(), |s| format!("{s:.1} s"));
    let best = rehearsal
        .critical_path_seconds
        .map_or_else(|| "-".to_owned(), |s| format!("{s:.1} s"));
    format!(
        "{mark}  {:<14} RTO {rto:>8}  shortest {best:>8}  lost {:>7.1} s  calls {:>4}  promises {kept}/{}",
        rehearsal.scenario,
        rehearsal.data_loss_seconds,
        rehearsal.calls(),
        rehearsal.promises.len(),
    )
}

/// What is wrong, for a rehearsal that failed.
pub fn faults(rehearsal: &Rehearsal) -> Vec<String> {
    let verdicts = rehearsal.promises.iter().chain(&rehearsal.expectations);
    let broken = verdicts.filter(|verdict| !verdict.held);
    broken
        .map(|verdict| format!("{}: {}", verdict.name, verdict.detail))
        .collect()
}

/// The timeline alone, without colour: what a reviewer reads as a diff.
pub fn golden(rehearsal: &Rehearsal) -> String {
    full(rehearsal, Colour::Off)
}

fn timeline(text: &mut String, rehearsal: &Rehearsal, colour: Colour) {
    let width = rehearsal
        .timeline
        .iter()
        .map(|m| m.who.chars().count())
        .max()
        .unwrap_or(0);
    let from = if rehearsal.incidents.is_empty() {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    let before = rehearsal
        .timeline
        .iter()
        .filter(|m| m.at_seconds < from)
        .count();
    if before > 0 {
        let note =
            format!("  … {before} moments until the incident: the first boot, and quiet running");
        let _ = writeln!(text, "{}", colour.paint(Ink::Dim, &note));
    }
    for moment in rehearsal.timeline.iter().filter(|m| m.at_seconds >= from) {
        let _ = writeln!(text, "{}", told(moment, width, colour));
    }
    text.push('\n');
}

/// Moments, a line each.
pub fn moments(moments: &[Moment], colour: Colour) -> String {
    let width = moments.iter().map(|moment| moment.who.chars().count());
    let width = width.max().unwrap_or_default();
    let lines = moments.iter().map(|moment| told(moment, width, colour));
    lines.map(|line| line + "\n").collect()
}

fn told(moment: &Moment, width: usize, colour: Colour) -> String {
    let what = match moment.kind {
        Kind::Incident => colour.paint(Ink::Yellow, &moment.what),
        Kind::Happens => moment.what.clone(),
        Kind::Does => colour.paint(Ink::Cyan, &moment.what),
        Kind::Waits => colour.paint(Ink::Dim, &moment.what),
        Kind::Fails => colour.paint(Ink::Red, &moment.what),
        Kind::Reached => colour.paint(Ink::Green, &moment.what),
    };
    // A runner's own doings stand a little apart from what comes to pass.
    let mark = match moment.kind {
        Kind::Does => "→ ",
        Kind::Waits => "· ",
        Kind::Fails => "! ",
        Kind::Reached => "✓ ",
        Kind::Incident | Kind::Happens => "  ",
    };
    format!(
        "{:>9.1} s  {:<width$}  {mark}{what}",
        moment.at_seconds, moment.who
    )
}

fn outcome(text: &mut String, rehearsal: &Rehearsal, colour: Colour) {
    let settled = if rehearsal.settled {
        colour.paint(Ink::Green, "everything came to its place")
    } else {
        colour.paint(Ink::Red, "not everything came to its place")
    };
    let _ = writeln!(text, "  settled     {settled}");
    for told in &rehearsal.incidents {
        incident(text, told);
    }
    let _ = writeln!(text, "  data lost   {:.1} s", rehearsal.data_loss_seconds);
    let mut calls: Vec<(&String, &u64)> = rehearsal.api_calls.iter().collect();
    calls.sort_by_key(|(action, count)| (std::cmp::Reverse(**count), (*action).clone()));
    let calls: Vec<String> = calls
        .iter()
        .map(|(action, count)| format!("{action} {count}"))
        .collect();
    let _ = writeln!(
        text,
        "  API calls   {} ({})",
        rehearsal.calls(),
        calls.join(", ")
    );
    verdicts(text, "promises", &rehearsal.promises, colour);
    if !rehearsal.expectations.is_empty() {
        verdicts(text, "expected", &rehearsal.expectations, colour);
    }
}

fn incident(text: &mut String, incident: &Incident) {
    let recovered = match (incident.rto_seconds, incident.critical_path_seconds) {
        (Some(rto), Some(best)) if best > 0.0 => {
            format!(
                "up again after {rto:.1} s; the shortest possible was {best:.1} s ({:.2} times)",
                rto / best
            )
        }
        (Some(rto), _) => format!("up again after {rto:.1} s"),
        (None, _) => "not up again".to_owned(),
    };
    let _ = writeln!(
        text,
        "  incident    {} at {:.1} s: {recovered}",
        incident.cause, incident.at_seconds
    );
    if !incident.path.is_empty() {
        let steps: Vec<String> = incident
            .path
            .iter()
            .map(|(step, time)| format!("{step} {time:.1}"))
            .collect();
        let _ = writeln!(text, "              shortest path: {}", steps.join(" → "));
    }
}

fn verdicts(text: &mut String, heading: &str, verdicts: &[Verdict], colour: Colour) {
    let held = verdicts.iter().filter(|verdict| verdict.held).count();
    let _ = writeln!(text, "  {heading:<11} {held} of {} held", verdicts.len());
    for verdict in verdicts {
        let mark = if verdict.held {
            colour.paint(Ink::Green, "held  ")
        } else {
            colour.paint(Ink::Red, "BROKEN")
        };
        let detail = colour.paint(Ink::Dim, &verdict.detail);
        let _ = writeln!(text, "    {mark}  {}\n            {detail}", verdict.name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rehearsal;
    use super::*;

    #[test]
    fn without_colour_there_is_no_escape_sequence() {
        let text = full(&rehearsal(), Colour::Off);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(full(&rehearsal(), Colour::On).contains('\u{1b}'));
    }

    #[test]
    fn a_broken_promise_is_seen_in_the_line_and_in_the_text() {
        let mut broken = rehearsal();
        broken.promises.push(Verdict {
            name: "3 newest lineage".to_owned(),
            held: false,
            detail: "vol-2 was made of an older copy".to_owned(),
        });
        assert!(line(&broken, Colour::Off).starts_with("FAILED"));
        assert!(full(&broken, Colour::Off).contains("BROKEN  3 newest lineage"));
        assert_eq!(
            faults(&broken),
            ["3 newest lineage: vol-2 was made of an older copy"]
        );
    }

    #[test]
    fn the_time_is_set_against_the_shortest_possible() {
        let text = full(&rehearsal(), Colour::Off);
        assert!(
            text.contains("up again after 102.0 s; the shortest possible was 100.0 s (1.02 times)"),
            "{text}"
        );
    }
}
