//! How is a scenario read? One statement a line; an error names its line.

use jiff::SignedDuration;
use thiserror::Error;

use super::super::blows::Blow;
use super::{Deed, End, Expectation, Line, Mishap, MishapKind, Pair, Scenario, Weather};
use crate::ids::VolumeName;
use crate::spec::{self, GroupSpec};

/// The group of a scenario that does not describe one.
const USUAL: &str = r#"
[[group]]
name = "orders-db"

[[group.address]]
tag = { key = "service", value = "orders" }

[[group.volume]]
name = "data"
device = "/dev/sdf"
mount = "/var/lib/orders"
filesystem = "ext4"
size_gib = 20
type = "gp3"

[group.workload]
units = ["orders.service"]
"#;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{scenario}, line {line}: {message}")]
pub struct ScenarioError {
    pub scenario: String,
    pub line: usize,
    pub message: String,
}

/// Reads a whole scenario.
pub fn parse(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let fail = |line: usize, message: String| ScenarioError {
        scenario: name.to_owned(),
        line,
        message,
    };
    let mut draft = Draft::default();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let statement = line.split('#').next().unwrap_or_default().trim();
        if statement.is_empty() {
            continue;
        }
        if statement == "config" {
            let block = until_end(lines.by_ref().map(|(_, line)| line))
                .ok_or_else(|| fail(number, "`config` has no `end`".to_owned()))?;
            draft.config = Some((number, block));
            continue;
        }
        draft
            .take(number, statement)
            .map_err(|message| fail(number, message))?;
    }
    draft
        .finish(name)
        .map_err(|(line, message)| fail(line, message))
}

/// The lines up to one that says `end`.
fn until_end<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut block = String::new();
    for line in lines {
        if line.trim() == "end" {
            return Some(block);
        }
        block.push_str(line);
        block.push('\n');
    }
    None
}

#[derive(Default)]
struct Draft {
    title: Option<String>,
    config: Option<(usize, String)>,
    zones: Vec<String>,
    pair: Option<Pair>,
    watches: Vec<(String, usize)>,
    controller: bool,
    second_controller: bool,
    function: bool,
    overlap: bool,
    own_group: bool,
    heartbeat: Option<SignedDuration>,
    mishaps: Vec<Mishap>,
    strikes: Vec<Blow>,
    weather: Weather,
    story: Vec<Line>,
}

impl Draft {
    fn take(&mut self, number: usize, statement: &str) -> Result<(), String> {
        let (verb, rest) = statement
            .split_once(char::is_whitespace)
            .unwrap_or((statement, ""));
        let rest = rest.trim();
        match verb {
            "title" => self.title = Some(rest.to_owned()),
            "zones" => self.zones = rest.split_whitespace().map(str::to_owned).collect(),
            "pair" => self.pair = Some(pair(rest)?),
            "alarm" => self.watches.push(watch(rest)?),
            "controller" => self.controller = true,
            "second" if rest == "controller" => self.second_controller = true,
            "function" => (self.controller, self.function) = (true, true),
            "overlap" => self.overlap = true,
            "own" if rest == "group" => self.own_group = true,
            "heartbeat" => self.heartbeat = Some(duration(rest)?),
            "mishap" => self.mishaps.push(mishap(rest)?),
            "strike" => self.strikes.push(rest.parse()?),
            _ if self.weather.take(verb, rest)? => {}
            _ => {
                let deed = deed(verb, rest)?;
                self.story.push(Line { number, deed });
            }
        }
        Ok(())
    }

    fn finish(self, name: &str) -> Result<Scenario, (usize, String)> {
        let title = self
            .title
            .ok_or((1, "a scenario begins with its `title`".to_owned()))?;
        let (line, config) = self.config.unwrap_or((1, USUAL.to_owned()));
        let spec = only_group(name, &config).map_err(|message| (line, message))?;
        let zones = if self.zones.is_empty() {
            ["a", "b", "c"]
                .map(|zone| format!("us-east-1{zone}"))
                .to_vec()
        } else {
            self.zones
        };
        let scenario = Scenario {
            name: name.to_owned(),
            title,
            spec,
            zones,
            pair: self.pair,
            watches: self.watches,
            controller: self.controller,
            second_controller: self.second_controller,
            in_company: false,
            function: self.function,
            overlap: self.overlap,
            own_group: self.own_group,
            heartbeat: self.heartbeat.unwrap_or(SignedDuration::from_mins(5)),
            mishaps: self.mishaps,
            strikes: self.strikes,
            lack: None,
            weather: self.weather,
            story: self.story,
        };
        scenario.is_sound().map_err(|message| (line, message))?;
        for line in &scenario.story {
            let Some(zone) = line.deed.zone() else {
                continue;
            };
            if !scenario.zones.iter().any(|known| known == zone) {
                let known = scenario.zones.join(", ");
                return Err((line.number, format!("no zone {zone} here, only {known}")));
            }
        }
        Ok(scenario)
    }
}

fn only_group(name: &str, config: &str) -> Result<GroupSpec, String> {
    let config = spec::parse(name, config).map_err(|error| error.to_string())?;
    match <[GroupSpec; 1]>::try_from(config.groups) {
        Ok([group]) => Ok(group),
        Err(groups) => Err(format!(
            "a scenario is about one group, not {}",
            groups.len()
        )),
    }
}

fn deed(verb: &str, rest: &str) -> Result<Deed, String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let deed = match (verb, words.as_slice()) {
        ("launch", []) => Deed::Launch { zone: None },
        ("launch", ["in", zone]) => Deed::Launch {
            zone: Some((*zone).to_owned()),
        },
        ("live", ["without", "rehome"]) => Deed::Live { zone: None },
        ("live", ["without", "rehome", "in", zone]) => Deed::Live {
            zone: Some((*zone).to_owned()),
        },
        ("adopt", []) => Deed::Adopt,
        ("settle", ["within", time]) => Deed::Settle {
            within: duration(time)?,
        },
        ("calm", ["within", time]) => Deed::Calm {
            within: duration(time)?,
        },
        ("heal", []) => Deed::Heal,
        ("hold", ["for", time]) => Deed::Hold {
            lasting: duration(time)?,
        },
        ("pass", [time]) => Deed::Pass {
            time: duration(time)?,
        },
        ("next", ["zone", zone]) => Deed::NextZone {
            zone: (*zone).to_owned(),
        },
        ("fail", ["holder"]) => Deed::End(End::Fail),
        ("kill", ["holder"]) => Deed::End(End::Kill),
        ("crash", ["holder"]) => Deed::End(End::Crash),
        ("spot", ["holder"]) => Deed::End(End::Spot),
        ("start", ["standby"]) => Deed::Standby { start: true },
        ("stop", ["standby"]) => Deed::Standby { start: false },
        ("ring", [name]) => alarm(name, "ALARM"),
        ("quiet", [name]) => alarm(name, "OK"),
        ("starve", [name]) => alarm(name, "INSUFFICIENT_DATA"),
        ("switchover", []) => Deed::Switchover { must: true },
        ("try", ["switchover"]) => Deed::Switchover { must: false },
        ("rebalance", []) => Deed::Rebalance,
        ("darken", ["holder"]) => Deed::HolderDown,
        ("light", ["all"]) => Deed::AllUp,
        ("darken", [zone]) => Deed::ZoneDown {
            zone: (*zone).to_owned(),
        },
        ("light", [zone]) => Deed::ZoneUp {
            zone: (*zone).to_owned(),
        },
        ("snapshot", ["of", "old", name]) => Deed::LateSnapshot {
            volume: VolumeName::new(*name),
        },
        ("erase", [name]) => Deed::Erase {
            volume: VolumeName::new(*name),
        },
        ("lose", [which @ ("newest" | "oldest"), "snapshot"]) => Deed::LoseSnapshot {
            newest: *which == "newest",
        },
        ("scale", ["to", count]) => Deed::Scale {
            desired: number(count)?.min(10) as u32,
        },
        ("expect", words) => Deed::Expect(expectation(words)?),
        _ => {
            return Err(format!(
                "cannot read `{verb} {rest}`; a statement is one of {STATEMENTS}"
            ));
        }
    };
    Ok(deed)
}

fn alarm(name: &str, state: &'static str) -> Deed {
    Deed::Alarm {
        name: name.to_owned(),
        state,
    }
}

fn pair(rest: &str) -> Result<Pair, String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (primary, standby, hot) = match words.as_slice() {
        ["in", primary, "and", standby] => (primary, standby, false),
        ["in", primary, "and", standby, "hot"] => (primary, standby, true),
        _ => return Err("a pair is `pair in ZONE and ZONE [hot]`".to_owned()),
    };
    let zones = [(*primary).to_owned(), (*standby).to_owned()];
    Ok(Pair { zones, hot })
}

fn watch(rest: &str) -> Result<(String, usize), String> {
    match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
        [name, "watches", "primary"] => Ok(((*name).to_owned(), 0)),
        [name, "watches", "standby"] => Ok(((*name).to_owned(), 1)),
        _ => Err("an alarm is `alarm NAME watches primary|standby`".to_owned()),
    }
}

const STATEMENTS: &str = "title TEXT, zones ZONE…, config … end, \
    pair in ZONE and ZONE [hot], alarm NAME watches primary|standby, controller, second controller, function, overlap, own group, \
    heartbeat TIME, mishap ACTION KIND PERCENT%, lag TIME, strike CALL:before|after, strike ACTION.N:before|after, deaf, poll TIME, \
    slow OPERATION TIMES, stuck attach|detach PERCENT%, bad volume|snapshot PERCENT%, \
    clock controller|agents ahead|behind TIME, launch [in ZONE], \
    live without rehome [in ZONE], adopt, settle|calm within TIME, heal, hold for TIME, pass TIME, \
    next zone ZONE, fail|kill|crash|spot holder, ring|quiet|starve ALARM, [try] switchover, \
    start|stop standby, rebalance, darken ZONE|holder, light ZONE|all, \
    snapshot of old VOLUME, erase VOLUME, lose newest|oldest snapshot, scale to COUNT, expect …";

fn expectation(words: &[&str]) -> Result<Expectation, String> {
    match words {
        ["loss", time] => Ok(Expectation::Loss { at_most: duration(time)? }),
        ["holder", "in", zone] => Ok(Expectation::HolderIn { zone: (*zone).to_owned() }),
        ["blank", count] => Ok(Expectation::Blank { count: number(count)? }),
        ["fences", count] => Ok(Expectation::Fences { count: number(count)? }),
        ["moves", count] => Ok(Expectation::Moves { count: number(count)? }),
        ["deleted", "volumes", count] => Ok(Expectation::DeletedVolumes { count: number(count)? }),
        _ => Err("one can expect `loss TIME`, `holder in ZONE`, `blank COUNT`, `fences COUNT`, `moves COUNT` or `deleted volumes COUNT`".to_owned()),
    }
}

/// `ACTION KIND PERCENT%`.
pub fn mishap(rest: &str) -> Result<Mishap, String> {
    let [action, kind, percent] = rest.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err("a mishap is `mishap ACTION KIND PERCENT%`".to_owned());
    };
    let kind = match kind {
        "lost" => MishapKind::Lost,
        "lost-answer" => MishapKind::LostAnswer,
        "timeout" => MishapKind::Timeout,
        "garbled" => MishapKind::Garbled,
        "throttled" => MishapKind::Throttled,
        "broken" => MishapKind::Broken,
        "denied" => MishapKind::Denied,
        "exhausted" => MishapKind::Exhausted,
        _ => {
            return Err(format!(
                "`{kind}` is none of lost, lost-answer, timeout, garbled, throttled, broken, \
                 denied, exhausted"
            ));
        }
    };
    let percent = percent
        .strip_suffix('%')
        .and_then(|digits| digits.parse().ok())
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| format!("`{percent}` is no percentage from 0% to 100%"))?;
    Ok(Mishap {
        action: action.to_owned(),
        kind,
        percent,
    })
}

pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no length of time like 90s, 15m or 1h30m"))
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is no count"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::BUILT_IN;
    use super::*;

    #[test]
    fn every_built_in_scenario_reads() {
        for (name, text) in BUILT_IN {
            let scenario = parse(name, text).unwrap();
            assert!(!scenario.story.is_empty(), "{name} tells nothing");
        }
    }

    #[test]
    fn an_error_names_its_line_and_what_is_allowed() {
        let error = parse("x", "title T\n\nexplode holder\n").unwrap_err();
        assert_eq!(error.line, 3);
        assert!(
            error.message.contains("fail|kill|crash|spot holder"),
            "{error}"
        );
    }

    #[test]
    fn a_zone_that_is_not_there_is_an_error() {
        let error = parse("x", "title T\nlaunch in mars-1a\n").unwrap_err();
        assert_eq!((error.line, error.message.contains("mars-1a")), (2, true));
    }

    #[test]
    fn a_config_block_needs_its_end() {
        let error = parse("x", "title T\nconfig\n[[group]]\n").unwrap_err();
        assert_eq!(error.line, 2);
    }

    #[test]
    fn times_and_percentages_are_checked() {
        assert!(parse("x", "title T\npass soon\n").is_err());
        assert!(parse("x", "title T\nmishap CreateVolume lost 101%\n").is_err());
    }
}
