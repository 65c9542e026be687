//! May a run do what it has to, and does it reach the APIs?

use std::collections::BTreeMap;

use super::facts::{Answer, Asked, Facts};
use super::finding::{Finding, Part, Sheet};
use super::mend::{Command, aws, rehome};
use crate::ids::Zone;
use crate::spec::GroupSpec;
use crate::world::Seen;

pub(super) fn judge(facts: &Facts, spec: &GroupSpec) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Permissions);
    reached(&mut sheet, facts);
    queue(&mut sheet, facts);
    asked(&mut sheet, facts, spec);
    sheet.done()
}

fn reached(sheet: &mut Sheet, facts: &Facts) {
    let mut answering = Vec::new();
    for one in &facts.reached {
        match &one.silence {
            None => answering.push(one.service),
            Some(why) => sheet.wrong(
                "route",
                format!("{} does not answer from here: {why}", one.service),
                "no failover is possible without it",
                endpoint(facts, one.service),
            ),
        }
    }
    if !answering.is_empty() {
        sheet.right("route", format!("{} answer", answering.join(", ")));
    }
}

/// Without it the daemon polls, and goes on.
fn queue(sheet: &mut Sheet, facts: &Facts) {
    match &facts.queue {
        None => {}
        Some(Seen::Known(true)) => sheet.right("queue", "the queue of [wake] is there"),
        Some(Seen::Known(false)) => sheet.warning(
            "queue",
            "the queue of [wake] does not exist in this account and region",
            "no event wakes the daemon: it notices everything only when it next polls",
            aws("sqs list-queues  # then write its URL into [wake], or take the line out"),
        ),
        Some(Seen::Unknown(why)) => sheet.unknown("queue", why),
    }
}

fn endpoint(facts: &Facts, service: &str) -> Command {
    let bodies = facts.bodies.known().into_iter().flatten();
    let network = bodies
        .filter_map(|(_, body)| body.network.as_deref())
        .next();
    let zones = facts.setup.known().and_then(Option::as_ref);
    let zone = zones
        .and_then(|setup| setup.zones.first())
        .map(Zone::as_str);
    let region = zone.map_or("REGION", |zone| {
        zone.trim_end_matches(|c: char| c.is_ascii_lowercase())
    });
    aws("ec2 create-vpc-endpoint --vpc-endpoint-type Interface")
        .with("vpc-id", network.unwrap_or("VPC"))
        .with("service-name", format!("com.amazonaws.{region}.{service}"))
        .and("--subnet-ids SUBNETS  # or open a way through a NAT gateway")
}

fn asked(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec) {
    let of =
        |wanted: fn(&Answer) -> bool| facts.asked.iter().filter(move |one| wanted(&one.answer));
    let mut allowed: Vec<&str> = of(|answer| *answer == Answer::Allowed)
        .map(|one| one.action)
        .collect();
    allowed.dedup();
    if !allowed.is_empty() {
        sheet.right("allowed", allowed.join(", "));
    }
    for one in of(|answer| *answer == Answer::Denied) {
        denied(sheet, facts, spec, one);
    }
    let mut unknown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in &facts.asked {
        if let Answer::Unknown(why) = &one.answer {
            unknown.entry(why).or_default().push(one.action);
        }
    }
    for (why, actions) in unknown {
        let says = format!("whether {} is allowed: {why}", actions.join(", "));
        sheet.untold("allowed", says);
    }
}

/// Elsewhere than on the instance the credentials are somebody else's.
fn denied(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, one: &Asked) {
    let says = format!("{} on {} is not allowed", one.action, one.on);
    if facts.machine.is_some() || !spec.agent {
        let place = if facts.machine.is_some() {
            "instance"
        } else {
            "controller"
        };
        sheet.wrong(
            "allowed",
            says,
            "a failover stops where it needs this",
            rehome(&format!("iam-policy --config FILE --place {place}")),
        );
    } else {
        sheet.warning(
            "allowed",
            format!("{says} with the credentials in use here"),
            "if the instance's role is not allowed to either, a failover stops there",
            "run the check on the instance: there it asks with the instance's own role",
        );
    }
}
