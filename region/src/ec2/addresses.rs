//! Elastic IPs: allocated, moved, released.

use jiff::Timestamp;

use super::filters::Filters;
use super::ids::{self, Kind};
use super::resource::Resource;
use super::tags;
use crate::latency::Delay;
use crate::model::{Address, Instance, InstanceState, Tags};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;
use crate::{Region, What, after, autoscaling, critical_path};

pub(crate) fn allocate(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    if params.get("Domain").is_some_and(|domain| domain != "vpc") {
        return Err(ApiError::invalid(
            "domain",
            params.get("Domain").unwrap_or_default(),
        ));
    }
    let tags = tags::specified(params, Kind::Allocation)?;
    let id = insert(region, caller, tags, now);
    let mut xml = Xml::new();
    if let Some(address) = region.model.addresses.get(&id) {
        xml.leaf("publicIp", &address.public_ip);
        xml.leaf("allocationId", &id);
        xml.leaf("domain", "vpc");
        xml.leaf("publicIpv4Pool", "amazon");
        xml.leaf("networkBorderGroup", &region.settings.name);
    }
    Ok(xml)
}

pub(crate) fn insert(region: &mut Region, who: &str, tags: Tags, now: Timestamp) -> String {
    let allocation = region.dice.id("eipalloc");
    let number = region.model.addresses.len();
    let address = Address {
        allocation: allocation.clone(),
        // TEST-NET-3 and onwards: never anybody's real address.
        public_ip: format!("203.0.{}.{}", 113 + number / 250, 1 + number % 250),
        tags,
        instance: None,
        interface: None,
        private_ip: None,
        association: None,
        settled: now,
    };
    region.model.addresses.insert(allocation.clone(), address);
    region.log(
        now,
        who,
        What::AddressAllocated {
            allocation: allocation.clone(),
        },
    );
    allocation
}

pub(crate) fn associate(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let allocation = allocation(region, params)?;
    let instance = target(region, params, now)?;
    let machine = ids::find(&region.model.instances, &instance, now)?;
    let private_ip = private_ip(machine, params)?;
    let reassociate = params.flag("AllowReassociation")?.unwrap_or(true);
    if !reassociate {
        may_take(region, &allocation, &instance, &private_ip)?;
    }
    point(
        region,
        caller,
        &allocation,
        Some((&instance, &private_ip)),
        now,
    );
    let association = region
        .model
        .addresses
        .get(&allocation)
        .and_then(|a| a.association.clone());
    let mut xml = tags::done();
    xml.maybe("associationId", association);
    Ok(xml)
}

fn allocation(region: &Region, params: &Params) -> Result<String, ApiError> {
    if let Some(id) = params.get("AllocationId") {
        let known = region.model.addresses.contains_key(id);
        return if known {
            Ok(id.to_owned())
        } else {
            Err(Kind::Allocation.missing(id))
        };
    }
    let ip = params
        .required("PublicIp")
        .map_err(|_| ApiError::missing("AllocationId"))?;
    let found = region.model.addresses.values().find(|a| a.public_ip == ip);
    found
        .map(|a| a.allocation.clone())
        .ok_or_else(|| address_missing(ip))
}

fn address_missing(ip: &str) -> ApiError {
    ApiError::new(
        "InvalidAddress.NotFound",
        format!("Address '{ip}' not found."),
    )
}

/// The instance meant, by its id or by its network interface.
fn target(region: &Region, params: &Params, now: Timestamp) -> Result<String, ApiError> {
    if let Some(interface) = params.get("NetworkInterfaceId") {
        let owner = region
            .model
            .instances
            .values()
            .find(|i| i.interface == interface);
        let owner = owner
            .filter(|i| i.state != InstanceState::Terminated)
            .ok_or_else(|| {
                let message = format!("The networkInterface ID '{interface}' does not exist");
                ApiError::new("InvalidNetworkInterfaceID.NotFound", message)
            })?;
        if owner.state == InstanceState::Pending {
            let message = format!(
                "The instance '{}' is not in a valid state for this operation.",
                owner.id
            );
            return Err(ApiError::new("IncorrectInstanceState", message));
        }
        return Ok(owner.id.clone());
    }
    let id = params.required("InstanceId")?;
    let machine = ids::find(&region.model.instances, id, now)?;
    match machine.state {
        InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated => {
            let state = machine.state.as_str();
            let message =
                format!("The {state} instance '{id}' is not in a valid state for this operation.");
            Err(ApiError::new("InvalidInstanceID", message))
        }
        InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped => {
            Ok(id.to_owned())
        }
    }
}

fn private_ip(machine: &Instance, params: &Params) -> Result<String, ApiError> {
    let Some(asked) = params.get("PrivateIpAddress") else {
        return Ok(machine.private_ips.first().cloned().unwrap_or_default());
    };
    if machine.private_ips.iter().any(|ip| ip == asked) {
        return Ok(asked.to_owned());
    }
    let message = format!(
        "The private IP address {asked} is not assigned to interface {}",
        machine.interface
    );
    Err(ApiError::new("InvalidParameterValue", message))
}

/// Without reassociation, both ends must be free.
fn may_take(
    region: &Region,
    allocation: &str,
    instance: &str,
    private_ip: &str,
) -> Result<(), ApiError> {
    let taken = |resource: &str, association: &str| {
        let message =
            format!("resource {resource} is already associated with associate-id {association}");
        Err(ApiError::new("Resource.AlreadyAssociated", message))
    };
    for address in region.model.addresses.values() {
        let Some(association) = &address.association else {
            continue;
        };
        let there = address.instance.as_deref() == Some(instance)
            && address.private_ip.as_deref() == Some(private_ip);
        if address.allocation == allocation && !there {
            return taken(allocation, association);
        }
        if address.allocation != allocation && there {
            return taken(instance, association);
        }
    }
    Ok(())
}

/// Points an address at an instance's private address, or at nothing.
pub(crate) fn point(
    region: &mut Region,
    who: &str,
    allocation: &str,
    to: Option<(&str, &str)>,
    now: Timestamp,
) {
    let Some(address) = region.model.addresses.get(allocation) else {
        return;
    };
    let from = address.instance.clone();
    let same = from.as_deref() == to.map(|(instance, _)| instance)
        && address.private_ip.as_deref() == to.map(|(_, private_ip)| private_ip);
    if same {
        return;
    }
    if let Some((instance, private_ip)) = to {
        free(region, who, instance, private_ip, now);
    }
    let interface = to
        .and_then(|(id, _)| region.model.instances.get(id))
        .map(|i| i.interface.clone());
    let association = to.map(|_| region.dice.id("eipassoc"));
    let settles = after(now, region.draw(Delay::AddressMove));
    if let Some(address) = region.model.addresses.get_mut(allocation) {
        address.instance = to.map(|(instance, _)| instance.to_owned());
        address.private_ip = to.map(|(_, private_ip)| private_ip.to_owned());
        address.interface = interface;
        address.association = association;
        address.settled = settles;
    }
    let to = to.map(|(instance, _)| instance.to_owned());
    if let Some(machine) = to
        .as_ref()
        .and_then(|id| region.model.instances.get_mut(id))
    {
        // An Elastic IP releases the public address the instance had by itself.
        machine.public_ip = None;
    }
    let lifecycle = to
        .as_ref()
        .and_then(|id| autoscaling::lifecycle_of(region, id));
    let what = What::AddressMoved {
        allocation: allocation.to_owned(),
        from,
        to: to.clone(),
        lifecycle,
    };
    region.log(now, who, what);
    if let Some(to) = to {
        critical_path::serves(region, &to, now);
    }
}

/// One private address has one Elastic IP: another one that is there has to go.
fn free(region: &mut Region, who: &str, instance: &str, private_ip: &str, now: Timestamp) {
    let other = region.model.addresses.values().find(|a| {
        a.instance.as_deref() == Some(instance) && a.private_ip.as_deref() == Some(private_ip)
    });
    if let Some(other) = other.map(|a| a.allocation.clone()) {
        point(region, who, &other, None, now);
    }
}

/// The instance is gone: its addresses point at nothing.
pub(crate) fn instance_terminated(region: &mut Region, instance: &str, now: Timestamp) {
    let had: Vec<String> = of(region, instance).map(|a| a.allocation.clone()).collect();
    for allocation in had {
        point(region, "aws", &allocation, None, now);
    }
}

pub(crate) fn of<'a>(region: &'a Region, instance: &'a str) -> impl Iterator<Item = &'a Address> {
    region
        .model
        .addresses
        .values()
        .filter(move |a| a.instance.as_deref() == Some(instance))
}

pub(crate) fn disassociate(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let addresses = &region.model.addresses;
    let found = if let Some(ip) = params.get("PublicIp") {
        addresses
            .values()
            .find(|a| a.public_ip == ip)
            .ok_or_else(|| address_missing(ip))?
    } else {
        let id = params.required("AssociationId")?;
        addresses
            .values()
            .find(|a| a.association.as_deref() == Some(id))
            .ok_or_else(|| {
                let message = format!("The association ID '{id}' does not exist");
                ApiError::new("InvalidAssociationID.NotFound", message)
            })?
    };
    let allocation = found.allocation.clone();
    point(region, caller, &allocation, None, now);
    Ok(tags::done())
}

pub(crate) fn release(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let allocation = allocation(region, params)?;
    let address = region.model.addresses.get(&allocation);
    if let Some(address) = address.filter(|a| a.association.is_some()) {
        let message = format!("Address '{}' is in use.", address.public_ip);
        return Err(ApiError::new("InvalidIPAddress.InUse", message));
    }
    region.model.addresses.remove(&allocation);
    region.log(now, caller, What::AddressReleased { allocation });
    Ok(tags::done())
}

/// Knows no pages. Addresses are read as they are.
pub(crate) fn describe(region: &Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let filters = Filters::of::<Address>(params)?;
    let mut items = Vec::new();
    for id in params.list("AllocationId") {
        items.push(ids::find(&region.model.addresses, &id, now)?);
    }
    for ip in params.list("PublicIp") {
        let found = region.model.addresses.values().find(|a| a.public_ip == ip);
        items.push(found.ok_or_else(|| address_missing(&ip))?);
    }
    if items.is_empty() {
        items.extend(region.model.addresses.values());
    }
    items.retain(|address| filters.accept(*address));
    items.sort_by(|a, b| a.id().cmp(b.id()));
    let mut xml = Xml::new();
    xml.list("addressesSet", "item", items, |xml, address| {
        write(xml, region, address)
    });
    Ok(xml)
}

fn write(xml: &mut Xml, region: &Region, address: &Address) {
    xml.leaf("publicIp", &address.public_ip);
    xml.leaf("allocationId", &address.allocation);
    xml.leaf("domain", "vpc");
    xml.maybe("instanceId", address.instance.as_ref());
    xml.maybe("associationId", address.association.as_ref());
    xml.maybe("networkInterfaceId", address.interface.as_ref());
    if address.interface.is_some() {
        xml.leaf("networkInterfaceOwnerId", &region.settings.account);
    }
    xml.maybe("privateIpAddress", address.private_ip.as_ref());
    xml.leaf("publicIpv4Pool", "amazon");
    xml.leaf("networkBorderGroup", &region.settings.name);
    tags::write(xml, &address.tags);
}
