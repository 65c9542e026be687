//! Instances: launched, stopped, started, terminated.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::{addresses, attachments, index, volumes, zones};
use crate::autoscaling::InstanceChange;
use crate::engine::Due;
use crate::latency::Delay;
use crate::model::{
    Attachment, AttachmentState, Content, Guest, Instance, InstanceState, Power, VolumeState,
};
use crate::record::Tags;
use crate::{Notice, Region, What, after, autoscaling, critical_path, events, guest};

/// EC2 shows a terminated instance for about this long.
const LINGERS: Duration = Duration::from_secs(3_600);
pub(crate) const ROOT_DEVICE: &str = "/dev/xvda";

/// A machine to launch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    pub(crate) zone: String,
    /// Whose service it will run; see `model::Instance::service`.
    pub(crate) service: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) tags: Tags,
    /// Data volumes of the launch template.
    pub(crate) devices: Vec<Device>,
    /// The instance profile, by ARN or name.
    pub(crate) profile: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) size_gib: u64,
    pub(crate) delete_on_termination: bool,
}

/// Launches: `pending` now, `running` and booted later. The zone must not be dark.
pub(crate) fn launch(region: &mut Region, launch: Launch, now: Timestamp) -> String {
    let id = region.dice.id("i");
    let order = region.next_order();
    let visible = after(now, region.draw(Delay::ByIdLag));
    let instance = Instance {
        id: id.clone(),
        zone: launch.zone.clone(),
        state: InstanceState::Pending,
        order,
        service: launch.service,
        image: launch
            .image
            .unwrap_or_else(|| "ami-00000000000000001".to_owned()),
        kind: launch.kind.unwrap_or_else(|| "t3.micro".to_owned()),
        tags: launch.tags,
        launched: now,
        told_to_end: None,
        visible,
        private_ips: private_ips(region, order),
        public_ip: Some(format!("198.51.100.{}", 1 + order % 250)),
        interface: region.dice.id("eni"),
        subnet: zones::subnet_of(&launch.zone),
        root_device: ROOT_DEVICE.to_owned(),
        guest: Guest {
            power: Power::Off,
            mounts: BTreeMap::new(),
            units: BTreeMap::new(),
        },
        impaired: false,
        protected: false,
        stop_protected: false,
        shutdown_terminates: false,
        profile: launch.profile,
        spot_notice: None,
        token: None,
        drawn: BTreeMap::new(),
    };
    region.model.instances.insert(id.clone(), instance);
    let root = Device {
        name: ROOT_DEVICE.to_owned(),
        size_gib: 8,
        delete_on_termination: true,
    };
    for device in std::iter::once(root).chain(launch.devices) {
        mapped_volume(region, &id, &launch.zone, device, now);
    }
    announce(region, &id, "", now);
    let due = Due::InstanceRuns {
        instance: id.clone(),
        order,
    };
    plan_for(region, &id, Delay::Run, due, now);
    id
}

/// Private addresses nobody else has.
fn private_ips(region: &Region, order: u64) -> Vec<String> {
    let count = u64::from(region.settings.private_addresses.clamp(1, 15));
    let base = order * 16;
    let ip = |n: u64| format!("10.{}.{}.{}", (n >> 16) & 0xff, (n >> 8) & 0xff, n & 0xff);
    (0..count).map(|n| ip(base + n + 1)).collect()
}

/// A volume of the launch's block device mapping. Only the root comes with a
/// file system.
fn mapped_volume(region: &mut Region, instance: &str, zone: &str, device: Device, now: Timestamp) {
    let is_root = device.name == ROOT_DEVICE;
    let content = Content {
        filesystem: is_root.then(|| "xfs".to_owned()),
        ..Content::default()
    };
    let spec = volumes::Spec {
        zone: zone.to_owned(),
        size_gib: device.size_gib,
        kind: "gp3".to_owned(),
        iops: Some(3_000),
        throughput: Some(125),
        content,
        ..volumes::Spec::default()
    };
    let volume = volumes::insert(region, "aws", spec, now);
    let order = region.next_order();
    if let Some(found) = region.model.volumes.get_mut(&volume) {
        found.attachment = Some(Attachment {
            instance: instance.to_owned(),
            device: device.name,
            state: AttachmentState::Attached,
            since: now,
            delete_on_termination: device.delete_on_termination,
            order,
        });
    }
    attachments::set_state(region, &volume, VolumeState::InUse, now);
}

/// Plans what ends an order, and remembers how long it takes.
fn plan_for(region: &mut Region, id: &str, kind: Delay, due: Due, now: Timestamp) {
    let drawn = region.plan(kind, due, now);
    if let Some(instance) = region.model.instances.get_mut(id) {
        instance.drawn.insert(kind, drawn);
    }
}

fn set_state(region: &mut Region, id: &str, to: InstanceState, now: Timestamp) {
    let Some(instance) = region.model.instances.get_mut(id) else {
        return;
    };
    let from = std::mem::replace(&mut instance.state, to);
    if from != to {
        announce(region, id, from.as_str(), now);
    }
}

/// Tells everybody of the state an instance is in now.
fn announce(region: &mut Region, id: &str, from: &str, now: Timestamp) {
    let Some(instance) = region.model.instances.get(id) else {
        return;
    };
    let to = instance.state;
    index::instance_touched(region, id, now);
    let state = to.as_str().to_owned();
    let what = What::InstanceState {
        instance: id.to_owned(),
        from: from.to_owned(),
        to: state.clone(),
    };
    region.log(now, "aws", what);
    let detail = json!({"instance-id": id, "state": state});
    let arn = arn(region, id);
    events::emit(
        region,
        "EC2 Instance State-change Notification",
        "aws.ec2",
        &[arn],
        detail,
        now,
    );
    autoscaling::instance_changed(region, id, InstanceChange::State(to), now);
}

pub(crate) fn arn(region: &Region, id: &str) -> String {
    format!(
        "arn:aws:ec2:{}:{}:instance/{id}",
        region.settings.name, region.settings.account
    )
}

/// Is this still the latest order for the instance?
fn is_current(region: &Region, id: &str, order: u64) -> bool {
    region
        .model
        .instances
        .get(id)
        .is_some_and(|instance| instance.order == order)
}

/// A new order: what earlier ones planned comes to nothing.
fn order(region: &mut Region, id: &str) -> u64 {
    let order = region.next_order();
    if let Some(instance) = region.model.instances.get_mut(id) {
        instance.order = order;
    }
    order
}

pub(crate) fn runs(region: &mut Region, id: &str, order: u64, now: Timestamp) {
    if !is_current(region, id, order) {
        return;
    }
    if let Some(instance) = region.model.instances.get_mut(id) {
        instance.guest.power = Power::Booting;
        instance.impaired = false;
        if instance.public_ip.is_none() && instance.drawn.contains_key(&Delay::Stop) {
            instance.public_ip = Some(format!("198.51.100.{}", 1 + order % 250));
        }
    }
    let elastic = addresses::of(region, id).next().is_some();
    if let Some(instance) = region.model.instances.get_mut(id).filter(|_| elastic) {
        instance.public_ip = None;
    }
    set_state(region, id, InstanceState::Running, now);
    if is_current(region, id, order) {
        let due = Due::GuestBoots {
            instance: id.to_owned(),
            order,
        };
        plan_for(region, id, Delay::Boot, due, now);
    }
}

pub(crate) fn boots(region: &mut Region, id: &str, order: u64, now: Timestamp) {
    if !is_current(region, id, order) {
        return;
    }
    let Some(instance) = region.model.instances.get_mut(id) else {
        return;
    };
    if instance.guest.power != Power::Booting {
        return;
    }
    instance.guest.power = Power::Up;
    instance.guest.units.clear();
    instance.guest.mounts.clear();
    region.log(
        now,
        id,
        What::Booted {
            instance: id.to_owned(),
        },
    );
    region.notices.push(Notice::Booted {
        instance: id.to_owned(),
    });
    autoscaling::instance_changed(region, id, InstanceChange::Booted, now);
}

/// What every orderly end goes through; the guest gets a chance to shut down.
pub(crate) fn terminate(region: &mut Region, id: &str, now: Timestamp) {
    end(region, id, false, now);
}

/// The end without a chance: power is cut.
pub(crate) fn kill(region: &mut Region, id: &str, now: Timestamp) {
    end(region, id, true, now);
}

fn end(region: &mut Region, id: &str, cut: bool, now: Timestamp) {
    let Some(instance) = region.model.instances.get(id) else {
        return;
    };
    if !instance.state.lives() {
        return;
    }
    begin_incident(region, id, if cut { "killed" } else { "terminated" }, now);
    let order = order(region, id);
    shut_down(region, id, order, cut, now);
    let due = Due::InstanceTerminates {
        instance: id.to_owned(),
        order,
    };
    plan_for(region, id, Delay::Terminate, due, now);
    told(region, id, now);
    set_state(region, id, InstanceState::ShuttingDown, now);
}

fn begin_incident(region: &mut Region, id: &str, cause: &str, now: Timestamp) {
    let service = region
        .model
        .instances
        .get(id)
        .and_then(|i| i.service.clone());
    if let Some(service) = service {
        critical_path::begin(region, &service, id, cause, now);
    }
}

/// The guest goes down: at once, or after stopping what runs on it.
fn shut_down(region: &mut Region, id: &str, order: u64, cut: bool, now: Timestamp) {
    let Some(instance) = region.model.instances.get(id) else {
        return;
    };
    let up = instance.guest.power == Power::Up;
    let busy = instance.guest.units.values().any(|running| *running);
    let halts = Due::GuestHalts {
        instance: id.to_owned(),
        order,
    };
    if up && !cut && busy {
        plan_for(region, id, Delay::UnitStop, halts, now);
    } else if up && !cut {
        // Nothing is left to stop. How long the units took when they were stopped
        // stays on the instance: that is what the critical path asks for.
        region.plan(Delay::UnitStop, halts, now);
    } else if !dark(region, id) {
        guest::power_off(region, id, Power::Off, now);
    }
}

fn dark(region: &Region, id: &str) -> bool {
    let zone = region.model.instances.get(id).map(|i| &i.zone);
    zone.is_some_and(|zone| region.model.dark_zones.contains(zone))
}

pub(crate) fn halts(region: &mut Region, id: &str, order: u64, now: Timestamp) {
    if is_current(region, id, order) {
        guest::power_off(region, id, Power::Off, now);
    }
}

/// Stops; without `force`, the guest shuts down in order.
pub(crate) fn stop(region: &mut Region, id: &str, force: bool, now: Timestamp) {
    let Some(instance) = region.model.instances.get(id) else {
        return;
    };
    let stopping = instance.state == InstanceState::Stopping;
    if stopping && force {
        let order = instance.order;
        shut_down(region, id, order, true, now);
    }
    if instance_state(region, id) != Some(InstanceState::Running) {
        return;
    }
    begin_incident(region, id, "stopped", now);
    let order = order(region, id);
    shut_down(region, id, order, force, now);
    plan_for(
        region,
        id,
        Delay::Stop,
        Due::InstanceStops {
            instance: id.to_owned(),
            order,
        },
        now,
    );
    told(region, id, now);
    set_state(region, id, InstanceState::Stopping, now);
}

fn told(region: &mut Region, id: &str, now: Timestamp) {
    if let Some(instance) = region.model.instances.get_mut(id) {
        instance.told_to_end = Some(now);
    }
}

fn instance_state(region: &Region, id: &str) -> Option<InstanceState> {
    region
        .model
        .instances
        .get(id)
        .map(|instance| instance.state)
}

pub(crate) fn stops(region: &mut Region, id: &str, order: u64, now: Timestamp) {
    if !is_current(region, id, order) {
        return;
    }
    guest::power_off(region, id, Power::Off, now);
    if let Some(instance) = region.model.instances.get_mut(id) {
        // An Elastic IP stays; what came by itself goes.
        instance.public_ip = None;
        instance.impaired = false;
    }
    attachments::instance_stopped(region, id, now);
    set_state(region, id, InstanceState::Stopped, now);
}

/// An instance that was stopped long before the story begins.
pub(crate) fn rests(region: &mut Region, id: &str, now: Timestamp) {
    order(region, id);
    guest::power_off(region, id, Power::Off, now);
    set_state(region, id, InstanceState::Stopped, now);
}

/// Starts a stopped instance. The zone must not be dark.
pub(crate) fn start(region: &mut Region, id: &str, now: Timestamp) {
    if instance_state(region, id) != Some(InstanceState::Stopped) {
        return;
    }
    let order = order(region, id);
    if let Some(instance) = region.model.instances.get_mut(id) {
        instance.launched = now;
        instance.told_to_end = None;
    }
    plan_for(
        region,
        id,
        Delay::Run,
        Due::InstanceRuns {
            instance: id.to_owned(),
            order,
        },
        now,
    );
    set_state(region, id, InstanceState::Pending, now);
}

pub(crate) fn terminates(region: &mut Region, id: &str, order: u64, now: Timestamp) {
    if !is_current(region, id, order) {
        return;
    }
    guest::power_off(region, id, Power::Off, now);
    attachments::instance_terminated(region, id, now);
    addresses::instance_terminated(region, id, now);
    if let Some(instance) = region.model.instances.get_mut(id) {
        instance.public_ip = None;
    }
    set_state(region, id, InstanceState::Terminated, now);
    region.engine.plan(
        after(now, LINGERS),
        Due::InstanceForgotten {
            instance: id.to_owned(),
        },
    );
}

/// EC2 shows it no more; judges still can.
pub(crate) fn forgotten(region: &mut Region, id: &str) {
    region.index.instances.remove(id);
    if let Some(instance) = region.model.instances.get_mut(id) {
        instance.visible = Timestamp::MAX;
    }
}
