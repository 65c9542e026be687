//! What does the region look like before the story begins, and what do people
//! do to it besides?

use jiff::{SignedDuration, Timestamp};
use rehome_region::model::Snapshot;
use rehome_region::record::Tags;
use rehome_region::{
    Fault, FaultRule, GroupSetup, HookSetup, Region, Request, Spread, Staleness, Strike, What,
};

use super::scenario::{Mishap, MishapKind, Scenario, Snag, Weather};
use crate::ids::InstanceId;
use crate::spec::{AddressSpec, GroupSpec, Kind};
use crate::tags;

/// How long the group believes a new instance to be healthy.
const GRACE_PERIOD_S: u64 = 300;

/// How long a person takes to see that an instance is stopped, and to start it: longer
/// than any runner takes to look.
const SEEN_STOPPED: SignedDuration = SignedDuration::from_mins(6);

/// The members of a pair and the group's alarms, and the specification with
/// the members' true ids.
pub(super) fn people(
    region: &mut Region,
    scenario: &Scenario,
    mut spec: GroupSpec,
    now: Timestamp,
) -> GroupSpec {
    if let (Kind::Pair { members }, Some(pair)) = (&mut spec.kind, &scenario.pair) {
        let [primary, standby] = &pair.zones;
        let name = Some(spec.name.as_str());
        let first = region.run_instance(primary, name, Tags::new(), now);
        let second = if pair.hot {
            region.run_instance(standby, name, Tags::new(), now)
        } else {
            region.stopped_instance(standby, name, Tags::new(), now)
        };
        *members = vec![first.as_str().into(), second.as_str().into()];
    }
    for alarm in &spec.alarms {
        let watched = scenario.watches.iter().find(|(name, _)| name == alarm);
        let instance = match (&spec.kind, watched) {
            (Kind::Pair { members }, Some((_, which))) => members.get(*which),
            _ => None,
        };
        region.put_alarm(alarm, instance.map(InstanceId::as_str), now);
        if instance.is_none() {
            region.set_alarm(alarm, "OK", now);
        }
    }
    spec
}

/// The group's Elastic IPs, and its specification with their true ids: those of
/// somebody's configuration do not exist here.
pub(super) fn allocate(
    region: &mut Region,
    spec: &GroupSpec,
    now: Timestamp,
) -> (GroupSpec, Vec<String>) {
    let mut spec = spec.clone();
    let mut ids = Vec::new();
    for address in &mut spec.addresses {
        match address {
            AddressSpec::Allocation(allocation) => {
                let id = region.allocate_address(Tags::new(), now);
                *allocation = id.as_str().into();
                ids.push(id);
            }
            AddressSpec::Tag { key, value } => {
                let tags = Tags::from([(key.clone(), value.clone())]);
                ids.push(region.allocate_address(tags, now));
            }
        }
    }
    (spec, ids)
}

pub(super) fn group_setup(scenario: &Scenario) -> GroupSetup {
    GroupSetup {
        name: scenario.spec.name.to_string(),
        min: 1,
        max: 1,
        desired: 1,
        zones: scenario.zones.clone(),
        hooks: hooks(scenario),
        grace_period_s: GRACE_PERIOD_S,
        launch_before_terminate: scenario.overlap,
        ..GroupSetup::default()
    }
}

pub(super) fn hooks(scenario: &Scenario) -> Vec<HookSetup> {
    let heartbeat = u64::try_from(scenario.heartbeat.as_secs()).unwrap_or(300);
    vec![
        HookSetup::launching(heartbeat),
        HookSetup::terminating(heartbeat),
    ]
}

/// The member of a pair that does not hold.
pub(super) fn start_or_stop(
    region: &mut Region,
    spec: &GroupSpec,
    holder: &str,
    start: bool,
    now: Timestamp,
) {
    let Kind::Pair { members } = &spec.kind else {
        return;
    };
    let action = if start {
        "StartInstances"
    } else {
        "StopInstances"
    };
    for standby in members.iter().filter(|id| id.as_str() != holder) {
        if start && has_just_stopped(region, standby.as_str(), now) {
            continue;
        }
        let body = format!("Action={action}&Version=2016-11-15&InstanceId.1={standby}");
        by_hand(region, body, now);
    }
}

/// Whoever starts a standby by hand has seen it stopped for a while. Before somebody took
/// the copy that lost from it, whatever starts at boot would start on that:
/// `docs/reliability.md` says so of pairs without agents.
fn has_just_stopped(region: &Region, id: &str, now: Timestamp) -> bool {
    let entries = region.record().entries().iter().rev();
    let mut states = entries.filter_map(|entry| match &entry.what {
        What::InstanceState { instance, to, .. } if instance == id => Some((entry.at, to)),
        _ => None,
    });
    states
        .next()
        .is_some_and(|(at, to)| to == "stopped" && now.duration_since(at) < SEEN_STOPPED)
}

/// As a person would, by the API.
pub(super) fn put_hook(region: &mut Region, group: &str, hook: &HookSetup, now: Timestamp) {
    let body = format!(
        "Action=PutLifecycleHook&Version=2011-01-01&AutoScalingGroupName={group}\
         &LifecycleHookName={}&LifecycleTransition={}&HeartbeatTimeout={}&DefaultResult={}",
        hook.name, hook.transition, hook.heartbeat_timeout_s, hook.default_result
    );
    by_hand(region, body, now);
}

fn by_hand(region: &mut Region, body: String, now: Timestamp) {
    let request = Request {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        body: body.into_bytes(),
        ..Request::default()
    };
    region.handle(super::perform::OPERATOR, &request, now);
}

/// An older volume of this name, snapshotted again with its tags copied.
pub(super) fn snapshot_of_old(region: &mut Region, name: &str, now: Timestamp) {
    let truth = region.truth();
    let named = truth
        .volumes
        .values()
        .filter(|volume| volume.tags.get(tags::VOLUME).map(String::as_str) == Some(name));
    let old = named.min_by_key(|volume| (volume.created, volume.id.clone()));
    if let Some(old) = old {
        region.snapshot_by_hand(&old.id, old.tags.clone(), now);
    }
}

/// A person clears up, and takes the wrong one.
pub(super) fn lose_snapshot(region: &mut Region, newest: bool, now: Timestamp) {
    let ours = |snapshot: &&Snapshot| snapshot.tags.contains_key(tags::GROUP);
    let snapshots = region.model().snapshots.values().filter(ours);
    let by_age = |snapshot: &&Snapshot| (snapshot.started, snapshot.id.clone());
    let lost = match newest {
        true => snapshots.max_by_key(by_age),
        false => snapshots.min_by_key(by_age),
    };
    if let Some(id) = lost.map(|snapshot| snapshot.id.clone()) {
        region.delete_snapshot_by_hand(&id, now);
    }
}

/// A person wants more of it, or takes that back.
pub(super) fn scale(region: &mut Region, group: &str, desired: u32, now: Timestamp) {
    let body = format!(
        "Action=UpdateAutoScalingGroup&Version=2011-01-01&AutoScalingGroupName={group}\
         &MinSize=1&MaxSize={}&DesiredCapacity={desired}",
        desired.max(1)
    );
    by_hand(region, body, now);
}

/// What AWS does not end well, by this weather.
pub(super) fn snag(region: &mut Region, weather: &Weather) {
    region.settings_mut().one_time_spot = weather.spot;
    let faults = &mut region.settings_mut().faults;
    for (snag, percent) in &weather.snags {
        let odds = match snag {
            Snag::StuckAttach => &mut faults.stuck_attach,
            Snag::StuckDetach => &mut faults.stuck_detach,
            Snag::BadVolume => &mut faults.volume_error,
            Snag::BadSnapshot => &mut faults.snapshot_error,
        };
        *odds = f64::from(*percent) / 100.0;
    }
}

/// Everything is as slow as the weather has it.
pub(super) fn slow_down(region: &mut Region, weather: &Weather) {
    let latencies = &mut region.settings_mut().latency;
    for (delay, times) in &weather.slow {
        let Spread { median, p99 } = latencies.spread(*delay);
        let spread = Spread {
            median: median.saturating_mul(*times),
            p99: p99.saturating_mul(*times),
        };
        latencies.set(*delay, spread);
    }
}

/// Reads by tag lag as far as this, reads by id a third as far.
pub(super) fn staleness(lag: SignedDuration) -> Staleness {
    let most = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
    Staleness {
        filter: Spread::millis(most / 4, most),
        by_id: Spread::millis(most / 12, most / 3),
    }
}

pub fn rule(mishap: &Mishap) -> FaultRule {
    let strike = match mishap.kind {
        MishapKind::Lost => Strike::LostBefore,
        MishapKind::LostAnswer => Strike::LostAfter,
        MishapKind::Garbled => Strike::Garbled,
        MishapKind::Timeout => Strike::TimedOutAfter,
        MishapKind::Throttled => Strike::Refused(Fault::request_limit()),
        MishapKind::Broken => Strike::Refused(Fault::internal()),
        MishapKind::Denied => Strike::Refused(Fault::denied(&mishap.action)),
        MishapKind::Exhausted => Strike::Refused(Fault::exhausted(&mishap.action)),
    };
    FaultRule {
        action: mishap.action.clone(),
        caller: None,
        probability: f64::from(mishap.percent) / 100.0,
        strike,
    }
}
