//! Members kept ready: initialised once, then stopped (or left running) until
//! the group needs them.

use jiff::Timestamp;

use super::launches;
use super::members::{self, Hooked};
use super::model::{ActivityStatus, Group, Lifecycle, Member, PoolState, WarmPool};
use super::pages::page;
use super::{
    activities, describe as describes, flag, invalid, member, member_mut, named_group, number,
};
use crate::Region;
use crate::ec2::instances;
use crate::latency::Delay;
use crate::model::InstanceState;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

/// Fills the pool, or empties it while it is being deleted.
pub(crate) fn settle(region: &mut Region, name: &str, now: Timestamp) {
    let Some(group) = region.model.groups.get_mut(name) else {
        return;
    };
    let Some(pool) = group.warm_pool.clone() else {
        return;
    };
    let pooled = group
        .members
        .values()
        .filter(|member| member.lifecycle.warmed());
    let staying: Vec<String> = pooled
        .clone()
        .filter(|member| !member.lifecycle.leaves())
        .map(|member| member.instance.clone())
        .collect();
    if pool.deleting && pooled.count() == 0 {
        group.warm_pool = None;
        return;
    }
    let wanted = if pool.deleting { 0 } else { size(group, &pool) };
    let surplus = staying
        .len()
        .saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
    let text = "an instance was taken out of the warm pool in response to a user request.";
    for instance in staying.iter().take(surplus) {
        members::terminate(region, name, instance, text, Hooked::Yes, now);
    }
    for _ in staying.len() as u64..wanted {
        if !launch(region, name, now) {
            break;
        }
    }
}

fn size(group: &Group, pool: &WarmPool) -> u64 {
    let prepared = pool.prepared_max.unwrap_or(group.max);
    prepared.saturating_sub(group.desired).max(pool.min)
}

fn launch(region: &mut Region, name: &str, now: Timestamp) -> bool {
    let Some(zone) = launches::next_zone(region, name) else {
        return false;
    };
    if region.model.dark_zones.contains(&zone) {
        return false;
    }
    let instance = launches::into(region, name, &zone, Lifecycle::WarmedPending, now);
    let description = format!("Launching a new EC2 instance into warm pool: {instance}");
    let cause = activities::cause(
        now,
        "a user request created a warm pool or changed its size.",
    );
    let activity = activities::begin(region, name, description, cause, Some(&zone), now);
    if let Some(member) = member_mut(region, name, &instance) {
        member.activity = Some(activity);
    }
    true
}

/// The hooks have been asked: the machine is put where the pool keeps it.
pub(crate) fn park(region: &mut Region, name: &str, instance: &str, now: Timestamp) {
    let Some(group) = region.model.groups.get(name) else {
        return;
    };
    let runs = group
        .warm_pool
        .as_ref()
        .is_some_and(|pool| pool.state == PoolState::Running);
    let proceeding = member(region, name, instance)
        .is_some_and(|m| m.lifecycle == Lifecycle::WarmedPendingProceed);
    if !proceeding {
        members::plan_step(
            region,
            name,
            instance,
            Lifecycle::WarmedPendingProceed,
            Delay::GroupStep,
            now,
        );
    } else if runs {
        members::plan_step(
            region,
            name,
            instance,
            Lifecycle::WarmedRunning,
            Delay::GroupStep,
            now,
        );
    } else {
        instances::stop(region, instance, false, now);
    }
}

/// Takes a ready member out of the pool and into the group.
pub(crate) fn draw(region: &mut Region, name: &str, why: &str, now: Timestamp) -> bool {
    let Some(group) = region.model.groups.get(name) else {
        return false;
    };
    let ready = |member: &&Member| {
        matches!(
            member.lifecycle,
            Lifecycle::WarmedStopped | Lifecycle::WarmedRunning
        ) && !region.model.dark_zones.contains(&member.zone)
    };
    let chosen = group
        .members
        .values()
        .filter(ready)
        .min_by_key(|member| member.serial);
    let Some((instance, zone)) =
        chosen.map(|member| (member.instance.clone(), member.zone.clone()))
    else {
        return false;
    };
    let description = format!("Launching a new EC2 instance from warm pool: {instance}");
    let activity = activities::begin(region, name, description, why.to_owned(), Some(&zone), now);
    members::move_to(region, name, &instance, Lifecycle::Pending, now);
    if let Some(group) = region.model.groups.get_mut(name) {
        group.last_zone = Some(zone);
        group.serial += 1;
        let serial = group.serial;
        if let Some(member) = group.members.get_mut(&instance) {
            member.pooled = true;
            member.activity = Some(activity);
            member.serial = serial;
        }
    }
    let stopped = region
        .model
        .instances
        .get(&instance)
        .is_some_and(|machine| machine.state == InstanceState::Stopped);
    if stopped {
        instances::start(region, &instance, now);
    } else {
        super::health::came_up(region, name, &instance, Lifecycle::Pending, now);
    }
    true
}

/// A scale-in returns the member to the pool. False if there is no pool to go to.
pub(crate) fn take_back(region: &mut Region, name: &str, instance: &str, now: Timestamp) -> bool {
    let Some(group) = region.model.groups.get(name) else {
        return false;
    };
    let reuses = group
        .warm_pool
        .as_ref()
        .is_some_and(|pool| pool.reuse_on_scale_in && !pool.deleting);
    let runs = region
        .model
        .instances
        .get(instance)
        .is_some_and(|machine| machine.state == InstanceState::Running);
    let leaving = member(region, name, instance)
        .is_some_and(|m| m.lifecycle == Lifecycle::TerminatingProceed);
    if !reuses || !runs || !leaving {
        return false;
    }
    members::note(region, name, instance, ActivityStatus::Successful, now);
    if let Some(member) = member_mut(region, name, instance) {
        member.pooled = false;
        member.in_service_since = None;
    }
    members::arrive(region, name, instance, Lifecycle::WarmedPending, now);
    true
}

/// PutWarmPool.
pub(crate) fn put(region: &mut Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let state = match params.get("PoolState").unwrap_or("Stopped") {
        "Stopped" => PoolState::Stopped,
        "Running" => PoolState::Running,
        other => {
            return Err(invalid(format!(
                "The warm pool state '{other}' is not supported for this group."
            )));
        }
    };
    let min = number(params, "MinSize")?.unwrap_or(0);
    // -1 takes the limit away again.
    let prepared_max = match params.get("MaxGroupPreparedCapacity") {
        Some("-1") => None,
        _ => number(params, "MaxGroupPreparedCapacity")?,
    };
    let reuse_on_scale_in =
        flag(&params.within("InstanceReusePolicy"), "ReuseOnScaleIn")?.unwrap_or(false);
    let group = named_group(region, params)?;
    group.warm_pool = Some(WarmPool {
        min,
        prepared_max,
        state,
        reuse_on_scale_in,
        deleting: false,
    });
    let name = group.name.clone();
    members::settle_soon(region, &name, now);
    Ok(Xml::new())
}

/// DeleteWarmPool.
pub(crate) fn delete(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let force = flag(params, "ForceDelete")?.unwrap_or(false);
    let group = named_group(region, params)?;
    let pool = group
        .warm_pool
        .as_mut()
        .ok_or_else(|| invalid("There is no warm pool for this Auto Scaling group."))?;
    pool.deleting = true;
    let name = group.name.clone();
    let pooled: Vec<String> = group
        .members
        .values()
        .filter(|m| m.lifecycle.warmed())
        .map(|m| m.instance.clone())
        .collect();
    let hooked = if force { Hooked::No } else { Hooked::Yes };
    let text = "an instance was taken out of the warm pool in response to its deletion.";
    for instance in pooled {
        members::terminate(region, &name, &instance, text, hooked, now);
    }
    members::settle_soon(region, &name, now);
    Ok(Xml::new())
}

/// DescribeWarmPool.
pub(crate) fn describe(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let name = named_group(region, params)?.name.clone();
    let mut xml = Xml::new();
    let Some(group) = region.model.groups.get(&name) else {
        return Ok(xml);
    };
    let members: Vec<&Member> = describes::in_order(group)
        .filter(|member| member.lifecycle.warmed())
        .collect();
    let (page, next) = page(params, &members, 50, |member| member.instance.clone())?;
    if let Some(pool) = &group.warm_pool {
        xml.node("WarmPoolConfiguration", |xml| {
            describes::write_pool(xml, pool)
        });
    }
    xml.list("Instances", "member", page, |xml, member| {
        describes::write_member(xml, region, group, member, now)
    });
    xml.maybe("NextToken", next);
    Ok(xml)
}
