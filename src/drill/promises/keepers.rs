//! Who could have acted then, and how soon could it?

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rehome_region::What;

use super::Evidence;

/// What happened a moment ago may not have been seen yet, even where describes do
/// not lag: a look at everything carries a step for 15 s, and a call takes up to ten,
/// in which it is on its way to AWS perhaps.
pub(super) const SEEN_AFTER: SignedDuration = SignedDuration::from_secs(26);

/// A detach that takes so long is stuck.
const HANGS: SignedDuration = SignedDuration::from_mins(2);

/// How long a stop may take, forced in the end, before its instance is out of reach.
const STOPS_WITHIN: SignedDuration = SignedDuration::from_mins(6);

/// The way of a volume to an instance, or off it.
struct Way<'a> {
    volume: &'a str,
    is_off: bool,
    from: Timestamp,
    until: Option<Timestamp>,
}

impl Way<'_> {
    fn hangs(&self, at: Timestamp) -> bool {
        self.until.unwrap_or(at).duration_since(self.from) >= HANGS
    }
}

/// What every runner has to live with, whatever it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// How often a runner looks that nothing wakes.
    pub looks_every: SignedDuration,
    /// How much later than it happens a runner outside of the instances hears of it.
    pub hears_after: SignedDuration,
    /// By how much what a describe shows may be old.
    pub sees_after: SignedDuration,
    /// How far from the truth a clock is at most. What has to be waited for
    /// seems over so much earlier, or later.
    pub clocks_off: SignedDuration,
    /// The runners outside of the instances, if they are known.
    pub controllers: Option<&'static [&'static str]>,
}

impl Evidence<'_> {
    /// What is younger than this, at that time, may not have been seen yet.
    pub(super) fn seen_before(&self, at: Timestamp) -> Timestamp {
        let age = SEEN_AFTER.saturating_add(self.conditions.sees_after);
        at.checked_sub(age).unwrap_or(Timestamp::MIN)
    }

    /// For how long of this time did this runner stand still?
    pub(super) fn napped(&self, who: &str, from: Timestamp, until: Timestamp) -> SignedDuration {
        let naps = self.naps.iter().filter(|nap| nap.who == who);
        let spans = naps.map(|nap| nap.until.min(until).duration_since(nap.from.max(from)));
        spans
            .filter(SignedDuration::is_positive)
            .fold(SignedDuration::ZERO, SignedDuration::saturating_add)
    }

    /// For how long whoever closes the actions of this instance stood still: its
    /// own agent, or a controller where there are no agents.
    pub(super) fn keeper_napped(
        &self,
        instance: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> SignedDuration {
        if self.spec.agent {
            return self.napped(instance, from, until);
        }
        let keepers = self.naps.iter().map(|nap| nap.who.as_str());
        let keepers: BTreeSet<&str> = keepers
            .filter(|who| who.starts_with(crate::drill::CONTROLLER))
            .collect();
        keepers.into_iter().fold(SignedDuration::ZERO, |sum, who| {
            sum.saturating_add(self.napped(who, from, until))
        })
    }

    pub(super) fn somebody_napped(&self, from: Timestamp, until: Timestamp) -> bool {
        let mut naps = self.naps.iter();
        naps.any(|nap| nap.from < until && nap.until > from)
    }

    /// Is a volume stuck on its way off this instance?
    pub(super) fn hangs_on(&self, instance: &str, at: Timestamp) -> bool {
        let mut ways = self.ways(instance, at).into_iter();
        ways.any(|way| way.is_off && way.until.is_none() && way.hangs(at))
    }

    /// Until when did a volume that was stuck on its way to this instance, or off
    /// it, leave open what may still be written? It goes at last, or the instance
    /// is down.
    pub(super) fn hung_until(&self, instance: &str, at: Timestamp) -> Timestamp {
        let stuck = self.ways(instance, at).into_iter();
        let ends = stuck.filter(|way| way.hangs(at)).map(|way| {
            let down = self.ledger.down_after(instance, way.from);
            way.until.into_iter().chain(down).min().unwrap_or(at)
        });
        ends.max().unwrap_or(Timestamp::MIN).min(at)
    }

    /// Has this instance been on its way down for longer than a stop takes, forced in
    /// the end? What it has cannot be had from it by then.
    pub(super) fn does_not_end(&self, instance: &str, at: Timestamp) -> bool {
        let states = self.ledger.states.get(instance).into_iter().flatten();
        let until = states.rev().skip_while(|(from, _)| *from > at);
        let ends = |state: &str| matches!(state, "stopping" | "shutting-down");
        let since = until.take_while(|(_, state)| ends(state)).last();
        let patience = STOPS_WITHIN.saturating_sub(self.conditions.clocks_off);
        since.is_some_and(|(since, _)| at.duration_since(*since) >= patience)
    }

    /// From the first call on until EC2 had done it.
    fn ways(&self, instance: &str, at: Timestamp) -> Vec<Way<'_>> {
        let mut ways: Vec<Way<'_>> = Vec::new();
        for entry in self.entries.iter().take_while(|entry| entry.at <= at) {
            let (volume, of, is_off, ends) = match &entry.what {
                What::Attaching { volume, instance } => (volume, instance, false, false),
                What::Attached { volume, instance } => (volume, instance, false, true),
                What::Detaching {
                    volume, instance, ..
                } => (volume, instance, true, false),
                What::Detached { volume, instance } => (volume, instance, true, true),
                _ => continue,
            };
            // What is off has come to the end of either way.
            let same = |way: &&mut Way<'_>| {
                way.volume == volume && way.until.is_none() && (way.is_off == is_off || ends)
            };
            let mut open = ways.iter_mut().filter(same).peekable();
            if ends {
                open.for_each(|way| way.until = Some(entry.at));
            } else if of == instance && open.peek().is_none() {
                ways.push(Way {
                    volume,
                    is_off,
                    from: entry.at,
                    until: None,
                });
            }
        }
        ways
    }

    /// For how long of this time was there nobody at all? No controller was awake,
    /// and no agent was up, awake and where AWS could be reached.
    pub(super) fn nobody_there(&self, from: Timestamp, until: Timestamp) -> SignedDuration {
        let Some(controllers) = self.conditions.controllers else {
            return SignedDuration::ZERO;
        };
        let mut bounds: BTreeSet<Timestamp> = [from, until].into();
        let naps = self.naps.iter().flat_map(|nap| [nap.from, nap.until]);
        let moments = self.entries.iter().map(|entry| entry.at);
        bounds.extend(naps.chain(moments).filter(|at| *at > from && *at < until));
        let mut alone = SignedDuration::ZERO;
        for (begin, end) in bounds.iter().zip(bounds.iter().skip(1)) {
            let agents = self.zones.keys().filter(|_| self.spec.agent);
            let awake = controllers.iter().any(|who| !self.is_napping(who, *begin))
                || agents.into_iter().any(|of| self.is_there(of, *begin));
            if !awake {
                alone = alone.saturating_add(end.duration_since(*begin));
            }
        }
        alone
    }

    fn is_napping(&self, who: &str, at: Timestamp) -> bool {
        let mut own = self.naps.iter().filter(|nap| nap.who == who);
        own.any(|nap| nap.from <= at && at < nap.until)
    }

    /// Is the agent on this instance at work then?
    fn is_there(&self, instance: &str, at: Timestamp) -> bool {
        let before = self.entries.iter().take_while(|entry| entry.at <= at);
        let last = before.filter_map(|entry| match &entry.what {
            What::Booted { instance: of } if of == instance => Some(true),
            What::GuestDown { instance: of } if of == instance => Some(false),
            _ => None,
        });
        last.last() == Some(true) && !self.is_napping(instance, at) && !self.is_dark(instance, at)
    }
}
