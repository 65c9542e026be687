//! Stories, and how they are told.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::*;
use crate::ids::{Epoch, Incident};
use crate::spec;
use crate::world::{
    Consistency, Group, Shape, Snapshot, SnapshotState, Standing, Volume, VolumeState,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn term(holder: &str, since: i64) -> Term {
    Term {
        holder: holder.into(),
        since: at(since),
    }
}

fn incident(holder: &str, since: i64) -> Incident {
    Incident::new(format!("{holder}/{}", at(since).as_millisecond()))
}

fn volume(id: &str, epoch: u64, standing: Standing, source: Option<&str>) -> Volume {
    Volume {
        id: id.into(),
        name: Some("data".into()),
        epoch: Epoch(epoch),
        standing,
        state: VolumeState::Available,
        zone: "us-east-1a".into(),
        attachments: Vec::new(),
        source: source.map(Into::into),
        shape: Shape::default(),
        created: at(0),
        incident: None,
        tags: BTreeMap::new(),
    }
}

fn snapshot(id: &str, of: (&str, u64), incident: Incident, started: i64) -> Snapshot {
    Snapshot {
        id: id.into(),
        volume: of.0.into(),
        name: Some("data".into()),
        labelled: true,
        epoch: Epoch(of.1),
        state: SnapshotState::Completed,
        progress: 100,
        started: at(started),
        completed: None,
        incident: Some(incident),
        consistency: Consistency::Clean,
        shape: Shape::default(),
        tags: BTreeMap::new(),
    }
}

fn activity(deed: Deed, instance: &str, began: i64, ended: Option<i64>) -> Activity {
    Activity {
        deed,
        instance: Some(instance.into()),
        what: format!("{deed:?} {instance}"),
        cause: format!("because of {instance}"),
        status: "Successful".to_owned(),
        began: at(began),
        ended: ended.map(at),
    }
}

fn spec() -> GroupSpec {
    let text = "[[group]]\nname = \"orders-db\"\n[[group.volume]]\nname = \"data\"\ndevice = \"/dev/sdf\"\n\
                [group.policy]\nkeep_snapshots = 2\nsnapshot_every = \"10m\"\nkeep_old_volume = \"1h\"\n";
    spec::parse("x", text).unwrap().groups.remove(0)
}

/// i-1 from 0 s, captured at 100 s; i-2 from 160 s with a volume made of that.
fn moved() -> Sources {
    let mut world = World::unseen();
    world.group = Seen::Known(Group {
        desired: 1,
        markers: [("data".into(), Epoch(2))].into(),
        ..Group::default()
    });
    let volumes = [
        volume("vol-1", 1, Standing::Superseded, None),
        volume(
            "vol-2",
            2,
            Standing::Active(Some(term("i-2", 160))),
            Some("snap-1"),
        ),
    ];
    world.volumes = Seen::Known(volumes.map(|v| (v.id.clone(), v)).into());
    let snapshots = [snapshot("snap-1", ("vol-1", 1), incident("i-1", 0), 100)];
    world.snapshots = Seen::Known(snapshots.map(|s| (s.id.clone(), s)).into());
    Sources {
        world,
        terms: Seen::Known(
            [
                ("vol-1".into(), term("i-1", 0)),
                ("vol-2".into(), term("i-2", 160)),
            ]
            .into(),
        ),
        activities: Seen::Known(vec![
            activity(Deed::Launch, "i-1", -60, Some(0)),
            activity(Deed::Terminate, "i-1", 95, Some(130)),
            activity(Deed::Launch, "i-2", 96, Some(170)),
        ]),
    }
}

fn told(sources: &Sources) -> History {
    tell(sources, &spec(), at(1_000))
}

fn snapshots(sources: &mut Sources) -> &mut BTreeMap<crate::ids::SnapshotId, Snapshot> {
    match &mut sources.world.snapshots {
        Seen::Known(all) => all,
        Seen::Unknown(why) => panic!("{why}"),
    }
}

#[test]
fn a_clean_move_lost_nothing_and_has_its_times() {
    let history = told(&moved());
    let holders: Vec<_> = history
        .terms
        .iter()
        .map(|term| (term.holder.as_str(), term.clean, term.current))
        .collect();
    assert_eq!(holders, [("i-1", Some(true), false), ("i-2", None, true)]);
    let [one] = history.moves.as_slice() else {
        panic!("{:?}", history.moves);
    };
    assert_eq!((one.from.as_str(), one.to.as_str()), ("i-1", "i-2"));
    assert!(one.restored);
    assert_eq!(one.data_away_seconds, Some(60.0));
    assert_eq!(one.rto_seconds, Some(75.0));
    assert_eq!(one.cause.as_deref(), Some("because of i-1"));
    assert_eq!(one.loss, Loss::Nothing);
    assert_eq!(history.worst_rto_seconds, Some(75.0));
    assert_eq!(history.worst_loss_seconds, Some(0.0));
    assert_eq!(history.unknown, [""; 0]);
}

#[test]
fn a_power_cut_loses_what_was_not_written() {
    let mut sources = moved();
    snapshots(&mut sources)
        .get_mut(&"snap-1".into())
        .unwrap()
        .consistency = Consistency::Crash;
    assert_eq!(told(&sources).moves[0].loss, Loss::Unwritten);
}

#[test]
fn an_older_set_loses_at_most_what_came_after_it() {
    let mut sources = moved();
    let live = snapshot("snap-1", ("vol-1", 1), "live/1".into(), 20);
    snapshots(&mut sources).insert("snap-1".into(), live);
    let history = told(&sources);
    let expected = Loss::AtMost {
        seconds: 75.0,
        restored_from: "snap-1".into(),
    };
    assert_eq!(history.moves[0].loss, expected);
    assert_eq!(history.moves[0].data_away_seconds, None);
    assert_eq!(history.worst_loss_seconds, Some(75.0));
}

#[test]
fn the_volume_itself_loses_nothing() {
    let mut sources = moved();
    let one = volume("vol-1", 1, Standing::Active(Some(term("i-2", 160))), None);
    sources.world.volumes = Seen::Known([("vol-1".into(), one)].into());
    sources.terms = Seen::Known([("vol-1".into(), term("i-2", 160))].into());
    let [one] = told(&sources).moves.try_into().unwrap();
    assert!(!one.restored);
    assert_eq!(one.loss, Loss::Nothing);
}

#[test]
fn what_is_gone_cannot_be_told() {
    let mut sources = moved();
    snapshots(&mut sources).clear();
    sources.activities = Seen::Unknown("not allowed".to_owned());
    let history = told(&sources);
    assert!(matches!(history.moves[0].loss, Loss::Unknown { .. }));
    assert_eq!(history.moves[0].rto_seconds, None);
    assert!(history.moves[0].rto_unknown.is_some());
    assert_eq!(history.worst_loss_seconds, None);
    assert_eq!(history.unknown, ["activities: not allowed"]);
}

#[test]
fn an_heir_that_is_not_in_service_yet_has_no_recovery_time() {
    let mut sources = moved();
    if let Seen::Known(all) = &mut sources.activities {
        all[2].ended = None;
    }
    let why = told(&sources).moves[0].rto_unknown;
    assert_eq!(why, Some("the new instance is not in service yet"));
}

#[test]
fn a_holder_that_goes_on_has_not_moved() {
    let mut sources = moved();
    let again = snapshot("snap-9", ("vol-1", 1), incident("i-1", -500), -10);
    snapshots(&mut sources).insert("snap-9".into(), again);
    let history = told(&sources);
    assert_eq!((history.terms.len(), history.moves.len()), (3, 1));
}

#[test]
fn names_that_are_no_terms_are_none() {
    for text in ["live/1800000000000", "before", "i-1", "i-1/soon", ""] {
        assert_eq!(terms::named(&Incident::new(text)), None, "{text}");
    }
    assert_eq!(terms::named(&incident("i-1", 7)), Some(term("i-1", 7)));
}

#[test]
fn each_copy_says_when_it_goes() {
    let mut sources = moved();
    let live = |n: i64| {
        snapshot(
            &format!("snap-{n}"),
            ("vol-2", 2),
            Incident::new(format!("live/{n}")),
            n,
        )
    };
    for n in [300, 400, 500] {
        snapshots(&mut sources).insert(format!("snap-{n}").as_str().into(), live(n));
    }
    snapshots(&mut sources)
        .get_mut(&"snap-500".into())
        .unwrap()
        .state = SnapshotState::Pending;
    let history = told(&sources);
    let goes: Vec<_> = history.copies.iter().map(|set| set.goes).collect();
    let after = |newer_sets, about| Goes::After { newer_sets, about };
    let every = |times: i64| {
        at(400)
            .checked_add(SignedDuration::from_mins(10 * times))
            .unwrap()
    };
    assert_eq!(
        goes,
        [
            Goes::WhenComplete,
            after(2, every(2)),
            after(1, every(1)),
            Goes::WithItsVolume,
        ]
    );
    let [old] = history.old_volumes.as_slice() else {
        panic!("{:?}", history.old_volumes);
    };
    assert_eq!(old.volume.as_str(), "vol-1");
    assert_eq!(
        old.goes,
        Goes::NotBefore {
            at: at(160 + 3_600)
        }
    );
}
