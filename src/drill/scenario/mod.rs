//! What is rehearsed? A scenario: a group, and a story told line by line.
//!
//! The language is for people to read and to review:
//!
//! ```text
//! title    The replacement comes up in another zone
//! launch   in us-east-1a          # the group is made, its first instance boots
//! settle   within 15m
//! pass     20m
//! next     zone us-east-1b
//! fail     holder
//! settle   within 30m
//! expect   loss 0s
//! expect   holder in us-east-1b
//! ```
//!
//! `config … end` holds the group as a user would configure it; without it, it
//! is the usual one: one volume, one address, one unit.

mod parse;
mod weather;

use jiff::SignedDuration;

pub use self::parse::{ScenarioError, mishap, parse};
pub use self::weather::{Snag, Weather};
use super::blows::Blow;
use super::roles::Lack;
use crate::ids::VolumeName;
use crate::spec::{GroupSpec, Kind};

/// The size of a volume whose configuration says none.
const REHEARSAL_GIB: u32 = 10;

/// A rehearsal, before it is performed.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub title: String,
    pub spec: GroupSpec,
    pub zones: Vec<String>,
    /// Where the members of a pair are.
    pub pair: Option<Pair>,
    /// Which member of a pair an alarm watches, by the alarm's name; the
    /// others watch something that only the story changes.
    pub watches: Vec<(String, usize)>,
    /// Is there a runner outside of the instances, too?
    pub controller: bool,
    /// And yet another one?
    pub second_controller: bool,
    /// Did it get a runner more than it was written for?
    pub in_company: bool,
    /// Is it a function, which visits and leaves, and no daemon?
    pub function: bool,
    /// Does Auto Scaling launch the replacement before it terminates the old one?
    pub overlap: bool,
    /// Is the story about this very group, and no other?
    pub own_group: bool,
    /// How long each lifecycle action stays open without a heartbeat.
    pub heartbeat: SignedDuration,
    pub mishaps: Vec<Mishap>,
    /// Which runners are killed, and where.
    pub strikes: Vec<Blow>,
    /// A statement that somebody's policy lacks.
    pub lack: Option<Lack>,
    pub weather: Weather,
    pub story: Vec<Line>,
}

/// A primary and a standby, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub zones: [String; 2],
    /// Does the standby run all the time?
    pub hot: bool,
}

/// One statement, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub number: usize,
    pub deed: Deed,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Make the group; its first instance boots.
    Launch {
        zone: Option<String>,
    },
    /// The group has lived for a while, without rehome: its instance runs, its
    /// volume is attached, formatted, mounted and written, and has no tag.
    Live {
        zone: Option<String>,
    },
    /// What `rehome adopt` does.
    Adopt,
    /// Everything must be in its place before this is over.
    Settle {
        within: SignedDuration,
    },
    /// Time for things to come to their place; they need not.
    Calm {
        within: SignedDuration,
    },
    /// From here on nothing goes wrong by chance.
    Heal,
    /// Nothing may be put in its place for so long: a person has to decide.
    Hold {
        lasting: SignedDuration,
    },
    Pass {
        time: SignedDuration,
    },
    NextZone {
        zone: String,
    },
    /// The holder meets its end in this way.
    End(End),
    /// The member of a pair that does not hold is started, or stopped, by a person.
    Standby {
        start: bool,
    },
    /// An alarm comes into this state.
    Alarm {
        name: String,
        state: &'static str,
    },
    /// A person asks for the other member, or a new one.
    /// `must`: no is an answer only if the story says so.
    Switchover {
        must: bool,
    },
    /// A newer member is launched, then the holder is terminated.
    Rebalance,
    ZoneDown {
        zone: String,
    },
    ZoneUp {
        zone: String,
    },
    /// The zone the holder is in.
    HolderDown,
    /// Every zone that is dark.
    AllUp,
    /// Somebody's schedule takes a snapshot of what this volume name was
    /// before, tags copied: the older lineage with the later time.
    LateSnapshot {
        volume: VolumeName,
    },
    /// A person deletes the volumes of this name and all their snapshots.
    Erase {
        volume: VolumeName,
    },
    /// A person deletes the newest snapshot there is of the group, or the oldest.
    LoseSnapshot {
        newest: bool,
    },
    /// A person asks Auto Scaling for so many members.
    Scale {
        desired: u32,
    },
    Expect(Expectation),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// EC2's health check fails; Auto Scaling replaces it in good order.
    Fail,
    /// Terminated behind its group's back.
    Kill,
    /// Kernel panic.
    Crash,
    /// Two minutes' notice.
    Spot,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// At most so much of what was acknowledged may be gone.
    Loss { at_most: SignedDuration },
    /// The holder is in this zone.
    HolderIn { zone: String },
    /// So many volumes were ever made blank.
    Blank { count: usize },
    /// So many instances were stopped from outside.
    Fences { count: usize },
    /// So many times an address was taken from one instance to another.
    Moves { count: usize },
    /// So many data volumes were cleared away.
    DeletedVolumes { count: usize },
}

/// What goes wrong on the way, by chance.
#[derive(Clone, Debug, PartialEq)]
pub struct Mishap {
    /// An action's name; `*` at its end stands for anything.
    pub action: String,
    pub kind: MishapKind,
    pub percent: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MishapKind {
    Lost,
    LostAnswer,
    Timeout,
    /// What comes back is no answer: a proxy's page, half a document.
    Garbled,
    Throttled,
    Broken,
    /// A role whose permissions are not known everywhere yet, or not at the moment.
    Denied,
    /// EC2 has none left of what the action asks for, or a quota allows no more.
    Exhausted,
}

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        /// The scenarios that `rehome drill` knows by name, in the order of a tour.
        pub const BUILT_IN: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../tests/scenarios/", $name, ".txt")))),+
        ];
    };
}

built_in!(
    "cross-zone",
    "same-zone",
    "first-boot",
    "address-only",
    "two-addresses",
    "multi-volume",
    "hard-kill",
    "zone-outage",
    "zombie",
    "overlap",
    "no-agent",
    "adopt",
    "hold",
    "upkeep",
    "vanished",
    "storm",
    "multi-outage",
    "alarm",
    "pair",
    "pair-cross-zone",
    "pair-outage",
    "pair-failback",
    "outage-no-agent",
    "outage-returns",
    "flapping-alarm",
    "false-alarm",
    "garbled",
);

/// A built-in scenario by its name.
pub fn built_in(name: &str) -> Option<Result<Scenario, ScenarioError>> {
    let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    Some(parse(name, text))
}

impl Scenario {
    /// What the statements say of each other.
    fn is_sound(&self) -> Result<(), String> {
        let is_pair = matches!(self.spec.kind, Kind::Pair { .. });
        match &self.pair {
            Some(pair) => {
                if !is_pair {
                    return Err("`pair` needs a config of kind = \"pair\"".to_owned());
                }
                if let Some(zone) = pair.zones.iter().find(|zone| !self.zones.contains(zone)) {
                    let known = self.zones.join(", ");
                    return Err(format!("no zone {zone} here, only {known}"));
                }
            }
            None if is_pair => {
                return Err("a pair needs `pair in ZONE and ZONE [hot]`".to_owned());
            }
            None => {}
        }
        let deeds = self.story.iter().filter_map(|line| match &line.deed {
            Deed::Alarm { name, .. } => Some(name),
            _ => None,
        });
        let named = self.watches.iter().map(|(name, _)| name).chain(deeds);
        for name in named {
            if !self.spec.alarms.contains(name) {
                return Err(format!("the group has no alarm {name}"));
            }
        }
        Ok(())
    }

    /// Whoever looks after the group gets company.
    pub fn in_company(&mut self) {
        self.second_controller = self.controller;
        self.controller = true;
        self.in_company = true;
    }

    /// The same story, told of somebody else's group.
    #[must_use]
    pub fn about(mut self, spec: GroupSpec) -> Self {
        self.controller |= !spec.agent;
        self.spec = spec;
        for volume in &mut self.spec.volumes {
            // A group that was adopted says no size; here it begins anew.
            volume.first.size_gib.get_or_insert(REHEARSAL_GIB);
        }
        self.watches.clear();
        let alarm = self.spec.alarms.first().cloned();
        let volumes = self.spec.volumes.len();
        let first = self.spec.volumes.first().map(|volume| volume.name.clone());
        self.story.retain_mut(|line| match &mut line.deed {
            Deed::Alarm { name, state } => match &alarm {
                Some(alarm) => {
                    name.clone_from(alarm);
                    true
                }
                // Without an alarm it is a person who notices.
                None if *state == "ALARM" => {
                    line.deed = Deed::Switchover { must: true };
                    true
                }
                None => false,
            },
            Deed::Expect(Expectation::Blank { count }) if *count > 0 => {
                *count = volumes;
                true
            }
            Deed::Expect(
                Expectation::Fences { .. }
                | Expectation::Moves { .. }
                | Expectation::DeletedVolumes { .. },
            ) => false,
            Deed::LateSnapshot { volume } | Deed::Erase { volume } => {
                first.clone().is_some_and(|first| {
                    *volume = first;
                    true
                })
            }
            _ => true,
        });
        self
    }
}

impl Deed {
    fn zone(&self) -> Option<&str> {
        match self {
            Self::Launch { zone } | Self::Live { zone } => zone.as_deref(),
            Self::NextZone { zone } | Self::ZoneDown { zone } | Self::ZoneUp { zone } => Some(zone),
            Self::Expect(Expectation::HolderIn { zone }) => Some(zone),
            _ => None,
        }
    }

    /// Does something go wrong here? The timeline counts from the first of these.
    pub fn is_incident(&self) -> bool {
        match self {
            Self::End(_)
            | Self::Rebalance
            | Self::ZoneDown { .. }
            | Self::HolderDown
            | Self::Switchover { .. } => true,
            Self::Alarm { state, .. } => *state == "ALARM",
            _ => false,
        }
    }
}
