//! What people read: each step, wait and hold names what it is about, and a
//! hold says what a person can do. Those that a table elsewhere shows are not
//! here again.

use super::worlds::at;
use crate::ids::{Epoch, Incident};
use crate::plan::step::{Activation, Cause, Hold, Reason, Retired, Step, Wait};
use crate::world::{Consistency, Shape, Transition};

fn capture(consistency: Consistency) -> Step {
    Step::Capture {
        name: "data".into(),
        volume: "vol-1".into(),
        epoch: Epoch(3),
        incident: Incident::new("i-1/5"),
        consistency,
        quiet_on: None,
        shape: Shape::default(),
        tags: Default::default(),
    }
}

fn activation(name: &str, epoch: u64) -> Activation {
    Activation {
        name: name.into(),
        volume: "vol-1".into(),
        epoch: Epoch(epoch),
        marked: None,
    }
}

#[test]
fn a_step_says_what_it_does_to_what() {
    let says = |step: Step| step.to_string();
    assert_eq!(
        says(capture(Consistency::Clean)),
        "capture the quiet vol-1 (data, epoch 3)"
    );
    assert_eq!(
        says(capture(Consistency::Crash)),
        "capture the live vol-1 (data, epoch 3)"
    );
    let volumes = vec![activation("data", 3), activation("logs", 1)];
    let (holder, since) = ("i-1".into(), at(0));
    assert_eq!(
        says(Step::Activate {
            holder,
            since,
            volumes
        }),
        "begin the term of i-1 on data (epoch 3) logs (epoch 1)"
    );
}

#[test]
fn why_something_is_done_is_said() {
    let causes = [
        Cause::Alarm("status".to_owned()),
        Cause::Gone,
        Cause::Leaving,
        Cause::Asked,
    ];
    assert_eq!(
        causes.map(|cause| cause.to_string()),
        [
            "alarm status has rung long enough",
            "the holder is terminated",
            "the holder was told to go",
            "a person asked for it",
        ]
    );
    let retired = [
        Retired::Superseded,
        Retired::NeverActive,
        Retired::BeyondKeep,
        Retired::Duplicate,
    ];
    assert_eq!(
        retired.map(|why| why.to_string()),
        [
            "a newer epoch took over, and its keep time is over",
            "it was made for a move that ended otherwise",
            "the policy keeps fewer sets",
            "another capture of the same move is kept",
        ]
    );
}

#[test]
fn a_wait_says_until_when_where_that_is_known() {
    let reason = Reason::Fencing {
        instance: "i-1".into(),
    };
    let since = None;
    let until = Some("2027-01-15T08:00:00.25Z".parse().unwrap());
    let wait = |until| {
        Wait {
            reason: reason.clone(),
            since,
            until,
        }
        .to_string()
    };
    assert_eq!(wait(None), "i-1 is being stopped");
    assert_eq!(
        wait(until),
        "i-1 is being stopped, until 2027-01-15T08:00:00Z"
    );
}

#[test]
fn a_hold_of_a_pair_says_what_a_person_can_do() {
    let instance = || "i-1".into();
    let holds = [
        Hold::HolderStopped {
            instance: instance(),
        },
        Hold::HoldsAlready {
            instance: instance(),
        },
        Hold::NoStandby {
            instance: instance(),
            why: "it is terminated".to_owned(),
        },
    ];
    assert_eq!(
        holds.map(|hold| hold.to_string()),
        [
            "i-1 holds everything and is stopped: start it, or run `rehome switchover`",
            "i-1 is the holder already: name the other member, or none",
            "i-1 cannot take over (it is terminated): bring it back, or name another member in \
             the configuration",
        ]
    );
}

#[test]
fn a_hold_of_data_says_what_would_be_lost_and_what_is_known() {
    let loss = |newest_set, loses_seconds| {
        let volume = "data".into();
        Hold::DataLoss {
            volume,
            newest_set,
            loses_seconds,
        }
        .to_string()
    };
    let begins = "the newest data of data is out of reach, and ";
    let when = "2027-01-15T08:00:00Z";
    let set = Some(when.parse().unwrap());
    assert_eq!(
        loss(set, Some(4000)),
        format!(
            "{begins}the newest complete set ({when}) would lose 4000 s, more than max_data_loss \
             allows: bring the volume or its zone back, or raise max_data_loss to accept the loss"
        )
    );
    assert_eq!(
        loss(set, None),
        format!(
            "{begins}the newest complete set ({when}) is of an older lineage, so what it would \
             lose is unknown: bring the volume or its zone back, or copy that set's tags onto a \
             snapshot you trust"
        )
    );
    assert_eq!(
        loss(None, None),
        format!(
            "{begins}there is no complete set of snapshots to fall back to: bring the volume or \
             its zone back"
        )
    );
}

#[test]
fn a_hold_of_the_group_says_what_to_set_right() {
    let (desired, candidates) = (2, 3);
    assert_eq!(
        Hold::TooManyMembers {
            desired,
            candidates
        }
        .to_string(),
        "the group wants 2 instance(s) and 3 could be the holder: nothing is changed; set its \
         desired capacity to 1"
    );
    let (transition, count) = (Transition::Terminate, 4);
    assert_eq!(
        Hold::WhichHook { transition, count }.to_string(),
        "the group has 4 terminate hooks: put \"rehome\" into the name of the one that is meant"
    );
}

#[test]
fn a_step_of_a_later_plan_has_the_same_key_whatever_the_time_is_then() {
    let activate = |name: &str, since| Step::Activate {
        holder: "i-1".into(),
        since: at(since),
        volumes: vec![activation(name, 1)],
    };
    let live = |instance: &str, incident: &str| Step::SnapshotLive {
        instance: instance.into(),
        incident: Incident::new(incident),
        volumes: vec![],
    };
    let appoint = |heir: &str, since| Step::Appoint {
        heir: heir.into(),
        since: at(since),
        over: None,
        cause: Cause::Gone,
        moves: vec![at(since)],
    };
    let report = |instance: &str, moved| Step::ReportUnhealthy {
        instance: instance.into(),
        moves: vec![at(moved)],
    };
    let start = |instance: &str| Step::StartInstance {
        instance: instance.into(),
    };
    let rows = [
        [activate("a", 1), activate("a", 2), activate("b", 1)],
        [live("a", "1"), live("a", "2"), live("b", "1")],
        [appoint("a", 1), appoint("a", 2), appoint("b", 1)],
        [report("a", 1), report("a", 2), report("b", 1)],
        [start("a"), start("a"), start("b")],
    ];
    for [step, later, other] in rows {
        assert_eq!(step.key(), later.key());
        assert_ne!(step.key(), other.key());
    }
}

#[test]
fn a_reason_has_the_same_key_while_the_same_is_waited_for() {
    let snapshotting = |id: &str, progress| Reason::Snapshotting {
        snapshot: id.into(),
        progress,
    };
    let health = |says: &str| Reason::Health {
        says: says.to_owned(),
    };
    let unknown = |what, why: &str| Reason::Unknown {
        what,
        why: why.to_owned(),
    };
    let loss = |volume: &str, loses| {
        Reason::Hold(Hold::DataLoss {
            volume: volume.into(),
            newest_set: None,
            loses_seconds: Some(loses),
        })
    };
    let fencing = |id: &str| Reason::Fencing {
        instance: id.into(),
    };
    let rows = [
        [
            snapshotting("a", 1),
            snapshotting("a", 2),
            snapshotting("b", 1),
        ],
        [health("no"), health("not yet"), Reason::NoHolder],
        [
            unknown("group", "x"),
            unknown("group", "y"),
            unknown("volumes", "x"),
        ],
        [loss("a", 1), loss("a", 2), loss("b", 1)],
        [fencing("a"), fencing("a"), fencing("b")],
    ];
    for [reason, later, other] in rows {
        assert_eq!(reason.key(), later.key());
        assert_ne!(reason.key(), other.key());
    }
}

#[test]
fn what_may_be_the_data_is_named_with_what_a_person_can_do() {
    let untagged = Hold::Untagged {
        volume: "data".into(),
        found: "vol-2".into(),
        epoch: Epoch(2),
    };
    assert_eq!(
        untagged.to_string(),
        "vol-2 may be the newest data, whose tags were taken away: nothing older is used beside \
         it. If it is, give it rehome:group, rehome:volume=data and rehome:epoch=2; if not, detach \
         it and take what tags of rehome it has"
    );
    let renamed = Hold::Renamed {
        volume: "pgdata".into(),
        found: "data".into(),
    };
    assert_eq!(
        renamed.to_string(),
        "this group has data of data, which is not configured, and none of pgdata: if it was \
         renamed, name it data again; if not, take data's tags off its volumes and snapshots and \
         off the group, and a first pgdata is made"
    );
}
