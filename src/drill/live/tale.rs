//! What came to pass in a round, moment by moment? The region's record, and
//! what the client and the drill know besides.

use jiff::Timestamp;
use rehome_region::{Region, What};

use super::client::Book;
use crate::drill::ledger::Ledger;
use crate::drill::narrate::{chapter, seconds_since};
use crate::report::{Kind, Moment};

/// Of whom it tells.
pub(super) struct Tale<'a> {
    pub(super) struck: Timestamp,
    /// When an agent was killed, and whose.
    pub(super) killed: Option<(Timestamp, String)>,
    pub(super) old: &'a str,
    pub(super) new: &'a str,
}

pub(super) fn tale(region: &Region, book: &Book, tale: &Tale<'_>) -> Vec<Moment> {
    let entries = region.record().entries();
    let ledger = Ledger::replay(entries);
    let (names, mut moments) = chapter(entries, &ledger, tale.struck, is_told);
    let name = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let mut tell = |at: Timestamp, who: &str, what: String, kind| {
        moments.push(Moment {
            // The last promise may be a moment older than the blow.
            at_seconds: seconds_since(tale.struck, at).max(0.0),
            who: who.to_owned(),
            what,
            kind,
        });
    };
    let mut acknowledged = book.acknowledged.iter();
    if let Some(last) = acknowledged.clone().rev().find(|ack| ack.by == tale.old) {
        let what = format!(
            "row {} is the last that {} acknowledges",
            last.n,
            name(tale.old)
        );
        tell(last.at, "client", what, Kind::Incident);
    }
    if let Some(first) = acknowledged.find(|ack| ack.by == tale.new) {
        let what = format!(
            "row {} is the first that {} acknowledges",
            first.n,
            name(tale.new)
        );
        tell(first.at, "client", what, Kind::Reached);
    }
    if let Some((at, whose)) = &tale.killed {
        let what = format!("kill -9: the agent of {}", name(whose));
        tell(*at, "nature", what, Kind::Incident);
    }
    // Stable: what happens in one instant stays in its order.
    moments.sort_by(|a, b| a.at_seconds.total_cmp(&b.at_seconds));
    moments
}

/// Here PostgreSQL writes, and not the emulated counter.
fn is_told(what: &What) -> bool {
    !matches!(
        what,
        What::WriterStarted { .. }
            | What::WriterStopped { .. }
            | What::WriterPaused { .. }
            | What::WriterResumed { .. }
            | What::ServiceUp { .. }
    )
}
