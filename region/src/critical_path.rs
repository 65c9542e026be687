//! How fast could a failover have been? The longest chain over the durations the
//! region itself drew.

use std::time::Duration;

use jiff::Timestamp;

use crate::Region;

/// One incident: from a serving instance going away until the service is up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriticalPath {
    pub group: String,
    pub cause: String,
    pub started: Timestamp,
    pub recovered: Option<Timestamp>,
    pub rto: Option<Duration>,
    /// The shortest the region's own durations would have allowed.
    pub shortest: Option<Duration>,
    pub steps: Vec<(String, Duration)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Incidents {
    all: Vec<CriticalPath>,
}

impl Incidents {
    pub(crate) fn paths(&self) -> Vec<CriticalPath> {
        self.all.clone()
    }
}

/// A serving instance of `service` is about to go away. Call it *before* the
/// change; nothing happens if it does not serve or an incident is open already.
pub(crate) fn begin(
    _region: &mut Region,
    _service: &str,
    _instance: &str,
    _cause: &str,
    _now: Timestamp,
) {
}

/// Is a service up again? Asked after everything that happens.
pub(crate) fn look(_region: &mut Region, _now: Timestamp) {}
