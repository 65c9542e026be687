//! Each promise, shown to be seen to break: small records in which one thing
//! went wrong.

#![allow(clippy::unwrap_used, clippy::panic)]

mod actions;
mod unseen;

use std::time::Duration;

use jiff::SignedDuration;
use rehome_region::record::Tags;
use rehome_region::{Closed, Outcome, Region, Settings, What};

use super::*;
use crate::drill::time::beginning;
use crate::tags;

const OLD: &str = "i-1";
const NEW: &str = "i-2";
const PATH: &str = "/var/lib/orders";

#[derive(Default)]
struct Tale(Vec<Entry>, Conditions);

impl Tale {
    fn at(mut self, second: i64, who: &str, what: What) -> Self {
        let at = beginning()
            .checked_add(SignedDuration::from_secs(second))
            .unwrap();
        self.0.push(Entry {
            at,
            who: who.to_owned(),
            what,
        });
        self
    }

    fn verdict(&self, number: usize) -> Finding {
        self.judged(number, "cross-zone", &BTreeMap::new(), &[])
    }

    /// By one promise, of the group of a scenario.
    fn judged(
        &self,
        number: usize,
        scenario: &str,
        volumes: &BTreeMap<String, Volume>,
        unsettled: &[String],
    ) -> Finding {
        let spec = crate::drill::scenario::built_in(scenario)
            .unwrap()
            .unwrap()
            .spec;
        let ledger = Ledger::replay(&self.0);
        let zones = [
            (OLD.to_owned(), "a".to_owned()),
            (NEW.to_owned(), "b".to_owned()),
        ]
        .into();
        let evidence = Evidence {
            spec: &spec,
            entries: &self.0,
            ledger: &ledger,
            truth: &Truth::default(),
            volumes,
            zones: &zones,
            addresses: &[],
            unsettled,
            conditions: self.1,
            must_settle: false,
            naps: &[],
            late: &[],
        };
        let (_, check) = PROMISES.get(number - 1).unwrap();
        check(&evidence)
    }

    fn holds(&self, number: usize) {
        if let Err(broken) = self.verdict(number) {
            panic!("promise {number} should hold: {broken}");
        }
    }

    fn breaks(&self, number: usize, because: &str) {
        match self.verdict(number) {
            Ok(found) => panic!("promise {number} should break: {found}"),
            Err(broken) => assert!(broken.contains(because), "{broken}"),
        }
    }
}

fn member(instance: &str, to: &str) -> What {
    What::Lifecycle {
        group: "orders-db".into(),
        instance: instance.into(),
        from: String::new(),
        to: to.into(),
    }
}

fn volume(id: &str, zone: &str, source: Option<&str>) -> What {
    let tags = Tags::from([
        ("rehome:volume".into(), "data".into()),
        ("rehome:group".into(), "orders-db".into()),
    ]);
    What::VolumeCreated {
        volume: id.into(),
        zone: zone.into(),
        source: source.map(Into::into),
        tags,
    }
}

fn attached(volume: &str, instance: &str) -> What {
    What::Attached {
        volume: volume.into(),
        instance: instance.into(),
    }
}

fn detached(volume: &str, instance: &str) -> What {
    What::Detached {
        volume: volume.into(),
        instance: instance.into(),
    }
}

fn writes(instance: &str, volume: &str) -> What {
    loses(instance, volume, 0)
}

fn loses(instance: &str, volume: &str, seconds: u64) -> What {
    What::WriterStarted {
        instance: instance.into(),
        volume: volume.into(),
        path: PATH.into(),
        counter: 1,
        lost_writes: seconds * 10,
        lost: Duration::from_secs(seconds),
    }
}

fn stops(instance: &str, volume: &str) -> What {
    What::WriterStopped {
        instance: instance.into(),
        volume: volume.into(),
        path: PATH.into(),
        counter: 9,
    }
}

fn snapshot(id: &str, volume: &str, counter: u64, incident: &str, writer_active: bool) -> What {
    let says = if writer_active { "crash" } else { "clean" };
    let tags = Tags::from([
        ("rehome:incident".into(), incident.into()),
        ("rehome:volume".into(), "data".into()),
        ("rehome:consistency".into(), says.into()),
    ]);
    What::SnapshotStarted {
        snapshot: id.into(),
        volume: volume.into(),
        writer_active,
        counter,
        tags,
    }
}

fn complete(snapshot: &str) -> What {
    What::SnapshotCompleted {
        snapshot: snapshot.into(),
    }
}

fn closed(instance: &str, transition: &str, how: Closed) -> What {
    What::HookClosed {
        group: "orders-db".into(),
        instance: instance.into(),
        transition: format!("autoscaling:EC2_INSTANCE_{transition}"),
        how,
        heartbeats: 0,
    }
}

fn call(action: &str, outcome: Outcome) -> What {
    What::Call {
        service: "ec2".into(),
        action: action.into(),
        target: String::new(),
        outcome,
    }
}

/// A first holder that writes from second 10 on.
fn life() -> Tale {
    Tale::default()
        .at(0, "aws", member(OLD, "Pending"))
        .at(2, OLD, volume("vol-1", "a", None))
        .at(5, "aws", attached("vol-1", OLD))
        .at(10, OLD, writes(OLD, "vol-1"))
        .at(11, "aws", member(OLD, "InService"))
}

/// The same, then a whole move to another zone.
fn moved() -> Tale {
    life()
        .at(100, "aws", member(OLD, "Terminating:Wait"))
        .at(100, "aws", member(NEW, "Pending"))
        .at(102, OLD, stops(OLD, "vol-1"))
        .at(105, "aws", detached("vol-1", OLD))
        .at(106, OLD, snapshot("snap-1", "vol-1", 9, "move-1", false))
        .at(110, "aws", member(NEW, "Pending:Wait"))
        .at(200, "aws", complete("snap-1"))
        .at(220, NEW, volume("vol-2", "b", Some("snap-1")))
        .at(223, "aws", attached("vol-2", NEW))
        .at(225, NEW, writes(NEW, "vol-2"))
}

#[test]
fn a_move_in_good_order_breaks_nothing() {
    let tale = moved()
        .at(107, "aws", closed(OLD, "TERMINATING", Closed::Continue))
        .at(226, NEW, closed(NEW, "LAUNCHING", Closed::Continue));
    for number in 1..=12 {
        tale.holds(number);
    }
}

#[test]
fn two_writers_at_once_break_the_first_promise() {
    let tale = life()
        .at(50, NEW, volume("vol-2", "b", None))
        .at(55, "aws", attached("vol-2", NEW))
        .at(60, NEW, writes(NEW, "vol-2"));
    tale.breaks(1, "while i-1 still did");
}

#[test]
fn the_dark_excuses_a_second_writer_until_the_light_returns() {
    let dark = || {
        life()
            .at(50, "nature", What::ZoneDown { zone: "a".into() })
            .at(60, NEW, volume("vol-2", "b", Some("snap-0")))
            .at(70, NEW, writes(NEW, "vol-2"))
            .at(500, "nature", What::ZoneUp { zone: "a".into() })
    };
    dark().at(520, OLD, stops(OLD, "vol-1")).holds(1);
    dark()
        .at(900, OLD, stops(OLD, "vol-1"))
        .breaks(1, "after its zone came back");
}

#[test]
fn a_zone_that_comes_back_while_units_are_started_is_not_seen_yet() {
    let back_for = |seconds: i64| {
        life()
            .at(50, "nature", What::ZoneDown { zone: "a".into() })
            .at(300, "nature", What::ZoneUp { zone: "a".into() })
            .at(300 + seconds, NEW, writes(NEW, "vol-2"))
            .at(340, OLD, stops(OLD, "vol-1"))
    };
    let unseen = super::keepers::SEEN_AFTER.as_secs();
    back_for(unseen).holds(1);
    back_for(unseen + 1).breaks(1, "while i-1 still did");
    // Nor could anybody tell one that was starting its units to go.
    let goes = |lit| {
        life()
            .at(50, "nature", What::ZoneDown { zone: "b".into() })
            .at(60, OLD, stops(OLD, "vol-1"))
            .at(90, "aws", member(NEW, "Terminating:Wait"))
            .at(lit, "nature", What::ZoneUp { zone: "b".into() })
            .at(300, NEW, writes(NEW, "vol-2"))
    };
    goes(300 - unseen).holds(1);
    goes(300 - unseen - 1).breaks(1, "while it was Terminating:Wait");
}

#[test]
fn whoever_writes_in_the_term_of_another_breaks_the_first_promise() {
    let holder = What::Tagged {
        resource: "vol-1".into(),
        key: "rehome:holder".into(),
        value: NEW.into(),
    };
    Tale::default()
        .at(1, NEW, holder)
        .at(2, OLD, writes(OLD, "vol-1"))
        .breaks(1, "in the term of i-2");
}

#[test]
fn a_live_snapshot_that_says_clean_breaks_the_second_promise() {
    life()
        .at(50, OLD, snapshot("snap-1", "vol-1", 5, "set-1", true))
        .holds(2);
    let lie = What::Tagged {
        resource: "snap-1".into(),
        key: "rehome:consistency".into(),
        value: "clean".into(),
    };
    life()
        .at(50, OLD, snapshot("snap-1", "vol-1", 5, "set-1", true))
        .at(51, OLD, lie)
        .breaks(2, "snap-1 says it is clean");
}

#[test]
fn a_late_snapshot_of_the_old_lineage_breaks_the_third_promise() {
    let zombie = moved()
        .at(
            300,
            "person",
            snapshot("snap-late", "vol-1", 50, "late", false),
        )
        .at(310, "aws", complete("snap-late"))
        .at(400, NEW, stops(NEW, "vol-2"))
        .at(500, "i-3", volume("vol-3", "c", Some("snap-late")))
        .at(510, "i-3", writes("i-3", "vol-3"));
    zombie.breaks(3, "a copy of vol-1 from before vol-2 took over");
}

#[test]
fn a_volume_that_nobody_wrote_to_may_lie_between() {
    let untouched = life()
        .at(102, OLD, stops(OLD, "vol-1"))
        .at(106, OLD, snapshot("snap-1", "vol-1", 9, "move-1", false))
        .at(200, "aws", complete("snap-1"))
        .at(220, NEW, volume("vol-2", "b", Some("snap-1")))
        .at(300, NEW, snapshot("snap-2", "vol-2", 9, "move-2", false))
        .at(400, "aws", complete("snap-2"))
        .at(500, "i-3", volume("vol-3", "c", Some("snap-2")))
        .at(510, "i-3", writes("i-3", "vol-3"));
    untouched.holds(3);
}

#[test]
fn passing_over_a_newer_copy_breaks_the_third_promise() {
    let tale = life()
        .at(20, OLD, snapshot("snap-a", "vol-1", 2, "set-1", true))
        .at(30, "aws", complete("snap-a"))
        .at(40, OLD, snapshot("snap-b", "vol-1", 4, "set-2", true))
        .at(50, "aws", complete("snap-b"))
        .at(60, OLD, stops(OLD, "vol-1"))
        .at(100, NEW, volume("vol-2", "b", Some("snap-a")))
        .at(110, NEW, writes(NEW, "vol-2"));
    tale.breaks(3, "although snap-b was newer");
}

/// The newer copy is complete only when an older one was chosen and its term begun; that
/// its holder never came to write to it, nobody knows.
#[test]
fn what_was_chosen_for_a_holder_that_never_wrote_is_the_newer_line() {
    let state = |value: &str| What::Tagged {
        resource: "vol-2".into(),
        key: tags::STATE.into(),
        value: value.into(),
    };
    let late = |value, complete_at| {
        life()
            .at(20, OLD, snapshot("snap-a", "vol-1", 2, "set-1", true))
            .at(30, "aws", complete("snap-a"))
            .at(40, OLD, stops(OLD, "vol-1"))
            .at(50, OLD, snapshot("snap-b", "vol-1", 9, "move-1", false))
            .at(100, NEW, volume("vol-2", "b", Some("snap-a")))
            .at(110, NEW, state(value))
            .at(200, NEW, snapshot("snap-c", "vol-2", 2, "move-2", false))
            .at(complete_at, "aws", complete("snap-b"))
            .at(310, "aws", complete("snap-c"))
            .at(400, "i-3", volume("vol-3", "c", Some("snap-c")))
            .at(410, "i-3", writes("i-3", "vol-3"))
    };
    late("active", 300).holds(3);
    late("active", 60).breaks(3, "although snap-b was newer");
    // Nobody ever had that one.
    late("new", 300).breaks(3, "although snap-b was newer");
}

#[test]
fn a_second_blank_volume_breaks_the_fourth_promise() {
    life().holds(4);
    life()
        .at(90, NEW, volume("vol-2", "b", None))
        .breaks(4, "although vol-1 held data");
    let formatted = What::Formatted {
        volume: "vol-1".into(),
        had_data: true,
    };
    life().at(90, NEW, formatted).breaks(4, "which held data");
}

#[test]
fn deleting_what_is_needed_breaks_the_fifth_promise() {
    let gone = |volume: &str| What::VolumeDeleted {
        volume: volume.into(),
    };
    moved()
        .at(230, NEW, gone("vol-2"))
        .breaks(5, "while it was the newest");
    moved().at(230, NEW, gone("vol-1")).breaks(5, "took over");
    moved().at(230 + 24 * 3600, NEW, gone("vol-1")).holds(5);
    let last = What::SnapshotDeleted {
        snapshot: "snap-1".into(),
    };
    moved()
        .at(230, NEW, last)
        .breaks(5, "of the newest complete set");
}

#[test]
fn of_two_captures_of_one_move_one_may_go() {
    let gone = |snapshot: &str| What::SnapshotDeleted {
        snapshot: snapshot.into(),
    };
    let twice = |counter| {
        moved()
            .at(
                226,
                NEW,
                snapshot("snap-2", "vol-1", counter, "move-1", false),
            )
            .at(227, "aws", complete("snap-2"))
            .at(300, NEW, gone("snap-1"))
    };
    twice(9).holds(5);
    // The other one has less in it, or goes at the same moment.
    twice(8).breaks(5, "snap-1 was deleted while it was of the newest");
    let both = twice(9).at(300, NEW, gone("snap-2"));
    both.breaks(5, "of the newest complete set");
    twice(9)
        .at(301, NEW, gone("snap-2"))
        .breaks(5, "snap-2 was deleted");
}

#[test]
fn losing_more_than_allowed_or_without_need_breaks_the_sixth_promise() {
    let dark = |chosen, seconds| {
        life()
            .at(50, "nature", What::ZoneDown { zone: "a".into() })
            .at(chosen, NEW, volume("vol-2", "b", Some("snap-0")))
            .at(chosen, NEW, loses(NEW, "vol-2", seconds))
    };
    dark(60, 600).holds(6);
    dark(60, 4_000).breaks(6, "at most");
    dark(60, 3_600).holds(6);
    dark(60, 3_601).breaks(6, "at most");
    let needless = life()
        .at(40, OLD, stops(OLD, "vol-1"))
        .at(60, NEW, volume("vol-2", "b", Some("snap-0")))
        .at(70, NEW, loses(NEW, "vol-2", 30));
    needless.breaks(6, "although the newest data could be reached");
    // Made for an earlier move, and begun while the zone was dark: whether its holder ever
    // came to write to it, it was chosen then.
    let begun = |second| {
        let began = What::Tagged {
            resource: "vol-2".into(),
            key: "rehome:state".into(),
            value: "active".into(),
        };
        life()
            .at(5, NEW, volume("vol-2", "b", Some("snap-0")))
            .at(50, "nature", What::ZoneDown { zone: "a".into() })
            .at(100, "nature", What::ZoneUp { zone: "a".into() })
            .at(second, NEW, began)
            .at(200, OLD, stops(OLD, "vol-1"))
            .at(300, NEW, loses(NEW, "vol-2", 30))
    };
    begun(100).holds(6);
    begun(101).breaks(6, "although the newest data could be reached");
}

#[test]
fn an_address_at_the_wrong_instance_breaks_the_seventh_promise() {
    let moves = |to: &str, lifecycle: &str| What::AddressMoved {
        allocation: "eipalloc-1".into(),
        from: None,
        to: Some(to.into()),
        lifecycle: Some(lifecycle.into()),
    };
    moved().at(226, NEW, moves(NEW, "Pending:Wait")).holds(7);
    moved()
        .at(200, "aws", member(OLD, "Terminating:Wait"))
        .at(226, NEW, moves(OLD, "Terminating:Wait"))
        .breaks(7, "which was Terminating:Wait");
    // What began a moment ago nobody can have seen.
    moved()
        .at(225, "aws", member(NEW, "Terminating"))
        .at(226, NEW, moves(NEW, "Terminating"))
        .holds(7);
    moved()
        .at(200, "aws", member(NEW, "Warmed:Stopped"))
        .at(226, NEW, moves(NEW, "Warmed:Stopped"))
        .breaks(7, "which was Warmed:Stopped");
    moved()
        .at(226, OLD, moves(OLD, "InService"))
        .breaks(7, "although i-2 is the holder");
}

#[test]
fn acting_on_a_failed_look_breaks_the_twelfth_promise() {
    let look = |outcome: Outcome, at| {
        Tale::default()
            .at(1, OLD, call("DescribeAddresses", Outcome::Ok))
            .at(20, OLD, call("DescribeAddresses", Outcome::Lost))
            .at(at - 1, OLD, call("DescribeAddresses", outcome))
            .at(at, OLD, call("AssociateAddress", Outcome::Ok))
    };
    look(Outcome::Ok, 90).holds(12);
    look(Outcome::Error("RequestLimitExceeded".into()), 90).breaks(12, "had not succeeded");
    look(Outcome::Lost, 90).breaks(12, "had not succeeded");
    // What was seen carries a plan for a moment.
    look(Outcome::Lost, 80).holds(12);
    Tale::default()
        .at(1, OLD, call("AssociateAddress", Outcome::Ok))
        .breaks(12, "had not succeeded");
}

/// Two volumes as the region would report them, made on its wire.
fn volumes(first: &str, second: &str) -> BTreeMap<String, Volume> {
    let mut region = Region::new(Settings::default(), beginning());
    let mut make = |id: &str, tier: &str| {
        let tags = Tags::from([("tier".into(), tier.into())]);
        let made = region.create_volume("us-east-1a", 20, tags, beginning());
        let mut volume = region.truth().volumes.remove(&made).unwrap();
        volume.id = id.to_owned();
        (id.to_owned(), volume)
    };
    BTreeMap::from([make("vol-1", first), make("vol-2", second)])
}

#[test]
fn a_volume_made_otherwise_breaks_the_ninth_promise() {
    let same = moved().judged(9, "cross-zone", &volumes("gold", "gold"), &[]);
    assert_eq!(same.unwrap(), "1 pair compared");
    let broken = moved().judged(9, "cross-zone", &volumes("gold", "tin"), &[]);
    assert!(broken.unwrap_err().contains("tags was"));
}

#[test]
fn copies_of_different_instants_break_the_tenth_promise() {
    let log = |instance: &str, volume: &str| What::WriterStarted {
        instance: instance.into(),
        volume: volume.into(),
        path: "/var/log/orders".into(),
        counter: 1,
        lost_writes: 0,
        lost: Duration::ZERO,
    };
    let restored = |second_capture: i64| {
        life()
            .at(20, OLD, snapshot("snap-1", "vol-1", 2, "set-1", true))
            .at(
                second_capture,
                OLD,
                snapshot("snap-2", "vol-9", 2, "set-2", true),
            )
            .at(60, OLD, stops(OLD, "vol-1"))
            .at(80, NEW, volume("vol-2", "b", Some("snap-1")))
            .at(81, NEW, volume("vol-3", "b", Some("snap-2")))
            .at(90, NEW, writes(NEW, "vol-2"))
            .at(90, NEW, log(NEW, "vol-3"))
    };
    let judge = |tale: Tale| tale.judged(10, "multi-volume", &BTreeMap::new(), &[]);
    assert_eq!(
        judge(restored(20)).unwrap(),
        "1 set restored, each of one instant"
    );
    assert!(
        judge(restored(40))
            .unwrap_err()
            .contains("different instants")
    );
}

#[test]
fn whatever_is_not_in_its_place_breaks_the_eleventh_promise() {
    let open = ["eipalloc-1 is at nobody".to_owned()];
    let broken = moved().judged(11, "cross-zone", &BTreeMap::new(), &open);
    assert_eq!(broken.unwrap_err(), "eipalloc-1 is at nobody");
}
