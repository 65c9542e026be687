//! What is it like to be there? Slowness, clocks that differ, events that never
//! come: what holds for a whole scenario, and is nobody's deed.

use jiff::SignedDuration;
use rehome_region::Delay;

use super::parse::duration;

/// A runner whose clock is further off than this gets nothing signed: AWS
/// refuses it.
const CLOCK_AT_MOST: SignedDuration = SignedDuration::from_mins(5);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weather {
    /// How far a read by tag may lag behind, nearly always.
    pub lag: Option<SignedDuration>,
    /// What takes so many times as long as it usually does.
    pub slow: Vec<(Delay, u32)>,
    /// How far the clocks are ahead: the controller's, and that of every agent.
    pub controller_clock: SignedDuration,
    pub agent_clock: SignedDuration,
    /// Are a group's instances Spot ones, which EC2 does not stop?
    pub spot: bool,
    /// Does the controller never hear of an event?
    pub deaf: bool,
    /// How often a daemon looks when nothing wakes it.
    pub poll: Option<SignedDuration>,
    /// What AWS begins and does not end well, in so many percent of cases.
    pub snags: Vec<(Snag, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snag {
    /// A volume stays `attaching` until it is detached.
    StuckAttach,
    /// A volume stays `detaching` until it is forced or the instance stops.
    StuckDetach,
    /// A new volume goes to `error`.
    BadVolume,
    BadSnapshot,
}

const SNAGS: [(&str, &str, Snag); 4] = [
    ("stuck", "attach", Snag::StuckAttach),
    ("stuck", "detach", Snag::StuckDetach),
    ("bad", "volume", Snag::BadVolume),
    ("bad", "snapshot", Snag::BadSnapshot),
];

const OPERATIONS: [(&str, Delay); 7] = [
    ("create", Delay::CreateVolume),
    ("attach", Delay::Attach),
    ("detach", Delay::Detach),
    ("snapshot", Delay::SnapshotUpload),
    ("stop", Delay::Stop),
    ("run", Delay::Run),
    ("boot", Delay::Boot),
];

impl Weather {
    /// Reads a statement, if it is one of these.
    pub(super) fn take(&mut self, verb: &str, rest: &str) -> Result<bool, String> {
        match (verb, rest.split_whitespace().collect::<Vec<_>>().as_slice()) {
            ("deaf", []) => self.deaf = true,
            ("on", ["spot"]) => self.spot = true,
            ("poll", [time]) => self.poll = Some(duration(time)?),
            ("lag", [time]) => self.lag = Some(duration(time)?),
            ("slow", [operation, times]) => self.slow.push(slow(operation, times)?),
            ("clock", [whose, way, time]) => {
                let off = clock(way, time)?;
                match *whose {
                    "controller" => self.controller_clock = off,
                    "agents" => self.agent_clock = off,
                    _ => return Err(format!("`{whose}` is none of controller, agents")),
                }
            }
            ("stuck" | "bad", [what, percent]) => self.snags.push(snag(verb, what, percent)?),
            ("deaf" | "on" | "poll" | "lag" | "slow" | "clock" | "stuck" | "bad", _) => {
                return Err(format!(
                    "cannot read `{verb} {rest}`; it is `deaf`, `on spot`, `poll TIME`, `lag TIME`, `slow OPERATION TIMES`, \
                     `stuck attach|detach PERCENT%`, `bad volume|snapshot PERCENT%` or \
                     `clock controller|agents ahead|behind TIME`"
                ));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn slow(operation: &str, times: &str) -> Result<(Delay, u32), String> {
    let known = OPERATIONS.iter().find(|(name, _)| *name == operation);
    let Some((_, delay)) = known else {
        let names = OPERATIONS.map(|(name, _)| name).join(", ");
        return Err(format!("`{operation}` is none of {names}"));
    };
    let times = times.strip_suffix('x').and_then(|n| n.parse().ok());
    match times.filter(|n| (1..=1000).contains(n)) {
        Some(times) => Ok((*delay, times)),
        None => Err("how slow it is, is said from 1x to 1000x".to_owned()),
    }
}

fn snag(verb: &str, what: &str, percent: &str) -> Result<(Snag, u8), String> {
    let known = SNAGS
        .iter()
        .find(|known| (known.0, known.1) == (verb, what));
    let Some((_, _, snag)) = known else {
        return Err(format!("nothing is called `{verb} {what}`"));
    };
    let percent = percent.strip_suffix('%').and_then(|n| n.parse().ok());
    match percent.filter(|n| (1..=100).contains(n)) {
        Some(percent) => Ok((*snag, percent)),
        None => Err("how often it happens, is said from 1% to 100%".to_owned()),
    }
}

fn clock(way: &str, time: &str) -> Result<SignedDuration, String> {
    let off = duration(time)?;
    if off >= CLOCK_AT_MOST {
        return Err(format!("a clock is off by less than {CLOCK_AT_MOST:#}"));
    }
    match way {
        "ahead" => Ok(off),
        "behind" => Ok(-off),
        _ => Err(format!("a clock is ahead or behind, not `{way}`")),
    }
}
