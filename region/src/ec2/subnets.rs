//! The network: one, with one public subnet in each zone.

use std::collections::BTreeMap;

use super::filters::Filters;
use super::{tags, zones};
use crate::Region;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

pub(crate) const VPC: &str = "vpc-00000000000000001";
/// A /20 without the five addresses that AWS keeps for itself.
const ADDRESSES: usize = 4_091;

pub(crate) fn describe(region: &Region, params: &Params) -> Result<Xml, ApiError> {
    let filters = Filters::among(
        params,
        &[
            "subnet-id",
            "vpc-id",
            "availability-zone",
            "state",
            "default-for-az",
        ],
    )?;
    let named = params.list("SubnetId");
    let all: BTreeMap<String, &String> = region
        .settings
        .zones
        .iter()
        .map(|zone| (zones::subnet_of(zone), zone))
        .collect();
    if let Some(unknown) = named.iter().find(|id| !all.contains_key(*id)) {
        return Err(ApiError::new(
            "InvalidSubnetID.NotFound",
            format!("The subnet ID '{unknown}' does not exist"),
        ));
    }
    let wanted = all.iter().filter(|(id, zone)| {
        (named.is_empty() || named.contains(id))
            && filters.accept_fields(|name| {
                let value = match name {
                    "subnet-id" => (*id).clone(),
                    "vpc-id" => VPC.to_owned(),
                    "availability-zone" => (**zone).clone(),
                    "state" => "available".to_owned(),
                    "default-for-az" => "true".to_owned(),
                    _ => return Vec::new(),
                };
                vec![value]
            })
    });
    let mut xml = Xml::new();
    xml.list("subnetSet", "item", wanted, |xml, (id, zone)| {
        write(xml, region, id, zone)
    });
    Ok(xml)
}

fn write(xml: &mut Xml, region: &Region, id: &str, zone: &str) {
    let place = region.settings.zones.iter().position(|z| z == zone);
    let used = region
        .model
        .instances
        .values()
        .filter(|instance| instance.subnet == id && instance.state.lives())
        .map(|instance| instance.private_ips.len());
    let free = ADDRESSES.saturating_sub(used.sum());
    xml.leaf("subnetId", id);
    xml.leaf("state", "available");
    xml.leaf("vpcId", VPC);
    xml.leaf(
        "cidrBlock",
        format!("10.0.{}.0/20", 16 * place.unwrap_or(0)),
    );
    xml.leaf("availableIpAddressCount", free);
    xml.leaf("availabilityZone", zone);
    xml.leaf("availabilityZoneId", zones::zone_id(region, zone));
    xml.leaf("defaultForAz", true);
    xml.leaf("mapPublicIpOnLaunch", true);
    xml.leaf("ownerId", &region.settings.account);
    tags::write(xml, &BTreeMap::new());
}
