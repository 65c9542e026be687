//! How did it go? The outcome of a rehearsal as plain data, and its faces:
//! text for a terminal, JSON for machines, a page for a browser.

pub mod html;
pub mod terminal;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// One performed scenario. The names are a contract: checks outside the
/// project read this as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rehearsal {
    pub scenario: String,
    pub title: String,
    pub seed: u64,
    /// Did everything come to its place, by the region's own truth, each time
    /// the story asked for it?
    pub settled: bool,
    /// Of the longest incident. None where nothing had to be recovered.
    pub rto_seconds: Option<f64>,
    /// What the region's own durations would have allowed for that incident.
    pub critical_path_seconds: Option<f64>,
    /// Acknowledged writes that are gone, as the time they cover.
    pub data_loss_seconds: f64,
    /// By action, from the first incident to the end, by all runners together.
    pub api_calls: BTreeMap<String, u64>,
    pub promises: Vec<Verdict>,
    /// What the scenario itself expects.
    pub expectations: Vec<Verdict>,
    pub incidents: Vec<Incident>,
    /// Who is who: the name in the timeline → the id.
    pub cast: BTreeMap<String, String>,
    pub timeline: Vec<Moment>,
    /// What the policies of all places were used for.
    #[serde(skip)]
    pub permissions: BTreeSet<Permission>,
}

/// That somebody at a place did something, by leave of a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    pub place: String,
    pub sid: String,
    pub action: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub name: String,
    pub held: bool,
    /// What was looked at, or what broke it.
    pub detail: String,
}

/// From a serving instance going away until the service was up again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    pub cause: String,
    pub at_seconds: f64,
    pub rto_seconds: Option<f64>,
    pub critical_path_seconds: Option<f64>,
    /// The steps of the critical path and their lengths.
    pub path: Vec<(String, f64)>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Since the first incident, or since the beginning where there is none.
    pub at_seconds: f64,
    pub who: String,
    pub what: String,
    pub kind: Kind,
}

/// How a moment is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The world changed by itself, or by people.
    Incident,
    /// AWS did something.
    Happens,
    /// A runner does something.
    Does,
    /// A runner waits, and says for what.
    Waits,
    /// It failed.
    Fails,
    /// A goal is reached.
    Reached,
}

impl Rehearsal {
    pub fn succeeded(&self) -> bool {
        self.settled
            && self
                .promises
                .iter()
                .chain(&self.expectations)
                .all(|verdict| verdict.held)
    }

    pub fn calls(&self) -> u64 {
        self.api_calls.values().sum()
    }

    /// How often a service went away and came back.
    pub fn failovers(&self) -> usize {
        let over = self.incidents.iter().filter(|i| i.rto_seconds.is_some());
        over.count()
    }

    /// How many times the shortest possible time it took.
    pub fn ratio(&self) -> Option<f64> {
        let shortest = self
            .critical_path_seconds
            .filter(|seconds| *seconds > 0.0)?;
        Some(self.rto_seconds? / shortest)
    }
}

/// Whole milliseconds as seconds: what is printed is what was measured.
pub fn seconds(duration: std::time::Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn rehearsal() -> Rehearsal {
        let moment = |at_seconds, who: &str, what: &str, kind| Moment {
            at_seconds,
            who: who.to_owned(),
            what: what.to_owned(),
            kind,
        };
        Rehearsal {
            scenario: "cross-zone".to_owned(),
            title: "The replacement comes up <elsewhere>".to_owned(),
            seed: 7,
            settled: true,
            rto_seconds: Some(102.0),
            critical_path_seconds: Some(100.0),
            data_loss_seconds: 0.0,
            api_calls: BTreeMap::from([
                ("DescribeVolumes".to_owned(), 4),
                ("AttachVolume".to_owned(), 1),
            ]),
            promises: vec![Verdict {
                name: "1 one writer".to_owned(),
                held: true,
                detail: "2 instances wrote".to_owned(),
            }],
            expectations: Vec::new(),
            incidents: vec![Incident {
                cause: "health check".to_owned(),
                at_seconds: 0.0,
                rto_seconds: Some(102.0),
                critical_path_seconds: Some(100.0),
                path: vec![("boot".to_owned(), 25.0), ("snapshot".to_owned(), 75.0)],
            }],
            permissions: BTreeSet::new(),
            cast: BTreeMap::from([("first".to_owned(), "i-1".to_owned())]),
            timeline: vec![
                moment(-60.0, "first", "the service is up", Kind::Reached),
                moment(0.0, "nature", "health check: first", Kind::Incident),
                moment(3.0, "first", "stops the workload and unmounts", Kind::Does),
            ],
        }
    }

    #[test]
    fn the_json_has_the_names_of_the_contract() {
        let json = serde_json::to_value(rehearsal()).unwrap_or_default();
        for name in [
            "scenario",
            "seed",
            "settled",
            "rto_seconds",
            "critical_path_seconds",
            "data_loss_seconds",
            "api_calls",
            "promises",
            "timeline",
        ] {
            assert!(json.get(name).is_some(), "{name} is missing");
        }
        let moment = json.pointer("/timeline/0");
        assert!(
            ["at_seconds", "who", "what"]
                .iter()
                .all(|name| moment.and_then(|m| m.get(name)).is_some())
        );
        let promise = json.pointer("/promises/0");
        assert!(
            ["name", "held", "detail"]
                .iter()
                .all(|name| promise.and_then(|p| p.get(name)).is_some())
        );
    }

    #[test]
    fn one_broken_expectation_is_enough_to_fail() {
        let mut rehearsal = rehearsal();
        assert!(rehearsal.succeeded());
        rehearsal.expectations.push(Verdict {
            name: "x".to_owned(),
            held: false,
            detail: String::new(),
        });
        assert!(!rehearsal.succeeded());
    }
}
