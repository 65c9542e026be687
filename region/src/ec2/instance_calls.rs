//! The calls about instances, as the wire knows them.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::describe::{self, Source};
use super::ids::{self, Kind};
use super::instances::{self, Device, Launch};
use super::{tags, volume_spec, zones};
use crate::Region;
use crate::model::{Instance, InstanceState};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

const RUN: &str = "RunInstances";

pub(crate) fn run(region: &mut Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let token = params.get("ClientToken").filter(|token| !token.is_empty());
    let fingerprint = params.fingerprint(&["ClientToken"]);
    let replay = match token {
        Some(token) => region.tokens.replay(RUN, token, &fingerprint)?,
        None => None,
    };
    let ids = match replay {
        Some(made) => made,
        None => launch_all(region, params, now)?,
    };
    if let Some(token) = token {
        region.tokens.keep(RUN, token, fingerprint, ids.clone());
        for id in &ids {
            if let Some(instance) = region.model.instances.get_mut(id) {
                instance.token = Some(token.to_owned());
            }
        }
    }
    let mut xml = Xml::new();
    let instances: Vec<&Instance> = ids
        .iter()
        .filter_map(|id| region.model.instances.get(id))
        .collect();
    super::instance_xml::reservation(&mut xml, region, &instances);
    Ok(xml)
}

fn launch_all(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Vec<String>, ApiError> {
    let most = params
        .number("MaxCount")?
        .ok_or_else(|| ApiError::missing("MaxCount"))?;
    let least = params
        .number("MinCount")?
        .ok_or_else(|| ApiError::missing("MinCount"))?;
    if least == 0 || least > most || most > 100 {
        return Err(ApiError::invalid("maxCount", &most.to_string()));
    }
    let launch = Launch {
        zone: zone(region, params)?,
        service: None,
        image: params.get("ImageId").map(str::to_owned),
        kind: params.get("InstanceType").map(str::to_owned),
        tags: tags::specified(params, Kind::Instance)?,
        devices: devices(params)?,
        profile: profile(params),
    };
    if region.model.dark_zones.contains(&launch.zone) {
        return Err(no_capacity(&launch.zone));
    }
    let mut made = Vec::new();
    for _ in 0..most {
        made.push(instances::launch(region, launch.clone(), now));
    }
    Ok(made)
}

fn profile(params: &Params) -> Option<String> {
    let profile = params.within("IamInstanceProfile");
    profile
        .get("Arn")
        .or(profile.get("Name"))
        .map(str::to_owned)
}

fn no_capacity(zone: &str) -> ApiError {
    let message = format!(
        "We currently do not have sufficient capacity in the Availability Zone you requested ({zone})."
    );
    ApiError::new("InsufficientInstanceCapacity", message).with_status(500)
}

fn zone(region: &Region, params: &Params) -> Result<String, ApiError> {
    let zones = &region.settings.zones;
    let subnet = params
        .get("SubnetId")
        .or_else(|| params.get("NetworkInterface.1.SubnetId"));
    if let Some(subnet) = subnet {
        let named = zones.iter().find(|zone| zones::subnet_of(zone) == subnet);
        return named.cloned().ok_or_else(|| {
            ApiError::new(
                "InvalidSubnetID.NotFound",
                format!("The subnet ID '{subnet}' does not exist"),
            )
        });
    }
    match params.get("Placement.AvailabilityZone") {
        Some(name) if zones.iter().any(|zone| zone == name) => Ok(name.to_owned()),
        Some(name) => Err(volume_spec::zone_missing(name)),
        None => zones.first().cloned().ok_or_else(ApiError::internal),
    }
}

/// Data volumes in a launch's mapping go with the instance, unless it says not to.
fn devices(params: &Params) -> Result<Vec<Device>, ApiError> {
    let mut devices = Vec::new();
    for mapping in params.structures("BlockDeviceMapping") {
        let name = mapping.required("DeviceName")?.to_owned();
        if name == instances::ROOT_DEVICE {
            continue;
        }
        devices.push(Device {
            name,
            size_gib: mapping.number("Ebs.VolumeSize")?.unwrap_or(8),
            delete_on_termination: mapping.flag("Ebs.DeleteOnTermination")?.unwrap_or(true),
        });
    }
    Ok(devices)
}

/// During an outage EC2 answers only for instances that are named and elsewhere.
fn answers(region: &Region, params: &Params) -> Result<(), ApiError> {
    let dark = &region.model.dark_zones;
    if dark.is_empty() {
        return Ok(());
    }
    let named = params.list("InstanceId");
    let in_the_dark = |id: &String| {
        region
            .model
            .instances
            .get(id)
            .is_some_and(|instance| dark.contains(&instance.zone))
    };
    if named.is_empty() || named.iter().any(in_the_dark) {
        Err(ApiError::internal())
    } else {
        Ok(())
    }
}

pub(crate) fn describe(region: &Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    answers(region, params)?;
    let source = Source {
        truth: &region.model.instances,
        index: &region.index.instances,
    };
    let page = describe::select(source, params, "InstanceId", now)?;
    let mut xml = Xml::new();
    xml.list("reservationSet", "item", page.items, |xml, instance| {
        super::instance_xml::reservation(xml, region, &[instance]);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// Only running ones, unless all are asked for.
pub(crate) fn describe_status(
    region: &Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    answers(region, params)?;
    let all = params.flag("IncludeAllInstances")?.unwrap_or(false);
    let source = Source {
        truth: &region.model.instances,
        index: &region.index.instances,
    };
    let mut page = describe::select(source, params, "InstanceId", now)?;
    page.items
        .retain(|instance| all || instance.state == InstanceState::Running);
    let mut xml = Xml::new();
    xml.list(
        "instanceStatusSet",
        "item",
        page.items,
        super::instance_xml::status,
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn named(region: &Region, params: &Params, now: Timestamp) -> Result<Vec<String>, ApiError> {
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    for id in &ids {
        ids::find(&region.model.instances, id, now)?;
    }
    Ok(ids)
}

/// Checks every instance, then carries the order out for all of them.
fn order(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
    refuse: impl Fn(&Instance) -> Option<ApiError>,
    carry_out: impl Fn(&mut Region, &str),
) -> Result<Xml, ApiError> {
    let ids = named(region, params, now)?;
    let refusal = ids
        .iter()
        .filter_map(|id| region.model.instances.get(id))
        .find_map(refuse);
    if let Some(error) = refusal {
        return Err(error);
    }
    let state = |region: &Region, id: &str| region.model.instances.get(id).map(|i| i.state);
    let mut changes = Vec::new();
    for id in ids {
        let before = state(region, &id);
        carry_out(region, &id);
        changes.push((before, state(region, &id), id));
    }
    let mut xml = Xml::new();
    xml.list(
        "instancesSet",
        "item",
        changes,
        |xml, (before, after, id)| {
            xml.leaf("instanceId", id);
            for (name, state) in [("currentState", after), ("previousState", before)] {
                if let Some(state) = state {
                    xml.node(name, |xml| super::instance_xml::state(xml, state));
                }
            }
        },
    );
    Ok(xml)
}

fn not_from_here(instance: &Instance, verb: &str) -> ApiError {
    let message = format!(
        "The instance '{}' is not in a state from which it can be {verb}.",
        instance.id
    );
    ApiError::new("IncorrectInstanceState", message)
}

fn barred(instance: &Instance, from: &str, by: &str) -> ApiError {
    let message = format!(
        "The instance '{}' may not be {from}. Modify its '{by}' instance attribute and try again.",
        instance.id
    );
    ApiError::new("OperationNotPermitted", message)
}

fn one_time(instance: &Instance) -> ApiError {
    let message = format!(
        "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot \
         Instance request. You can only stop Spot Instances associated with persistent Spot \
         Instance requests.",
        instance.id
    );
    ApiError::new("UnsupportedOperation", message)
}

pub(crate) fn stop(region: &mut Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let force = params.flag("Force")?.unwrap_or(false);
    let groups = &region.model.groups;
    let spot: BTreeSet<String> = groups
        .values()
        .filter(|_| region.settings.one_time_spot)
        .flat_map(|group| group.members.keys().cloned())
        .collect();
    let refuse = |instance: &Instance| match instance.state {
        _ if spot.contains(&instance.id) => Some(one_time(instance)),
        _ if instance.stop_protected => Some(barred(instance, "stopped", "disableApiStop")),
        InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped => None,
        _ => Some(not_from_here(instance, "stopped")),
    };
    order(region, params, now, refuse, |region, id| {
        instances::stop(region, id, force, now)
    })
}

pub(crate) fn start(region: &mut Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let dark = region.model.dark_zones.clone();
    let refuse = |instance: &Instance| match instance.state {
        InstanceState::Stopped if dark.contains(&instance.zone) => {
            Some(no_capacity(&instance.zone))
        }
        InstanceState::Running | InstanceState::Pending | InstanceState::Stopped => None,
        _ => Some(not_from_here(instance, "started")),
    };
    order(region, params, now, refuse, |region, id| {
        instances::start(region, id, now)
    })
}

pub(crate) fn terminate(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let refuse = |instance: &Instance| {
        let is_protected = instance.protected;
        is_protected.then(|| barred(instance, "terminated", "disableApiTermination"))
    };
    order(region, params, now, refuse, |region, id| {
        instances::terminate(region, id, now)
    })
}
