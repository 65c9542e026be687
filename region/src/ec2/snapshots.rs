//! Snapshots: a point in time, uploaded in its own time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::describe::{self, Source};
use super::ids::{self, Kind};
use super::{attachments, index, tags};
use crate::engine::Due;
use crate::latency::Delay;
use crate::model::{
    AttachmentState, InstanceState, Power, Snapshot, SnapshotState, Tags, Volume, VolumeState,
};
use crate::wire::error::ApiError;
use crate::wire::query::Params;
use crate::wire::xml::{Xml, timestamp};
use crate::{Region, What, after, between, content, events};

/// The pause EC2 wants between two snapshots of one volume.
const PAUSE: Duration = Duration::from_secs(15);
const MOST_PENDING: usize = 5;

pub(crate) fn create(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let volume = params.required("VolumeId")?;
    may_snapshot(region, volume, now)?;
    let tags = tags::specified(params, Kind::Snapshot)?;
    let description = params.get("Description").unwrap_or_default();
    let id = take(region, caller, volume, description, tags, now)
        .ok_or_else(|| Kind::Volume.missing(volume))?;
    hide_for_a_moment(region, &id, now);
    upload(region, std::slice::from_ref(&id), now);
    let mut xml = Xml::new();
    if let Some(snapshot) = region.model.snapshots.get(&id) {
        write(&mut xml, snapshot, now);
    }
    Ok(xml)
}

/// All data volumes of one instance at one instant.
pub(crate) fn create_set(
    region: &mut Region,
    caller: &str,
    params: &Params,
    now: Timestamp,
) -> Result<Xml, ApiError> {
    let instance = params.required("InstanceSpecification.InstanceId")?;
    ids::find(&region.model.instances, instance, now)?;
    let volumes = set_volumes(region, params, instance)?;
    for volume in &volumes {
        may_snapshot(region, volume, now)?;
    }
    let given = tags::specified(params, Kind::Snapshot)?;
    let copy = params.get("CopyTagsFromSource") == Some("volume");
    let description = params.get("Description").unwrap_or_default();
    let mut made = Vec::new();
    for volume in &volumes {
        let source = region.model.volumes.get(volume).filter(|_| copy);
        let mut tags = source.map(|v| v.tags.clone()).unwrap_or_default();
        tags.extend(given.clone());
        made.extend(take(region, caller, volume, description, tags, now));
    }
    for id in &made {
        hide_for_a_moment(region, id, now);
    }
    upload(region, &made, now);
    let mut xml = Xml::new();
    xml.list("snapshotSet", "item", &made, |xml, id| {
        if let Some(snapshot) = region.model.snapshots.get(id) {
            write_in_set(xml, snapshot, now);
        }
    });
    Ok(xml)
}

pub(crate) fn set_volumes(
    region: &Region,
    params: &Params,
    instance: &str,
) -> Result<Vec<String>, ApiError> {
    let specification = params.within("InstanceSpecification");
    let without_root = specification.flag("ExcludeBootVolume")?.unwrap_or(false);
    let excluded = specification.list("ExcludeDataVolumeId");
    let root = region
        .model
        .instances
        .get(instance)
        .map(|i| i.root_device.clone());
    let wanted = attachments::on(region, instance).filter(|v| {
        let is_root = v.attachment.as_ref().map(|a| &a.device) == root.as_ref();
        (!is_root || !without_root) && !excluded.contains(&v.id)
    });
    let volumes: Vec<String> = wanted.map(|v| v.id.clone()).collect();
    if volumes.is_empty() {
        let message = format!("No volumes of instance {instance} are left to take snapshots of");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    Ok(volumes)
}

fn may_snapshot(region: &Region, id: &str, now: Timestamp) -> Result<(), ApiError> {
    let volume = ids::find(&region.model.volumes, id, now)?;
    if matches!(volume.state, VolumeState::Creating | VolumeState::Error) {
        let state = volume.state.as_str();
        return Err(ApiError::incorrect_state(format!(
            "Volume '{id}' is in the '{state}' state."
        )));
    }
    if volume
        .last_snapshot
        .is_some_and(|last| now < after(last, PAUSE))
    {
        return Err(ApiError::new(
            "SnapshotCreationPerVolumeRateExceeded",
            "The maximum per volume CreateSnapshot request rate has been exceeded. \
             Use an increasing or variable sleep interval between requests.",
        ));
    }
    // Failed ones take up the same room, until they are deleted.
    let unfinished = region
        .model
        .snapshots
        .values()
        .filter(|s| s.volume == id && s.state != SnapshotState::Completed)
        .count();
    let most = if matches!(volume.kind.as_str(), "st1" | "sc1") {
        1
    } else {
        MOST_PENDING
    };
    if unfinished >= most {
        return Err(ApiError::new(
            "ConcurrentSnapshotLimitExceeded",
            "Maximum allowed in-progress snapshots for a single volume exceeded.",
        ));
    }
    Ok(())
}

/// The point in time is now, whatever is written later.
pub(crate) fn take(
    region: &mut Region,
    who: &str,
    volume: &str,
    description: &str,
    tags: Tags,
    now: Timestamp,
) -> Option<String> {
    content::settle(&mut region.model, volume, now);
    let source = region.model.volumes.get(volume)?.clone();
    let writer_active = somebody_could_write(region, &source);
    let id = region.dice.id("snap");
    let snapshot = Snapshot {
        id: id.clone(),
        owner: region.settings.account.clone(),
        volume: volume.to_owned(),
        zone: source.zone.clone(),
        state: SnapshotState::Pending,
        started: now,
        completed: None,
        size_gib: source.size_gib,
        encrypted: source.encrypted,
        kms_key: source.kms_key.clone(),
        description: description.to_owned(),
        tags: tags.clone(),
        visible: now,
        content: source.content.clone(),
        writer_active,
        fails: false,
        set: Vec::new(),
        drawn: std::collections::BTreeMap::new(),
    };
    region.model.snapshots.insert(id.clone(), snapshot);
    if let Some(source) = region.model.volumes.get_mut(volume) {
        source.last_snapshot = Some(now);
    }
    index::snapshot_touched(region, &id, now);
    let what = What::SnapshotStarted {
        snapshot: id.clone(),
        volume: volume.to_owned(),
        writer_active,
        counter: source.content.counter,
        tags,
    };
    region.log(now, who, what);
    Some(id)
}

/// Attached to an instance that is neither stopped nor terminated. One that is
/// terminated while it is stopped shuts down without having been up, one that was
/// just started is not up yet, and none sees a disk that is still on its way.
fn somebody_could_write(region: &Region, volume: &Volume) -> bool {
    let arrived = volume
        .attachment
        .as_ref()
        .filter(|a| a.state != AttachmentState::Attaching);
    let holder = arrived.and_then(|a| region.model.instances.get(&a.instance));
    holder.is_some_and(|i| match i.state {
        InstanceState::Stopped | InstanceState::Terminated => false,
        InstanceState::Pending | InstanceState::ShuttingDown => i.guest.power != Power::Off,
        _ => true,
    })
}

fn hide_for_a_moment(region: &mut Region, id: &str, now: Timestamp) {
    let lag = region.draw(Delay::ByIdLag);
    if let Some(snapshot) = region.model.snapshots.get_mut(id) {
        snapshot.visible = after(now, lag);
    }
}

/// A set is done when its slowest member is, and fails as a whole.
pub(crate) fn upload(region: &mut Region, set: &[String], now: Timestamp) {
    let fails = region
        .dice
        .chance("snapshot error", region.settings.faults.snapshot_error);
    let slowest = set
        .iter()
        .map(|_| region.draw(Delay::SnapshotUpload))
        .max()
        .unwrap_or_default();
    for id in set {
        if let Some(snapshot) = region.model.snapshots.get_mut(id) {
            snapshot.fails = fails;
            snapshot.set = set.iter().filter(|other| *other != id).cloned().collect();
            snapshot.drawn.insert(Delay::SnapshotUpload, slowest);
        }
        region.engine.plan(
            after(now, slowest),
            Due::SnapshotEnds {
                snapshot: id.clone(),
            },
        );
    }
}

pub(crate) fn ends(region: &mut Region, id: &str, now: Timestamp) {
    let Some(snapshot) = region.model.snapshots.get_mut(id) else {
        return;
    };
    if snapshot.state != SnapshotState::Pending {
        return;
    }
    let failed = snapshot.fails;
    snapshot.state = if failed {
        SnapshotState::Error
    } else {
        SnapshotState::Completed
    };
    snapshot.completed = (!failed).then_some(now);
    let (volume, started, set) = (
        snapshot.volume.clone(),
        snapshot.started,
        snapshot.set.clone(),
    );
    index::snapshot_touched(region, id, now);
    let what = match failed {
        true => What::SnapshotFailed {
            snapshot: id.to_owned(),
        },
        false => What::SnapshotCompleted {
            snapshot: id.to_owned(),
        },
    };
    region.log(now, "aws", what);
    notify(region, id, &volume, started, failed, now);
    let open = |id: &String| {
        region
            .model
            .snapshots
            .get(id)
            .is_some_and(|s| s.state == SnapshotState::Pending)
    };
    if !set.is_empty() && !set.iter().any(open) {
        notify_set(region, id, &set, failed, now);
    }
}

fn arn(region: &Region, kind: &str, id: &str) -> String {
    // EBS shifts the region one field to the right in these.
    format!("arn:aws:ec2::{}:{kind}/{id}", region.settings.name)
}

fn notify(
    region: &mut Region,
    id: &str,
    volume: &str,
    started: Timestamp,
    failed: bool,
    now: Timestamp,
) {
    let snapshot = arn(region, "snapshot", id);
    let detail = json!({
        "event": "createSnapshot",
        "result": if failed { "failed" } else { "succeeded" },
        "cause": "",
        "request-id": "",
        "snapshot_id": snapshot,
        "source": arn(region, "volume", volume),
        "startTime": timestamp(started),
        "endTime": timestamp(now),
    });
    events::emit(
        region,
        "EBS Snapshot Notification",
        "aws.ec2",
        &[snapshot],
        detail,
        now,
    );
}

fn notify_set(region: &mut Region, id: &str, others: &[String], failed: bool, now: Timestamp) {
    let mut members: Vec<&Snapshot> = std::iter::once(id)
        .chain(others.iter().map(String::as_str))
        .filter_map(|id| region.model.snapshots.get(id))
        .collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    let status = if failed { "error" } else { "completed" };
    let each: Vec<_> = members
        .iter()
        .map(|s| {
            json!({
                "snapshot_id": arn(region, "snapshot", &s.id),
                "source": arn(region, "volume", &s.volume),
                "status": status,
            })
        })
        .collect();
    let resources: Vec<String> = members
        .iter()
        .map(|s| arn(region, "snapshot", &s.id))
        .collect();
    let result = if failed { "failed" } else { "succeeded" };
    let detail = json!({"event": "createSnapshots", "result": result, "cause": "", "request-id": "", "snapshots": each});
    events::emit(
        region,
        "EBS Multi-Volume Snapshots Completion Status",
        "aws.ec2",
        &resources,
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
    let id = params.required("SnapshotId")?;
    ids::find(&region.model.snapshots, id, now)?;
    remove(region, caller, id, now);
    Ok(tags::done())
}

pub(crate) fn remove(region: &mut Region, who: &str, id: &str, now: Timestamp) {
    if region.model.snapshots.remove(id).is_some() {
        index::snapshot_touched(region, id, now);
        region.log(
            now,
            who,
            What::SnapshotDeleted {
                snapshot: id.to_owned(),
            },
        );
    }
}

pub(crate) fn describe(region: &Region, params: &Params, now: Timestamp) -> Result<Xml, ApiError> {
    let source = Source {
        truth: &region.model.snapshots,
        index: &region.index.snapshots,
    };
    let mut page = describe::select(source, params, "SnapshotId", now)?;
    let owners = params.list("Owner");
    let ours = |owner: &String| owner == "self" || *owner == region.settings.account;
    if !owners.is_empty() && !owners.iter().any(ours) {
        page.items.clear();
    }
    let mut xml = Xml::new();
    xml.list("snapshotSet", "item", page.items, |xml, snapshot| {
        write(xml, snapshot, now)
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// How far the upload is. A set stands at 99 % until all of it is done.
fn progress(snapshot: &Snapshot, now: Timestamp) -> u128 {
    if snapshot.state == SnapshotState::Completed {
        return 100;
    }
    let takes = snapshot
        .drawn
        .get(&Delay::SnapshotUpload)
        .copied()
        .unwrap_or_default()
        .as_millis();
    let done = between(snapshot.started, now).as_millis();
    (done * 100).checked_div(takes).unwrap_or(0).min(99)
}

fn write(xml: &mut Xml, snapshot: &Snapshot, now: Timestamp) {
    xml.leaf("snapshotId", &snapshot.id);
    xml.leaf("volumeId", &snapshot.volume);
    xml.leaf("status", snapshot.state.as_str());
    xml.time("startTime", snapshot.started);
    xml.leaf("progress", format!("{}%", progress(snapshot, now)));
    xml.leaf("ownerId", &snapshot.owner);
    xml.leaf("volumeSize", snapshot.size_gib);
    xml.leaf("description", &snapshot.description);
    tags::write(xml, &snapshot.tags);
    xml.leaf("encrypted", snapshot.encrypted);
    xml.maybe("kmsKeyId", snapshot.kms_key.as_ref());
    xml.leaf("storageTier", "standard");
    xml.maybe("completionTime", snapshot.completed.map(timestamp));
}

/// CreateSnapshots calls the state `state`, everything else calls it `status`.
fn write_in_set(xml: &mut Xml, snapshot: &Snapshot, now: Timestamp) {
    xml.leaf("description", &snapshot.description);
    tags::write(xml, &snapshot.tags);
    xml.leaf("encrypted", snapshot.encrypted);
    xml.leaf("volumeId", &snapshot.volume);
    xml.leaf("state", snapshot.state.as_str());
    xml.leaf("volumeSize", snapshot.size_gib);
    xml.time("startTime", snapshot.started);
    xml.leaf("progress", format!("{}%", progress(snapshot, now)));
    xml.leaf("ownerId", &snapshot.owner);
    xml.leaf("snapshotId", &snapshot.id);
}
