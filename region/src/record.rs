//! What happened, when, and by whom: the append-only record that judges read.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

pub type Tags = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub struct Record {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub at: Timestamp,
    /// A caller of the API, an instance, or `aws` for what AWS does by itself.
    pub who: String,
    pub what: What,
}

impl Record {
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn push(&mut self, at: Timestamp, who: &str, what: What) {
        self.entries.push(Entry {
            at,
            who: who.to_owned(),
            what,
        });
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// The error's code.
    Error(String),
    /// The request never reached AWS.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Continue,
    Abandon,
    /// The heartbeat time-out passed, and nobody had kept it open.
    TimedOut,
    /// It was kept open for as long as Auto Scaling lets anybody: a hundred
    /// heartbeat time-outs, or 48 hours.
    GlobalTimeout,
    /// Auto Scaling itself took the member another way, and asks no more.
    Withdrawn,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Call {
        service: String,
        action: String,
        target: String,
        outcome: Outcome,
    },
    InstanceState {
        instance: String,
        from: String,
        to: String,
    },
    Booted {
        instance: String,
    },
    AlarmState {
        alarm: String,
        from: String,
        to: String,
    },
    GuestDown {
        instance: String,
    },
    Lifecycle {
        group: String,
        instance: String,
        from: String,
        to: String,
    },
    HookOpened {
        group: String,
        instance: String,
        transition: String,
        token: String,
    },
    HookClosed {
        group: String,
        instance: String,
        transition: String,
        how: Closed,
        heartbeats: u32,
    },
    VolumeState {
        volume: String,
        from: String,
        to: String,
    },
    Attaching {
        volume: String,
        instance: String,
    },
    Attached {
        volume: String,
        instance: String,
    },
    Detaching {
        volume: String,
        instance: String,
        forced: bool,
    },
    /// Asked to detach while mounted: it waits for the guest.
    DetachBusy {
        volume: String,
        instance: String,
    },
    Detached {
        volume: String,
        instance: String,
    },
    SnapshotStarted {
        snapshot: String,
        volume: String,
        /// Someone could write: attached to an instance that is not stopped.
        writer_active: bool,
        counter: u64,
        tags: Tags,
    },
    SnapshotCompleted {
        snapshot: String,
    },
    SnapshotFailed {
        snapshot: String,
    },
    SnapshotDeleted {
        snapshot: String,
    },
    VolumeCreated {
        volume: String,
        zone: String,
        source: Option<String>,
        tags: Tags,
    },
    VolumeDeleted {
        volume: String,
    },
    AddressAllocated {
        allocation: String,
    },
    AddressMoved {
        allocation: String,
        from: Option<String>,
        to: Option<String>,
        /// Where the target stands in its Auto Scaling group, if it is in one.
        lifecycle: Option<String>,
    },
    AddressReleased {
        allocation: String,
    },
    Tagged {
        resource: String,
        key: String,
        value: String,
    },
    Untagged {
        resource: String,
        key: String,
    },
    Formatted {
        volume: String,
        had_data: bool,
    },
    Mounted {
        instance: String,
        volume: String,
        path: String,
    },
    Unmounted {
        instance: String,
        volume: String,
        path: String,
    },
    WriterStarted {
        instance: String,
        volume: String,
        path: String,
        counter: u64,
        /// Acknowledged writes that this volume has never seen.
        lost_writes: u64,
        /// For how long those were written: time in which nobody could write is not in it.
        lost: Duration,
    },
    WriterStopped {
        instance: String,
        volume: String,
        path: String,
        counter: u64,
    },
    /// Its zone went dark: it waits for its disk.
    WriterPaused {
        instance: String,
        volume: String,
        path: String,
        counter: u64,
    },
    WriterResumed {
        instance: String,
        volume: String,
        path: String,
        counter: u64,
    },
    /// Two writers of one group's path at once.
    SplitBrain {
        group: String,
        path: String,
        volumes: Vec<String>,
    },
    ServiceUp {
        group: String,
        instance: String,
    },
    IncidentStarted {
        group: String,
        instance: String,
        cause: String,
    },
    ZoneDown {
        zone: String,
    },
    ZoneUp {
        zone: String,
    },
    Health {
        instance: String,
        status: String,
        by: String,
    },
}
