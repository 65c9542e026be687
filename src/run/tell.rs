//! Who is told what a runner does? A person, line by line; the logs; and the
//! result that is printed at the end.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::rc::Rc;

use jiff::Timestamp;
use serde::Serialize;

use crate::reconcile::{Teller, Told};
use crate::spec::GroupSpec;

/// One thing a runner did, for `--json`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) what: &'static str,
    pub(super) says: String,
}

/// A line per step and per new wait, with the seconds since the start.
pub(super) fn console(start: Timestamp) -> Teller {
    Teller::new(move |at, told| {
        let Some(entry) = entry(at, told) else { return };
        let seconds = at.duration_since(start).as_secs_f64();
        let mark = match entry.what {
            "did" => return,
            "doing" => "",
            "waiting" => "waits: ",
            "overtaken" => "overtaken: ",
            "failed" => "failed: ",
            _ => "",
        };
        // Whoever stopped reading does not stop the work.
        let _ = writeln!(io::stdout(), "{seconds:>7.1} s  {mark}{}", entry.says);
    })
}

/// Keeps everything for the end.
pub(super) fn record() -> (Teller, Rc<RefCell<Vec<Entry>>>) {
    let entries = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&entries);
    let teller = Teller::new(move |at, told| kept.borrow_mut().extend(entry(at, told)));
    (teller, entries)
}

/// Into the logs, and to whoever counts what is under way.
pub(super) fn log(spec: &GroupSpec, heard: impl Fn(&Told<'_>) + 'static) -> Teller {
    let group = spec.name.clone();
    Teller::new(move |_, told| {
        heard(told);
        match told {
            Told::Doing(step) => tracing::debug!(%group, %step, "doing"),
            Told::Did(step) => tracing::info!(%group, %step, "done"),
            Told::Overtaken(step, why) => tracing::info!(%group, %step, why, "overtaken"),
            Told::Failed(step, why) => tracing::warn!(%group, %step, why, "failed"),
            Told::Waiting(wait) => tracing::info!(%group, %wait, "waiting"),
            Told::Settled => tracing::info!(%group, "settled"),
        }
    })
}

fn entry(at: Timestamp, told: &Told<'_>) -> Option<Entry> {
    let (what, says) = match told {
        Told::Doing(step) => ("doing", step.to_string()),
        Told::Did(step) => ("did", step.to_string()),
        Told::Overtaken(step, why) => ("overtaken", format!("{step} ({why})")),
        Told::Failed(step, why) => ("failed", format!("{step}: {why}")),
        Told::Waiting(wait) => ("waiting", wait.to_string()),
        Told::Settled => return None,
    };
    Some(Entry { at, what, says })
}
