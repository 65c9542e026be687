//! How is the time of one invocation divided?

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A turn that was begun may take this long.
const LAST_TURN: SignedDuration = SignedDuration::from_secs(30);
/// To leave a message and to answer takes no longer than this.
const FAREWELL: SignedDuration = SignedDuration::from_secs(8);
/// Nobody calls a function that has no time: some test tools name a deadline
/// long past, and mean none.
const UNTOLD: SignedDuration = SignedDuration::from_mins(1);

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
        let deadline = meant(now, deadline);
        let whole = deadline.duration_since(now);
        let before = |margin: SignedDuration| deadline.checked_sub(margin).unwrap_or(now);
        let farewell = FAREWELL.min(whole / 6);
        Self {
            turns: before(LAST_TURN.min(whole / 3)),
            visits: before(farewell),
            messages: before(farewell / 4),
        }
    }
}

/// The deadline that is meant.
pub(super) fn meant(now: Timestamp, deadline: Timestamp) -> Timestamp {
    if deadline > now {
        deadline
    } else {
        now.checked_add(UNTOLD).unwrap_or(now)
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
        let deadline = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(whole);
        let bounds = Bounds::of(Timestamp::UNIX_EPOCH, deadline);
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
    }

    #[test]
    fn a_deadline_that_is_over_is_none() {
        let now = Timestamp::UNIX_EPOCH;
        for over in [now, Timestamp::MIN] {
            let turns = Bounds::of(now, over).turns;
            assert_eq!(turns.duration_since(now), SignedDuration::from_secs(40));
        }
    }
}
