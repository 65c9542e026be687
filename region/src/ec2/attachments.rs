//! Which instance has which volume? Attached, detached, busy, stuck.

use jiff::Timestamp;

use super::ids::{self, Kind};
use super::index;
use crate::engine::Due;
use crate::latency::Delay;
use crate::model::{
    Attachment, AttachmentState, InstanceState, Power, Released, Volume, VolumeState,
};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;
use crate::{Region, What, after, content};

const MOST_ATTACHMENTS: usize = 28;

pub(crate) fn attach(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let volume = params.required("VolumeId")?;
    let instance = params.required("InstanceId")?;
    let device = params.required("Device")?;
    may_attach(region, volume, instance, device, now)?;
    let order = region.next_order();
    let attachment = Attachment {
        instance: instance.to_owned(),
        device: device.to_owned(),
        state: AttachmentState::Attaching,
        since: now,
        delete_on_termination: false,
        order,
    };
    let mut xml = Xml::new();
    write(&mut xml, volume, &attachment);
    if let Some(found) = region.model.volumes.get_mut(volume) {
        found.attachment = Some(attachment);
    }
    set_state(region, volume, VolumeState::InUse, now);
    let (volume, instance) = (volume.to_owned(), instance.to_owned());
    region.log(
        now,
        caller,
        What::Attaching {
            volume: volume.clone(),
            instance,
        },
    );
    if !region
        .dice
        .chance("stuck attach", region.settings.faults.stuck_attach)
    {
        let due = Due::AttachEnds {
            volume: volume.clone(),
            order,
        };
        let drawn = region.plan(Delay::Attach, due, now);
        note_draw(region, &volume, Delay::Attach, drawn);
    }
    Ok(xml)
}

fn may_attach(
    region: &Region,
    volume: &str,
    instance: &str,
    device: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    let model = &region.model;
    let found = ids::find(&model.volumes, volume, now)?;
    let machine = ids::find(&model.instances, instance, now)?;
    match found.state {
        VolumeState::Available => {}
        VolumeState::InUse => {
            let message = format!("{volume} is already attached to an instance");
            return Err(ApiError::new("VolumeInUse", message));
        }
        VolumeState::Creating | VolumeState::Error => {
            return Err(ApiError::incorrect_state(format!(
                "{volume} is not 'available'."
            )));
        }
    }
    if found.zone != machine.zone {
        return Err(ApiError::new(
            "InvalidVolume.ZoneMismatch",
            format!(
                "The volume '{volume}' is not in the same availability zone as instance '{instance}'"
            ),
        ));
    }
    if !matches!(
        machine.state,
        InstanceState::Running | InstanceState::Stopped
    ) {
        return Err(ApiError::incorrect_state(format!(
            "Instance '{instance}' is not 'running'."
        )));
    }
    if !is_device_name(device) {
        let message = format!(
            "Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
        );
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    let others: Vec<&Attachment> = on(region, instance)
        .filter_map(|v| v.attachment.as_ref())
        .collect();
    if others.iter().any(|other| other.device == device) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
            ),
        ));
    }
    if others.len() >= MOST_ATTACHMENTS {
        return Err(ApiError::new(
            "AttachmentLimitExceeded",
            format!("Instance '{instance}' cannot have more than {MOST_ATTACHMENTS} attachments"),
        ));
    }
    Ok(())
}

/// `/dev/sd[a-z][0-9]*`, `/dev/xvd[a-z]`, `/dev/xvd[b-c][a-z]`.
fn is_device_name(device: &str) -> bool {
    let lower = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    if let Some(letters) = device.strip_prefix("/dev/xvd") {
        return match letters.len() {
            1 => lower(letters),
            2 => lower(letters) && (letters.starts_with('b') || letters.starts_with('c')),
            _ => false,
        };
    }
    let Some(rest) = device.strip_prefix("/dev/sd") else {
        return false;
    };
    let (letter, number) = rest.split_at_checked(1).unwrap_or_default();
    lower(letter) && number.len() <= 2 && number.bytes().all(|b| b.is_ascii_digit())
}

/// The volumes an instance has, in any state of attachment.
pub(crate) fn on<'a>(region: &'a Region, instance: &'a str) -> impl Iterator<Item = &'a Volume> {
    let volumes = region.model.volumes.values();
    volumes.filter(move |v| {
        v.attachment
            .as_ref()
            .is_some_and(|a| a.instance == instance)
    })
}

pub(crate) fn attach_ends(region: &mut Region, volume: &str, order: u64, now: Timestamp) {
    let Some(attachment) = current(region, volume, order) else {
        return;
    };
    if attachment.state != AttachmentState::Attaching {
        return;
    }
    attachment.state = AttachmentState::Attached;
    let instance = attachment.instance.clone();
    index::volume_touched(region, volume, now);
    region.log(
        now,
        "aws",
        What::Attached {
            volume: volume.to_owned(),
            instance,
        },
    );
}

/// The attachment, if no later order was given for it.
fn current<'a>(region: &'a mut Region, volume: &str, order: u64) -> Option<&'a mut Attachment> {
    let attachment = region.model.volumes.get_mut(volume)?.attachment.as_mut();
    attachment.filter(|a| a.order == order)
}

pub(crate) fn detach(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let volume = params.required("VolumeId")?.to_owned();
    let force = params.flag("Force")?.unwrap_or(false);
    let attachment = may_detach(region, &volume, params, force, now)?;
    let instance = attachment.instance;
    let what = What::Detaching {
        volume: volume.clone(),
        instance: instance.clone(),
        forced: force,
    };
    region.log(now, caller, what);
    if force {
        cut(region, &instance, &volume, now);
    }
    let mounted = is_mounted(region, &instance, &volume);
    let state = if mounted {
        AttachmentState::Busy
    } else {
        AttachmentState::Detaching
    };
    let order = region.next_order();
    if let Some(found) = region
        .model
        .volumes
        .get_mut(&volume)
        .and_then(|v| v.attachment.as_mut())
    {
        found.state = state;
        found.order = order;
    }
    index::volume_touched(region, &volume, now);
    if mounted {
        region.log(
            now,
            "aws",
            What::DetachBusy {
                volume: volume.clone(),
                instance,
            },
        );
    } else if force
        || !region
            .dice
            .chance("stuck detach", region.settings.faults.stuck_detach)
    {
        let due = Due::DetachEnds {
            volume: volume.clone(),
            order,
        };
        let drawn = region.plan(Delay::Detach, due, now);
        note_draw(region, &volume, Delay::Detach, drawn);
    }
    let mut xml = Xml::new();
    if let Some(attachment) = region
        .model
        .volumes
        .get(&volume)
        .and_then(|v| v.attachment.as_ref())
    {
        write(&mut xml, &volume, attachment);
    }
    Ok(xml)
}

fn may_detach(
    region: &Region,
    volume: &str,
    params: &Params,
    force: bool,
    now: Timestamp,
) -> Result<Attachment, ApiError> {
    let found = ids::find(&region.model.volumes, volume, now)?;
    let Some(attachment) = found.attachment.clone() else {
        let state = found.state.as_str();
        return Err(ApiError::incorrect_state(format!(
            "Volume '{volume}' is in the '{state}' state."
        )));
    };
    let not_there = |at: &str| {
        let message = format!("The volume '{volume}' is not attached to instance '{at}'.");
        ApiError::new("InvalidAttachment.NotFound", message)
    };
    if let Some(instance) = params.get("InstanceId") {
        if !region.model.instances.contains_key(instance) {
            return Err(Kind::Instance.missing(instance));
        }
        if instance != attachment.instance {
            return Err(not_there(instance));
        }
    }
    if params
        .get("Device")
        .is_some_and(|device| device != attachment.device)
    {
        return Err(not_there(&attachment.instance));
    }
    let leaving = matches!(
        attachment.state,
        AttachmentState::Detaching | AttachmentState::Busy
    );
    if leaving && !force {
        let message = format!("Volume '{volume}' is in the 'detaching' state.");
        return Err(ApiError::incorrect_state(message));
    }
    let machine = region.model.instances.get(&attachment.instance);
    let is_root = machine.is_some_and(|i| {
        i.root_device == attachment.device
            && !matches!(i.state, InstanceState::Stopped | InstanceState::Terminated)
    });
    if is_root {
        let instance = &attachment.instance;
        let message = format!("Unable to detach root volume '{volume}' from instance '{instance}'");
        return Err(ApiError::new("OperationNotPermitted", message));
    }
    Ok(attachment)
}

/// The guest loses the disk under its hands.
fn cut(region: &mut Region, instance: &str, volume: &str, now: Timestamp) {
    if let Some(machine) = region.model.instances.get_mut(instance) {
        machine.guest.mounts.retain(|_, mounted| mounted != volume);
    }
    content::reconsider(region, instance, now);
}

fn is_mounted(region: &Region, instance: &str, volume: &str) -> bool {
    region.model.instances.get(instance).is_some_and(|i| {
        let alive = matches!(i.guest.power, Power::Up | Power::Crashed);
        alive && i.guest.mounts.values().any(|mounted| mounted == volume)
    })
}

/// The guest let go: a detach that waited for it goes on.
pub(crate) fn unmounted(region: &mut Region, volume: &str, now: Timestamp) {
    let waiting = region
        .model
        .volumes
        .get_mut(volume)
        .and_then(|v| v.attachment.as_mut());
    let Some(attachment) = waiting.filter(|a| a.state == AttachmentState::Busy) else {
        return;
    };
    attachment.state = AttachmentState::Detaching;
    let order = attachment.order;
    index::volume_touched(region, volume, now);
    let due = Due::DetachEnds {
        volume: volume.to_owned(),
        order,
    };
    let drawn = region.plan(Delay::Detach, due, now);
    note_draw(region, volume, Delay::Detach, drawn);
}

/// The instance stopped: whatever was on its way out, stuck or not, is out now.
pub(crate) fn instance_stopped(region: &mut Region, instance: &str, now: Timestamp) {
    let leaving: Vec<String> = on(region, instance)
        .filter(|v| {
            let state = v.attachment.as_ref().map(|a| a.state);
            matches!(
                state,
                Some(AttachmentState::Detaching | AttachmentState::Busy)
            )
        })
        .map(|v| v.id.clone())
        .collect();
    for volume in leaving {
        release(region, &volume, Released::Fenced, now);
    }
}

/// The instance is gone: its volumes are free, or gone with it.
pub(crate) fn instance_terminated(region: &mut Region, instance: &str, now: Timestamp) {
    let had: Vec<(String, bool)> = on(region, instance)
        .map(|v| {
            (
                v.id.clone(),
                v.attachment
                    .as_ref()
                    .is_some_and(|a| a.delete_on_termination),
            )
        })
        .collect();
    for (volume, goes) in had {
        release(region, &volume, Released::Terminated, now);
        if goes {
            super::volumes::remove(region, "aws", &volume, now);
        }
    }
}

pub(crate) fn detach_ends(region: &mut Region, volume: &str, order: u64, now: Timestamp) {
    let Some(attachment) = current(region, volume, order) else {
        return;
    };
    let instance = attachment.instance.clone();
    let stopped = region
        .model
        .instances
        .get(&instance)
        .is_some_and(|i| i.state == InstanceState::Stopped);
    let how = if stopped {
        Released::Fenced
    } else {
        Released::Detached
    };
    release(region, volume, how, now);
}

fn release(region: &mut Region, volume: &str, how: Released, now: Timestamp) {
    let lag = region.draw(Delay::ByIdLag);
    let Some(found) = region.model.volumes.get_mut(volume) else {
        return;
    };
    let Some(attachment) = found.attachment.take() else {
        return;
    };
    found.released = Some(how);
    found.deletable = after(now, lag);
    cut(region, &attachment.instance, volume, now);
    set_state(region, volume, VolumeState::Available, now);
    let (volume, instance) = (volume.to_owned(), attachment.instance);
    region.log(now, "aws", What::Detached { volume, instance });
}

pub(crate) fn set_state(region: &mut Region, volume: &str, to: VolumeState, now: Timestamp) {
    let Some(found) = region.model.volumes.get_mut(volume) else {
        return;
    };
    let from = std::mem::replace(&mut found.state, to);
    index::volume_touched(region, volume, now);
    if from != to {
        let (from, to) = (from.as_str().to_owned(), to.as_str().to_owned());
        region.log(
            now,
            "aws",
            What::VolumeState {
                volume: volume.to_owned(),
                from,
                to,
            },
        );
    }
}

fn note_draw(region: &mut Region, volume: &str, kind: Delay, drawn: std::time::Duration) {
    if let Some(found) = region.model.volumes.get_mut(volume) {
        found.drawn.insert(kind, drawn);
    }
}

pub(crate) fn write(xml: &mut Xml, volume: &str, attachment: &Attachment) {
    xml.leaf("volumeId", volume);
    xml.leaf("instanceId", &attachment.instance);
    xml.leaf("device", &attachment.device);
    xml.leaf("status", attachment.state.as_str());
    xml.time("attachTime", attachment.since);
    xml.leaf("deleteOnTermination", attachment.delete_on_termination);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names() {
        for good in [
            "/dev/sdf",
            "/dev/sda1",
            "/dev/xvdf",
            "/dev/xvdba",
            "/dev/xvdcz",
        ] {
            assert!(is_device_name(good), "{good}");
        }
        for bad in [
            "sdf",
            "/dev/sd",
            "/dev/nvme1n1",
            "/dev/xvdda",
            "/dev/xvd1",
            "/dev/sdfé",
            "/dev/sd\u{e9}",
        ] {
            assert!(!is_device_name(bad), "{bad}");
        }
    }
}
