//! What do the SDK's types say in the words of [`crate::world`]? Pure. What
//! cannot be understood is an error, so that nothing is planned on a guess.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_cloudwatch::types as watch;
use aws_sdk_ec2::types as ec2;
use aws_smithy_types::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::tagging::{self, Tags};
use crate::ids::{AllocationId, InstanceId, SnapshotId, VolumeId, Zone};
use crate::tags as keys;
use crate::world::{
    Address, Alarm, Attachment, AttachmentState, Group, Hook, Instance, InstanceState, Interface,
    Lifecycle, Member, Shape, Snapshot, SnapshotState, Transition, Volume, VolumeState,
};

pub(super) type Understood<T> = Result<T, String>;

fn need<T>(value: Option<T>, whose: &str, what: &str) -> Understood<T> {
    value.ok_or_else(|| format!("AWS reports {whose} without {what}"))
}

fn time(value: Option<&DateTime>, whose: &str, what: &str) -> Understood<Timestamp> {
    let value = need(value, whose, what)?;
    let nanoseconds = i32::try_from(value.subsec_nanos()).unwrap_or_default();
    Timestamp::new(value.secs(), nanoseconds)
        .map_err(|_| format!("AWS reports {whose} with an impossible {what}"))
}

fn count(value: Option<i32>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok())
}

fn filled(value: Option<&str>) -> Option<&str> {
    value.filter(|value| !value.is_empty())
}

// ------------------------------------------------------ volumes, snapshots

pub(super) fn volume(of: &ec2::Volume) -> Understood<Volume> {
    let id = need(filled(of.volume_id()), "a volume", "id")?;
    let tags = tagging::read(of.tags());
    let said = |problem: String| format!("volume {id}: {problem}");
    // A list that is missing is not an empty one: nobody may be where it would say.
    let attachments = need(of.attachments.as_ref(), id, "its attachments")?
        .iter()
        .filter(|of| of.state() != Some(&ec2::VolumeAttachmentState::Detached))
        .map(|of| attachment(id, of))
        .collect::<Understood<_>>()?;
    Ok(Volume {
        id: VolumeId::new(id),
        name: tagging::volume_name(&tags),
        epoch: tagging::epoch(&tags).map_err(said)?,
        standing: tagging::standing(&tags).map_err(said)?,
        state: volume_state(id, of.state())?,
        zone: Zone::new(need(of.availability_zone(), id, "its zone")?),
        attachments,
        source: filled(of.snapshot_id()).map(SnapshotId::new),
        shape: Shape {
            volume_type: of.volume_type().map(|of| of.as_str().to_owned()),
            size_gib: count(of.size()),
            iops: count(of.iops()),
            throughput: count(of.throughput()),
            encrypted: of.encrypted(),
            kms_key_id: filled(of.kms_key_id()).map(str::to_owned),
        },
        created: time(of.create_time(), id, "its creation time")?,
        incident: tagging::incident(&tags),
        tags: tagging::of_user(&tags),
    })
}

fn volume_state(id: &str, state: Option<&ec2::VolumeState>) -> Understood<VolumeState> {
    match need(state, id, "its state")? {
        ec2::VolumeState::Creating => Ok(VolumeState::Creating),
        ec2::VolumeState::Available => Ok(VolumeState::Available),
        ec2::VolumeState::InUse => Ok(VolumeState::InUse),
        ec2::VolumeState::Deleting => Ok(VolumeState::Deleting),
        ec2::VolumeState::Deleted => Ok(VolumeState::Deleted),
        ec2::VolumeState::Error => Ok(VolumeState::Error),
        other => Err(format!(
            "volume {id} is in an unknown state, {}",
            other.as_str()
        )),
    }
}

fn attachment(volume: &str, of: &ec2::VolumeAttachment) -> Understood<Attachment> {
    let state = match need(of.state(), volume, "the state of its attachment")? {
        ec2::VolumeAttachmentState::Attaching => AttachmentState::Attaching,
        ec2::VolumeAttachmentState::Attached => AttachmentState::Attached,
        ec2::VolumeAttachmentState::Detaching => AttachmentState::Detaching,
        ec2::VolumeAttachmentState::Busy => AttachmentState::Busy,
        other => {
            let state = other.as_str();
            return Err(format!(
                "volume {volume} has an attachment in an unknown state, {state}"
            ));
        }
    };
    Ok(Attachment {
        instance: InstanceId::new(need(
            filled(of.instance_id()),
            volume,
            "the instance it is attached to",
        )?),
        device: of.device().unwrap_or_default().to_owned(),
        state,
        delete_on_termination: of.delete_on_termination().unwrap_or_default(),
        since: time(of.attach_time(), volume, "when it was attached").ok(),
    })
}

pub(super) fn snapshot(of: &ec2::Snapshot) -> Understood<Snapshot> {
    let id = need(filled(of.snapshot_id()), "a snapshot", "id")?;
    let tags = tagging::read(of.tags());
    let (incident, consistency) = tagging::taken_by_us(&tags);
    let own = Shape {
        size_gib: count(of.volume_size()),
        encrypted: of.encrypted(),
        kms_key_id: filled(of.kms_key_id()).map(str::to_owned),
        ..Shape::default()
    };
    Ok(Snapshot {
        id: SnapshotId::new(id),
        volume: VolumeId::new(of.volume_id().unwrap_or_default()),
        name: tagging::volume_name(&tags),
        labelled: tagging::volume_name(&tags).is_some(),
        epoch: tagging::epoch(&tags).map_err(|problem| format!("snapshot {id}: {problem}"))?,
        state: snapshot_state(of),
        progress: of.progress().and_then(percent).unwrap_or_default(),
        started: time(of.start_time(), id, "its start time")?,
        completed: time(of.completion_time(), id, "its end").ok(),
        incident,
        consistency,
        shape: tagging::read_shape(&tags).unwrap_or(own),
        tags: tagging::of_user(&tags),
    })
}

fn snapshot_state(of: &ec2::Snapshot) -> SnapshotState {
    let archived = of.storage_tier() == Some(&ec2::StorageTier::Archive);
    match of.state() {
        Some(ec2::SnapshotState::Pending) => SnapshotState::Pending,
        Some(ec2::SnapshotState::Completed) if !archived => SnapshotState::Completed,
        Some(ec2::SnapshotState::Error) => SnapshotState::Failed,
        _ => SnapshotState::Unusable,
    }
}

fn percent(progress: &str) -> Option<u8> {
    progress.trim_end_matches('%').parse().ok()
}

// ---------------------------------------------------------------- instances

pub(super) fn instance(of: &ec2::Instance) -> Understood<(InstanceId, Instance, Tags)> {
    let id = need(filled(of.instance_id()), "an instance", "id")?;
    let zone = of.placement().and_then(ec2::Placement::availability_zone);
    let instance = Instance {
        state: instance_state(id, of.state().and_then(ec2::InstanceState::name))?,
        zone: Zone::new(need(zone, id, "its zone")?),
        launched: time(of.launch_time(), id, "its launch time")?,
        told_to_end: of.state_transition_reason().and_then(told_at),
        // No describe says so.
        unstoppable: false,
        just_back: false,
        interface: primary_interface(of),
        devices: devices(id, of)?,
    };
    Ok((InstanceId::new(id), instance, tagging::read(of.tags())))
}

/// Only disks of EBS are listed; one that is not told in full may be ours.
fn devices(id: &str, of: &ec2::Instance) -> Understood<BTreeMap<String, VolumeId>> {
    need(of.block_device_mappings.as_ref(), id, "its devices")?
        .iter()
        .filter_map(|mapping| Some((mapping, mapping.ebs()?)))
        .map(|(mapping, ebs)| {
            let device = need(mapping.device_name(), id, "the name of a device")?;
            let volume = need(filled(ebs.volume_id()), id, "the volume at a device")?;
            Ok((device.to_owned(), VolumeId::new(volume)))
        })
        .collect()
}

/// "User initiated (2026-01-01 00:15:43 GMT)". People read it, so it is no more
/// than a hint: without it nothing becomes wrong.
fn told_at(reason: &str) -> Option<Timestamp> {
    let (_, rest) = reason.split_once('(')?;
    let (time, _) = rest.split_once(" GMT)")?;
    let time: jiff::civil::DateTime = time.trim().replacen(' ', "T", 1).parse().ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(time).ok()
}

fn instance_state(id: &str, state: Option<&ec2::InstanceStateName>) -> Understood<InstanceState> {
    match need(state, id, "its state")? {
        ec2::InstanceStateName::Pending => Ok(InstanceState::Pending),
        ec2::InstanceStateName::Running => Ok(InstanceState::Running),
        ec2::InstanceStateName::Stopping => Ok(InstanceState::Stopping),
        ec2::InstanceStateName::Stopped => Ok(InstanceState::Stopped),
        ec2::InstanceStateName::ShuttingDown => Ok(InstanceState::ShuttingDown),
        ec2::InstanceStateName::Terminated => Ok(InstanceState::Terminated),
        other => Err(format!(
            "instance {id} is in an unknown state, {}",
            other.as_str()
        )),
    }
}

fn primary_interface(of: &ec2::Instance) -> Option<Interface> {
    let primary = of.network_interfaces().iter().find(|interface| {
        interface
            .attachment()
            .is_some_and(|attachment| attachment.device_index() == Some(0))
    })?;
    let mut addresses: Vec<_> = primary.private_ip_addresses().iter().collect();
    addresses.sort_by_key(|address| !address.primary().unwrap_or_default()); // stable: primary first
    Some(Interface {
        id: primary.network_interface_id()?.to_owned(),
        private_ips: addresses
            .into_iter()
            .filter_map(|address| address.private_ip_address().map(str::to_owned))
            .collect(),
    })
}

// ---------------------------------------------------------------- the group

pub(super) fn group(of: &scaling::AutoScalingGroup) -> Understood<Group> {
    let name = of.auto_scaling_group_name().unwrap_or_default();
    // Without its tags a group would pass for one that never had data.
    let tags = need(of.tags.as_ref(), name, "its tags")?
        .iter()
        .filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
    let markers = tagging::markers(tags).map_err(|problem| format!("group {name}: {problem}"))?;
    let noted = of.tags().iter().find(|tag| tag.key() == Some(keys::MOVES));
    Ok(Group {
        desired: need(count(of.desired_capacity()), name, "its desired capacity")?,
        members: need(of.instances.as_ref(), name, "its members")?
            .iter()
            .map(member)
            .collect::<Understood<BTreeMap<_, _>>>()?,
        markers,
        hooks: Vec::new(),
        appointed: None,
        unnoted: Vec::new(),
        moves: tagging::moves(noted.and_then(scaling::TagDescription::value)),
    })
}

fn member(of: &scaling::Instance) -> Understood<(InstanceId, Member)> {
    let id = need(filled(of.instance_id()), "a member", "id")?;
    let state = need(of.lifecycle_state(), id, "its lifecycle state")?;
    let member = Member {
        lifecycle: lifecycle(state.as_str()),
        zone: Zone::new(need(of.availability_zone(), id, "its zone")?),
        healthy: !of
            .health_status()
            .is_some_and(|status| status.eq_ignore_ascii_case("Unhealthy")),
    };
    Ok((InstanceId::new(id), member))
}

fn lifecycle(state: &str) -> Lifecycle {
    match state {
        "Pending" => Lifecycle::Pending,
        "Pending:Wait" => Lifecycle::PendingWait,
        "Pending:Proceed" => Lifecycle::PendingProceed,
        "InService" => Lifecycle::InService,
        "Standby" => Lifecycle::Standby,
        "Terminating" => Lifecycle::Terminating,
        "Terminating:Wait" => Lifecycle::TerminatingWait,
        "Terminating:Proceed" => Lifecycle::TerminatingProceed,
        "Terminating:Retained" => Lifecycle::TerminatingRetained,
        "Terminated" => Lifecycle::Terminated,
        // A state to come still says by its beginning where it goes.
        later if later.starts_with("Terminating") => Lifecycle::Terminating,
        warm if warm.starts_with("Warmed:") => Lifecycle::Warmed(warm.to_owned()),
        other => Lifecycle::Other(other.to_owned()),
    }
}

/// Hooks of other transitions do not concern us.
pub(super) fn hook(of: &scaling::LifecycleHook) -> Option<Hook> {
    let transition = match of.lifecycle_transition()? {
        "autoscaling:EC2_INSTANCE_LAUNCHING" => Transition::Launch,
        "autoscaling:EC2_INSTANCE_TERMINATING" => Transition::Terminate,
        _ => return None,
    };
    Some(Hook {
        name: of.lifecycle_hook_name()?.to_owned(),
        transition,
        heartbeat: SignedDuration::from_secs(of.heartbeat_timeout().unwrap_or(3600).into()),
    })
}

// ----------------------------------------------------- addresses and alarms

pub(super) fn address(of: &ec2::Address) -> Understood<(Address, Tags)> {
    let allocation = need(
        filled(of.allocation_id()),
        "an address",
        "its allocation id",
    )?;
    let address = Address {
        allocation: AllocationId::new(allocation),
        public_ip: of.public_ip().unwrap_or_default().to_owned(),
        instance: filled(of.instance_id()).map(InstanceId::new),
        private_ip: filled(of.private_ip_address()).map(str::to_owned),
    };
    Ok((address, tagging::read(of.tags())))
}

pub(super) fn metric_alarm(of: &watch::MetricAlarm) -> Understood<(String, Alarm)> {
    let name = need(of.alarm_name(), "an alarm", "its name")?;
    let since = of
        .state_transitioned_timestamp()
        .or(of.state_updated_timestamp());
    let metrics = of.metrics().iter().filter_map(|query| query.metric_stat());
    let of_metrics = metrics.filter_map(|stat| stat.metric());
    let about = of
        .dimensions()
        .iter()
        .chain(of_metrics.flat_map(|metric| metric.dimensions()))
        .filter(|dimension| dimension.name() == Some("InstanceId"))
        .filter_map(|dimension| dimension.value().map(InstanceId::new))
        .collect();
    let alarm = Alarm {
        ringing: of.state_value() == Some(&watch::StateValue::Alarm),
        since: time(since, name, "the time of its state")?,
        about,
    };
    Ok((name.to_owned(), alarm))
}

pub(super) fn composite_alarm(of: &watch::CompositeAlarm) -> Understood<(String, Alarm)> {
    let name = need(of.alarm_name(), "an alarm", "its name")?;
    let since = of
        .state_transitioned_timestamp()
        .or(of.state_updated_timestamp());
    let rings = of.state_value() == Some(&watch::StateValue::Alarm);
    let alarm = Alarm {
        ringing: rings && of.actions_suppressed_by().is_none(),
        since: time(since, name, "the time of its state")?,
        about: BTreeSet::new(),
    };
    Ok((name.to_owned(), alarm))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(pairs: &[(&str, &str)]) -> Option<Vec<ec2::Tag>> {
        Some(
            pairs
                .iter()
                .map(|(key, value)| tagging::tag(key, value))
                .collect(),
        )
    }

    fn a_volume() -> aws_sdk_ec2::types::builders::VolumeBuilder {
        ec2::Volume::builder()
            .volume_id("vol-1")
            .state(ec2::VolumeState::InUse)
            .set_attachments(Some(Vec::new()))
            .availability_zone("us-east-1a")
            .snapshot_id("")
            .create_time(DateTime::from_secs(1_700_000_000))
    }

    #[test]
    fn the_time_of_a_stop_is_read_from_its_reason() {
        let at = |reason| told_at(reason).map(|at| at.to_string());
        assert_eq!(
            at("User initiated (2026-01-01 00:15:43 GMT)"),
            Some("2026-01-01T00:15:43Z".to_owned())
        );
        for reason in [
            "",
            "User initiated",
            "Server.SpotInstanceTermination (soon GMT)",
            "(",
        ] {
            assert_eq!(at(reason), None, "{reason}");
        }
    }

    #[test]
    fn a_detached_attachment_is_none() {
        let of = |state| {
            ec2::VolumeAttachment::builder()
                .instance_id("i-1")
                .state(state)
                .build()
        };
        let read = a_volume()
            .attachments(of(ec2::VolumeAttachmentState::Detached))
            .attachments(of(ec2::VolumeAttachmentState::Busy))
            .build();
        let read = volume(&read).unwrap();
        assert_eq!(read.attachments.len(), 1);
        assert_eq!(read.attachments[0].state, AttachmentState::Busy);
        assert_eq!(read.source, None);
    }

    #[test]
    fn what_is_not_understood_names_the_volume() {
        let odd_epoch = a_volume()
            .set_tags(tagged(&[("rehome:epoch", "x")]))
            .build();
        assert!(volume(&odd_epoch).unwrap_err().contains("vol-1"));
        let odd_state = a_volume().state(ec2::VolumeState::from("melting")).build();
        assert!(volume(&odd_state).unwrap_err().contains("melting"));
    }

    #[test]
    fn a_list_that_is_missing_is_not_an_empty_one() {
        let read = a_volume().set_attachments(None).build();
        assert!(volume(&read).unwrap_err().contains("its attachments"));
        let of = |devices| {
            ec2::Instance::builder()
                .instance_id("i-1")
                .state(
                    ec2::InstanceState::builder()
                        .name(ec2::InstanceStateName::Running)
                        .build(),
                )
                .placement(
                    ec2::Placement::builder()
                        .availability_zone("us-east-1a")
                        .build(),
                )
                .launch_time(DateTime::from_secs(1_700_000_000))
                .set_block_device_mappings(devices)
                .build()
        };
        assert!(instance(&of(Some(Vec::new()))).is_ok());
        assert!(instance(&of(None)).unwrap_err().contains("its devices"));
        let nameless = ec2::InstanceBlockDeviceMapping::builder()
            .ebs(ec2::EbsInstanceBlockDevice::builder().build())
            .build();
        assert!(instance(&of(Some(vec![nameless]))).is_err());
        let of = |tags, members| {
            scaling::AutoScalingGroup::builder()
                .auto_scaling_group_name("orders")
                .desired_capacity(1)
                .set_tags(tags)
                .set_instances(members)
                .build()
        };
        assert!(group(&of(Some(Vec::new()), Some(Vec::new()))).is_ok());
        let untagged = group(&of(None, Some(Vec::new())));
        assert!(untagged.unwrap_err().contains("its tags"));
        let alone = group(&of(Some(Vec::new()), None));
        assert!(alone.unwrap_err().contains("its members"));
    }

    #[test]
    fn an_archived_snapshot_cannot_be_restored_now() {
        let of = ec2::Snapshot::builder()
            .snapshot_id("snap-1")
            .volume_id("vol-1")
            .state(ec2::SnapshotState::Completed)
            .progress("100%")
            .volume_size(8)
            .start_time(DateTime::from_secs(1_700_000_000));
        let usable = snapshot(&of.clone().build()).unwrap();
        assert_eq!(
            (usable.state, usable.progress),
            (SnapshotState::Completed, 100)
        );
        assert_eq!(usable.shape.size_gib, Some(8));
        let failed = of.clone().state(ec2::SnapshotState::Error).build();
        assert_eq!(snapshot(&failed).unwrap().state, SnapshotState::Failed);
        let archived = snapshot(&of.storage_tier(ec2::StorageTier::Archive).build()).unwrap();
        assert_eq!(archived.state, SnapshotState::Unusable);
    }

    #[test]
    fn lifecycle_states_to_come_are_understood_by_their_beginning() {
        assert_eq!(lifecycle("Terminating:Wait"), Lifecycle::TerminatingWait);
        assert_eq!(lifecycle("Terminating:Later"), Lifecycle::Terminating);
        assert!(matches!(
            lifecycle("Warmed:Pending:Wait"),
            Lifecycle::Warmed(_)
        ));
        assert!(matches!(lifecycle("EnteringStandby"), Lifecycle::Other(_)));
    }

    #[test]
    fn the_primary_private_address_comes_first() {
        let ip = |ip: &str, primary| {
            ec2::InstancePrivateIpAddress::builder()
                .private_ip_address(ip)
                .primary(primary)
                .build()
        };
        let interface = ec2::InstanceNetworkInterface::builder()
            .network_interface_id("eni-1")
            .attachment(
                ec2::InstanceNetworkInterfaceAttachment::builder()
                    .device_index(0)
                    .build(),
            )
            .private_ip_addresses(ip("10.0.0.9", false))
            .private_ip_addresses(ip("10.0.0.4", true))
            .build();
        let of = ec2::Instance::builder()
            .network_interfaces(interface)
            .build();
        assert_eq!(
            primary_interface(&of).unwrap().private_ips,
            ["10.0.0.4", "10.0.0.9"]
        );
    }
}
