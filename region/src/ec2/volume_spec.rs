//! Is what CreateVolume asks for possible?

use jiff::Timestamp;

use super::ids::{self, Kind};
use super::tags;
use super::volumes::Spec;
use crate::Region;
use crate::model::{Snapshot, SnapshotState};
use crate::wire::error::ApiError;
use crate::wire::query::Params;

pub(crate) fn read(region: &Region, params: &Params, now: Timestamp) -> Result<Spec, ApiError> {
    let zone = zone(region, params)?;
    let source = match params.get("SnapshotId").filter(|id| !id.is_empty()) {
        Some(id) => Some(completed(region, id, now)?),
        None => None,
    };
    let size_gib = size(params, source)?;
    let kind = params.get("VolumeType").unwrap_or("gp2").to_owned();
    let (iops, throughput) = performance(params, &kind, size_gib)?;
    let asked = params.flag("Encrypted")?.unwrap_or(false);
    let encrypted = asked || source.is_some_and(|s| s.encrypted);
    let key = params.get("KmsKeyId").map(str::to_owned);
    if key.is_some() && !encrypted {
        let message = "The parameter KmsKeyId requires the parameter Encrypted to be set.";
        return Err(ApiError::new("InvalidParameterDependency", message));
    }
    let default_key = || {
        format!(
            "arn:aws:kms:{}:{}:alias/aws/ebs",
            region.settings.name, region.settings.account
        )
    };
    let kms_key = encrypted.then(|| {
        key.or_else(|| source.and_then(|s| s.kms_key.clone()))
            .unwrap_or_else(default_key)
    });
    Ok(Spec {
        zone,
        size_gib,
        kind,
        iops,
        throughput,
        encrypted,
        kms_key,
        snapshot: source.map(|s| s.id.clone()),
        content: source.map(|s| s.content.clone()).unwrap_or_default(),
        tags: tags::specified(params, Kind::Volume)?,
    })
}

fn zone(region: &Region, params: &Params) -> Result<String, ApiError> {
    let zones = &region.settings.zones;
    if let Some(id) = params.get("AvailabilityZoneId") {
        let named = zones
            .iter()
            .find(|zone| super::zones::zone_id(region, zone) == id);
        return named.cloned().ok_or_else(|| zone_missing(id));
    }
    let name = params.required("AvailabilityZone")?;
    zones
        .iter()
        .find(|zone| *zone == name)
        .cloned()
        .ok_or_else(|| zone_missing(name))
}

pub(crate) fn zone_missing(zone: &str) -> ApiError {
    ApiError::new(
        "InvalidZone.NotFound",
        format!("The zone '{zone}' does not exist."),
    )
}

fn completed<'a>(region: &'a Region, id: &str, now: Timestamp) -> Result<&'a Snapshot, ApiError> {
    let snapshot = ids::find(&region.model.snapshots, id, now)?;
    match snapshot.state {
        SnapshotState::Completed => Ok(snapshot),
        SnapshotState::Pending | SnapshotState::Error => Err(ApiError::incorrect_state(format!(
            "Snapshot '{id}' is not 'completed'."
        ))),
    }
}

fn size(params: &Params, source: Option<&Snapshot>) -> Result<u64, ApiError> {
    let size = match (params.number("Size")?, source) {
        (Some(size), Some(snapshot)) if size < snapshot.size_gib => {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {}GB",
                    snapshot.id, snapshot.size_gib
                ),
            ));
        }
        (Some(size), _) => size,
        (None, Some(snapshot)) => snapshot.size_gib,
        (None, None) => return Err(ApiError::missing("size/snapshot")),
    };
    if (1..=65_536).contains(&size) {
        Ok(size)
    } else {
        Err(ApiError::new(
            "InvalidParameterValue",
            format!("Volume of {size}GiB is out of range; must be between 1GiB and 65536GiB."),
        ))
    }
}

/// IOPS and throughput, as asked for or as the type has them.
fn performance(
    params: &Params,
    kind: &str,
    size_gib: u64,
) -> Result<(Option<u64>, Option<u64>), ApiError> {
    let iops = params.number("Iops")?;
    let throughput = params.number("Throughput")?;
    let refuse = |name: &str| {
        let message = format!("The parameter {name} is not supported for {kind} volumes.");
        Err(ApiError::new("InvalidParameterCombination", message))
    };
    match kind {
        "gp3" => gp3(iops.unwrap_or(3_000), throughput.unwrap_or(125)),
        _ if throughput.is_some() => refuse("throughput"),
        "io1" | "io2" => match iops {
            Some(iops) => Ok((Some(iops), None)),
            None => Err(ApiError::new(
                "MissingParameter",
                format!("The parameter iops must be specified for {kind} volumes."),
            )),
        },
        "gp2" | "st1" | "sc1" | "standard" if iops.is_some() => refuse("iops"),
        "gp2" => Ok((Some((3 * size_gib).clamp(100, 16_000)), None)),
        "st1" | "sc1" | "standard" => Ok((None, None)),
        other => Err(ApiError::new(
            "UnknownVolumeType",
            format!("Unsupported volume type '{other}' for volume creation."),
        )),
    }
}

fn gp3(iops: u64, throughput: u64) -> Result<(Option<u64>, Option<u64>), ApiError> {
    if !(3_000..=80_000).contains(&iops) {
        let message = format!("Volume iops of {iops} is out of range; gp3 takes 3000 to 80000.");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    if !(125..=2_000).contains(&throughput) {
        let message =
            format!("Volume throughput of {throughput} is out of range; gp3 takes 125 to 2000.");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    Ok((Some(iops), Some(throughput)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    fn params(body: &str) -> Params {
        Params::of(&Request {
            body: body.as_bytes().to_vec(),
            ..Request::default()
        })
    }

    #[test]
    fn each_type_takes_what_it_can() {
        let table = [
            ("gp3", "", Ok((Some(3_000), Some(125)))),
            (
                "gp3",
                "Iops=4000&Throughput=250",
                Ok((Some(4_000), Some(250))),
            ),
            ("gp3", "Iops=100", Err("InvalidParameterValue")),
            ("gp2", "", Ok((Some(300), None))),
            ("gp2", "Iops=3000", Err("InvalidParameterCombination")),
            ("gp2", "Throughput=125", Err("InvalidParameterCombination")),
            ("io2", "Iops=5000", Ok((Some(5_000), None))),
            ("io1", "", Err("MissingParameter")),
            ("floppy", "", Err("UnknownVolumeType")),
        ];
        for (kind, body, expected) in table {
            let got = performance(&params(body), kind, 100).map_err(|e| e.code);
            assert_eq!(got, expected.map_err(str::to_owned), "{kind} {body}");
        }
    }
}
