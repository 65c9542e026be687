//! A check as a person reads it: a table, and under each line that is not right
//! what would go wrong and how to mend it.

use std::env;
use std::fmt::Write as _;

use crate::check::{Finding, Report, Verdict};
use crate::spec::GroupSpec;

/// Sentences are folded at this width; commands never, so that they can be
/// copied.
const WIDTH: usize = 110;

/// Colour only where somebody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    On,
    Off,
}

/// As asked for by the terminal, and by <https://no-color.org>.
pub(super) fn colour(is_terminal: bool) -> Colour {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match is_terminal && !unwanted {
        true => Colour::On,
        false => Colour::Off,
    }
}

impl Colour {
    fn paint(self, code: u8, text: &str) -> String {
        match self {
            Self::On => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

pub(super) fn report(report: &Report, spec: &GroupSpec, colour: Colour) -> String {
    let mut text = heading(report, colour);
    let checks = report.findings.iter().map(|finding| finding.check.len());
    let width = checks.max().unwrap_or(0);
    let mut last = None;
    for finding in &report.findings {
        let part = match last == Some(finding.part) {
            true => "",
            false => finding.part.name(),
        };
        last = Some(finding.part);
        line(&mut text, part, finding, width, colour);
    }
    if report.machine.is_none() && spec.agent {
        let says = "\n  The instance itself was not asked: it knows its disks, mounts and units. \
                    Run the check there, too.\n";
        text.push_str(&colour.paint(2, says));
    }
    text
}

fn heading(report: &Report, colour: Colour) -> String {
    let says = match (report.works, report.wrong) {
        (true, _) => "a failover would work",
        (false, 0) => "what a failover rests on could not be read",
        (false, _) => "a failover would not work",
    };
    let counts = [
        (report.wrong, "wrong", "wrong"),
        (report.warnings, "warning", "warnings"),
        (report.unknown, "not known", "not known"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
        .collect();
    let counts = match counts.is_empty() {
        true => String::new(),
        false => format!(" ({})", counts.join(", ")),
    };
    let says = format!("{}: {says}{counts}", report.group);
    format!("{}\n\n", colour.paint(1, &says))
}

fn line(text: &mut String, part: &str, finding: &Finding, width: usize, colour: Colour) {
    let (code, mark) = match finding.verdict {
        Verdict::Right => (32, "ok   "),
        Verdict::Warning => (33, "warn "),
        Verdict::Wrong => (31, "WRONG"),
        Verdict::Unknown => (36, "?    "),
    };
    let mark = colour.paint(code, mark);
    let indent = 2 + 11 + 1 + 5 + 1 + width + 2;
    let says = folded(&finding.says, indent);
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "  {part:<11} {mark} {:<width$}  {says}",
        finding.check
    );
    let margin = " ".repeat(indent);
    if let Some(risk) = &finding.risk {
        let _ = writeln!(text, "{margin}→ {}", folded(risk, indent + 2));
    }
    if let Some(mend) = &finding.mend {
        let _ = match finding.is_command() {
            true => writeln!(text, "{margin}$ {}", colour.paint(1, mend)),
            false => writeln!(text, "{margin}• {}", folded(mend, indent + 2)),
        };
    }
}

/// Broken between words, and further lines set in.
fn folded(says: &str, indent: usize) -> String {
    let room = WIDTH.saturating_sub(indent).max(30);
    let mut lines: Vec<String> = vec![String::new()];
    for word in says.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        let fits = line.chars().count() + 1 + word.chars().count() <= room;
        if line.is_empty() {
            line.push_str(word);
        } else if fits {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::check::Part;
    use crate::spec;

    fn finding(verdict: Verdict) -> Finding {
        Finding {
            part: Part::Hooks,
            check: "launch-hook",
            verdict,
            says: "there is no hook on launch".to_owned(),
            risk: (verdict == Verdict::Wrong).then(|| "an heir starts empty".to_owned()),
            mend: (verdict == Verdict::Wrong)
                .then(|| "aws autoscaling put-lifecycle-hook".to_owned()),
        }
    }

    fn seen(findings: Vec<Finding>) -> Report {
        let wrong = findings.iter().filter(|f| f.verdict == Verdict::Wrong);
        let wrong = wrong.count();
        Report {
            group: "orders-db".to_owned(),
            works: wrong == 0,
            wrong,
            warnings: 0,
            unknown: 0,
            machine: Some("i-1".to_owned()),
            findings,
        }
    }

    fn spec() -> GroupSpec {
        let text = "[[group]]\nname = \"orders-db\"\n[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\n";
        spec::parse("x", text).unwrap().groups.remove(0)
    }

    #[test]
    fn what_is_wrong_says_why_and_how_to_mend_it() {
        let report = seen(vec![finding(Verdict::Wrong), finding(Verdict::Right)]);
        assert_eq!(
            super::report(&report, &spec(), Colour::Off),
            "\
orders-db: a failover would not work (1 wrong)

  hooks       WRONG launch-hook  there is no hook on launch
                                 → an heir starts empty
                                 $ aws autoscaling put-lifecycle-hook
              ok    launch-hook  there is no hook on launch
"
        );
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let report = seen(vec![finding(Verdict::Wrong)]);
        let coloured = super::report(&report, &spec(), Colour::On);
        assert!(coloured.contains("\u{1b}[31mWRONG\u{1b}[0m"), "{coloured}");
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        assert_eq!(plain, super::report(&report, &spec(), Colour::Off));
    }

    #[test]
    fn sentences_are_folded_and_set_in() {
        let long = "word ".repeat(40);
        let text = folded(long.trim(), 60);
        assert!(text.lines().count() > 2);
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with(&" ".repeat(60)))
        );
        assert!(text.lines().all(|line| line.len() <= WIDTH));
    }
}
