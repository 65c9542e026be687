//! What do people and nature do to the region, outside of its API?

use std::time::Duration;

use jiff::Timestamp;

use crate::autoscaling::{self, InstanceChange};
use crate::ec2::ids::Kind;
use crate::ec2::instances::{self, Launch};
use crate::ec2::volumes::Spec;
use crate::ec2::{addresses, attachments, snapshots, tags, volumes};
use crate::engine::Due;
use crate::model::{Attachment, AttachmentState, InstanceState, Power, VolumeState};
use crate::record::Tags;
use crate::{Region, What, after, cloudwatch, content, critical_path, events, guest};

/// Whoever uses the console instead of the API.
const PERSON: &str = "a person";
const SPOT_NOTICE: Duration = Duration::from_secs(120);

impl Region {
    /// An Elastic IP, in a life before.
    pub fn allocate_address(&mut self, tags: Tags, now: Timestamp) -> String {
        self.advance(now);
        addresses::insert(self, PERSON, tags, now)
    }

    /// An instance outside of any group; `service` names the pair it belongs to.
    pub fn run_instance(
        &mut self,
        zone: &str,
        service: Option<&str>,
        tags: Tags,
        now: Timestamp,
    ) -> String {
        self.advance(now);
        let launch = Launch {
            zone: zone.to_owned(),
            service: service.map(str::to_owned),
            tags,
            ..Launch::default()
        };
        let id = instances::launch(self, launch, now);
        if let Some(instance) = self.model.instances.get_mut(&id) {
            // Whoever describes a life before knows its ids already.
            instance.visible = now;
        }
        id
    }

    /// The same, already stopped: a standby that waits to be called.
    pub fn stopped_instance(
        &mut self,
        zone: &str,
        service: Option<&str>,
        tags: Tags,
        now: Timestamp,
    ) -> String {
        let id = self.run_instance(zone, service, tags, now);
        instances::rests(self, &id, now);
        id
    }

    /// An alarm on an instance's status checks, or one that only people set. It
    /// begins in state OK; for status checks, no news is good news.
    pub fn put_alarm(&mut self, name: &str, instance: Option<&str>, now: Timestamp) {
        self.advance(now);
        cloudwatch::put_by_hand(self, name, instance, now);
    }

    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`, until the next evaluation.
    pub fn set_alarm(&mut self, name: &str, state: &str, now: Timestamp) {
        self.advance(now);
        cloudwatch::set_by_hand(self, name, state, now);
    }

    /// A blank volume that is `available` at once.
    pub fn create_volume(
        &mut self,
        zone: &str,
        size_gib: u64,
        tags: Tags,
        now: Timestamp,
    ) -> String {
        self.advance(now);
        let spec = Spec {
            zone: zone.to_owned(),
            size_gib,
            kind: "gp3".to_owned(),
            iops: Some(3_000),
            throughput: Some(125),
            tags,
            ..Spec::default()
        };
        let id = volumes::insert(self, PERSON, spec, now);
        attachments::set_state(self, &id, VolumeState::Available, now);
        id
    }

    /// Attaches at once; false if the volume or the instance cannot.
    pub fn attach_volume(
        &mut self,
        volume: &str,
        instance: &str,
        device: &str,
        now: Timestamp,
    ) -> bool {
        self.advance(now);
        let zone = self
            .model
            .instances
            .get(instance)
            .filter(|i| i.state.lives())
            .map(|i| i.zone.clone());
        let order = self.next_order();
        let Some(found) = self.model.volumes.get_mut(volume) else {
            return false;
        };
        if found.state != VolumeState::Available || Some(&found.zone) != zone.as_ref() {
            return false;
        }
        found.attachment = Some(Attachment {
            instance: instance.to_owned(),
            device: device.to_owned(),
            state: AttachmentState::Attached,
            since: now,
            delete_on_termination: false,
            order,
        });
        attachments::set_state(self, volume, VolumeState::InUse, now);
        let what = What::Attached {
            volume: volume.to_owned(),
            instance: instance.to_owned(),
        };
        self.log(now, PERSON, what);
        true
    }

    /// Points an address at an instance, or at nothing; false if one of them is not there.
    pub fn associate_address(
        &mut self,
        allocation: &str,
        instance: Option<&str>,
        now: Timestamp,
    ) -> bool {
        self.advance(now);
        if !self.model.addresses.contains_key(allocation) {
            return false;
        }
        let Some(instance) = instance else {
            addresses::point(self, PERSON, allocation, None, now);
            return true;
        };
        let machine = self
            .model
            .instances
            .get(instance)
            .filter(|i| i.state.lives());
        let Some(private_ip) = machine.and_then(|i| i.private_ips.first().cloned()) else {
            return false;
        };
        addresses::point(self, PERSON, allocation, Some((instance, &private_ip)), now);
        true
    }

    /// Terminated behind its group's back: no guest shutdown, no hook before.
    pub fn kill_instance(&mut self, instance: &str, now: Timestamp) {
        self.advance(now);
        instances::kill(self, instance, now);
    }

    /// Kernel panic: the guest is dead, EC2 says `running`, its status checks fail.
    pub fn crash_guest(&mut self, instance: &str, now: Timestamp) {
        self.advance(now);
        let up = self
            .model
            .instances
            .get(instance)
            .filter(|i| i.guest.power != Power::Off);
        let Some(service) = up.map(|i| i.service.clone()) else {
            return;
        };
        if let Some(service) = service {
            critical_path::begin(self, &service, instance, "crashed", now);
        }
        guest::power_off(self, instance, Power::Crashed, now);
        if let Some(machine) = self.model.instances.get_mut(instance) {
            machine.impaired = true;
        }
        let (id, status) = (instance.to_owned(), "impaired".to_owned());
        self.log(
            now,
            "aws",
            What::Health {
                instance: id,
                status,
                by: "status checks".to_owned(),
            },
        );
        autoscaling::instance_changed(self, instance, InstanceChange::Impaired(true), now);
    }

    /// Nothing in the zone answers any more, until `zone_up`.
    pub fn zone_down(&mut self, zone: &str, now: Timestamp) {
        self.advance(now);
        if self.model.dark_zones.contains(zone) {
            return;
        }
        for (instance, service) in self.instances_in(zone) {
            if let Some(service) = service {
                critical_path::begin(self, &service, &instance, "zone down", now);
            }
        }
        self.log(
            now,
            "aws",
            What::ZoneDown {
                zone: zone.to_owned(),
            },
        );
        self.model.dark_zones.insert(zone.to_owned());
        self.zone_turned(zone, true, now);
    }

    /// The zone answers again, and what hung goes on where it was.
    pub fn zone_up(&mut self, zone: &str, now: Timestamp) {
        self.advance(now);
        if !self.model.dark_zones.remove(zone) {
            return;
        }
        self.log(
            now,
            "aws",
            What::ZoneUp {
                zone: zone.to_owned(),
            },
        );
        for due in self.engine.release(zone) {
            let delay = match &due {
                // An upload goes on; how far it had come nobody knows.
                Due::SnapshotEnds { .. } => self.draw(crate::Delay::SnapshotUpload),
                _ => self.draw(crate::Delay::GroupReacts),
            };
            self.engine.plan(after(now, delay), due);
        }
        self.zone_turned(zone, false, now);
    }

    fn zone_turned(&mut self, zone: &str, dark: bool, now: Timestamp) {
        for (instance, _) in self.instances_in(zone) {
            content::pause(self, &instance, dark, now);
        }
        autoscaling::zone_changed(self, zone, dark, now);
        critical_path::look(self, now);
    }

    fn instances_in(&self, zone: &str) -> Vec<(String, Option<String>)> {
        let there = self
            .model
            .instances
            .values()
            .filter(|i| i.zone == zone && i.state.lives());
        there.map(|i| (i.id.clone(), i.service.clone())).collect()
    }

    /// Two minutes' notice, then it is terminated.
    pub fn spot_notice(&mut self, instance: &str, now: Timestamp) {
        self.advance(now);
        let ends = after(now, SPOT_NOTICE);
        let Some(machine) = self.model.instances.get_mut(instance) else {
            return;
        };
        if machine.state != InstanceState::Running || machine.spot_notice.is_some() {
            return;
        }
        machine.spot_notice = Some(ends);
        let detail = serde_json::json!({"instance-id": instance, "instance-action": "terminate"});
        // These name the zone where the region belongs, and no account.
        let arn = format!("arn:aws:ec2:{}:instance/{instance}", machine.zone);
        events::emit(
            self,
            "EC2 Spot Instance Interruption Warning",
            "aws.ec2",
            &[arn],
            detail,
            now,
        );
        self.engine.plan(
            ends,
            Due::SpotEnds {
                instance: instance.to_owned(),
            },
        );
        autoscaling::instance_changed(self, instance, InstanceChange::SpotNotice, now);
    }

    /// A person takes a snapshot; it completes in its own time.
    pub fn snapshot_by_hand(&mut self, volume: &str, tags: Tags, now: Timestamp) -> Option<String> {
        self.advance(now);
        let id = snapshots::take(self, PERSON, volume, "by hand", tags, now)?;
        snapshots::upload(self, std::slice::from_ref(&id), now);
        Some(id)
    }

    pub fn delete_snapshot_by_hand(&mut self, snapshot: &str, now: Timestamp) {
        self.advance(now);
        snapshots::remove(self, PERSON, snapshot, now);
    }

    /// Does nothing to a volume that is attached.
    pub fn delete_volume_by_hand(&mut self, volume: &str, now: Timestamp) {
        self.advance(now);
        if self
            .model
            .volumes
            .get(volume)
            .is_some_and(|v| v.attachment.is_none())
        {
            volumes::remove(self, PERSON, volume, now);
        }
    }

    pub fn tag_by_hand(&mut self, resource: &str, tags: Tags, now: Timestamp) {
        self.advance(now);
        if let Some(kind) = Kind::of(resource) {
            tags::put(self, PERSON, kind, resource, tags, now);
        }
    }
}
