//! A tale nobody would think of: a group, a weather and a story drawn from a
//! seed, as the text of a scenario. What breaks a promise is shrunk by leaving
//! out lines, and is a scenario file from then on.

use std::fmt::Write as _;

use fastrand::Rng;

use super::blows::{Blow, Fall};

const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
/// Faults of a tale; each with at most this probability, in percent.
const MISHAPS: [(&str, &str, u8); 11] = [
    ("Describe*", "throttled", 15),
    ("Describe*", "broken", 10),
    ("Create*", "lost-answer", 30),
    ("Attach*", "lost-answer", 30),
    ("Detach*", "lost-answer", 30),
    ("AssociateAddress", "lost-answer", 40),
    ("CompleteLifecycleAction", "broken", 40),
    ("*", "lost", 8),
    ("*", "timeout", 4),
    ("*", "garbled", 6),
    ("Describe*", "garbled", 12),
];
/// What AWS refuses for a while; each with at most this probability, in percent.
const REFUSALS: [(&str, &str, u8); 8] = [
    ("*", "denied", 2),
    ("Describe*", "denied", 3),
    ("CompleteLifecycleAction", "denied", 15),
    ("CreateTags", "denied", 20),
    ("CreateVolume", "exhausted", 60),
    ("StartInstances", "exhausted", 60),
    ("AttachVolume", "exhausted", 40),
    ("CreateSnapshot", "exhausted", 40),
];
/// Calls of a tale at which a runner may be struck.
const CALLS: u64 = 600;

/// What may take longer than usual.
const OPERATIONS: &[&str] = &[
    "create", "attach", "detach", "snapshot", "stop", "run", "boot",
];

/// What AWS begins and does not end well; each with at most this probability.
const SNAGS: &[(&str, u8)] = &[
    ("stuck attach", 25),
    ("stuck detach", 40),
    ("bad volume", 15),
    ("bad snapshot", 15),
];

const OF_GROUPS: &[&str] = &[
    "fail holder",
    "kill holder",
    "crash holder",
    "spot holder",
    "rebalance",
    "ring sick",
    "darken holder",
    "try switchover",
    "scale to 2",
    "lose newest snapshot",
    "lose oldest snapshot",
];
const OF_PAIRS: &[&str] = &[
    "kill holder",
    "crash holder",
    "ring sick",
    "try switchover",
    "darken holder",
    "start standby",
    "stop standby",
    "lose newest snapshot",
];

/// The longest pause between two looks of a daemon.
const SELDOM: &str = "5m";

/// The text of the tale with this number.
pub fn draw(seed: u64) -> String {
    let mut rng = Rng::with_seed(seed);
    let dice = &mut rng;
    let is_pair = dice.u8(..10) < 3;
    let agent = dice.u8(..10) < 7;
    let mut tale = format!("title tale {seed}\n");
    config(dice, is_pair, agent, &mut tale);
    if !agent || is_pair || dice.bool() {
        let who = if dice.u8(..4) == 0 {
            "function"
        } else {
            "controller"
        };
        let _ = writeln!(tale, "{who}");
        if dice.u8(..5) == 0 {
            tale.push_str("second controller\n");
        }
        if dice.u8(..5) == 0 {
            // A function that nobody wakes comes by schedule alone.
            tale.push_str("deaf\nheartbeat 15m\n");
        }
    }
    if is_pair {
        let (primary, standby) = (zone(dice), zone(dice));
        let hot = if dice.bool() { " hot" } else { "" };
        let _ = writeln!(tale, "pair in {primary} and {standby}{hot}");
        // Nobody but an alarm says that a member of a pair is sick.
        tale.push_str("alarm well-primary watches primary\nalarm well-standby watches standby\n");
    } else if dice.u8(..10) < 3 {
        tale.push_str("overlap\n");
    }
    weather(dice, &mut tale);
    refusals(seed, &mut tale);
    let poll = poll(seed);
    let _ = writeln!(tale, "poll {poll}");
    if poll == SELDOM {
        tale.push_str("heartbeat 15m\n"); // whoever comes that seldom finds it open
    }
    if !is_pair {
        let _ = writeln!(tale, "launch in {}", zone(dice));
    }
    tale.push_str("calm within 1h\n");
    let few = dice.u8(1..=6);
    incidents(dice, few + many(seed), is_pair, &mut tale);
    // What anybody may expect of the end: faults off, zones lit, some time.
    tale.push_str("heal\nlight all\nquiet sick\nsettle within 6h\n");
    tale
}

/// How often daemons look. Drawn apart, so that the tales that were told before
/// this was drawn are still the same ones.
fn poll(seed: u64) -> &'static str {
    let pauses = ["15s", "60s", "60s", SELDOM];
    Rng::with_seed(!seed).choice(pauses).unwrap_or("15s")
}

/// One tale in twenty is of a long life, whose traces add up: sets, copies that lost,
/// volumes left behind. Drawn apart, too.
fn many(seed: u64) -> u8 {
    let mut dice = Rng::with_seed(!seed.rotate_left(32));
    match dice.u8(..20) {
        0 => dice.u8(10..=30),
        _ => 0,
    }
}

/// In one tale of three something is refused, now and then. Drawn apart, too.
fn refusals(seed: u64, tale: &mut String) {
    let mut dice = Rng::with_seed(!seed.rotate_left(16));
    if dice.u8(..3) > 0 {
        return;
    }
    for (action, kind, most) in REFUSALS {
        if dice.u8(..4) == 0 {
            let _ = writeln!(tale, "mishap {action} {kind} {}%", dice.u8(1..=most));
        }
    }
}

fn zone(dice: &mut Rng) -> &'static str {
    dice.choice(ZONES).unwrap_or("us-east-1a")
}

fn config(dice: &mut Rng, is_pair: bool, agent: bool, tale: &mut String) {
    let _ = writeln!(
        tale,
        "config\n[[group]]\nname = \"orders-db\"\nagent = {agent}"
    );
    if is_pair {
        tale.push_str("kind = \"pair\"\nmembers = [\"i-0primary\", \"i-0standby\"]\n");
    }
    let volumes = dice.u8(0..=2);
    let addresses = if volumes == 0 { 1 } else { dice.u8(0..=2) };
    for n in 0..addresses {
        let _ = writeln!(
            tale,
            "[[group.address]]\ntag = {{ key = \"n\", value = \"{n}\" }}"
        );
    }
    for n in 0..volumes {
        let device = char::from(b'f' + n);
        let fs = if n == 0 { "ext4" } else { "xfs" };
        let _ = writeln!(
            tale,
            "[[group.volume]]\nname = \"v{n}\"\ndevice = \"/dev/sd{device}\"\nmount = \"/srv/v{n}\"\n\
             filesystem = \"{fs}\"\nsize_gib = 10"
        );
    }
    if volumes > 0 {
        tale.push_str("[group.workload]\nunits = [\"orders.service\"]\n");
    }
    tale.push_str("[[group.alarm]]\nname = \"sick\"\n");
    if is_pair {
        tale.push_str(
            "[[group.alarm]]\nname = \"well-primary\"\n[[group.alarm]]\nname = \"well-standby\"\n",
        );
    }
    tale.push_str("[group.policy]\nsnapshot_every = \"10m\"\n");
    let _ = writeln!(
        tale,
        "capture_timeout = \"{}m\"\ncooldown = \"2m\"\nend",
        dice.u8(10..=40)
    );
}

/// What goes wrong by chance, how far reads lag, who is struck.
fn weather(dice: &mut Rng, tale: &mut String) {
    for (action, kind, most) in MISHAPS {
        if dice.u8(..4) == 0 {
            let _ = writeln!(tale, "mishap {action} {kind} {}%", dice.u8(1..=most));
        }
    }
    if dice.u8(..3) == 0 {
        let _ = writeln!(tale, "lag {}s", dice.u8(3..=90));
    }
    if dice.u8(..3) == 0 {
        let operation = dice.choice(OPERATIONS).copied().unwrap_or("stop");
        let _ = writeln!(tale, "slow {operation} {}x", dice.u8(2..=20));
    }
    for (snag, most) in SNAGS {
        if dice.u8(..8) == 0 {
            let _ = writeln!(tale, "{snag} {}%", dice.u8(1..=*most));
        }
    }
    for whose in ["controller", "agents"] {
        if dice.u8(..4) == 0 {
            let way = if dice.bool() { "ahead" } else { "behind" };
            let _ = writeln!(tale, "clock {whose} {way} {}s", dice.u16(1..=290));
        }
    }
    for _ in 0..dice.u8(..=3) {
        let call = dice.u64(1..=CALLS);
        let when = match dice.u8(..8) {
            0..=2 => "before".to_owned(),
            3..=5 => "after".to_owned(),
            6 => format!("held-{}", dice.u8(1..=9)),
            // Suspended, and an hour later it goes on with what it had in hand.
            _ if dice.bool() => format!("frozen-before-{}s", dice.u32(10..=4000)),
            _ => format!("frozen-after-{}s", dice.u32(10..=4000)),
        };
        let _ = writeln!(tale, "strike {call}:{when}");
    }
}

fn incidents(dice: &mut Rng, count: u8, is_pair: bool, tale: &mut String) {
    let deeds = if is_pair { OF_PAIRS } else { OF_GROUPS };
    let mut crashed = false;
    for _ in 0..count {
        let deed = dice.choice(deeds).copied().unwrap_or("ring sick");
        // In the dark a crash hits the standby, and nobody but a person starts
        // that anew: then no member would be left.
        let is_last = is_pair && deed == "kill holder";
        if is_last && crashed {
            continue;
        }
        crashed |= deed == "crash holder";
        incident(dice, is_pair, deed, tale);
        if is_last {
            // Nobody launches another: what is left is one member.
            break;
        }
    }
}

fn incident(dice: &mut Rng, is_pair: bool, deed: &str, tale: &mut String) {
    // Quiet hours are rare: little happens in them, and many calls are made.
    match dice.u8(..8) {
        0 => writeln!(tale, "pass {}m", dice.u8(1..=40)),
        _ => writeln!(tale, "pass {}s", dice.u16(1..=300)),
    }
    .unwrap_or_default();
    if !is_pair && dice.bool() {
        let _ = writeln!(tale, "next zone {}", zone(dice));
    }
    let _ = writeln!(tale, "{deed}");
    // Sometimes the next thing happens before this one is over.
    if dice.u8(..4) == 0 {
        let _ = writeln!(tale, "pass {}s", dice.u8(1..=120));
    } else {
        let _ = writeln!(tale, "calm within {}m", dice.u8(5..=45));
    }
    if deed == "ring sick" {
        let _ = writeln!(tale, "pass {}s\nquiet sick", dice.u8(10..=200));
    }
    if deed == "scale to 2" {
        // Whoever did it notices, sooner or later.
        let _ = writeln!(tale, "scale to 1\npass {}s", dice.u8(1..=200));
    }
    if dice.bool() {
        tale.push_str("light all\n");
    }
}

/// The shortest tale, by leaving out lines, that is still as bad. The group, who
/// looks after it and the good end stay: without them, everything goes wrong.
pub fn shrink(tale: &str, mut is_bad: impl FnMut(&str) -> bool) -> String {
    let mut lines: Vec<&str> = tale.lines().collect();
    let setting = lines
        .iter()
        .position(|line| *line == "end")
        .map_or(0, |end| end + 1);
    let stays = |line: &str| {
        [
            "controller",
            "second controller",
            "function",
            "pair ",
            "alarm ",
            "launch ",
            // What went wrong ends: else nobody could bring it all into its place.
            "heal",
            "light all",
            "quiet ",
            "scale to 1",
            "settle ",
        ]
        .iter()
        .any(|word| line.starts_with(word))
    };
    let mut at = lines.len();
    while at > setting {
        at -= 1;
        if lines.get(at).is_some_and(|line| stays(line)) {
            continue;
        }
        let mut shorter = lines.clone();
        shorter.remove(at);
        if is_bad(&shorter.join("\n")) {
            lines = shorter;
            at = at.min(lines.len());
        }
    }
    lines.join("\n") + "\n"
}

/// The same tale, in which each of these blows falls at the same call by its name:
/// numbers of calls are those of one planner.
pub fn name_strikes(tale: &str, struck: &[Fall]) -> String {
    let named = |line: &str| {
        let planned: Blow = line.strip_prefix("strike ")?.parse().ok()?;
        let fall = struck.iter().find(|fall| fall.blow == planned)?;
        let (at, when) = (&fall.at, planned.when);
        Some(format!("strike {at}:{when}\n"))
    };
    tale.lines()
        .map(|line| named(line).unwrap_or_else(|| format!("{line}\n")))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::scenario;
    use super::*;

    #[test]
    fn every_tale_reads_and_is_the_same_each_time() {
        for seed in 0..500 {
            let tale = draw(seed);
            assert_eq!(tale, draw(seed));
            scenario::parse("tale", &tale).unwrap_or_else(|error| panic!("{error}\n{tale}"));
        }
    }

    #[test]
    fn a_strike_is_named_by_what_it_hit() {
        let fall = Fall {
            who: "i-1".to_owned(),
            at: "CreateTags.2".parse().unwrap(),
            blow: "156:after".parse().unwrap(),
        };
        let tale = "strike 156:after\nstrike 9:before\npass 1s\n";
        let named = "strike CreateTags.2:after\nstrike 9:before\npass 1s\n";
        assert_eq!(name_strikes(tale, &[fall]), named);
    }

    #[test]
    fn a_tale_shrinks_to_what_matters() {
        let is_bad = |tale: &str| tale.contains("2") && tale.contains("4");
        assert_eq!(shrink("1\n2\n3\n4\n", is_bad), "2\n4\n");
        let tale = "x\nend\ncontroller\n1\n2\nlaunch in z\n3\n4\n";
        let left = "x\nend\ncontroller\n2\nlaunch in z\n4\n";
        assert_eq!(shrink(tale, is_bad), left);
    }
}
