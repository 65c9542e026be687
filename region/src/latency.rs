//! How long does each thing take?
//!
//! Every duration is lognormal, given by its median and its 99th percentile, and
//! every kind of draw has a stream of its own: one more draw of one kind does not
//! shift the others, so two runs that differ in one call stay comparable.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

/// The durations the region draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delay {
    /// CreateVolume until `available`.
    CreateVolume,
    /// AttachVolume until the attachment is `attached`.
    Attach,
    /// DetachVolume until the volume is `available`.
    Detach,
    /// CreateSnapshot until `completed`, for a small delta.
    SnapshotUpload,
    /// RunInstances or StartInstances until `running`.
    Run,
    /// `running` until user data begins.
    Boot,
    /// StopInstances until `stopped`.
    Stop,
    /// TerminateInstances until `terminated`.
    Terminate,
    /// AssociateAddress until packets take the new way.
    AddressMove,
    /// Round trip of a call that only reads.
    DescribeTrip,
    /// Round trip of a call that changes something.
    MutateTrip,
    /// Auto Scaling: from a member being unhealthy until it acts.
    GroupReacts,
    /// Auto Scaling: from an instance terminated by others until it notices.
    GroupNotices,
    /// Auto Scaling: from one step of a member to the next.
    GroupStep,
    /// Auto Scaling: lag of describes behind a member's lifecycle state.
    GroupLag,
    /// Auto Scaling: how long status checks fail before it believes them.
    GroupDoubts,
    /// Guest: stopping one unit.
    UnitStop,
    /// Guest: unmounting.
    Unmount,
    /// Guest: mounting.
    Mount,
    /// Guest: making a file system.
    Format,
    /// Guest: starting one unit.
    UnitStart,
    /// From an event happening until its message is in a queue.
    EventDelivery,
    /// From an alarm's condition being true until it is in `ALARM`.
    AlarmEvaluation,
    /// Lag of reads by filter or tag behind the truth.
    FilterLag,
    /// Time after a create during which reads by id still say `NotFound`.
    ByIdLag,
}

/// A lognormal distribution, said in two numbers people can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub median: Duration,
    pub p99: Duration,
}

impl Spread {
    pub const ZERO: Spread = Spread::exactly(0);

    pub const fn millis(median: u64, p99: u64) -> Spread {
        Spread {
            median: Duration::from_millis(median),
            p99: Duration::from_millis(p99),
        }
    }

    /// No spread at all: the same duration each time.
    pub const fn exactly(millis: u64) -> Spread {
        Spread::millis(millis, millis)
    }

    fn draw(self, rng: &mut Rng) -> Duration {
        // The draw happens even when it decides nothing, so that narrowing one
        // spread leaves the position of its stream where it was.
        let normal = standard_normal(rng);
        let median = self.median.as_secs_f64();
        if median <= 0.0 || self.p99 <= self.median {
            return self.median;
        }
        let sigma = (self.p99.as_secs_f64() / median).ln() / 2.326_347_9;
        // Four sigma is one draw in thirty thousand: beyond it lies no longer
        // slowness but a fault, and faults are asked for by name.
        let seconds = median * (sigma * normal.clamp(-4.0, 4.0)).exp();
        // Whole milliseconds: readable timelines, and no last-bit differences
        // between mathematical libraries.
        Duration::from_millis((seconds * 1000.0).round() as u64)
    }
}

fn standard_normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// The distribution of each duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies {
    spreads: BTreeMap<Delay, Spread>,
}

impl Latencies {
    pub fn spread(&self, delay: Delay) -> Spread {
        self.spreads.get(&delay).copied().unwrap_or(Spread::ZERO)
    }

    pub fn set(&mut self, delay: Delay, spread: Spread) {
        self.spreads.insert(delay, spread);
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        let spreads = [
            (Delay::CreateVolume, Spread::millis(1_500, 4_000)),
            (Delay::Attach, Spread::millis(1_800, 4_000)),
            (Delay::Detach, Spread::millis(1_800, 4_000)),
            (Delay::SnapshotUpload, Spread::millis(120_000, 300_000)),
            (Delay::Run, Spread::millis(16_400, 22_000)),
            (Delay::Boot, Spread::millis(9_000, 14_000)),
            (Delay::Stop, Spread::millis(20_000, 45_000)),
            (Delay::Terminate, Spread::millis(30_000, 60_000)),
            (Delay::AddressMove, Spread::millis(1_500, 3_000)),
            (Delay::DescribeTrip, Spread::millis(60, 250)),
            (Delay::MutateTrip, Spread::millis(250, 800)),
            (Delay::GroupReacts, Spread::millis(2_000, 5_000)),
            (Delay::GroupNotices, Spread::millis(42_000, 60_000)),
            (Delay::GroupStep, Spread::millis(700, 2_500)),
            (Delay::GroupLag, Spread::millis(300, 1_000)),
            (Delay::GroupDoubts, Spread::millis(150_000, 240_000)),
            (Delay::UnitStop, Spread::millis(2_000, 5_000)),
            (Delay::Unmount, Spread::millis(200, 600)),
            (Delay::Mount, Spread::millis(300, 900)),
            (Delay::Format, Spread::millis(1_500, 4_000)),
            (Delay::UnitStart, Spread::millis(1_500, 4_000)),
            (Delay::EventDelivery, Spread::millis(500, 2_000)),
            (Delay::AlarmEvaluation, Spread::millis(70_000, 120_000)),
            (Delay::FilterLag, Spread::millis(800, 3_000)),
            (Delay::ByIdLag, Spread::millis(300, 900)),
        ];
        Latencies {
            spreads: spreads.into_iter().collect(),
        }
    }
}

/// Everything random in the region: one seeded stream for each kind of draw.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    seed: u64,
    delays: BTreeMap<Delay, Rng>,
    others: BTreeMap<&'static str, Rng>,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice {
            seed,
            delays: BTreeMap::new(),
            others: BTreeMap::new(),
        }
    }

    pub(crate) fn delay(&mut self, kind: Delay, spread: Spread) -> Duration {
        let seed = self.seed;
        let rng = self
            .delays
            .entry(kind)
            .or_insert_with(|| stream(seed, &format!("{kind:?}")));
        spread.draw(rng)
    }

    /// A stream for anything that is not a duration: ids, faults, duplicates.
    pub(crate) fn stream(&mut self, kind: &'static str) -> &mut Rng {
        let seed = self.seed;
        self.others
            .entry(kind)
            .or_insert_with(|| stream(seed, kind))
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, kind: &'static str, probability: f64) -> bool {
        probability > 0.0 && self.stream(kind).f64() < probability
    }

    /// An id as EC2 makes them: the prefix and seventeen hexadecimal digits.
    pub(crate) fn id(&mut self, prefix: &'static str) -> String {
        let number = self.stream(prefix).u64(..);
        format!("{prefix}-0{number:016x}")
    }

    pub(crate) fn uuid(&mut self, kind: &'static str) -> String {
        let n = self.stream(kind).u128(..);
        let hex = format!("{n:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
        [
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32),
        ]
        .join("-")
    }
}

/// FNV-1a over the kind, stirred with the seed: stable across platforms and versions.
fn stream(seed: u64, kind: &str) -> Rng {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in kind.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Rng::with_seed(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_draws_lie_below_the_median_and_one_in_a_hundred_above_p99() {
        let spread = Spread::millis(1_800, 4_000);
        let mut dice = Dice::new(7);
        let draws: Vec<_> = (0..10_000)
            .map(|_| dice.delay(Delay::Attach, spread))
            .collect();
        let below = draws.iter().filter(|d| **d < spread.median).count();
        let above = draws.iter().filter(|d| **d > spread.p99).count();
        assert!((4_700..5_300).contains(&below), "{below} below the median");
        assert!((50..200).contains(&above), "{above} above p99");
    }

    #[test]
    fn one_more_draw_of_one_kind_leaves_the_other_kinds_alone() {
        let spread = Spread::millis(1_000, 2_000);
        let mut one = Dice::new(3);
        let mut two = Dice::new(3);
        two.delay(Delay::Detach, spread);
        two.id("vol");
        assert_eq!(
            one.delay(Delay::Attach, spread),
            two.delay(Delay::Attach, spread)
        );
    }

    #[test]
    fn another_seed_gives_other_ids() {
        assert_ne!(Dice::new(1).id("vol"), Dice::new(2).id("vol"));
        assert_eq!(Dice::new(1).id("vol").len(), "vol-0123456789abcdef0".len());
    }
}
