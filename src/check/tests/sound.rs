//! Two set-ups that are right in everything.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::check::*;
use crate::ids::{Epoch, InstanceId};
use crate::plan::Plan;
use crate::spec::{self, GroupSpec};
use crate::world::{
    Address, AddressFound, Attachment, AttachmentState, Consistency, Disk, Group, Here, Hook,
    Instance, InstanceState, Lifecycle, Member, Mounted, Seen, Shape, Snapshot, SnapshotState,
    Standing, Term, Transition, Volume, VolumeState, Workload, World,
};

const BELONGINGS: &str = r#"
[[group.address]]
allocation_id = "eipalloc-1"
[[group.volume]]
name   = "data"
device = "/dev/sdf"
mount  = "/srv/data"
[group.workload]
units = ["postgresql.service"]
[[group.alarm]]
name = "status"
"#;

pub(super) fn at(minutes: i64) -> Timestamp {
    let now = super::now();
    now.checked_add(SignedDuration::from_mins(minutes)).unwrap()
}

fn spec(group: &str) -> GroupSpec {
    let text = format!("[[group]]\n{group}\n{BELONGINGS}");
    spec::parse("x", &text).unwrap().groups.remove(0)
}

pub(super) fn asg() -> (Facts, GroupSpec) {
    let spec = spec("name = \"orders-db\"");
    let hooks = [Transition::Launch, Transition::Terminate].map(hook);
    let template = Template {
        name: "orders".to_owned(),
        version: "3".to_owned(),
        mappings: vec![mapping("/dev/xvda")],
        profile: Some("orders-instance".to_owned()),
        metadata_endpoint: None,
        metadata_tokens_required: Some(true),
        public_ip: None,
        user_data: Some("#!/bin/sh\nrehome bootstrap".to_owned()),
        volume_tags: BTreeSet::from(["Name".to_owned()]),
        is_spot: false,
        bars_stop: false,
    };
    let setup = GroupSetup {
        min: 1,
        max: 1,
        desired: 1,
        zones: vec!["us-east-1a".into(), "us-east-1b".into()],
        subnets: vec!["subnet-a".to_owned(), "subnet-b".to_owned()],
        source: LaunchSource::Template {
            template: "orders".to_owned(),
            version: "$Latest".to_owned(),
        },
        ..GroupSetup::default()
    };
    let subnets = [("subnet-a", "us-east-1a"), ("subnet-b", "us-east-1b")];
    let facts = Facts {
        hooks: Seen::Known(hooks.into()),
        setup: Seen::Known(Some(setup)),
        subnets: Seen::Known(subnets.map(|(id, zone)| subnet(id, zone)).into()),
        template: Seen::Known(Some(template)),
        bodies: Seen::Known([("i-1".into(), body("us-east-1a"))].into()),
        alarms: Seen::Known(
            [(
                "status".to_owned(),
                alarm("AutoScalingGroupName", "orders-db"),
            )]
            .into(),
        ),
        ..common(&["i-1"])
    };
    (facts, spec)
}

pub(super) fn pair() -> (Facts, GroupSpec) {
    let mut spec = spec("name = \"orders-db\"\nkind = \"pair\"\nmembers = [\"i-1\", \"i-2\"]");
    spec.alarms.push("standby".to_owned());
    let mut standby = body("us-east-1b");
    standby.state = Some(InstanceState::Stopped);
    standby.mappings = vec![mapping("/dev/xvda")];
    let safe = Protection {
        against_termination: true,
        against_stop: false,
        shutdown_terminates: false,
    };
    let facts = Facts {
        bodies: Seen::Known([("i-1".into(), body("us-east-1a")), ("i-2".into(), standby)].into()),
        protection: ["i-1", "i-2"]
            .map(|id| (InstanceId::new(id), Seen::Known(safe)))
            .into(),
        alarms: Seen::Known(
            [
                ("status".to_owned(), alarm("InstanceId", "i-1")),
                ("standby".to_owned(), alarm("InstanceId", "i-2")),
            ]
            .into(),
        ),
        ..common(&["i-1", "i-2"])
    };
    (facts, spec)
}

/// What both have: i-1 holds everything and is this machine.
fn common(members: &[&str]) -> Facts {
    let machine = MachineFacts {
        instance: "i-1".into(),
        units: Seen::Known(vec![
            unit("postgresql.service", false),
            unit("rehome.service", true),
            unit("rehome-bootstrap.service", true),
        ]),
        points: BTreeMap::new(),
        missing_programs: Vec::new(),
    };
    Facts {
        world: world(members),
        plan: Plan {
            holder: Some("i-1".into()),
            ..Plan::default()
        },
        hooks: Seen::Known(Vec::new()),
        setup: Seen::Known(None),
        subnets: Seen::Known(Vec::new()),
        template: Seen::Known(None),
        bodies: Seen::Known(BTreeMap::new()),
        protection: BTreeMap::new(),
        alarms: Seen::Known(BTreeMap::new()),
        asked: vec![Asked {
            action: "ec2:AttachVolume",
            on: "vol-1".to_owned(),
            answer: Answer::Allowed,
        }],
        reached: vec![Reached {
            service: "ec2",
            silence: None,
        }],
        machine: Some(machine),
        mute: None,
        queue: Some(Seen::Known(true)),
    }
}

fn world(members: &[&str]) -> World {
    let mut world = World::unseen();
    let member = Member {
        lifecycle: Lifecycle::InService,
        zone: "us-east-1a".into(),
        healthy: true,
    };
    let ids = members.iter().map(|id| InstanceId::new(*id));
    world.group = Seen::Known(Group {
        desired: 1,
        members: ids.clone().map(|id| (id, member.clone())).collect(),
        markers: [("data".into(), Epoch(2))].into(),
        hooks: vec![Hook {
            name: "launch".to_owned(),
            transition: Transition::Launch,
            heartbeat: SignedDuration::from_secs(300),
        }],
        ..Group::default()
    });
    let instance = Instance {
        state: InstanceState::Running,
        zone: "us-east-1a".into(),
        launched: at(-600),
        told_to_end: None,
        unstoppable: false,
        just_back: false,
        interface: None,
        devices: BTreeMap::new(),
    };
    world.instances = Seen::Known(ids.map(|id| (id, instance.clone())).collect());
    world.volumes = Seen::Known([("vol-1".into(), volume())].into());
    world.snapshots = Seen::Known([("snap-1".into(), snapshot())].into());
    world.addresses = Seen::Known(vec![AddressFound::One(Address {
        allocation: "eipalloc-1".into(),
        public_ip: "192.0.2.1".to_owned(),
        instance: Some("i-1".into()),
        private_ip: Some("10.0.0.4".to_owned()),
    })]);
    world.alarms = Seen::Known(BTreeMap::new());
    world.here = Some(Here {
        instance: "i-1".into(),
        zone: "us-east-1a".into(),
        leaving: None,
        disks: [(
            "vol-1".into(),
            Disk {
                path: "/dev/nvme1n1".to_owned(),
                filesystem: Some("ext4".to_owned()),
            },
        )]
        .into(),
        mounts: [("data".into(), Mounted::Volume("vol-1".into()))].into(),
        workload: Workload::Healthy,
    });
    world
}

fn volume() -> Volume {
    Volume {
        id: "vol-1".into(),
        name: Some("data".into()),
        epoch: Epoch(2),
        standing: Standing::Active(Some(Term {
            holder: "i-1".into(),
            since: at(-600),
        })),
        state: VolumeState::InUse,
        zone: "us-east-1a".into(),
        attachments: vec![Attachment {
            instance: "i-1".into(),
            device: "/dev/sdf".to_owned(),
            state: AttachmentState::Attached,
            delete_on_termination: false,
            since: None,
        }],
        source: Some("snap-0".into()),
        shape: Shape::default(),
        created: at(-600),
        incident: None,
        tags: BTreeMap::new(),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        id: "snap-1".into(),
        volume: "vol-1".into(),
        name: Some("data".into()),
        labelled: true,
        epoch: Epoch(2),
        state: SnapshotState::Completed,
        progress: 100,
        started: at(-10),
        completed: None,
        incident: Some("live/1".into()),
        consistency: Consistency::Crash,
        shape: Shape::default(),
        tags: BTreeMap::new(),
    }
}

fn hook(transition: Transition) -> HookSetup {
    let (name, result) = match transition {
        Transition::Launch => ("launch", "ABANDON"),
        Transition::Terminate => ("terminate", "CONTINUE"),
    };
    HookSetup {
        name: name.to_owned(),
        transition,
        heartbeat: SignedDuration::from_secs(300),
        global: SignedDuration::from_secs(30_000),
        default_result: result.to_owned(),
    }
}

fn subnet(id: &str, zone: &str) -> Subnet {
    Subnet {
        id: id.to_owned(),
        zone: zone.into(),
        free_addresses: 250,
        gives_public_ip: true,
    }
}

pub(super) fn mapping(device: &str) -> Mapping {
    Mapping {
        device: device.to_owned(),
        is_volume: true,
        delete_on_termination: true,
    }
}

fn body(zone: &str) -> Body {
    Body {
        state: Some(InstanceState::Running),
        zone: Some(zone.into()),
        kind: Some("m7i.large".to_owned()),
        network: Some("vpc-1".to_owned()),
        security_groups: BTreeSet::from(["sg-1".to_owned()]),
        profile: Some("orders-instance".to_owned()),
        root_device: Some("/dev/xvda".to_owned()),
        root_kind: Some("ebs".to_owned()),
        mappings: vec![mapping("/dev/xvda"), mapping("/dev/sdf")],
        metadata_endpoint: Some(true),
        metadata_tokens_required: Some(true),
        metadata_tags: Some(false),
        group: None,
    }
}

pub(super) fn alarm(dimension: &str, value: &str) -> AlarmSetup {
    AlarmSetup {
        state: "OK".to_owned(),
        since: Some(at(-60)),
        metric: Some(MetricSetup {
            namespace: "AWS/EC2".to_owned(),
            name: "StatusCheckFailed".to_owned(),
            dimensions: [(dimension.to_owned(), value.to_owned())].into(),
            period_s: 60,
            evaluation_periods: 2,
            comparison: "GreaterThanOrEqualToThreshold".to_owned(),
            threshold: Some(1.0),
            treat_missing: "breaching".to_owned(),
        }),
        composite: false,
        actions: Vec::new(),
        ok_actions: Vec::new(),
        acts: true,
    }
}

fn unit(name: &str, own: bool) -> UnitFacts {
    UnitFacts {
        name: name.to_owned(),
        own,
        installed: true,
        enabled: if own { "enabled" } else { "disabled" }.to_owned(),
        active: true,
        asserts_mount: !own,
    }
}
