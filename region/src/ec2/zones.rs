//! Which zones and regions are there?

use super::filters::Filters;
use super::volume_spec::zone_missing;
use crate::Region;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

/// `use1-az1`: what the zone's name stands for in every account.
pub(crate) fn zone_id(region: &Region, zone: &str) -> String {
    let number = region
        .settings
        .zones
        .iter()
        .position(|z| z == zone)
        .map_or(0, |at| at + 1);
    format!("{}-az{number}", short_name(&region.settings.name))
}

/// `us-east-1` → `use1`.
fn short_name(region: &str) -> String {
    let mut parts = region.split('-');
    let area = parts.next().unwrap_or_default();
    parts.fold(area.to_owned(), |mut short, part| {
        short.extend(part.chars().next());
        short
    })
}

/// The one subnet of a zone.
pub(crate) fn subnet_of(zone: &str) -> String {
    let sum = zone.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("subnet-0{sum:016x}")
}

pub(crate) fn describe_zones(region: &Region, params: &Params) -> Result<Xml, ApiError> {
    let filters = Filters::among(
        params,
        &[
            "zone-name",
            "zone-id",
            "state",
            "region-name",
            "zone-type",
            "opt-in-status",
        ],
    )?;
    let named = params.list("ZoneName");
    if let Some(unknown) = named
        .iter()
        .find(|zone| !region.settings.zones.contains(zone))
    {
        return Err(zone_missing(unknown));
    }
    let state = |zone: &String| {
        if region.model.dark_zones.contains(zone) {
            "impaired"
        } else {
            "available"
        }
    };
    let zones = region.settings.zones.iter().filter(|zone| {
        let asked = named.is_empty() || named.contains(zone);
        asked
            && filters.accept_fields(|name| {
                let value = match name {
                    "zone-name" => (*zone).clone(),
                    "zone-id" => zone_id(region, zone),
                    "state" => state(zone).to_owned(),
                    "region-name" => region.settings.name.clone(),
                    "zone-type" => "availability-zone".to_owned(),
                    "opt-in-status" => "opt-in-not-required".to_owned(),
                    _ => return Vec::new(),
                };
                vec![value]
            })
    });
    let mut xml = Xml::new();
    xml.list("availabilityZoneInfo", "item", zones, |xml, zone| {
        xml.leaf("optInStatus", "opt-in-not-required");
        xml.list("messageSet", "item", std::iter::empty::<()>(), |_, ()| {});
        xml.leaf("regionName", &region.settings.name);
        xml.leaf("zoneName", zone);
        xml.leaf("zoneId", zone_id(region, zone));
        xml.leaf("groupName", format!("{}-zg-1", region.settings.name));
        xml.leaf("networkBorderGroup", &region.settings.name);
        xml.leaf("zoneType", "availability-zone");
        xml.leaf("zoneState", state(zone));
    });
    Ok(xml)
}

pub(crate) fn describe_regions(region: &Region) -> Xml {
    let name = &region.settings.name;
    let mut xml = Xml::new();
    xml.list("regionInfo", "item", [name], |xml, name| {
        xml.leaf("optInStatus", "opt-in-not-required");
        xml.leaf("regionName", name);
        xml.leaf("regionEndpoint", format!("ec2.{name}.amazonaws.com"));
    });
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        assert_eq!(short_name("us-east-1"), "use1");
        assert_eq!(short_name("eu-central-2"), "euc2");
    }
}
