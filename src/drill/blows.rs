//! What befalls a runner at one of its calls, counted over all runners? It is
//! struck down before or after the call, and a new process takes its place; or
//! the call is held back until others have made some of theirs; or the whole
//! process is frozen, and later goes on with what it had in hand.
//!
//! Calls of a runner that only idles are alike, and not counted: points are
//! where something is under way.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Killed before the call went out.
    Before,
    /// Killed when AWS has carried it out, before the runner hears of it.
    After,
    /// The call is on its way until the others have made so many.
    Held(u8),
    /// Frozen for so many seconds with the call on its lips: it goes out then.
    FrozenBefore(u32),
    /// Frozen for so many seconds while AWS carries it out: the answer is heard
    /// then.
    FrozenAfter(u32),
}

impl When {
    /// Is this the end of the process?
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Before | Self::After)
    }

    pub fn is_frozen(self) -> bool {
        self.frozen_for().is_some()
    }

    pub(super) fn frozen_for(self) -> Option<Duration> {
        match self {
            Self::FrozenBefore(seconds) | Self::FrozenAfter(seconds) => {
                Some(Duration::from_secs(seconds.into()))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Before => f.write_str("before"),
            Self::After => f.write_str("after"),
            Self::Held(calls) => write!(f, "held-{calls}"),
            Self::FrozenBefore(seconds) => write!(f, "frozen-before-{seconds}s"),
            Self::FrozenAfter(seconds) => write!(f, "frozen-after-{seconds}s"),
        }
    }
}

impl FromStr for When {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |prefix| Some(text.strip_prefix(prefix)?.strip_suffix('s')?.parse::<u32>());
        match text {
            "before" => return Ok(Self::Before),
            "after" => return Ok(Self::After),
            _ => {}
        }
        if let Some(calls) = text.strip_prefix("held-") {
            let calls = calls.parse().map_err(|_| ())?;
            return Ok(Self::Held(calls));
        }
        match (number("frozen-before-"), number("frozen-after-")) {
            (Some(Ok(seconds)), _) => Ok(Self::FrozenBefore(seconds)),
            (_, Some(Ok(seconds))) => Ok(Self::FrozenAfter(seconds)),
            _ => Err(()),
        }
    }
}

/// Which call? Counted from 1, over all runners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// The one with this number: whatever it is then.
    Call(u64),
    /// So manieth of this action. A planner that looks once more than it did
    /// is still struck at the same thing.
    Nth { action: String, nth: u64 },
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(call) => write!(f, "{call}"),
            Self::Nth { action, nth } => write!(f, "{action}.{nth}"),
        }
    }
}

impl FromStr for At {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let counted = |text: &str| text.parse().ok().filter(|count| *count > 0).ok_or(());
        let Some((action, nth)) = text.split_once('.') else {
            return counted(text).map(Self::Call);
        };
        let is_name = !action.is_empty() && action.bytes().all(|b| b.is_ascii_alphanumeric());
        is_name.then_some(()).ok_or(())?;
        Ok(Self::Nth {
            action: action.to_owned(),
            nth: counted(nth)?,
        })
    }
}

/// One planned blow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blow {
    pub at: At,
    pub when: When,
}

impl Blow {
    pub fn at_call(call: u64, when: When) -> Self {
        let at = At::Call(call);
        Self { at, when }
    }
}

impl std::fmt::Display for Blow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.at, self.when)
    }
}

impl FromStr for Blow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not like 12:before, CreateTags.2:after, 12:held-3, \
                 12:frozen-before-240s or 12:frozen-after-3600s"
            )
        };
        let (at, when) = text.split_once(':').ok_or_else(wrong)?;
        let at = at.parse().map_err(|()| wrong())?;
        let when = when.parse().map_err(|()| wrong())?;
        Ok(Self { at, when })
    }
}

/// One that came about.
#[derive(Clone, Debug)]
pub struct Fall {
    pub who: String,
    /// The call it was struck at, by its action.
    pub at: At,
    pub blow: Blow,
}

/// A runner's process stood still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nap {
    pub who: String,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// What is planned, and how far the story is.
#[derive(Clone, Debug, Default)]
pub struct Blows {
    planned: Vec<Blow>,
    counting: bool,
    calls: u64,
    /// How many of them were of each action.
    of_action: BTreeMap<String, u64>,
    /// Hit, and not yet seen to.
    fallen: Vec<Fall>,
    /// All that were ever hit.
    pub struck: Vec<Fall>,
    /// How many calls each runner has made that AWS has heard.
    heard: BTreeMap<String, u64>,
    /// For each call that was held: how many the others made meanwhile.
    pub passed: Vec<u64>,
    pub naps: Vec<Nap>,
    /// The calls that AWS carried out long after they were signed: whose, when.
    pub late: Vec<(String, Timestamp)>,
}

impl Blows {
    pub fn new(planned: &[Blow]) -> Self {
        Self {
            planned: planned.to_vec(),
            ..Self::default()
        }
    }

    pub fn count(&mut self, counting: bool) {
        self.counting = counting;
    }

    /// How many points there were.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// A runner is about to make a call: what becomes of it, if anything?
    pub(super) fn at(&mut self, who: &str, action: &str) -> Option<When> {
        if !self.counting {
            return None;
        }
        self.calls += 1;
        let nth = self.of_action.entry(action.to_owned()).or_default();
        *nth += 1;
        let (call, nth) = (self.calls, *nth);
        let is_here = |blow: &&Blow| match &blow.at {
            At::Call(number) => *number == call,
            At::Nth {
                action: name,
                nth: n,
            } => name == action && *n == nth,
        };
        let blow = self.planned.iter().find(is_here)?.clone();
        let when = blow.when;
        let fall = Fall {
            who: who.to_owned(),
            at: At::Nth {
                action: action.to_owned(),
                nth,
            },
            blow,
        };
        self.fallen.push(fall.clone());
        self.struck.push(fall);
        Some(when)
    }

    /// Can a call still be on its way when its sender has given it up?
    pub(super) fn outlive_senders(&self) -> bool {
        self.planned.iter().any(|blow| !blow.when.is_fatal())
    }

    /// How long runners are to stand still in all.
    pub(super) fn napping(&self) -> Duration {
        let naps = self
            .planned
            .iter()
            .filter_map(|blow| blow.when.frozen_for());
        naps.sum()
    }

    pub(super) fn hear(&mut self, who: &str) {
        *self.heard.entry(who.to_owned()).or_default() += 1;
    }

    /// How many calls the others have made.
    pub(super) fn heard_of_others(&self, who: &str) -> u64 {
        let others = self.heard.iter().filter(|(other, _)| *other != who);
        others.map(|(_, calls)| calls).sum()
    }

    pub(super) fn take_fallen(&mut self) -> Vec<Fall> {
        std::mem::take(&mut self.fallen)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_blow_reads_as_it_is_written() {
        for text in [
            "1:before",
            "12:after",
            "CreateTags.2:after",
            "3:held-2",
            "4:frozen-before-240s",
            "5:frozen-after-3600s",
        ] {
            let blow: Blow = text.parse().expect("it is one");
            assert_eq!(blow.to_string(), text);
        }
        for text in [
            "",
            "12",
            "0:before",
            "CreateTags:before",
            "CreateTags.0:before",
            ".2:before",
            "Create Tags.2:before",
            "x:after",
            "3:later",
            "3:held-",
            "3:held-999",
            "3:frozen-before-4m",
        ] {
            assert!(text.parse::<Blow>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_calls_of_the_story_count() {
        let mut blows = Blows::new(&[Blow::at_call(2, When::After)]);
        assert_eq!(blows.at("i-1", "DescribeVolumes"), None);
        blows.count(true);
        assert_eq!(blows.at("i-1", "DescribeVolumes"), None);
        assert_eq!(blows.at("i-2", "AttachVolume"), Some(When::After));
        assert_eq!(blows.calls(), 2);
        let fallen = blows.take_fallen();
        assert_eq!(fallen[0].at.to_string(), "AttachVolume.1");
        assert!(blows.take_fallen().is_empty());
    }

    #[test]
    fn a_call_is_struck_by_its_name_whatever_comes_between() {
        let mut blows = Blows::new(&["AttachVolume.2:after".parse().expect("it is one")]);
        blows.count(true);
        let others = ["AttachVolume", "DescribeVolumes", "DetachVolume"];
        assert!(others.iter().all(|call| blows.at("i-1", call).is_none()));
        assert_eq!(blows.at("i-2", "AttachVolume"), Some(When::After));
        assert_eq!(blows.at("i-2", "AttachVolume"), None);
    }
}
