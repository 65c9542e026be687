//! How did the live drill go? Plain data, a table for people, JSON for machines.

use serde::Serialize;

use crate::report::terminal::{self, Colour};
use crate::report::{Moment, Verdict};

/// The outcome of a live drill. The names are a contract with whoever reads
/// the JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LiveReport {
    pub seed: u64,
    /// What ran on the volume.
    pub workload: String,
    pub held: bool,
    pub max_data_loss_seconds: f64,
    pub rounds: Vec<Round>,
    /// The twelve promises, judged from the region's own record.
    pub promises: Vec<Verdict>,
    /// Why it ended early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One failover.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Round {
    pub round: usize,
    /// `replaced`, `agent killed`, `power cut` or `zone outage`.
    pub kind: String,
    pub what: String,
    pub from: String,
    pub to: String,
    pub from_zone: String,
    pub to_zone: String,
    /// From the last commit that the old instance acknowledged to the first
    /// that the new one did.
    pub rto_seconds: f64,
    /// Acknowledged since the drill began.
    pub rows_acknowledged: usize,
    /// Returned by PostgreSQL on the heir.
    pub rows_found: usize,
    pub rows_lost: usize,
    pub lost_seconds: f64,
    pub held: bool,
    /// What was wrong, if anything was.
    pub wrong: Vec<String>,
    /// Since it was struck.
    pub timeline: Vec<Moment>,
}

impl Round {
    /// The moments, and what came of them.
    pub fn told(&self) -> String {
        let loss = match self.rows_lost {
            0 => "none lost".to_owned(),
            lost => format!("{lost} lost, {:.1} s", self.lost_seconds),
        };
        let held = if self.held { "held" } else { "NOT HELD" };
        let verdict = format!(
            "{held}: RTO {:.1} s; {} rows acknowledged, {loss}; every page and index was read",
            self.rto_seconds, self.rows_acknowledged
        );
        let moments = terminal::moments(&self.timeline, Colour::Off);
        format!("{moments}  {verdict}\n")
    }
}

impl LiveReport {
    /// The table at the end.
    pub fn table(&self) -> String {
        let mut text = format!(
            "\n{:>3}  {:<13} {:<24} {:>7} {:>13} {:>13} {:>6} {:>8}\n",
            "", "", "zones", "RTO", "acknowledged", "found there", "lost", "for"
        );
        for round in &self.rounds {
            let zones = format!("{} → {}", round.from_zone, round.to_zone);
            text.push_str(&format!(
                "{:>3}  {:<13} {zones:<24} {:>5.1} s {:>13} {:>13} {:>6} {:>6.1} s  {}\n",
                round.round,
                round.kind,
                round.rto_seconds,
                round.rows_acknowledged,
                round.rows_found,
                round.rows_lost,
                round.lost_seconds,
                if round.held { "held" } else { "NOT HELD" },
            ));
        }
        let kept = self.promises.iter().filter(|verdict| verdict.held).count();
        if !self.promises.is_empty() {
            text.push_str(&format!(
                "\n{kept} of {} promises kept\n",
                self.promises.len()
            ));
        }
        for broken in self.promises.iter().filter(|verdict| !verdict.held) {
            text.push_str(&format!("  broken: {}: {}\n", broken.name, broken.detail));
        }
        for round in &self.rounds {
            for wrong in &round.wrong {
                text.push_str(&format!("  round {}: {wrong}\n", round.round));
            }
        }
        if let Some(error) = &self.error {
            text.push_str(&format!("  it ended early: {error}\n"));
        }
        text
    }

    /// Did everything hold, to the last round?
    pub fn conclude(&mut self, wanted: usize) {
        self.held = self.error.is_none()
            && self.rounds.len() == wanted
            && self.rounds.iter().all(|round| round.held)
            && self.promises.iter().all(|verdict| verdict.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> LiveReport {
        let round = Round {
            round: 1,
            kind: "power cut".to_owned(),
            held: true,
            rows_acknowledged: 812,
            ..Round::default()
        };
        LiveReport {
            rounds: vec![round],
            ..LiveReport::default()
        }
    }

    #[test]
    fn it_held_only_if_every_round_was_there_and_held() {
        let mut all = report();
        all.conclude(1);
        assert!(all.held);
        all.conclude(2);
        assert!(!all.held, "a round is missing");
        let mut broken = report();
        broken.promises.push(Verdict {
            name: "1 one writer".to_owned(),
            held: false,
            detail: "two".to_owned(),
        });
        broken.conclude(1);
        assert!(!broken.held);
        assert!(
            broken.table().contains("broken: 1 one writer: two"),
            "{}",
            broken.table()
        );
    }

    #[test]
    fn the_table_has_a_line_for_each_round() {
        let mut report = report();
        report.error = Some("the power went out".to_owned());
        let table = report.table();
        assert!(
            table.contains("power cut") && table.contains("812"),
            "{table}"
        );
        assert!(
            table.contains("it ended early: the power went out"),
            "{table}"
        );
    }
}
