//! Who goes on with a group that is not settled, and when?
//!
//! A function goes on by leaving itself a message that is handed over later.
//! Each message may leave one more, so a chain of them lives as long as its
//! group is unsettled; but every *event* could begin another. Three rules keep
//! a storm of events from becoming a storm of chains:
//!
//! - The messages of one batch that mean the same group are looked at once and
//!   leave one message: chains that meet become one.
//! - Messages that are far away come at the same seconds of every quarter of a
//!   minute, each group at its own: so chains do meet.
//! - Whoever has left a message that will be handed over before the time it
//!   would name now leaves no other.
//!
//! The last rule is a memory, and memory only saves: an execution environment
//! that starts anew may leave one message too many. There are therefore never
//! more chains of a group than environments of the function, however many
//! events there were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::ids::GroupName;

/// Where chains meet.
const GRID_SECONDS: i64 = 15;
/// What is nearer comes exactly then.
const NEAR: SignedDuration = SignedDuration::from_secs(2 * GRID_SECONDS);
/// As far away as a queue can hold a message back.
const FARTHEST: SignedDuration = SignedDuration::from_secs(900);
const NEAREST: SignedDuration = SignedDuration::from_secs(1);
/// A message this near may be the very one that is being looked at: clocks
/// differ.
const AT_HAND: SignedDuration = SignedDuration::from_secs(5);

/// Who goes on with what an invocation leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Onward {
    /// A message to ourselves, in the queue with this ARN.
    QueueOf(String),
    /// A message to ourselves, in the queue at this URL.
    Queue(String),
    /// The schedule, some time.
    Schedule,
    Nobody,
}

impl Onward {
    /// The queue that the event came from surely has us as its reader. One that
    /// keeps its order cannot hold back a single message.
    pub(super) fn from(arn: Option<&str>, configured: Option<&str>, is_scheduled: bool) -> Self {
        let arn = arn.filter(|arn| !arn.is_empty() && !arn.ends_with(".fifo"));
        match (arn, configured) {
            (Some(arn), _) => Self::QueueOf(arn.to_owned()),
            (None, Some(url)) => Self::Queue(url.to_owned()),
            (None, None) if is_scheduled => Self::Schedule,
            (None, None) => Self::Nobody,
        }
    }

    pub(super) fn is_by_message(&self) -> bool {
        matches!(self, Self::QueueOf(_) | Self::Queue(_))
    }
}

/// The messages that this environment left and that are not due yet.
#[derive(Debug, Default)]
pub(super) struct FollowUps {
    left: BTreeMap<GroupName, BTreeSet<Timestamp>>,
}

impl FollowUps {
    /// When the next message of this group is to be handed over; none if one
    /// will be by then.
    pub(super) fn plan(
        &mut self,
        group: &GroupName,
        now: Timestamp,
        back_in: SignedDuration,
    ) -> Option<Timestamp> {
        let back_in = back_in.clamp(NEAREST, FARTHEST);
        let wanted = now.checked_add(back_in).unwrap_or(Timestamp::MAX);
        let left = self.left.entry(group.clone()).or_default();
        left.retain(|at| at.duration_since(now) > AT_HAND);
        if left.iter().any(|at| *at <= wanted) {
            return None;
        }
        let due = if back_in < NEAR {
            wanted
        } else {
            on_the_grid(group, wanted)
        };
        left.insert(due);
        Some(due)
    }

    /// The message was not taken.
    pub(super) fn forget(&mut self, group: &GroupName, due: Timestamp) {
        if let Some(left) = self.left.get_mut(group) {
            left.remove(&due);
        }
    }
}

/// The last of the group's seconds before this.
fn on_the_grid(group: &GroupName, wanted: Timestamp) -> Timestamp {
    let bytes = group.as_str().bytes();
    let phase = bytes.fold(0, |sum, byte| (sum * 31 + i64::from(byte)) % GRID_SECONDS);
    let late = (wanted.as_second() - phase).rem_euclid(GRID_SECONDS);
    Timestamp::from_second(wanted.as_second() - late).unwrap_or(wanted)
}

/// A queue counts whole seconds: never too early.
pub(super) fn delay(now: Timestamp, due: Timestamp) -> Duration {
    let left = Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
    Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_767_225_600_000 + millis).unwrap()
    }

    fn plan(chains: &mut FollowUps, now: Timestamp, seconds: i64) -> Option<Timestamp> {
        chains.plan(&"orders-db".into(), now, SignedDuration::from_secs(seconds))
    }

    #[test]
    fn a_storm_of_events_leaves_one_message() {
        let mut chains = FollowUps::default();
        let due = plan(&mut chains, at(0), 300).unwrap();
        for event in 1..1_000 {
            assert_eq!(plan(&mut chains, at(event * 200), 300), None, "{event}");
        }
        // Its own arrival leaves the next one, also by a clock that is behind.
        let early = due - SignedDuration::from_secs(2);
        assert!(plan(&mut chains, early, 300).is_some());
    }

    #[test]
    fn what_is_needed_earlier_is_left_all_the_same() {
        let mut chains = FollowUps::default();
        let far = plan(&mut chains, at(0), 600).unwrap();
        let near = plan(&mut chains, at(1_000), 60).unwrap();
        assert!(near < far);
        // The near one finds that the far one suffices.
        assert_eq!(plan(&mut chains, near, 900), None);
    }

    #[test]
    fn environments_that_know_nothing_of_each_other_meet() {
        let dues: BTreeSet<Timestamp> = (0..10)
            .map(|one| plan(&mut FollowUps::default(), at(one), 300).unwrap())
            .collect();
        assert_eq!(dues.len(), 1);
        let due = *dues.first().unwrap();
        let early = at(300_000).duration_since(due);
        assert!(!early.is_negative() && early <= SignedDuration::from_secs(GRID_SECONDS));
    }

    #[test]
    fn what_was_not_taken_is_left_again() {
        let mut chains = FollowUps::default();
        let due = plan(&mut chains, at(0), 300).unwrap();
        chains.forget(&"orders-db".into(), due);
        assert_eq!(plan(&mut chains, at(0), 300), Some(due));
    }

    #[test]
    fn a_delay_is_whole_seconds_and_never_too_short() {
        assert_eq!(delay(at(400), at(15_000)), Duration::from_secs(15));
        assert_eq!(delay(at(0), at(15_000)), Duration::from_secs(15));
        assert_eq!(delay(at(15_000), at(0)), Duration::ZERO);
        let mut chains = FollowUps::default();
        let due = plan(&mut chains, at(0), i64::MAX).unwrap();
        assert!(delay(at(0), due) <= Duration::from_secs(900));
    }

    #[test]
    fn the_queue_of_the_event_comes_first() {
        let arn = "arn:aws:sqs:us-east-1:123456789012:rehome";
        let url = "https://sqs.us-east-1.amazonaws.com/123456789012/other";
        let from = Onward::from;
        assert_eq!(
            from(Some(arn), Some(url), true),
            Onward::QueueOf(arn.to_owned())
        );
        assert_eq!(from(None, Some(url), true), Onward::Queue(url.to_owned()));
        assert_eq!(
            from(Some(&format!("{arn}.fifo")), Some(url), false),
            Onward::Queue(url.to_owned())
        );
        assert_eq!(from(None, None, true), Onward::Schedule);
        assert_eq!(from(Some(""), None, false), Onward::Nobody);
    }
}
