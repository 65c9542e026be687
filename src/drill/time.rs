//! What time is it in a drill? Tokio's paused clock, read as a date.
//!
//! Nothing waits for real: when every task sleeps, the clock jumps to the next
//! thing that is due. A day passes in a moment, and always in the same way.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::clock::Clock;

/// 2026-01-01T00:00:00Z: every drill begins at the same instant, so that its
/// bytes are the same on every day.
const START_SECOND: i64 = 1_767_225_600;

/// The drill's own time. It is made inside a runtime whose clock is paused.
#[derive(Clone, Copy, Debug)]
pub struct VirtualTime {
    began: Instant,
}

impl VirtualTime {
    #[allow(clippy::disallowed_methods)] // tokio's paused clock is the drill's time
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    pub fn now(&self) -> Timestamp {
        beginning()
            .checked_add(self.began.elapsed())
            .unwrap_or(Timestamp::MAX)
    }

    /// The tokio instant at which this date comes.
    pub fn instant_of(&self, at: Timestamp) -> Instant {
        let since = Duration::try_from(at.duration_since(beginning())).unwrap_or_default();
        self.began + since
    }

    /// The tokio instant that is so far away.
    #[allow(clippy::disallowed_methods)] // tokio's paused clock is the drill's time
    pub fn in_a_while(&self, time: Duration) -> Instant {
        Instant::now() + time
    }

    pub fn clock(&self) -> Clock {
        self.clock_ahead(SignedDuration::ZERO)
    }

    /// Somebody's clock, so far ahead of the region's.
    pub fn clock_ahead(&self, ahead: SignedDuration) -> Clock {
        let time = *self;
        Clock::new(move || time.now().saturating_add(ahead).unwrap_or(Timestamp::MAX))
    }
}

impl TimeSource for VirtualTime {
    fn now(&self) -> SystemTime {
        Self::now(self).into()
    }
}

/// When every drill begins.
pub fn beginning() -> Timestamp {
    Timestamp::from_second(START_SECOND).unwrap_or(Timestamp::UNIX_EPOCH)
}
