//! Is the alarm about this group, and still after the next failover?

use super::super::facts::{AlarmSetup, Facts, MetricSetup};
use super::super::finding::Sheet;
use super::super::mend::Command;
use super::super::pair::is_gone;
use super::mend::{again, of_member};
use crate::ids::InstanceId;
use crate::spec::{GroupSpec, Kind};

const CHECK: &str = "alarm-about";

pub(super) fn judge(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    name: &str,
    alarm: &AlarmSetup,
) {
    let Some(metric) = &alarm.metric else { return };
    let instance = metric.dimensions.get("InstanceId").map(InstanceId::new);
    let group = metric.dimensions.get("AutoScalingGroupName");
    let mend = || again(spec, name, facts, alarm);
    match (&spec.kind, instance, group) {
        (Kind::Asg, Some(instance), _) => alone(sheet, facts, name, &instance, mend()),
        (Kind::Asg, None, Some(other)) if other != spec.name.as_str() => sheet.wrong(
            CHECK,
            format!("{name} watches the group {other}"),
            "the failure of another group would move this one, and its own is not noticed",
            mend(),
        ),
        (Kind::Pair { members }, Some(instance), _) if !members.contains(&instance) => sheet.wrong(
            CHECK,
            format!("{name} watches {instance}, which is no member of the pair"),
            "rehome heeds an alarm on an instance only while that one holds: this one never counts",
            mend(),
        ),
        (_, None, None) | (Kind::Pair { .. }, None, Some(_)) if metric.namespace == "AWS/EC2" => {
            sheet.warning(
                CHECK,
                format!("{name} names neither an instance nor the group"),
                "the failure of any instance of the account may move this group",
                mend(),
            );
        }
        _ => {}
    }
}

/// An alarm on one instance is about nobody once that instance is replaced.
fn alone(sheet: &mut Sheet, facts: &Facts, name: &str, instance: &InstanceId, mend: Command) {
    let risk = "rehome heeds an alarm on an instance only while that one holds: after the next \
                replacement nobody rings";
    match facts.plan.holder.as_ref() == Some(instance) {
        true => sheet.warning(
            CHECK,
            format!("{name} watches {instance} alone, the present holder"),
            risk,
            mend,
        ),
        false => sheet.wrong(
            CHECK,
            format!("{name} watches {instance} alone, not the holder"),
            "rehome heeds an alarm on an instance only while that one holds: this one never counts",
            mend,
        ),
    }
}

/// In a pair each alarm is about one member, and both come to hold.
pub(super) fn unwatched(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    members: &[InstanceId],
) {
    let Some(all) = facts.alarms.known() else {
        return;
    };
    let mut watched = Vec::new();
    for alarm in spec.alarms.iter().filter_map(|name| all.get(name)) {
        let metric = alarm.metric.as_ref();
        match metric.and_then(watched_by) {
            Some(instance) => watched.push(instance),
            // Composite, on an expression or on another metric: about whoever holds.
            None => return,
        }
    }
    // Without any alarm another line says so.
    let any = !watched.is_empty();
    let bodies = facts.bodies.known();
    let gone = |id: &InstanceId| bodies.and_then(|all| all.get(id)).is_some_and(is_gone);
    let unwatched = members
        .iter()
        .filter(|id| any && !watched.contains(id) && !gone(id));
    for member in unwatched {
        let (role, risk) = match facts.plan.holder.as_ref() == Some(member) {
            true => ("the holder", "if it hangs, nobody takes over"),
            false => (
                "the standby",
                "once it has taken over, nobody rings if it hangs",
            ),
        };
        sheet.warning(
            CHECK,
            format!("no alarm watches {member}, {role}"),
            risk,
            of_member(spec, member),
        );
    }
}

fn watched_by(metric: &MetricSetup) -> Option<InstanceId> {
    metric.dimensions.get("InstanceId").map(InstanceId::new)
}
