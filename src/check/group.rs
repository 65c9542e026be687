//! Is the Auto Scaling group one that replaces its only instance, wherever there
//! is room for it?

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, GroupSetup, Subnet};
use super::finding::{Finding, Part, Sheet};
use super::mend::{Command, aws};
use crate::ids::Zone;
use crate::spec::GroupSpec;

/// Without these nobody is replaced.
const NEEDED: &[(&str, &str)] = &[
    ("Launch", "a lost instance is not replaced"),
    ("Terminate", "an unhealthy instance is not replaced"),
    ("HealthCheck", "nobody notices that the instance is gone"),
    ("ReplaceUnhealthy", "an unhealthy instance is not replaced"),
];

pub(super) fn judge(facts: &Facts, spec: &GroupSpec) -> Vec<Finding> {
    let mut sheet = Sheet::new(Part::Group);
    match sheet.known("group", &facts.setup) {
        None => {}
        Some(None) => sheet.wrong(
            "group",
            format!(
                "there is no Auto Scaling group {} in this account and region",
                spec.name
            ),
            "there is nothing to look after",
            aws("autoscaling describe-auto-scaling-groups")
                .and("--query 'AutoScalingGroups[].AutoScalingGroupName'  # its real name?"),
        ),
        Some(Some(setup)) => {
            sizes(&mut sheet, spec, setup);
            places(&mut sheet, facts, spec, setup);
            processes(&mut sheet, spec, setup);
            replacement(&mut sheet, spec, setup);
            warm_pool(&mut sheet, spec, setup);
        }
    }
    sheet.done()
}

/// With the subnets that are of use, and one more.
fn another_zone(spec: &GroupSpec, subnets: &[String]) -> Command {
    let mut all: Vec<&str> = subnets.iter().map(String::as_str).collect();
    if all.is_empty() {
        all.push("SUBNET-HERE");
    }
    all.push("SUBNET-IN-ANOTHER-ZONE");
    update(spec).with("vpc-zone-identifier", all.join(","))
}

fn update(spec: &GroupSpec) -> Command {
    aws("autoscaling update-auto-scaling-group").with("auto-scaling-group-name", &spec.name)
}

fn sizes(sheet: &mut Sheet, spec: &GroupSpec, setup: &GroupSetup) {
    let (min, max, desired) = (setup.min, setup.max, setup.desired);
    let says = format!("min {min}, max {max}, desired {desired}");
    let mend = || update(spec).and("--min-size 1 --max-size 1 --desired-capacity 1");
    if desired != 1 {
        let risk = match desired {
            0 => "nobody serves, and nobody is launched",
            _ => "of several members rehome cannot know which has the data: it changes nothing",
        };
        sheet.wrong("size", says, risk, mend());
    } else if max > 1 {
        sheet.warning(
            "size",
            says,
            "whoever raises the desired capacity, a scaling policy for one, stops rehome: of \
             several members it cannot know which has the data",
            mend(),
        );
    } else if min == 0 {
        sheet.warning(
            "size",
            says,
            "a scaling policy or a schedule may take the only instance away",
            mend(),
        );
    } else {
        sheet.right("size", says);
    }
}

fn places(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, setup: &GroupSetup) {
    let zones: BTreeSet<&Zone> = setup.zones.iter().collect();
    if zones.len() < 2 {
        sheet.wrong(
            "zones",
            format!("the group is in {} alone", list(&setup.zones)),
            "when that zone fails there is nowhere to go",
            another_zone(spec, &setup.subnets),
        );
    } else {
        sheet.right("zones", list(&setup.zones));
    }
    if !setup.subnets.is_empty()
        && let Some(found) = sheet.known("subnets", &facts.subnets)
    {
        subnets(sheet, spec, setup, found);
        public_way(sheet, facts, spec, found);
    }
    if setup.balanced_only {
        sheet.wrong(
            "distribution",
            "balanced-only: a launch that fails is tried again in the same zone",
            "during the outage of a zone the group insists on that zone",
            update(spec).and(
                "--availability-zone-distribution CapacityDistributionStrategy=balanced-best-effort",
            ),
        );
    } else {
        sheet.right("distribution", "another zone is tried where a launch fails");
    }
    if setup.ignores_unhealthy {
        sheet.warning(
            "zonal-shift",
            "in a zone that was shifted away from, unhealthy instances are left alone",
            "a zonal shift keeps the group from replacing its instance there",
            update(spec).and(
                "--availability-zone-impairment-policy \
                 ZonalShiftEnabled=true,ImpairedZoneHealthCheckBehavior=ReplaceUnhealthy",
            ),
        );
    }
}

fn subnets(sheet: &mut Sheet, spec: &GroupSpec, setup: &GroupSetup, found: &[Subnet]) {
    let by_id: BTreeMap<&str, &Subnet> = found.iter().map(|s| (s.id.as_str(), s)).collect();
    let gone: Vec<&str> = setup
        .subnets
        .iter()
        .map(String::as_str)
        .filter(|id| !by_id.contains_key(id))
        .collect();
    let zones: BTreeSet<&Zone> = by_id.values().map(|subnet| &subnet.zone).collect();
    let full: Vec<&str> = found
        .iter()
        .filter(|subnet| subnet.free_addresses == 0)
        .map(|subnet| subnet.id.as_str())
        .collect();
    let usable: Vec<String> = found
        .iter()
        .filter(|subnet| subnet.free_addresses > 0)
        .map(|subnet| subnet.id.clone())
        .collect();
    let elsewhere = || another_zone(spec, &usable);
    if !gone.is_empty() {
        sheet.wrong(
            "subnets",
            format!("there is no subnet {}", gone.join(", ")),
            "a launch there fails",
            elsewhere(),
        );
    } else if zones.len() < 2 {
        sheet.wrong(
            "subnets",
            format!("all subnets are in {}", list(zones)),
            "when that zone fails there is nowhere to go",
            elsewhere(),
        );
    } else if !full.is_empty() {
        sheet.wrong(
            "subnets",
            format!("no address is free in {}", full.join(", ")),
            "an instance cannot be launched there",
            elsewhere().note("a larger one in that zone"),
        );
    } else {
        let all: Vec<String> = found
            .iter()
            .map(|s| format!("{} in {} ({} free)", s.id, s.zone, s.free_addresses))
            .collect();
        sheet.right("subnets", all.join(", "));
    }
}

/// An instance that waits for its Elastic IP has no other way out of a public
/// subnet, unless it is given an address at launch.
fn public_way(sheet: &mut Sheet, facts: &Facts, spec: &GroupSpec, found: &[Subnet]) {
    if spec.addresses.is_empty() || !spec.agent {
        return;
    }
    let template = facts.template.known().and_then(Option::as_ref);
    let given = template.and_then(|template| template.public_ip);
    let without: Vec<&str> = found
        .iter()
        .filter(|subnet| !given.unwrap_or(subnet.gives_public_ip))
        .map(|subnet| subnet.id.as_str())
        .collect();
    if let Some(first) = without.first() {
        sheet.warning(
            "public-address",
            format!(
                "a new instance has no public address in {}",
                without.join(", ")
            ),
            "unless there are interface endpoints, the heir reaches no API until it has the \
             Elastic IP, and it cannot fetch that without an API",
            aws("ec2 modify-subnet-attribute")
                .with("subnet-id", first)
                .and("--map-public-ip-on-launch"),
        );
    } else {
        sheet.right(
            "public-address",
            "a new instance has a public address from the start",
        );
    }
}

fn processes(sheet: &mut Sheet, spec: &GroupSpec, setup: &GroupSetup) {
    let mut sound = true;
    for (process, risk) in NEEDED {
        if setup.suspended.contains(*process) {
            sheet.wrong(
                "processes",
                format!("{process} is suspended"),
                *risk,
                aws("autoscaling resume-processes")
                    .with("auto-scaling-group-name", &spec.name)
                    .with("scaling-processes", process),
            );
            sound = false;
        }
    }
    if sound {
        let says = if setup.suspended.is_empty() {
            "none is suspended".to_owned()
        } else {
            let all: Vec<&str> = setup.suspended.iter().map(String::as_str).collect();
            format!("suspended, and not needed: {}", all.join(", "))
        };
        sheet.right("processes", says);
    }
}

/// Whichever way, rehome hands over; a person should know which it is.
fn replacement(sheet: &mut Sheet, spec: &GroupSpec, setup: &GroupSetup) {
    let says = match setup.maintenance {
        Some((min, max)) if min >= 100 && max > 100 => format!(
            "launch before terminate ({min} to {max} %): two instances for a while, a handover"
        ),
        Some((min, max)) => format!("terminate and launch ({min} to {max} %)"),
        None => "terminate and launch, as by default".to_owned(),
    };
    if setup.max <= 1
        && let Some((min, _)) = setup.maintenance
        && min >= 100
        && setup.capacity_rebalance
    {
        sheet.warning(
            "replacement",
            format!("{says}, and a spot instance is replaced at its rebalance recommendation"),
            "recommendations come often and mostly for nothing: each is a failover",
            update(spec).and("--no-capacity-rebalance"),
        );
    } else {
        sheet.right("replacement", says);
    }
    let says = if setup.suspended.contains("AZRebalance") {
        "AZRebalance is suspended: no second instance for the sake of balance"
    } else {
        "AZRebalance has nothing to balance with one instance, unless the zones are changed"
    };
    sheet.right("rebalance", says);
}

fn warm_pool(sheet: &mut Sheet, spec: &GroupSpec, setup: &GroupSetup) {
    match &setup.warm_pool {
        None => {}
        Some(pool) if pool.reuse_on_scale_in => sheet.warning(
            "warm-pool",
            "an instance goes back to the warm pool instead of being terminated",
            "it comes back with what it had on its root disk, an old configuration for one",
            aws("autoscaling put-warm-pool")
                .with("auto-scaling-group-name", &spec.name)
                .and("--instance-reuse-policy ReuseOnScaleIn=false"),
        ),
        Some(_) => sheet.right("warm-pool", "there is one; its members move nothing"),
    }
}

fn list<'a>(zones: impl IntoIterator<Item = &'a Zone>) -> String {
    let all: Vec<&str> = zones.into_iter().map(Zone::as_str).collect();
    if all.is_empty() {
        "no zone".to_owned()
    } else {
        all.join(", ")
    }
}
