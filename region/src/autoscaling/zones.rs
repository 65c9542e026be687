//! In which zone does a group launch next?

use std::collections::BTreeMap;

use super::model::Group;
use crate::ec2::zones::subnet_of;

/// Balance first; among equals a zone that the newest launch did not go to, so
/// that a group of one moves when it is replaced. A zone where launches fail is
/// tried again only when all have failed, unless the group insists on balance.
///
/// `dice` picks among equals: called with how many there are, it says which.
pub(crate) fn choose(group: &Group, dice: impl FnOnce(usize) -> usize) -> Option<String> {
    if let Some(zone) = group
        .next_zone
        .as_ref()
        .filter(|zone| !group.failed_zones.contains(*zone))
    {
        return Some(zone.clone());
    }
    let tried = |zone: &&String| group.balanced_only || !group.failed_zones.contains(*zone);
    let mut candidates: Vec<&String> = group.zones.iter().filter(tried).collect();
    if candidates.is_empty() {
        candidates = group.zones.iter().collect();
    }
    let population = population(group);
    let of = |zone: &String| population.get(zone.as_str()).copied().unwrap_or(0);
    let least = candidates.iter().map(|zone| of(zone)).min()?;
    candidates.retain(|zone| of(zone) == least);
    if candidates.len() > 1 {
        candidates.retain(|zone| Some(*zone) != group.last_zone.as_ref());
    }
    let pick = dice(candidates.len());
    candidates.get(pick).map(|zone| (*zone).clone())
}

/// Members of each zone that count, without those that are being replaced.
fn population(group: &Group) -> BTreeMap<&str, u64> {
    let mut population = BTreeMap::new();
    for member in group
        .members
        .values()
        .filter(|member| member.lifecycle.counts())
    {
        if !group
            .handovers
            .iter()
            .any(|handover| handover.old == member.instance)
        {
            *population.entry(member.zone.as_str()).or_insert(0) += 1;
        }
    }
    population
}

/// The zone with the most members is where a scale-in begins.
pub(crate) fn fullest(group: &Group) -> Option<&str> {
    let population = population(group);
    let most = population.values().max()?;
    group
        .zones
        .iter()
        .map(String::as_str)
        .find(|zone| population.get(zone) == Some(most))
}

/// The zones of a list of subnets. A subnet that the region does not have is in
/// the zone of its place in the list.
pub(crate) fn of_subnets(identifier: &str, zones: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, subnet) in identifier.split(',').map(str::trim).enumerate() {
        let known = zones.iter().find(|zone| subnet_of(zone) == subnet);
        let zone = known.or_else(|| zones.get(place % zones.len().max(1)));
        found.extend(zone.filter(|zone| !found.contains(*zone)).cloned());
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::Timestamp;

    use super::super::model::{Lifecycle, Member};
    use super::super::setup::GroupSetup;
    use super::*;

    fn group(zones: &[&str]) -> Group {
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        let setup = GroupSetup {
            name: "g".to_owned(),
            zones,
            ..GroupSetup::default()
        };
        setup.into_group("arn".to_owned(), Timestamp::UNIX_EPOCH)
    }

    fn join(group: &mut Group, instance: &str, zone: &str) {
        let mut member = Member::new(instance, zone, Lifecycle::InService, Timestamp::UNIX_EPOCH);
        member.serial = group.members.len() as u64;
        group.members.insert(instance.to_owned(), member);
        group.last_zone = Some(zone.to_owned());
    }

    #[test]
    fn balance_comes_first_then_another_zone_than_last_time() {
        let mut group = group(&["a", "b"]);
        join(&mut group, "i-1", "a");
        assert_eq!(choose(&group, |_| 0).unwrap(), "b");
        group.members.clear();
        assert_eq!(
            choose(&group, |count| count - 1).unwrap(),
            "b",
            "a was last"
        );
    }

    #[test]
    fn a_zone_that_failed_is_avoided_until_all_have_failed() {
        let mut group = group(&["a", "b"]);
        join(&mut group, "i-1", "b");
        group.failed_zones.insert("a".to_owned());
        assert_eq!(choose(&group, |_| 0).unwrap(), "b");
        group.failed_zones.insert("b".to_owned());
        assert_eq!(choose(&group, |_| 0).unwrap(), "a");
    }

    #[test]
    fn balanced_only_insists_and_a_forced_zone_wins() {
        let mut group = group(&["a", "b"]);
        join(&mut group, "i-1", "b");
        group.failed_zones.insert("a".to_owned());
        group.balanced_only = true;
        assert_eq!(choose(&group, |_| 0).unwrap(), "a");
        group.next_zone = Some("b".to_owned());
        assert_eq!(choose(&group, |_| 0).unwrap(), "b");
    }

    #[test]
    fn subnets_stand_for_zones() {
        let zones = ["us-east-1a", "us-east-1b"].map(str::to_owned);
        assert_eq!(of_subnets(&subnet_of("us-east-1b"), &zones), ["us-east-1b"]);
        assert_eq!(
            of_subnets("subnet-01, subnet-02", &zones),
            ["us-east-1a", "us-east-1b"]
        );
    }
}
