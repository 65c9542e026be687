//! EC2's side of the wire: which action, and what comes due.

pub(crate) mod addresses;
pub(crate) mod attachments;
mod describe;
mod filters;
pub(crate) mod ids;
pub(crate) mod index;
mod instance_attributes;
mod instance_calls;
mod instance_xml;
pub(crate) mod instances;
mod resource;
pub(crate) mod snapshots;
mod subnets;
pub(crate) mod tags;
pub(crate) mod templates;
pub(crate) mod tokens;
mod volume_spec;
pub(crate) mod volumes;
pub(crate) mod zones;

use jiff::Timestamp;

use crate::Region;
use crate::engine::Due;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

/// Answers one action: what stands beside `<requestId>`.
pub(crate) fn handle(
    region: &mut Region,
    caller: &str,
    action: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    if params.flag("DryRun")?.unwrap_or(false) {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(ApiError::new("DryRunOperation", message).with_status(412));
    }
    match action {
        "RunInstances" => instance_calls::run(region, params, now),
        "DescribeInstances" => instance_calls::describe(region, params, now),
        "DescribeInstanceStatus" => instance_calls::describe_status(region, params, now),
        "StartInstances" => instance_calls::start(region, params, now),
        "StopInstances" => instance_calls::stop(region, params, now),
        "TerminateInstances" => instance_calls::terminate(region, params, now),
        "DescribeInstanceAttribute" => instance_attributes::describe(region, params, now),
        "ModifyInstanceAttribute" => instance_attributes::modify(region, params, now),
        "CreateLaunchTemplate" => templates::create(region, params, now),
        "CreateLaunchTemplateVersion" => templates::create_version(region, params, now),
        "DeleteLaunchTemplate" => templates::delete(region, params),
        "DescribeLaunchTemplates" => templates::describe(region, params),
        "DescribeLaunchTemplateVersions" => templates::describe_versions(region, params),
        "DescribeSubnets" => subnets::describe(region, params),
        "CreateVolume" => volumes::create(region, caller, params, now),
        "DeleteVolume" => volumes::delete(region, caller, params, now),
        "DescribeVolumes" => volumes::describe(region, params, now),
        "DescribeVolumeStatus" => volumes::describe_status(region, params, now),
        "AttachVolume" => attachments::attach(region, caller, params, now),
        "DetachVolume" => attachments::detach(region, caller, params, now),
        "CreateSnapshot" => snapshots::create(region, caller, params, now),
        "CreateSnapshots" => snapshots::create_set(region, caller, params, now),
        "DeleteSnapshot" => snapshots::delete(region, caller, params, now),
        "DescribeSnapshots" => snapshots::describe(region, params, now),
        "AllocateAddress" => addresses::allocate(region, caller, params, now),
        "AssociateAddress" => addresses::associate(region, caller, params, now),
        "DisassociateAddress" => addresses::disassociate(region, caller, params, now),
        "ReleaseAddress" => addresses::release(region, caller, params, now),
        "DescribeAddresses" => addresses::describe(region, params, now),
        "CreateTags" => tags::create(region, caller, params, now),
        "DeleteTags" => tags::delete(region, caller, params, now),
        "DescribeTags" => tags::describe(region, params),
        "DescribeAvailabilityZones" => zones::describe_zones(region, params),
        "DescribeRegions" => Ok(zones::describe_regions(region)),
        unknown => Err(ApiError::unknown_action(unknown)),
    }
}

/// What comes due in EC2.
pub(crate) fn due(region: &mut Region, due: Due, now: Timestamp) {
    match due {
        Due::VolumeCreated { volume } => volumes::created(region, &volume, now),
        Due::VolumeVanishes { volume } => volumes::vanish(region, &volume, now),
        Due::AttachEnds { volume, order } => attachments::attach_ends(region, &volume, order, now),
        Due::DetachEnds { volume, order } => attachments::detach_ends(region, &volume, order, now),
        Due::SnapshotEnds { snapshot } => snapshots::ends(region, &snapshot, now),
        Due::InstanceRuns { instance, order } => instances::runs(region, &instance, order, now),
        Due::GuestBoots { instance, order } => instances::boots(region, &instance, order, now),
        Due::GuestHalts { instance, order } => instances::halts(region, &instance, order, now),
        Due::InstanceStops { instance, order } => instances::stops(region, &instance, order, now),
        Due::InstanceTerminates { instance, order } => {
            instances::terminates(region, &instance, order, now)
        }
        Due::InstanceForgotten { instance } => instances::forgotten(region, &instance),
        Due::SpotEnds { instance } => instances::terminate(region, &instance, now),
        Due::Indexed(indexed) => index::arrive(region, *indexed),
        // Those are dispatched elsewhere.
        Due::Group(_) | Due::Alarm(_) | Due::Deliver(_) => {}
    }
}

/// The dark zone that keeps this from happening, if there is one.
pub(crate) fn dark_zone_of(region: &Region, due: &Due) -> Option<String> {
    let model = &region.model;
    if model.dark_zones.is_empty() {
        return None;
    }
    let zone = match due {
        Due::VolumeCreated { volume }
        | Due::VolumeVanishes { volume }
        | Due::AttachEnds { volume, .. }
        | Due::DetachEnds { volume, .. } => model.volumes.get(volume).map(|v| &v.zone),
        Due::SnapshotEnds { snapshot } => model.snapshots.get(snapshot).map(|s| &s.zone),
        Due::InstanceRuns { instance, .. }
        | Due::GuestBoots { instance, .. }
        | Due::GuestHalts { instance, .. }
        | Due::InstanceStops { instance, .. }
        | Due::InstanceTerminates { instance, .. } => {
            model.instances.get(instance).map(|i| &i.zone)
        }
        Due::InstanceForgotten { .. }
        | Due::SpotEnds { .. }
        | Due::Indexed(_)
        | Due::Group(_)
        | Due::Alarm(_)
        | Due::Deliver(_) => None,
    };
    zone.filter(|zone| model.dark_zones.contains(*zone))
        .cloned()
}
