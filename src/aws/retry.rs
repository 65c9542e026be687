//! When is a failed call tried again? The only file that names the `backoff`
//! crate: it gives the growth of the pauses, and nothing else of it is used.

use std::time::{Duration, Instant};

use backoff::backoff::Backoff;
use backoff::exponential::ExponentialBackoff;

use super::{AwsError, Meaning};

/// How often a call may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Reads, and writes that do no more when done twice.
    Repeat,
    /// A read whose failure has another way round: do not insist.
    Brief,
    /// Writes that are repeated as long as AWS answers. Where it does not, time has
    /// passed in which others may have done, and undone, what is asked for: only a new
    /// look says whether that is still wanted.
    WhileRefused,
    /// Writes whose unknown outcome must be looked up first.
    Once,
}

impl Policy {
    fn tries(self) -> u32 {
        match self {
            Self::Repeat | Self::WhileRefused => 6,
            Self::Brief => 3,
            Self::Once => 1,
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pauses of one call. It ends by the number of tries, never by a clock.
#[derive(Debug)]
pub(super) struct Schedule {
    policy: Policy,
    growth: ExponentialBackoff<Still>,
    tries_left: u32,
}

impl Schedule {
    pub(super) fn new(policy: Policy) -> Self {
        let clock = Still(any_instant());
        Self {
            policy,
            growth: ExponentialBackoff {
                current_interval: FIRST_PAUSE,
                initial_interval: FIRST_PAUSE,
                // Its own jitter cannot be seeded, and exceeds the cap.
                randomization_factor: 0.0,
                multiplier: 3.0,
                max_interval: LONGEST_PAUSE,
                start_time: clock.0,
                max_elapsed_time: None,
                clock,
            },
            tries_left: policy.tries(),
        }
    }

    /// How long to wait before the next try after this error, if there is one.
    pub(super) fn pause_after(&mut self, error: &AwsError) -> Option<Duration> {
        if !error.is_passing() {
            return None;
        }
        // A try that got no answer has already cost a whole time-out.
        let spent = match (error.meaning, self.policy) {
            (Meaning::NoAnswer, Policy::WhileRefused) => self.tries_left,
            (Meaning::NoAnswer, _) => 2,
            _ => 1,
        };
        self.tries_left = self.tries_left.saturating_sub(spent);
        if self.tries_left == 0 {
            return None;
        }
        self.growth.next_backoff().map(jittered)
    }
}

/// Between half of the pause and all of it, in whole milliseconds, from the
/// thread's generator: the one the SDK draws from, so that a drill seeds both.
fn jittered(pause: Duration) -> Duration {
    let whole = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(fastrand::u64(whole / 2..=whole))
}

/// The crate insists on a clock, even where no elapsed time is measured.
#[derive(Clone, Copy, Debug)]
struct Still(Instant);

impl backoff::Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "any instant will do: it is only ever subtracted from itself"
)]
fn any_instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(meaning: Meaning) -> AwsError {
        let mut error = AwsError::odd("try", "ec2:Try", "no");
        error.meaning = meaning;
        error
    }

    fn pauses(policy: Policy, meaning: Meaning) -> Vec<u64> {
        let mut schedule = Schedule::new(policy);
        let error = error(meaning);
        std::iter::from_fn(|| schedule.pause_after(&error))
            .map(|pause| u64::try_from(pause.as_millis()).unwrap())
            .collect()
    }

    #[test]
    fn pauses_grow_to_the_cap_and_keep_within_their_jitter() {
        for seed in 0..200 {
            fastrand::seed(seed);
            let pauses = pauses(Policy::Repeat, Meaning::Throttled);
            assert_eq!(pauses.len(), 5);
            for (pause, most) in pauses.iter().zip([100, 300, 900, 2700, 5000]) {
                assert!((most / 2..=most).contains(pause), "{pause} of {most}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let with = |seed| {
            fastrand::seed(seed);
            pauses(Policy::Repeat, Meaning::Unavailable)
        };
        assert_eq!(with(7), with(7));
        assert_ne!(with(7), with(8));
    }

    #[test]
    fn silence_is_asked_less_often_than_a_no() {
        assert_eq!(pauses(Policy::Repeat, Meaning::NoAnswer).len(), 2);
        assert_eq!(pauses(Policy::Brief, Meaning::Unavailable).len(), 2);
        assert_eq!(pauses(Policy::Brief, Meaning::NoAnswer).len(), 1);
        assert_eq!(pauses(Policy::Once, Meaning::Throttled).len(), 0);
        assert_eq!(pauses(Policy::WhileRefused, Meaning::Throttled).len(), 5);
        assert_eq!(pauses(Policy::WhileRefused, Meaning::NoAnswer).len(), 0);
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        for meaning in [
            Meaning::Denied,
            Meaning::InUse,
            Meaning::TooSoon,
            Meaning::Setup,
        ] {
            assert!(pauses(Policy::Repeat, meaning).is_empty(), "{meaning:?}");
        }
    }
}
