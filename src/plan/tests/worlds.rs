//! Worlds to plan in, built a sentence at a time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::ids::{Epoch, Incident, InstanceId, SnapshotId, VolumeId, VolumeName, Zone};
use crate::plan::{Plan, Seat, plan};
use crate::spec::{AddressSpec, Filesystem, GroupSpec, Kind, Policy, VolumeSpec, WorkloadSpec};
use crate::world::*;

/// Seconds after the heir's launch, which every story here counts from.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// When the predecessor's term began.
pub(super) fn long_ago() -> Timestamp {
    at(-86_400)
}

#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) world: World,
    pub(super) spec: GroupSpec,
    pub(super) now: Timestamp,
}

impl Story {
    /// A group of one volume (`data`) and one address, nobody there yet.
    pub(super) fn new() -> Self {
        let hook = |name: &str, transition| Hook {
            name: name.to_owned(),
            transition,
            heartbeat: SignedDuration::from_secs(300),
        };
        Self {
            world: World {
                group: Seen::Known(Group {
                    desired: 1,
                    hooks: vec![
                        hook("launch", Transition::Launch),
                        hook("terminate", Transition::Terminate),
                    ],
                    ..Group::default()
                }),
                instances: Seen::Known(BTreeMap::new()),
                volumes: Seen::Known(BTreeMap::new()),
                snapshots: Seen::Known(BTreeMap::new()),
                addresses: Seen::Known(vec![AddressFound::One(Address {
                    allocation: "eipalloc-1".into(),
                    public_ip: "203.0.113.1".to_owned(),
                    instance: None,
                    private_ip: None,
                })]),
                alarms: Seen::Known(BTreeMap::new()),
                here: None,
            },
            spec: spec(),
            now: at(30),
        }
    }

    pub(super) fn member(mut self, id: &str, lifecycle: Lifecycle, zone: &str) -> Self {
        self.group().members.insert(
            id.into(),
            Member {
                lifecycle,
                zone: zone.into(),
                healthy: true,
            },
        );
        self
    }

    pub(super) fn instance(mut self, id: &str, state: InstanceState, launched: Timestamp) -> Self {
        let zone = self
            .group()
            .members
            .get(&InstanceId::from(id))
            .map_or_else(|| Zone::from("a"), |m| m.zone.clone());
        self.instances().insert(
            id.into(),
            Instance {
                state,
                zone,
                launched,
                interface: None,
                told_to_end: None,
                unstoppable: false,
                just_back: false,
                devices: BTreeMap::new(),
            },
        );
        self
    }

    /// When the instance was told to stop or to terminate.
    pub(super) fn told(mut self, id: &str, when: Timestamp) -> Self {
        self.instances().get_mut(&id.into()).unwrap().told_to_end = Some(when);
        self
    }

    /// The predecessor (zone a, in its term on `vol-1`, epoch 1) is going, and
    /// the heir is at its launch hook.
    pub(super) fn replacement(heir_zone: &str) -> Self {
        Self::new()
            .member("i-old", Lifecycle::TerminatingWait, "a")
            .instance("i-old", InstanceState::Running, long_ago())
            .member("i-new", Lifecycle::PendingWait, heir_zone)
            .instance("i-new", InstanceState::Running, at(0))
            .volume("vol-1", "a", 1, term("i-old", long_ago()), Some("i-old"))
            .marker(1)
    }

    pub(super) fn volume(
        mut self,
        id: &str,
        zone: &str,
        epoch: u64,
        standing: Standing,
        on: Option<&str>,
    ) -> Self {
        let volume = Volume {
            id: id.into(),
            name: Some("data".into()),
            epoch: Epoch(epoch),
            standing,
            state: if on.is_some() {
                VolumeState::InUse
            } else {
                VolumeState::Available
            },
            zone: zone.into(),
            attachments: on.map(attached).into_iter().collect(),
            source: None,
            shape: Shape {
                volume_type: Some("gp3".to_owned()),
                size_gib: Some(100),
                iops: Some(4000),
                ..Shape::default()
            },
            created: long_ago(),
            incident: None,
            tags: BTreeMap::from([("team".to_owned(), "orders".to_owned())]),
        };
        if let Some(instance) = on.and_then(|on| self.instances().get_mut(&on.into())) {
            instance.devices.insert("/dev/sdf".to_owned(), id.into());
        }
        self.volumes().insert(id.into(), volume);
        self
    }

    /// Another volume belongs to the group: `logs`, at `/dev/sdg`.
    pub(super) fn with_logs(mut self) -> Self {
        let mut logs = self.spec.volumes[0].clone();
        logs.name = "logs".into();
        logs.device = "/dev/sdg".to_owned();
        logs.mount = Some("/logs".into());
        self.spec.volumes.push(logs);
        self
    }

    /// Makes this volume one of `logs`.
    pub(super) fn of_logs(mut self, volume: &str) -> Self {
        let id = VolumeId::from(volume);
        let volume = self.volumes().get_mut(&id).unwrap();
        volume.name = Some("logs".into());
        for attachment in &mut volume.attachments {
            attachment.device = "/dev/sdg".to_owned();
        }
        for instance in self.instances().values_mut() {
            if instance.devices.get("/dev/sdf") == Some(&id) {
                instance.devices.remove("/dev/sdf");
                instance.devices.insert("/dev/sdg".to_owned(), id.clone());
            }
        }
        self
    }

    /// Nothing has the volume any more.
    pub(super) fn detached(mut self, volume: &str) -> Self {
        let volume = self.volumes().get_mut(&volume.into()).unwrap();
        volume.attachments.clear();
        volume.state = VolumeState::Available;
        self
    }

    pub(super) fn made_from(mut self, volume: &str, snapshot: &str) -> Self {
        self.volumes().get_mut(&volume.into()).unwrap().source = Some(snapshot.into());
        self
    }

    /// A snapshot of `volume` for the move that ends `i-old`'s term.
    pub(super) fn capture(self, id: &str, volume: &str, state: SnapshotState) -> Self {
        let incident = format!("i-old/{}", long_ago().as_millisecond());
        self.snapshot(id, volume, 1, state, at(10), Some(&incident))
    }

    pub(super) fn snapshot(
        mut self,
        id: &str,
        volume: &str,
        epoch: u64,
        state: SnapshotState,
        started: Timestamp,
        incident: Option<&str>,
    ) -> Self {
        self.snapshots().insert(
            id.into(),
            Snapshot {
                id: id.into(),
                volume: volume.into(),
                name: Some("data".into()),
                labelled: true,
                epoch: Epoch(epoch),
                state,
                progress: 50,
                started,
                completed: None,
                incident: incident.map(Incident::new),
                consistency: Consistency::Clean,
                shape: Shape::default(),
                tags: BTreeMap::new(),
            },
        );
        self
    }

    pub(super) fn completed(mut self, id: &str, at: Timestamp) -> Self {
        self.snapshots().get_mut(&id.into()).unwrap().completed = Some(at);
        self
    }

    /// The first two members as a pair, and whom it names as its holder.
    pub(super) fn pair(mut self, appointed: Option<(String, Timestamp)>) -> Self {
        let members = ["i-0", "i-1"].map(InstanceId::from);
        let group = self.group();
        group.hooks.clear();
        group.members.retain(|id, _| members.contains(id));
        for member in group.members.values_mut() {
            member.lifecycle = Lifecycle::InService;
        }
        group.appointed = appointed.map(|(holder, since)| Term {
            holder: holder.as_str().into(),
            since,
        });
        self.spec.kind = Kind::Pair {
            members: members.into(),
        };
        self
    }

    pub(super) fn marker(mut self, epoch: u64) -> Self {
        self.group()
            .markers
            .insert(VolumeName::from("data"), Epoch(epoch));
        self
    }

    pub(super) fn address_on(mut self, id: &str) -> Self {
        if let Seen::Known(found) = &mut self.world.addresses
            && let Some(AddressFound::One(address)) = found.first_mut()
        {
            address.instance = Some(id.into());
        }
        self
    }

    /// The runner sits on this instance, and sees this of it.
    pub(super) fn here(mut self, id: &str, mounted: Option<&str>, workload: Workload) -> Self {
        let zone = self.group().members[&InstanceId::from(id)].zone.clone();
        let disks = self
            .volumes()
            .values()
            .filter(|v| {
                v.attachments
                    .iter()
                    .any(|a| a.instance.as_str() == id && a.state == AttachmentState::Attached)
            })
            .map(|v| {
                let disk = Disk {
                    path: "/dev/nvme1n1".to_owned(),
                    filesystem: Some("ext4".to_owned()),
                };
                (v.id.clone(), disk)
            })
            .collect();
        self.world.here = Some(Here {
            instance: id.into(),
            zone,
            leaving: None,
            disks,
            mounts: mounted
                .map(|v| (VolumeName::from("data"), Mounted::Volume(v.into())))
                .into_iter()
                .collect(),
            workload,
        });
        self
    }

    pub(super) fn blank_disk(mut self) -> Self {
        for disk in self.world.here.as_mut().unwrap().disks.values_mut() {
            disk.filesystem = None;
        }
        self
    }

    /// The runner's own machine was told to go.
    pub(super) fn told_to_go(mut self) -> Self {
        self.world.here.as_mut().unwrap().leaving = Some("spot notice".to_owned());
        self
    }

    /// Neither volumes nor units: addresses are all there is.
    pub(super) fn only_addresses(mut self) -> Self {
        self.spec.volumes.clear();
        self.spec.workload.units.clear();
        self
    }

    pub(super) fn at(mut self, seconds: i64) -> Self {
        self.now = at(seconds);
        self
    }

    pub(super) fn no_agent(mut self) -> Self {
        self.spec.agent = false;
        self
    }

    pub(super) fn attachment(mut self, volume: &str, state: AttachmentState) -> Self {
        let volume = self.volumes().get_mut(&volume.into()).unwrap();
        for attachment in &mut volume.attachments {
            attachment.state = state;
        }
        self
    }

    pub(super) fn plan(&self) -> Plan {
        let seat = Seat {
            at: self.world.here.as_ref().map(|h| h.instance.clone()),
        };
        plan(&self.world, &self.spec, &seat, self.now)
    }

    pub(super) fn group(&mut self) -> &mut Group {
        known(&mut self.world.group)
    }

    pub(super) fn instances(&mut self) -> &mut BTreeMap<InstanceId, Instance> {
        known(&mut self.world.instances)
    }

    pub(super) fn volumes(&mut self) -> &mut BTreeMap<VolumeId, Volume> {
        known(&mut self.world.volumes)
    }

    pub(super) fn snapshots(&mut self) -> &mut BTreeMap<SnapshotId, Snapshot> {
        known(&mut self.world.snapshots)
    }
}

pub(super) fn term(holder: &str, since: Timestamp) -> Standing {
    Standing::Active(Some(Term {
        holder: holder.into(),
        since,
    }))
}

/// The plan of a story, in words: steps first, then waits.
pub(super) fn words(story: &Story) -> Vec<String> {
    let plan = story.plan();
    let steps = plan.steps.iter().map(ToString::to_string);
    let waits = plan.waits.iter().map(|w| format!("… {}", w.reason));
    steps.chain(waits).collect()
}

/// What is waited for: since when, and until when.
pub(super) fn waits(story: &Story) -> Vec<(String, Option<Timestamp>, Option<Timestamp>)> {
    let waits = story.plan().waits.into_iter();
    waits
        .map(|w| (w.reason.to_string(), w.since, w.until))
        .collect()
}

/// What is done at leisure.
pub(super) fn upkeep(story: &Story) -> Vec<String> {
    let steps = story.plan().upkeep;
    steps.iter().map(ToString::to_string).collect()
}

/// The lifecycle actions that are kept open.
pub(super) fn open(story: &Story) -> Vec<String> {
    let actions = story.plan().keep_open;
    actions.iter().map(ToString::to_string).collect()
}

#[track_caller]
pub(super) fn expect(story: &Story, expected: &[&str]) {
    assert_eq!(words(story), expected, "{:#?}", story.world);
}

/// One member that has everything, and nothing is to be done; its term began
/// with the story.
pub(super) fn served() -> Story {
    Story::new()
        .member("i-1", Lifecycle::InService, "a")
        .instance("i-1", InstanceState::Running, long_ago())
        .volume("vol-2", "a", 2, term("i-1", at(0)), Some("i-1"))
        .marker(2)
        .address_on("i-1")
        .here("i-1", Some("vol-2"), Workload::Healthy)
}

pub(super) fn cross_zone() -> Story {
    Story::replacement("b")
}

fn attached(on: &str) -> Attachment {
    Attachment {
        instance: on.into(),
        device: "/dev/sdf".to_owned(),
        state: AttachmentState::Attached,
        delete_on_termination: false,
        since: None,
    }
}

fn known<T>(seen: &mut Seen<T>) -> &mut T {
    match seen {
        Seen::Known(value) => value,
        Seen::Unknown(why) => panic!("unknown: {why}"),
    }
}

pub(super) fn spec() -> GroupSpec {
    GroupSpec {
        name: "orders-db".into(),
        kind: Kind::Asg,
        agent: true,
        addresses: vec![AddressSpec::Allocation("eipalloc-1".into())],
        volumes: vec![VolumeSpec {
            name: "data".into(),
            device: "/dev/sdf".to_owned(),
            mount: Some("/data".into()),
            filesystem: Filesystem::Ext4,
            first: Shape {
                size_gib: Some(100),
                ..Shape::default()
            },
        }],
        workload: WorkloadSpec {
            units: vec!["postgresql.service".to_owned()],
            health: vec![],
        },
        alarms: vec!["status".to_owned()],
        policy: Policy::default(),
    }
}
