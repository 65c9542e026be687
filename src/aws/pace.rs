//! May one call now, or better in a moment? The documented token buckets of
//! EC2, kept on our side, so that a zone evacuation with a thousand groups
//! waits in order instead of being refused at random.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

/// How long a refusal of AWS keeps our rate halved.
const SLOW_FOR: Duration = Duration::from_secs(30);

/// The buckets of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace(Rc<RefCell<BTreeMap<&'static str, Bucket>>>);

impl Pace {
    /// Waits until a token of this action's bucket is ours.
    pub(super) async fn turn(&self, action: &'static str, extent: Extent) {
        let wait = self.with_bucket(limit(action, extent), Bucket::take);
        if !wait.is_zero() {
            tracing::debug!(action, ?wait, "waiting for the API's rate");
            tokio::time::sleep(wait).await;
        }
    }

    /// AWS refused one: others use the same account.
    pub(super) fn refused(&self, action: &'static str, extent: Extent) {
        self.with_bucket(limit(action, extent), Bucket::slow_down);
    }

    fn with_bucket<T>(&self, limit: Limit, act: impl FnOnce(&mut Bucket, Instant) -> T) -> T {
        let mut buckets = self.0.borrow_mut();
        let bucket = buckets
            .entry(limit.name)
            .or_insert_with(|| Bucket::new(limit));
        act(bucket, now())
    }
}

/// How much a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// One thing, or pages of what a filter lets through.
    Bounded,
    /// A describe with neither filter nor pages, by ids for example: EC2 has
    /// smaller buckets for some of these.
    Unpaged,
}

/// A moment that can be subtracted from later ones, virtual in a drill. It
/// decides how fast calls follow each other, how long a hint is kept and which
/// answer is too old, never what is done.
#[allow(
    clippy::disallowed_methods,
    reason = "pauses between calls are the runtime's business; the wall clock is not asked"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    /// Actions of one name share a bucket.
    name: &'static str,
    capacity: u32,
    per_second: u32,
}

/// Capacity and refill by action, as EC2 documents them. Auto Scaling has one
/// undisclosed bucket for everything: a cautious guess, and refusals teach.
fn limit(action: &'static str, extent: Extent) -> Limit {
    let (name, capacity, per_second) = match (action, extent) {
        ("ec2:DescribeInstances", Extent::Unpaged) => ("ec2:DescribeInstances unpaged", 50, 10),
        ("ec2:DescribeVolumes", Extent::Unpaged) => ("ec2:DescribeVolumes unpaged", 50, 10),
        ("ec2:DescribeSnapshots", Extent::Unpaged) => ("ec2:DescribeSnapshots unpaged", 50, 10),
        (
            "ec2:CreateSnapshot"
            | "ec2:CreateSnapshots"
            | "ec2:CreateVolume"
            | "ec2:DeleteVolume"
            | "ec2:DeleteSnapshot",
            _,
        ) => (action, 100, 5),
        ("ec2:CreateTags", _) => (action, 100, 10),
        ("ec2:StartInstances", _) => (action, 5, 2),
        _ if action.starts_with("ec2:Describe") => (action, 100, 20),
        _ if action.starts_with("ec2:") => (action, 50, 5),
        _ if action.starts_with("autoscaling:") => ("autoscaling", 100, 10),
        _ => (action, 9, 9),
    };
    Limit {
        name,
        capacity,
        per_second,
    }
}

/// A token bucket that lends: each caller is told when its token will be
/// there, so that they are served in the order they came.
#[derive(Debug)]
struct Bucket {
    limit: Limit,
    /// May be negative: promised already.
    tokens: f64,
    counted: Option<Instant>,
    slow_until: Option<Instant>,
}

impl Bucket {
    fn new(limit: Limit) -> Self {
        Self {
            limit,
            tokens: f64::from(limit.capacity),
            counted: None,
            slow_until: None,
        }
    }

    fn take(&mut self, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.rate(now))
        }
    }

    fn slow_down(&mut self, now: Instant) {
        self.refill(now);
        // Whatever we thought was left, others have used.
        self.tokens = self.tokens.min(0.0);
        self.slow_until = Some(now + SLOW_FOR);
    }

    fn refill(&mut self, now: Instant) {
        let passed = self.counted.map_or(Duration::ZERO, |before| {
            now.saturating_duration_since(before)
        });
        self.counted = Some(now);
        let refilled = self.tokens + passed.as_secs_f64() * self.rate(now);
        self.tokens = refilled.min(f64::from(self.limit.capacity));
    }

    fn rate(&self, now: Instant) -> f64 {
        let full = f64::from(self.limit.per_second);
        match self.slow_until {
            Some(until) if now < until => full / 2.0,
            _ => full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds_for(pace: &Pace, action: &'static str, calls: u32) -> f64 {
        let start = now();
        for _ in 0..calls {
            pace.turn(action, Extent::Bounded).await;
        }
        now().duration_since(start).as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bucket_costs_nothing_and_the_rest_its_refill() {
        let pace = Pace::default();
        assert!(seconds_for(&pace, "ec2:CreateSnapshot", 100).await < 0.001);
        let rest = seconds_for(&pace, "ec2:CreateSnapshot", 900).await;
        assert!((179.0..181.0).contains(&rest), "{rest}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_action_has_its_own_bucket_and_auto_scaling_one() {
        let pace = Pace::default();
        seconds_for(&pace, "ec2:AttachVolume", 50).await;
        assert!(seconds_for(&pace, "ec2:DetachVolume", 50).await < 0.001);
        seconds_for(&pace, "ec2:DescribeVolumes", 100).await;
        let start = now();
        pace.turn("ec2:DescribeVolumes", Extent::Unpaged).await;
        assert!(now() == start);
        seconds_for(&pace, "autoscaling:CompleteLifecycleAction", 100).await;
        assert!(seconds_for(&pace, "autoscaling:SetInstanceHealth", 1).await > 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_the_rate_for_a_while() {
        let pace = Pace::default();
        pace.refused("ec2:AttachVolume", Extent::Bounded);
        let slow = seconds_for(&pace, "ec2:AttachVolume", 10).await;
        assert!((3.9..4.1).contains(&slow), "{slow}");
        tokio::time::sleep(SLOW_FOR).await;
        seconds_for(&pace, "ec2:AttachVolume", 50).await;
        pace.0
            .borrow_mut()
            .values_mut()
            .for_each(|bucket| bucket.tokens = 0.0);
        let full = seconds_for(&pace, "ec2:AttachVolume", 10).await;
        assert!((1.9..2.1).contains(&full), "{full}");
    }

    #[tokio::test(start_paused = true)]
    async fn many_at_once_are_served_one_after_the_other() {
        let pace = Pace::default();
        seconds_for(&pace, "ec2:StartInstances", 5).await;
        let start = now();
        let (first, second) = tokio::join!(
            async {
                pace.turn("ec2:StartInstances", Extent::Bounded).await;
                now().duration_since(start)
            },
            async {
                pace.turn("ec2:StartInstances", Extent::Bounded).await;
                now().duration_since(start)
            }
        );
        assert!(
            second >= first + Duration::from_millis(400),
            "{first:?} {second:?}"
        );
    }
}
