//! Attributes of an instance that are read and changed one by one.

use jiff::Timestamp;

use super::{attachments, ids, index, tags};
use crate::Region;
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;

/// DescribeInstanceAttribute: one at a time.
pub(crate) fn describe(region: &Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let id = params.required("InstanceId")?;
    let attribute = params.required("Attribute")?;
    let instance = ids::find(&region.model.instances, id, now)?;
    let mut xml = Xml::new();
    xml.leaf("instanceId", id);
    let value = match attribute {
        "disableApiTermination" => instance.protected.to_string(),
        "disableApiStop" => instance.stop_protected.to_string(),
        "instanceInitiatedShutdownBehavior" if instance.shutdown_terminates => {
            "terminate".to_owned()
        }
        "instanceInitiatedShutdownBehavior" => "stop".to_owned(),
        "instanceType" => instance.kind.clone(),
        "rootDeviceName" => instance.root_device.clone(),
        other => {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Value ({other}) for parameter attribute is invalid. Unknown attribute."),
            ));
        }
    };
    xml.node(attribute, |xml| xml.leaf("value", value));
    Ok(xml)
}

/// ModifyInstanceAttribute: whether volumes die with it, and whether it may end, or
/// be stopped.
pub(crate) fn modify(
    region: &mut Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let instance = params.required("InstanceId")?;
    ids::find(&region.model.instances, instance, now)?;
    let protected = params.flag("DisableApiTermination.Value")?;
    let stop_protected = params.flag("DisableApiStop.Value")?;
    let shutdown = params.get("InstanceInitiatedShutdownBehavior.Value");
    if let Some(other) = shutdown.filter(|how| !matches!(*how, "stop" | "terminate")) {
        return Err(ApiError::invalid(
            "instanceInitiatedShutdownBehavior",
            other,
        ));
    }
    let mappings = params.structures("BlockDeviceMapping");
    let barred = protected.or(stop_protected);
    if mappings.is_empty() && barred.is_none() && shutdown.is_none() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "No attributes specified.",
        ));
    }
    let changes = changes(region, instance, &mappings)?;
    if let Some(found) = region.model.instances.get_mut(instance) {
        found.protected = protected.unwrap_or(found.protected);
        found.stop_protected = stop_protected.unwrap_or(found.stop_protected);
        found.shutdown_terminates =
            shutdown.map_or(found.shutdown_terminates, |how| how == "terminate");
    }
    for (volume, goes) in changes {
        let found = region
            .model
            .volumes
            .get_mut(&volume)
            .and_then(|v| v.attachment.as_mut());
        if let (Some(attachment), Some(goes)) = (found, goes) {
            attachment.delete_on_termination = goes;
        }
        index::volume_touched(region, &volume, now);
    }
    Ok(tags::done())
}

fn changes(
    region: &Region,
    instance: &str,
    mappings: &[Params],
) -> Result<Vec<(String, Option<bool>)>, ApiError> {
    let mut changes = Vec::new();
    for mapping in mappings {
        let device = mapping.required("DeviceName")?;
        let volume = attachments::on(region, instance)
            .find(|v| v.attachment.as_ref().is_some_and(|a| a.device == device))
            .ok_or_else(|| {
                let message =
                    format!("Instance '{instance}' does not have device '{device}' attached.");
                ApiError::new("InvalidInstanceAttributeValue", message)
            })?;
        changes.push((volume.id.clone(), mapping.flag("Ebs.DeleteOnTermination")?));
    }
    Ok(changes)
}
