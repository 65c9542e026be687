//! Volumes: made, shown, deleted.

use jiff::Timestamp;

use super::describe::{self, Source};
use super::ids;
use super::{attachments, index, tags, volume_spec};
use crate::engine::Due;
use crate::latency::Delay;
use crate::model::{Content, Tags, Volume, VolumeState};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::Xml;
use crate::{Region, What, after, events, iam};

const ACTION: &str = "CreateVolume";

pub(crate) fn create(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let token = params.get("ClientToken").filter(|token| !token.is_empty());
    let fingerprint = params.fingerprint(&["ClientToken"]);
    if let Some(token) = token
        && let Some(made) = region.tokens.replay(ACTION, token, &fingerprint)?
    {
        return replayed(region, &made);
    }
    let spec = volume_spec::read(region, params, now)?;
    if region.model.dark_zones.contains(&spec.zone) {
        let message = "There is not enough capacity to fulfill your EBS volume provision request.";
        return Err(ApiError::new("InsufficientVolumeCapacity", message).with_status(500));
    }
    let refused = spec
        .kms_key
        .as_ref()
        .is_some_and(|key| region.settings.refused_keys.contains(key))
        || iam::key_is_refused(region);
    let id = insert(region, caller, spec, now);
    if let Some(token) = token {
        region
            .tokens
            .keep(ACTION, token, fingerprint, vec![id.clone()]);
    }
    let lag = region.draw(Delay::ByIdLag);
    let mut xml = Xml::new();
    if let Some(volume) = region.model.volumes.get_mut(&id) {
        // Nobody ever sees a volume whose key was refused.
        volume.visible = if refused {
            Timestamp::MAX
        } else {
            after(now, lag)
        };
        write(&mut xml, volume);
    }
    let due = if refused {
        Due::VolumeVanishes { volume: id.clone() }
    } else {
        index::volume_touched(region, &id, now);
        Due::VolumeCreated { volume: id.clone() }
    };
    let drawn = region.plan(Delay::CreateVolume, due, now);
    if let Some(volume) = region.model.volumes.get_mut(&id) {
        volume.drawn.insert(Delay::CreateVolume, drawn);
    }
    Ok(xml)
}

/// The same answer as the first time, unless what was made is gone: then the
/// token is burned for good.
fn replayed(region: &Region, made: &[String]) -> Result<Xml, ApiError> {
    let volume = made.first().and_then(|id| region.model.volumes.get(id)).ok_or_else(|| {
        ApiError::new(
            "IdempotentParameterMismatch",
            "The client token you have provided is associated with a resource that is already deleted. \
             Please use a different client token.",
        )
    })?;
    let mut xml = Xml::new();
    write(&mut xml, volume);
    Ok(xml)
}

/// What a volume is made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    pub(crate) zone: String,
    pub(crate) size_gib: u64,
    pub(crate) kind: String,
    pub(crate) iops: Option<u64>,
    pub(crate) throughput: Option<u64>,
    pub(crate) encrypted: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) snapshot: Option<String>,
    pub(crate) content: Content,
    pub(crate) tags: Tags,
}

/// Puts a volume into the world, `creating` and visible to all.
pub(crate) fn insert(region: &mut Region, who: &str, spec: Spec, now: Timestamp) -> String {
    let id = region.dice.id("vol");
    let volume = Volume {
        id: id.clone(),
        zone: spec.zone.clone(),
        state: VolumeState::Creating,
        size_gib: spec.size_gib,
        kind: spec.kind,
        iops: spec.iops,
        throughput: spec.throughput,
        encrypted: spec.encrypted,
        kms_key: spec.kms_key,
        snapshot: spec.snapshot.clone(),
        attachment: None,
        tags: spec.tags.clone(),
        created: now,
        visible: now,
        content: spec.content,
        writer: None,
        released: None,
        deletable: now,
        last_snapshot: None,
        drawn: std::collections::BTreeMap::new(),
    };
    region.model.volumes.insert(id.clone(), volume);
    let what = What::VolumeCreated {
        volume: id.clone(),
        zone: spec.zone,
        source: spec.snapshot,
        tags: spec.tags,
    };
    region.log(now, who, what);
    id
}

pub(crate) fn created(region: &mut Region, id: &str, now: Timestamp) {
    let failed = region
        .dice
        .chance("volume error", region.settings.faults.volume_error);
    let Some(volume) = region.model.volumes.get(id) else {
        return;
    };
    if volume.state != VolumeState::Creating {
        return;
    }
    let to = if failed {
        VolumeState::Error
    } else {
        VolumeState::Available
    };
    attachments::set_state(region, id, to, now);
    let result = if failed { "failed" } else { "available" };
    notify(region, id, "createVolume", result, "", now);
}

/// KMS said no after the call was answered.
pub(crate) fn vanish(region: &mut Region, id: &str, now: Timestamp) {
    let Some(volume) = region.model.volumes.remove(id) else {
        return;
    };
    let cause = format!("{} is disabled.", volume.kms_key.unwrap_or_default());
    region.log(
        now,
        "aws",
        What::VolumeDeleted {
            volume: id.to_owned(),
        },
    );
    notify(region, id, "createVolume", "failed", &cause, now);
}

fn notify(region: &mut Region, id: &str, event: &str, result: &str, cause: &str, now: Timestamp) {
    let arn = format!(
        "arn:aws:ec2:{}:{}:volume/{id}",
        region.settings.name, region.settings.account
    );
    let request = region.dice.uuid("event request");
    let detail = serde_json::json!({
        "event": event, "result": result, "cause": cause, "request-id": request,
    });
    events::emit(
        region,
        "EBS Volume Notification",
        "aws.ec2",
        &[arn],
        detail,
        now,
    );
}

pub(crate) fn delete(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let id = params.required("VolumeId")?;
    let volume = ids::find(&region.model.volumes, id, now)?;
    if let Some(attachment) = &volume.attachment {
        let message = format!(
            "Volume {id} is currently attached to {}",
            attachment.instance
        );
        return Err(ApiError::new("VolumeInUse", message));
    }
    if now < volume.deletable {
        return Err(ApiError::new(
            "VolumeInUse",
            format!("Volume {id} is currently in use"),
        ));
    }
    if volume.state == VolumeState::Creating {
        let message = format!("The volume '{id}' is not 'available'.");
        return Err(ApiError::incorrect_state(message));
    }
    remove(region, caller, id, now);
    Ok(tags::done())
}

pub(crate) fn remove(region: &mut Region, who: &str, id: &str, now: Timestamp) {
    if region.model.volumes.remove(id).is_none() {
        return;
    }
    index::volume_touched(region, id, now);
    region.log(
        now,
        who,
        What::VolumeDeleted {
            volume: id.to_owned(),
        },
    );
    notify(region, id, "deleteVolume", "deleted", "", now);
}

pub(crate) fn describe(region: &Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let source = Source {
        truth: &region.model.volumes,
        index: &region.index.volumes,
    };
    let page = describe::select(source, params, "VolumeId", now)?;
    let mut xml = Xml::new();
    xml.list("volumeSet", "item", page.items, |xml, volume| {
        write(xml, volume)
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write(xml: &mut Xml, volume: &Volume) {
    xml.leaf("volumeId", &volume.id);
    xml.leaf("size", volume.size_gib);
    xml.leaf("snapshotId", volume.snapshot.as_deref().unwrap_or_default());
    xml.leaf("availabilityZone", &volume.zone);
    xml.leaf("status", volume.state.as_str());
    xml.time("createTime", volume.created);
    xml.list(
        "attachmentSet",
        "item",
        &volume.attachment,
        |xml, attachment| {
            attachments::write(xml, &volume.id, attachment);
        },
    );
    tags::write(xml, &volume.tags);
    xml.leaf("volumeType", &volume.kind);
    xml.maybe("iops", volume.iops);
    xml.maybe("throughput", volume.throughput);
    xml.leaf("encrypted", volume.encrypted);
    xml.maybe("kmsKeyId", volume.kms_key.as_ref());
    xml.leaf("multiAttachEnabled", false);
}

/// DescribeVolumeStatus: whether the disk answers at all.
pub(crate) fn describe_status(
    region: &Region,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let source = Source {
        truth: &region.model.volumes,
        index: &region.index.volumes,
    };
    let page = describe::select(source, params, "VolumeId", now)?;
    let mut xml = Xml::new();
    xml.list("volumeStatusSet", "item", page.items, |xml, volume| {
        let dark = region.model.dark_zones.contains(&volume.zone);
        let status = if dark { "impaired" } else { "ok" };
        xml.leaf("volumeId", &volume.id);
        xml.leaf("availabilityZone", &volume.zone);
        xml.node("volumeStatus", |xml| {
            xml.leaf("status", status);
            xml.list(
                "details",
                "item",
                [("io-enabled", if dark { "failed" } else { "passed" })],
                |xml, (name, status)| {
                    xml.leaf("name", name);
                    xml.leaf("status", status);
                },
            );
        });
        xml.list("eventsSet", "item", std::iter::empty::<()>(), |_, ()| {});
        xml.list("actionsSet", "item", std::iter::empty::<()>(), |_, ()| {});
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}
