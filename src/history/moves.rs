//! How long did each move take, and what did it lose?

use jiff::Timestamp;
use serde::Serialize;

use super::terms::TermTold;
use super::{Activity, Deed, Sources};
use crate::ids::{InstanceId, SnapshotId};
use crate::spec::{GroupSpec, Kind};
use crate::world::{Consistency, Snapshot};

/// From one holder to the next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Move {
    pub from: InstanceId,
    pub to: InstanceId,
    /// When the new holder's term began.
    pub at: Timestamp,
    /// The volumes themselves moved, or copies were made of them.
    pub restored: bool,
    /// From the capture until the new term: nobody had the data.
    pub data_away_seconds: Option<f64>,
    /// From Auto Scaling's order to terminate until the heir was in service.
    /// For an instance that had died before, the outage began earlier.
    pub rto_seconds: Option<f64>,
    /// Why there is no recovery time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto_unknown: Option<&'static str>,
    /// In Auto Scaling's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    pub loss: Loss,
}

/// What was written and did not come along.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "lost", rename_all = "snake_case")]
pub enum Loss {
    /// The data was moved, or copied when nothing could write to it.
    Nothing,
    /// What had not reached the disk, as after a power cut.
    Unwritten,
    /// An older set was used: what was written in the last seconds of the term.
    AtMost {
        seconds: f64,
        restored_from: SnapshotId,
    },
    Unknown {
        why: &'static str,
    },
}

impl Loss {
    pub(super) fn seconds(&self) -> Option<f64> {
        match self {
            Self::Nothing | Self::Unwritten => Some(0.0),
            Self::AtMost { seconds, .. } => Some(*seconds),
            Self::Unknown { .. } => None,
        }
    }
}

/// One for each two terms that follow each other.
pub(super) fn moves(sources: &Sources, spec: &GroupSpec, terms: &[TermTold]) -> Vec<Move> {
    let pairs = terms.iter().zip(terms.iter().skip(1));
    pairs
        // The same holder went on after its data had been captured as final.
        .filter(|(before, after)| before.holder != after.holder)
        .map(|(before, after)| one(sources, spec, before, after))
        .collect()
}

fn one(sources: &Sources, spec: &GroupSpec, before: &TermTold, after: &TermTold) -> Move {
    let activities = sources.activities.known().map_or(&[][..], Vec::as_slice);
    let ended = of(activities, Deed::Terminate, &before.holder);
    let launched = of(activities, Deed::Launch, &after.holder);
    let (rto_seconds, rto_unknown) = match spec.kind {
        Kind::Asg => recovery(ended, launched),
        Kind::Pair { .. } => (
            None,
            Some("nobody keeps a record of when a pair begins to serve"),
        ),
    };
    Move {
        from: before.holder.clone(),
        to: after.holder.clone(),
        at: after.since,
        restored: after
            .volumes
            .iter()
            .any(|carried| !before.volumes.iter().any(|b| b.volume == carried.volume)),
        data_away_seconds: before
            .captured
            .filter(|captured| *captured <= after.since)
            .map(|captured| seconds(captured, after.since)),
        rto_seconds,
        rto_unknown,
        cause: ended
            .map(|activity| activity.cause.clone())
            .filter(|c| !c.is_empty()),
        loss: loss(sources, before, after, ended),
    }
}

fn of<'a>(activities: &'a [Activity], deed: Deed, instance: &InstanceId) -> Option<&'a Activity> {
    let mut all = activities.iter();
    all.rfind(|activity| activity.deed == deed && activity.instance.as_ref() == Some(instance))
}

fn recovery(
    ended: Option<&Activity>,
    launched: Option<&Activity>,
) -> (Option<f64>, Option<&'static str>) {
    let Some(ended) = ended else {
        return (
            None,
            Some("Auto Scaling does not tell when the old instance ended"),
        );
    };
    let Some(launched) = launched else {
        return (
            None,
            Some("Auto Scaling does not tell when the new instance was launched"),
        );
    };
    match launched.ended {
        None => (None, Some("the new instance is not in service yet")),
        // A handover: the heir was there before the old one was told to go.
        Some(at) if at < ended.began => (Some(0.0), None),
        Some(at) => (Some(seconds(ended.began, at)), None),
    }
}

/// The worst of all volumes.
fn loss(sources: &Sources, before: &TermTold, after: &TermTold, ended: Option<&Activity>) -> Loss {
    let volumes = sources.world.volumes.known();
    let mut worst = Loss::Nothing;
    for carried in &after.volumes {
        if before.volumes.iter().any(|b| b.volume == carried.volume) {
            continue;
        }
        let Some(volume) = volumes.and_then(|all| all.get(&carried.volume)) else {
            return Loss::Unknown {
                why: "a volume of the new holder is gone by now",
            };
        };
        let found = match &volume.source {
            None => Loss::Unknown {
                why: "the new holder began with a blank volume",
            },
            Some(source) => of_source(sources, source, before, after, ended),
        };
        worst = worse(worst, found);
    }
    if after.volumes.is_empty() {
        return Loss::Unknown {
            why: "nothing is left that tells which copy was used",
        };
    }
    worst
}

fn of_source(
    sources: &Sources,
    source: &SnapshotId,
    before: &TermTold,
    after: &TermTold,
    ended: Option<&Activity>,
) -> Loss {
    let known = sources.world.snapshots.known();
    let Some(snapshot) = known.and_then(|all| all.get(source)) else {
        return Loss::Unknown {
            why: "the copy it was made from is gone by now",
        };
    };
    if snapshot.incident.as_ref() == Some(&before.incident()) {
        return of_capture(snapshot);
    }
    // The old holder may have written until it was ended, at the latest until
    // the new one began.
    let until = ended.map_or(after.since, |activity| activity.began.min(after.since));
    Loss::AtMost {
        seconds: seconds(snapshot.started, until).max(0.0),
        restored_from: source.clone(),
    }
}

fn of_capture(snapshot: &Snapshot) -> Loss {
    match snapshot.consistency {
        Consistency::Clean => Loss::Nothing,
        Consistency::Crash => Loss::Unwritten,
    }
}

fn worse(one: Loss, other: Loss) -> Loss {
    fn rank(loss: &Loss) -> (u8, f64) {
        match loss {
            Loss::Nothing => (0, 0.0),
            Loss::Unwritten => (1, 0.0),
            Loss::AtMost { seconds, .. } => (2, *seconds),
            Loss::Unknown { .. } => (3, 0.0),
        }
    }
    if rank(&other) > rank(&one) {
        other
    } else {
        one
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
