//! How is the time of one invocation divided?

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A turn that was begun may take this long.
const LAST_TURN: SignedDuration = SignedDuration::from_secs(30);
/// To leave a message and to answer takes no longer than this.
const FAREWELL: SignedDuration = SignedDuration::from_secs(8);

/// Lambda ends an invocation at its deadline, in the middle of whatever it
/// does. Nothing would break; but no message would have been left, and the
/// event would be delivered again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// No turn begins after this.
    pub(super) turns: Timestamp,
    /// What still goes on is abandoned; the next visit goes on with it.
    pub(super) visits: Timestamp,
    /// What has not been sent now counts as not sent.
    pub(super) messages: Timestamp,
}

impl Bounds {
    /// A function with a short time-out has short margins.
    pub(super) fn of(now: Timestamp, deadline: Timestamp) -> Self {
        let whole = deadline.duration_since(now).max(SignedDuration::ZERO);
        let before = |margin: SignedDuration| deadline.checked_sub(margin).unwrap_or(now);
        let farewell = FAREWELL.min(whole / 6);
        Self {
            turns: before(LAST_TURN.min(whole / 3)),
            visits: before(farewell),
            messages: before(farewell / 4),
        }
    }
}

/// Does this, unless it takes too long.
pub(super) async fn by<T>(
    end: Timestamp,
    now: Timestamp,
    work: impl Future<Output = T>,
) -> Option<T> {
    let left = Duration::try_from(end.duration_since(now)).unwrap_or(Duration::ZERO);
    tokio::time::timeout(left, work).await.ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn margins(whole: i64) -> [SignedDuration; 3] {
        let now = Timestamp::UNIX_EPOCH;
        let deadline = now + SignedDuration::from_secs(whole);
        let bounds = Bounds::of(now, deadline);
        [bounds.turns, bounds.visits, bounds.messages].map(|at| deadline.duration_since(at))
    }

    #[test]
    fn the_last_seconds_are_for_the_farewell() {
        let seconds = [30, 8, 2].map(SignedDuration::from_secs);
        assert_eq!(margins(900), seconds);
    }

    #[test]
    fn a_short_time_out_has_short_margins() {
        let millis = [1_000, 500, 125].map(SignedDuration::from_millis);
        assert_eq!(margins(3), millis);
        assert_eq!(margins(-5), [SignedDuration::ZERO; 3]);
    }
}
