//! Does the alarm work now, and what does it say?

use jiff::{SignedDuration, Timestamp};

use super::super::facts::{AlarmSetup, Facts};
use super::super::finding::Sheet;
use super::super::mend::{Command, advice, aws, rehome};
use super::is_status_check;
use super::mend::again;
use crate::ids::InstanceId;
use crate::spec::GroupSpec;
use crate::world::InstanceState;

const CHECK: &str = "alarm-state";
/// EC2 publishes a status check every minute, and CloudWatch looks as often:
/// after this long it has nothing to look at.
const BLIND: SignedDuration = SignedDuration::from_mins(30);

pub(super) fn judge(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    (name, alarm): (&str, &AlarmSetup),
    now: Timestamp,
) {
    match alarm.state.as_str() {
        "INSUFFICIENT_DATA" => blind(sheet, facts, spec, (name, alarm), now),
        "ALARM" => rings(sheet, facts, spec, name, alarm),
        _ => {}
    }
}

fn since(alarm: &AlarmSetup) -> String {
    alarm
        .since
        .map_or_else(String::new, |at| format!(" since {at:.0}"))
}

fn blind(
    sheet: &mut Sheet,
    facts: &Facts,
    spec: &GroupSpec,
    (name, alarm): (&str, &AlarmSetup),
    now: Timestamp,
) {
    if let Some(member) = about(alarm)
        && is_down(facts, &member)
    {
        let says = format!("{name} has no data: {member}, which it watches, is stopped");
        return sheet.right(CHECK, says);
    }
    let says = format!("{name} has too little data{}", since(alarm));
    let long = alarm.since.is_some_and(|at| now.duration_since(at) > BLIND);
    if long && alarm.metric.as_ref().is_some_and(is_status_check) {
        sheet.wrong(
            CHECK,
            says,
            "it cannot ring: its metric, or what it is about, does not exist, and an instance \
             that hangs stays where it is",
            again(spec, name, facts, alarm),
        );
    } else {
        sheet.warning(
            CHECK,
            says,
            "it cannot ring before its metric has data",
            list_metrics(alarm),
        );
    }
}

/// Is there anything to see where it looks?
fn list_metrics(alarm: &AlarmSetup) -> Command {
    let Some(metric) = &alarm.metric else {
        return advice("see whether what it is made of has data");
    };
    aws("cloudwatch list-metrics")
        .with("namespace", &metric.namespace)
        .with("metric-name", &metric.name)
        .note("are its dimensions among them?")
}

fn rings(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, name: &str, alarm: &AlarmSetup) {
    if let Some(instance) = about(alarm)
        && facts.plan.holder.as_ref() != Some(&instance)
    {
        let state = match is_down(facts, &instance) {
            true => ", which is stopped",
            false => "",
        };
        let says = format!(
            "{name} rings{}, for {instance}{state}: not the holder",
            since(alarm)
        );
        return sheet.right(CHECK, says);
    }
    sheet.warning(
        CHECK,
        format!("{name} rings{}", since(alarm)),
        "rehome moves the group away from its holder, unless it rang before that one came, or \
         too many moves were made of late",
        rehome(&format!("plan --config FILE --group {}", spec.name)),
    );
}

fn about(alarm: &AlarmSetup) -> Option<InstanceId> {
    let metric = alarm.metric.as_ref()?;
    metric.dimensions.get("InstanceId").map(InstanceId::new)
}

fn is_down(facts: &Facts, id: &InstanceId) -> bool {
    let body = facts.bodies.known().and_then(|bodies| bodies.get(id));
    body.and_then(|body| body.state)
        .is_some_and(|state| matches!(state, InstanceState::Stopping | InstanceState::Stopped))
}
