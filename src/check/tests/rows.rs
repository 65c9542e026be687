//! What is changed, and what is said of it.

use jiff::SignedDuration;

use super::sound::{alarm, at, mapping};
use crate::check::Verdict::{Right, Unknown, Warning, Wrong};
use crate::check::*;
use crate::plan::{Hold, Reason, Wait};
use crate::spec::GroupSpec;
use crate::world::{
    AddressFound, Attachment, InstanceState, Mounted, Seen, SnapshotState, Standing,
};

/// One change, and the line that must come of it.
pub(super) struct Row {
    pub(super) when: &'static str,
    pub(super) change: fn(&mut Facts, &mut GroupSpec),
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// Part of the line.
    pub(super) says: &'static str,
    /// Part of the command.
    pub(super) mend: &'static str,
}

macro_rules! rows {
    ($($when:literal: $change:expr => $verdict:ident $check:literal, $says:literal, $mend:literal;)+) => {
        &[$(Row {
            when: $when,
            change: $change,
            check: $check,
            verdict: $verdict,
            says: $says,
            mend: $mend,
        }),+]
    };
}

pub(super) const ASG: &[Row] = rows! {
    "nothing is changed": |_, _| {} => Right "launch-hook", "5m a heartbeat, 8h 20m in all", "";
    "hooks unread": |f, _| f.hooks = unread() => Unknown "hooks", "could not be read: not allowed", "";
    "no launch hook": |f, _| hooks(f, |all| { all.remove(0); }) => Wrong "launch-hook", "no hook on launch", "--lifecycle-hook-name rehome-launch --lifecycle-transition autoscaling:EC2_INSTANCE_LAUNCHING --heartbeat-timeout 300 --default-result ABANDON";
    "no terminate hook": |f, _| hooks(f, |all| { all.pop(); }) => Wrong "terminate-hook", "no hook on termination", "--lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING";
    "launch goes on by itself": |f, _| hooks(f, |all| all[0].default_result = "CONTINUE".into()) => Wrong "launch-hook", "into service when its time is over", "--default-result ABANDON";
    "terminate abandons": |f, _| hooks(f, |all| all[1].default_result = "ABANDON".into()) => Right "terminate-hook", "with either result", "";
    "too short in all": |f, _| hooks(f, |all| short(&mut all[0], 25)) => Wrong "launch-hook", "ends after 41m 40s in all (25s a heartbeat), and a move may take 45m", "--heartbeat-timeout 300";
    "a short heartbeat": |f, _| hooks(f, |all| short(&mut all[0], 60)) => Warning "launch-hook", "a heartbeat every 1m", "--heartbeat-timeout 300";
    "a long heartbeat": |f, _| hooks(f, |all| short(&mut all[0], 7200)) => Warning "launch-hook", "waits 2h for a heartbeat", "--heartbeat-timeout 300";
    "a long heartbeat at the end": |f, _| hooks(f, |all| short(&mut all[1], 7200)) => Warning "terminate-hook", "waits 2h for a heartbeat", "--heartbeat-timeout 300";
    "a long capture needs more": |f, s| { s.policy.capture_timeout = SignedDuration::from_hours(20); hooks(f, |_| {}) } => Wrong "launch-hook", "a move may take 20h 15m", "--heartbeat-timeout 730";
    "two hooks without a name": |f, _| hooks(f, |all| { let twin = HookSetup { name: "other".into(), ..all[0].clone() }; all.push(twin); }) => Wrong "launch-hook", "none has rehome in its name: launch, other", "put-lifecycle-hook";
    "two hooks, one ours": |f, _| hooks(f, |all| { let twin = HookSetup { name: "rehome-in".into(), ..all[0].clone() }; all.push(twin); }) => Right "launch-hook", "rehome-in:", "";

    "no group": |f, _| f.setup = Seen::Known(None) => Wrong "group", "no Auto Scaling group orders-db", "aws autoscaling describe-auto-scaling-groups";
    "group unread": |f, _| f.setup = unread() => Unknown "group", "not allowed", "";
    "desired two": |f, _| setup(f, |g| { g.desired = 2; g.max = 2; }) => Wrong "size", "desired 2", "--min-size 1 --max-size 1 --desired-capacity 1";
    "desired none": |f, _| setup(f, |g| { g.desired = 0; g.min = 0; }) => Wrong "size", "desired 0", "--auto-scaling-group-name orders-db";
    "room for two": |f, _| setup(f, |g| g.max = 2) => Warning "size", "max 2", "--max-size 1";
    "room for none": |f, _| setup(f, |g| g.min = 0) => Warning "size", "min 0", "--min-size 1";
    "one zone": |f, _| setup(f, |g| { g.zones.pop(); }) => Wrong "zones", "us-east-1a alone", "--vpc-zone-identifier";
    "a subnet is gone": |f, _| subnets(f, |all| { all.pop(); }) => Wrong "subnets", "no subnet subnet-b", "--vpc-zone-identifier subnet-a,SUBNET-IN-ANOTHER-ZONE";
    "two subnets in one zone": |f, _| subnets(f, |all| all[1].zone = "us-east-1a".into()) => Wrong "subnets", "all subnets are in us-east-1a", "--vpc-zone-identifier";
    "a full subnet": |f, _| subnets(f, |all| all[1].free_addresses = 0) => Wrong "subnets", "no address is free in subnet-b", "--vpc-zone-identifier";
    "a private subnet": |f, _| subnets(f, |all| all[1].gives_public_ip = false) => Warning "public-address", "no public address in subnet-b", "aws ec2 modify-subnet-attribute --subnet-id subnet-b --map-public-ip-on-launch";
    "the template gives an address": |f, _| { subnets(f, |all| all[1].gives_public_ip = false); template(f, |t| t.public_ip = Some(true)) } => Right "public-address", "from the start", "";
    "insists on balance": |f, _| setup(f, |g| g.balanced_only = true) => Wrong "distribution", "balanced-only", "CapacityDistributionStrategy=balanced-best-effort";
    "a shifted zone is left alone": |f, _| setup(f, |g| g.ignores_unhealthy = true) => Warning "zonal-shift", "left alone", "ImpairedZoneHealthCheckBehavior=ReplaceUnhealthy";
    "no launches": |f, _| setup(f, |g| { g.suspended.insert("Launch".into()); }) => Wrong "processes", "Launch is suspended", "aws autoscaling resume-processes --auto-scaling-group-name orders-db --scaling-processes Launch";
    "nobody looks": |f, _| setup(f, |g| { g.suspended.insert("HealthCheck".into()); }) => Wrong "processes", "HealthCheck is suspended", "HealthCheck";
    "no rebalance": |f, _| setup(f, |g| { g.suspended.insert("AZRebalance".into()); }) => Right "rebalance", "AZRebalance is suspended", "";
    "launch first": |f, _| setup(f, |g| g.maintenance = Some((100, 200))) => Right "replacement", "two instances for a while", "";
    "each recommendation a failover": |f, _| setup(f, |g| { g.maintenance = Some((100, 200)); g.capacity_rebalance = true; }) => Warning "replacement", "rebalance recommendation", "--no-capacity-rebalance";
    "a warm pool": |f, _| setup(f, |g| g.warm_pool = Some(WarmPool { reuse_on_scale_in: false })) => Right "warm-pool", "move nothing", "";
    "back into the pool": |f, _| setup(f, |g| g.warm_pool = Some(WarmPool { reuse_on_scale_in: true })) => Warning "warm-pool", "goes back", "ReuseOnScaleIn=false";

    "no such template": |f, _| f.template = Seen::Known(None) => Wrong "template", "no version $Latest of the launch template orders", "--launch-template";
    "template unread": |f, _| f.template = unread() => Unknown "template", "not allowed", "";
    "a launch configuration": |f, _| setup(f, |g| g.source = LaunchSource::Configuration("old".into())) => Warning "template", "launch configuration old", "";
    "unknown source": |f, _| setup(f, |g| g.source = LaunchSource::Nothing) => Unknown "template", "does not say", "";
    "a volume at our device": |f, _| template(f, |t| t.mappings.push(mapping("/dev/xvdf"))) => Wrong "template-volumes", "at /dev/xvdf, where data belongs", "aws ec2 create-launch-template-version --launch-template-name orders --source-version 3 --launch-template-data '{\"BlockDeviceMappings\":[{\"DeviceName\":\"/dev/xvda\",\"Ebs\":{\"DeleteOnTermination\":true}}]}'  # add the size";
    "nothing but a volume at our device": |f, _| template(f, |t| t.mappings = vec![mapping("/dev/sdf")]) => Wrong "template-volumes", "at /dev/sdf, where data belongs", "{\"DeviceName\":\"/dev/sdf\",\"NoDevice\":\"\"}";
    "a version of its own": |f, _| { setup(f, |g| g.source = LaunchSource::Template { template: "lt-1".into(), version: "3".into() }); template(f, |t| t.mappings.push(mapping("/dev/sdf"))) } => Wrong "template-volumes", "/dev/sdf", "&& aws autoscaling update-auto-scaling-group --auto-scaling-group-name orders-db --launch-template 'LaunchTemplateName=orders,Version=$Latest'";
    "our tags on root volumes": |f, _| template(f, |t| { t.volume_tags.insert("rehome:group".into()); }) => Wrong "template-tags", "tags new volumes with rehome:group", "TagSpecifications";
    "a volume elsewhere": |f, _| template(f, |t| t.mappings.push(mapping("/dev/sdg"))) => Warning "template-volumes", "at /dev/sdg; it goes with its instance", "create-launch-template-version";
    "new ones can be stopped": |_, _| {} => Right "template-stop", "can be stopped", "";
    "new ones must not be stopped": |f, _| template(f, |t| t.bars_stop = true) => Wrong "template-stop", "orders version 3 protects", "--launch-template-data '{\"DisableApiStop\":false}'";
    "a template for Spot": |f, _| template(f, |t| t.is_spot = true) => Warning "template-stop", "orders version 3 asks for Spot", "On-Demand";
    "a policy with Spot": |f, _| setup(f, |g| g.takes_spot = true) => Warning "template-stop", "policy of mixed instances asks for Spot", "On-Demand";
    "no role for heirs": |f, _| template(f, |t| t.profile = None) => Wrong "template-role", "no role", "IamInstanceProfile";
    "no metadata for heirs": |f, _| template(f, |t| t.metadata_endpoint = Some(false)) => Wrong "template-metadata", "turns the instance metadata service off", "HttpEndpoint";
    "version 1 for heirs": |f, _| template(f, |t| t.metadata_tokens_required = Some(false)) => Warning "template-metadata", "version 1", "HttpTokens";
    "no word of tokens": |f, _| template(f, |t| t.metadata_tokens_required = None) => Right "template-metadata", "the account decides", "";
    "user data without rehome": |f, _| template(f, |t| t.user_data = None) => Warning "user-data", "does not mention rehome", "rehome bootstrap";

    "volumes unread": |f, _| f.world.volumes = unread() => Unknown "volumes", "not allowed", "";
    "first boot": |f, s| { f.world.volumes = Seen::Known([].into()); f.world.snapshots = Seen::Known([].into()); f.world.here = None; s.volumes[0].first.size_gib = Some(8); } => Right "volume", "the first boot makes it", "";
    "deleted with its instance": |f, _| attachment(f, |at| at.delete_on_termination = true) => Wrong "delete-on-termination", "vol-1 (data) on i-1 is deleted", "aws ec2 modify-instance-attribute --instance-id i-1 --block-device-mappings '[{\"DeviceName\":\"/dev/sdf\",\"Ebs\":{\"DeleteOnTermination\":false}}]'";
    "another device": |f, _| attachment(f, |at| at.device = "/dev/sdg".into()) => Warning "device", "is at /dev/sdg, and configured for /dev/sdf", "device = \"/dev/sdg\"";
    "attached to nobody": |f, _| volume(f, |v| v.attachments.clear()) => Warning "volume", "attached to nobody", "rehome plan";
    "with somebody else": |f, _| attachment(f, |at| at.instance = "i-9".into()) => Warning "volume", "not the holder", "rehome plan";
    "no term": |f, _| volume(f, |v| v.standing = Standing::Active(None)) => Warning "term", "carries no term", "";
    "of a name that is not configured": |f, _| stranger(f, Some("old")) => Warning "tags", "vol-7 carries rehome:group=orders-db and is called old", "aws ec2 create-tags --resources vol-7";
    "of no name": |f, _| stranger(f, None) => Warning "tags", "has no name", "Key=rehome:volume";
    "not encrypted": |_, s| s.volumes[0].first.kms_key_id = Some("alias/data".into()) => Warning "encryption", "vol-1 is not encrypted, though alias/data is configured", "--kms-key-id alias/data";
    "encrypted and restored": |f, _| volume(f, |v| { v.shape.encrypted = Some(true); v.shape.kms_key_id = Some("key-1".into()); }) => Right "encryption", "restored with key-1 before", "";
    "encrypted, never restored": |f, _| volume(f, |v| { v.shape.encrypted = Some(true); v.shape.kms_key_id = Some("key-1".into()); v.source = None; }) => Unknown "encryption", "whether key-1 can be used", "";
    "adopt first": |f, _| hold(f, Hold::AdoptFirst { volume: "data".into(), instance: "i-1".into(), device: "/dev/sdf".into(), found: "vol-9".into() }) => Wrong "adopted", "vol-9 at /dev/sdf", "rehome adopt orders-db";
    "a stranger at the device": |f, _| hold(f, Hold::DeviceTaken { volume: "data".into(), instance: "i-1".into(), device: "/dev/sdf".into(), found: "vol-9".into() }) => Wrong "device", "data cannot be attached", "aws ec2 detach-volume --volume-id vol-9 --instance-id i-1";
    "no size": |f, _| hold(f, Hold::NoFirstVolume { volume: "data".into() }) => Wrong "first-volume", "data", "size_gib";
    "two copies": |f, _| hold(f, Hold::TwoLineages { volume: "data".into(), epoch: crate::ids::Epoch(2) }) => Wrong "lineage", "data", "rehome:group";
    "too few private addresses": |f, _| hold(f, Hold::PrivateAddresses { instance: "i-1".into(), needs: 2, has: 1 }) => Wrong "private-addresses", "i-1 has 1", "aws ec2 assign-private-ip-addresses --network-interface-id eni-PRIMARY --secondary-private-ip-address-count 1";
    "something else a person decides": |f, _| hold(f, Hold::BadVolume { volume: "vol-1".into() }) => Wrong "hold", "vol-1", "";

    "snapshots unread": |f, _| f.world.snapshots = unread() => Unknown "snapshots", "not allowed", "";
    "objectives that cannot be met": |_, s| s.policy.snapshot_every = SignedDuration::from_hours(1) => Warning "objectives", "a set every 1h, and 1h may be lost", "";
    "late": |f, _| snapshot(f, -45) => Warning "snapshot-age", "45m ago", "rehome snapshot orders-db";
    "too old": |f, _| snapshot(f, -61) => Wrong "snapshot-age", "1h 1m ago", "rehome snapshot orders-db --config FILE --wait";
    "none complete for long": |f, _| pending(f) => Wrong "snapshot-age", "no set is complete, 10h after", "rehome snapshot";
    "none complete yet": |f, _| { pending(f); volume(f, |v| v.standing = active(-5)) } => Warning "snapshot-age", "no set is complete, 5m after", "rehome snapshot";
    "a failed one": |f, _| failed(f) => Warning "snapshot-state", "snap-2", "--snapshot-ids snap-2";

    "addresses unread": |f, _| f.world.addresses = unread() => Unknown "addresses", "not allowed", "";
    "no such address": |f, _| address(f, AddressFound::Missing) => Wrong "address", "no Elastic IP with allocation id eipalloc-1", "aws ec2 describe-addresses";
    "several addresses": |f, _| address(f, AddressFound::Ambiguous(vec!["eipalloc-1".into(), "eipalloc-2".into()])) => Wrong "address", "fits 2 Elastic IPs: eipalloc-1, eipalloc-2", "allocation id";
    "several with one tag": |f, s| { s.addresses = vec![crate::spec::AddressSpec::Tag { key: "service".into(), value: "db".into() }]; address(f, AddressFound::Ambiguous(vec!["eipalloc-1".into(), "eipalloc-2".into()])) } => Wrong "address", "fits 2", "aws ec2 delete-tags --resources eipalloc-2 --tags Key=service,Value=db  # if eipalloc-1 is the one";
    "with whom the group is unread": |f, _| { f.world.group = unread(); held(f, Some("i-9"), Some("10.0.0.9")) } => Unknown "address", "is with i-9; whether", "";
    "a free address": |f, _| held(f, None, None) => Right "address", "is free", "";
    "with a stranger": |f, _| held(f, Some("i-9"), Some("10.0.0.9")) => Wrong "address", "with i-9, which is no instance of this group", "aws ec2 disassociate-address --public-ip 192.0.2.1";
    "with a NAT gateway": |f, _| held(f, None, Some("10.0.0.9")) => Wrong "address", "belongs to no instance", "disassociate-address";
    "with a member": |f, _| { f.plan.holder = Some("i-2".into()); attachment(f, |at| at.instance = "i-2".into()) } => Warning "address", "with i-1, which is not the holder", "rehome plan";

    "alarms unread": |f, _| f.alarms = unread() => Unknown "alarms", "not allowed", "";
    "no such alarm": |f, _| f.alarms = Seen::Known([].into()) => Wrong "alarm", "no alarm status in this account and region", "aws cloudwatch put-metric-alarm --alarm-name status --namespace AWS/EC2 --metric-name StatusCheckFailed --statistic Maximum --dimensions Name=AutoScalingGroupName,Value=orders-db";
    "too little data": |f, _| alarms(f, |a| { a.state = "INSUFFICIENT_DATA".into(); a.since = Some(at(-5)); }) => Warning "alarm-state", "too little data since 2026-11-21T05:55:00Z", "aws cloudwatch list-metrics --namespace AWS/EC2 --metric-name StatusCheckFailed";
    "no data at all": |f, _| alarms(f, |a| a.state = "INSUFFICIENT_DATA".into()) => Wrong "alarm-state", "too little data since 2026-11-21T05:00:00Z", "put-metric-alarm --alarm-name status";
    "sparse by nature": |f, _| alarms(f, |a| { a.state = "INSUFFICIENT_DATA".into(); a.metric.as_mut().unwrap().namespace = "Orders".into(); }) => Warning "alarm-state", "too little data", "--namespace Orders";
    "a composite one without data": |f, _| alarms(f, |a| { a.state = "INSUFFICIENT_DATA".into(); a.metric = None; a.composite = true; }) => Warning "alarm-state", "too little data", "see whether";
    "it rings": |f, _| alarms(f, |a| a.state = "ALARM".into()) => Warning "alarm-state", "status rings since 2026-11-21T05:00:00Z", "rehome plan --config FILE --group orders-db";
    "its notifications stay": |f, _| { of(f, "AutoScalingGroupName", "web"); alarms(f, |a| { a.actions = vec!["arn:aws:sns:us-east-1:1:people".into(), "arn:aws:automate:us-east-1:ec2:recover".into()]; a.ok_actions = a.actions[..1].to_vec(); }) } => Wrong "alarm-about", "the group web", "--treat-missing-data notBreaching --alarm-actions arn:aws:sns:us-east-1:1:people --ok-actions arn:aws:sns:us-east-1:1:people";
    "beyond what can be": |f, _| metric(f, |m| m.comparison = "GreaterThanThreshold".into()) => Wrong "alarm-threshold", "GreaterThanThreshold 1", "--dimensions Name=AutoScalingGroupName,Value=orders-db";
    "rings while all is well": |f, _| metric(f, |m| m.comparison = "LessThanThreshold".into()) => Wrong "alarm-threshold", "LessThanThreshold", "";
    "on the holder alone": |f, _| of(f, "InstanceId", "i-1") => Warning "alarm-about", "watches i-1 alone, the present holder", "Value=orders-db";
    "on one that is gone": |f, _| of(f, "InstanceId", "i-9") => Wrong "alarm-about", "watches i-9 alone, not the holder", "Value=orders-db";
    "on another group": |f, _| of(f, "AutoScalingGroupName", "web") => Wrong "alarm-about", "the group web", "Value=orders-db";
    "on everybody": |f, _| metric(f, |m| m.dimensions.clear()) => Warning "alarm-about", "neither an instance nor the group", "Value=orders-db";
    "slow": |f, _| metric(f, |m| { m.period_s = 300; m.evaluation_periods = 3; }) => Warning "alarm-speed", "3 x 300 s", "--period 60";
    "slow by the policy": |f, s| { s.policy.confirm_for = SignedDuration::from_mins(20); alarms(f, |_| {}) } => Warning "alarm-speed", "confirm_for another 20m", "a shorter confirm_for";
    "acts by itself": |f, _| alarms(f, |a| a.actions = vec!["arn:aws:automate:us-east-1:ec2:recover".into(), "arn:aws:sns:us-east-1:1:people".into()]) => Warning "alarm-actions", "EC2 recover the instance by itself", "aws cloudwatch disable-alarm-actions --alarm-names status";
    "switched off": |f, _| alarms(f, |a| { a.acts = false; a.actions = vec!["arn:aws:automate:us-east-1:ec2:recover".into()]; }) => Right "alarm", "StatusCheckFailed", "";
    "a composite one": |f, _| alarms(f, |a| { a.metric = None; a.composite = true; }) => Right "alarm", "composite", "";

    "no way to an API": |f, _| f.reached.push(Reached { service: "autoscaling", silence: Some("no answer".into()) }) => Wrong "route", "autoscaling does not answer from here", "--vpc-id vpc-1 --service-name com.amazonaws.us-east-1.autoscaling";
    "no queue": |f, _| f.queue = None => Right "route", "ec2 answer", "";
    "the queue is gone": |f, _| f.queue = Some(Seen::Known(false)) => Warning "queue", "does not exist", "aws sqs list-queues";
    "the queue unread": |f, _| f.queue = Some(unread()) => Unknown "queue", "not allowed", "";
    "not allowed on the instance": |f, _| denied(f) => Wrong "allowed", "ec2:DetachVolume on vol-1 is not allowed", "rehome iam-policy --config FILE --place instance";
    "not allowed elsewhere": |f, _| { denied(f); f.machine = None } => Warning "allowed", "with the credentials in use here", "on the instance";
    "not allowed for the controller": |f, s| { denied(f); f.machine = None; s.agent = false } => Wrong "allowed", "is not allowed", "--place controller";
    "nobody can say": |f, _| f.asked.push(Asked { action: "autoscaling:SetInstanceHealth", on: "orders-db".into(), answer: Answer::Unknown("AWS cannot be asked".into()) }) => Unknown "allowed", "whether autoscaling:SetInstanceHealth is allowed: AWS cannot be asked", "";

    "instances unread": |f, _| f.bodies = unread() => Unknown "instances", "not allowed", "";
    "no metadata": |f, _| body(f, "i-1", |b| b.metadata_endpoint = Some(false)) => Wrong "metadata", "of i-1 is turned off", "aws ec2 modify-instance-metadata-options --instance-id i-1 --http-endpoint enabled --http-tokens required";
    "version 1": |f, _| body(f, "i-1", |b| b.metadata_tokens_required = Some(false)) => Warning "metadata", "without a token", "--http-tokens required";
    "no role": |f, _| body(f, "i-1", |b| b.profile = None) => Warning "role", "i-1 has no role", "associate-iam-instance-profile --instance-id i-1";
    "no answer from the metadata": |f, _| { f.machine = None; f.mute = Some("i-1".into()) } => Wrong "metadata-answers", "this is i-1, and its metadata service does not answer", "aws ec2 modify-instance-metadata-options --instance-id i-1 --http-endpoint enabled --http-tokens required --http-put-response-hop-limit 2";
    "tags in the metadata": |f, _| body(f, "i-1", |b| b.metadata_tags = Some(true)) => Right "metadata-answers", "has the instance's tags", "";
    "not looked at": |f, _| f.world.here = None => Unknown "disks", "could not be looked at", "";
    "a disk that is not shown": |f, _| here(f, |h| h.disks.clear()) => Wrong "disks", "vol-1 (data) is attached, and the kernel does not show it", "lsblk";
    "something else is mounted": |f, _| here(f, |h| { h.mounts.insert("data".into(), Mounted::Foreign("tmpfs".into())); }) => Wrong "mount", "tmpfs is mounted at /srv/data", "umount /srv/data";
    "nothing is mounted": |f, _| point(f, PointState::Empty) => Warning "mount", "nothing is mounted at /srv/data", "rehome bootstrap";
    "a database on the root disk": |f, _| point(f, PointState::Filled) => Wrong "mount", "on the root disk with something in it", "mv /srv/data";
    "a link": |f, _| point(f, PointState::NotAFolder) => Wrong "mount", "no folder", "mount";
    "a standby's empty folder": |f, _| { point(f, PointState::Empty); f.plan.holder = None } => Right "mount", "free for data", "";
    "units unread": |f, _| machine(f, |m| m.units = unread()) => Unknown "units", "not allowed", "";
    "no such unit": |f, _| unit(f, 0, |u| u.installed = false) => Wrong "units", "no unit postgresql.service", "";
    "a masked unit": |f, _| unit(f, 0, |u| u.enabled = "masked".into()) => Wrong "units", "masked", "systemctl unmask postgresql.service";
    "a unit that starts by itself": |f, _| unit(f, 0, |u| { u.enabled = "enabled".into(); u.asserts_mount = false; }) => Warning "units", "would start without its volume", "systemctl disable postgresql.service";
    "a unit that is guarded": |f, _| unit(f, 0, |u| u.enabled = "enabled".into()) => Right "units", "only where its volume is mounted", "";
    "no daemon": |f, _| unit(f, 1, |u| u.installed = false) => Warning "own-units", "rehome.service is not installed", "systemctl enable --now rehome.service";
    "the daemon is not enabled": |f, _| unit(f, 1, |u| u.enabled = "disabled".into()) => Wrong "own-units", "rehome.service is disabled", "systemctl enable --now rehome.service";
    "the daemon does not run": |f, _| unit(f, 1, |u| u.active = false) => Wrong "own-units", "does not run", "systemctl start rehome.service";
    "bootstrap is over": |f, _| unit(f, 2, |u| u.active = false) => Right "own-units", "rehome-bootstrap.service is enabled", "";
    "no mkfs": |f, _| machine(f, |m| m.missing_programs = vec!["mkfs.xfs".into()]) => Wrong "programs", "mkfs.xfs", "dnf install -y e2fsprogs xfsprogs util-linux";
};

pub(super) const PAIR: &[Row] = rows! {
    "nothing is changed": |_, _| {} => Right "members", "i-2 in us-east-1b, stopped: the standby", "";
    "members unread": |f, _| f.bodies = unread() => Unknown "members", "not allowed", "";
    "a member in the dark": |f, _| bodies(f, |all| { all.remove(&"i-2".into()); }) => Unknown "members", "does not describe i-2", "";
    "no such member": |f, _| { bodies(f, |all| { all.remove(&"i-2".into()); }); no_member(f, "i-2") } => Wrong "members", "there is no instance i-2", "members";
    "a terminated one": |f, _| body(f, "i-2", |b| b.state = Some(InstanceState::Terminated)) => Wrong "members", "terminated: i-2", "";
    "one that says nothing": |f, _| body(f, "i-2", |b| b.state = None) => Unknown "members", "how i-2 is", "";
    "a member of a group": |f, _| body(f, "i-2", |b| b.group = Some("web".into())) => Wrong "not-in-a-group", "Auto Scaling group web", "aws autoscaling detach-instances";
    "an instance store": |f, _| body(f, "i-2", |b| b.root_kind = Some("instance-store".into())) => Wrong "root-volume", "instance store", "";
    "no root volume": |f, _| body(f, "i-2", |b| b.mappings.clear()) => Wrong "root-volume", "i-2 has nothing at /dev/xvda", "aws ec2 attach-volume";
    "a taken device": |f, _| body(f, "i-2", |b| b.mappings.push(mapping("/dev/sdf"))) => Wrong "device", "i-2 has something at /dev/sdf", "";
    "protection unread": |f, _| { f.protection.insert("i-2".into(), unread()); } => Unknown "protection", "not allowed", "";
    "unprotected": |f, _| { f.protection.insert("i-2".into(), protected(false, false)); } => Warning "protection", "i-2 is not protected", "--disable-api-termination --instance-id i-2";
    "shuts down for good": |f, _| { f.protection.insert("i-2".into(), protected(true, true)); } => Wrong "shutdown", "i-2 terminates", "--instance-initiated-shutdown-behavior stop --instance-id i-2";
    "not to be stopped": |f, _| { f.protection.insert("i-2".into(), Seen::Known(Protection { against_stop: true, ..safe() })); } => Wrong "stop", "i-2 is protected", "--no-disable-api-stop --instance-id i-2";
    "one zone for both": |f, _| body(f, "i-2", |b| b.zone = Some("us-east-1a".into())) => Warning "pair-zones", "both in us-east-1a", "";
    "two networks": |f, _| body(f, "i-2", |b| b.network = Some("vpc-2".into())) => Warning "reach", "different networks", "";
    "other security groups": |f, _| body(f, "i-2", |b| b.security_groups.clear()) => Warning "reach", "different security groups", "--instance-id i-2 --groups sg-1";
    "a smaller one": |f, _| body(f, "i-2", |b| b.kind = Some("t3.nano".into())) => Warning "size", "i-2 a t3.nano", "--instance-type m7i.large";
    "no alarm": |_, s| s.alarms.clear() => Warning "alarm", "the pair has no alarm", "Name=InstanceId,Value=i-1";
    "an alarm on a stranger": |f, _| of(f, "InstanceId", "i-9") => Wrong "alarm-about", "no member of the pair", "Value=i-1";
    "nobody watches the standby": |_, s| { s.alarms.pop(); } => Warning "alarm-about", "no alarm watches i-2, the standby", "aws cloudwatch put-metric-alarm --alarm-name orders-db-i-2";
    "nobody watches the holder": |_, s| { s.alarms.remove(0); } => Warning "alarm-about", "no alarm watches i-1, the holder", "Name=InstanceId,Value=i-1";
    "the standby's rings": |f, _| standby_alarm(f, |a| a.state = "ALARM".into()) => Right "alarm-state", "standby rings since 2026-11-21T05:00:00Z, for i-2, which is stopped: not the holder", "";
    "the standby's has no data": |f, _| standby_alarm(f, |a| a.state = "INSUFFICIENT_DATA".into()) => Right "alarm-state", "i-2, which it watches, is stopped", "";
    "the primary's rings": |f, _| alarms(f, |a| a.state = "ALARM".into()) => Warning "alarm-state", "status rings", "rehome plan";
    "silence is well": |f, _| metric(f, |m| m.treat_missing = "missing".into()) => Warning "alarm-missing-data", "\"missing\"", "--treat-missing-data breaching";
};

// ------------------------------------------------------------ small changes

fn unread<T>() -> Seen<T> {
    Seen::Unknown("not allowed (ec2:Describe)".to_owned())
}

fn known<T>(seen: &mut Seen<T>) -> &mut T {
    match seen {
        Seen::Known(value) => value,
        Seen::Unknown(why) => panic!("{why}"),
    }
}

fn hooks(f: &mut Facts, change: impl FnOnce(&mut Vec<HookSetup>)) {
    change(known(&mut f.hooks));
}

fn short(hook: &mut HookSetup, seconds: i64) {
    hook.heartbeat = SignedDuration::from_secs(seconds);
    hook.global = SignedDuration::from_secs(seconds * 100);
}

fn setup(f: &mut Facts, change: impl FnOnce(&mut GroupSetup)) {
    change(known(&mut f.setup).as_mut().unwrap());
}

fn subnets(f: &mut Facts, change: impl FnOnce(&mut Vec<Subnet>)) {
    change(known(&mut f.subnets));
}

fn template(f: &mut Facts, change: impl FnOnce(&mut Template)) {
    change(known(&mut f.template).as_mut().unwrap());
}

fn volume(f: &mut Facts, change: impl FnOnce(&mut crate::world::Volume)) {
    change(
        known(&mut f.world.volumes)
            .get_mut(&"vol-1".into())
            .unwrap(),
    );
}

fn attachment(f: &mut Facts, change: impl FnOnce(&mut Attachment)) {
    volume(f, |volume| change(&mut volume.attachments[0]));
}

fn active(minutes: i64) -> Standing {
    Standing::Active(Some(crate::world::Term {
        holder: "i-1".into(),
        since: at(minutes),
    }))
}

fn snapshot(f: &mut Facts, minutes: i64) {
    let all = known(&mut f.world.snapshots);
    all.get_mut(&"snap-1".into()).unwrap().started = at(minutes);
}

fn pending(f: &mut Facts) {
    let all = known(&mut f.world.snapshots);
    all.get_mut(&"snap-1".into()).unwrap().state = SnapshotState::Pending;
}

fn failed(f: &mut Facts) {
    let all = known(&mut f.world.snapshots);
    let mut another = all[&"snap-1".into()].clone();
    another.state = SnapshotState::Unusable;
    another.id = "snap-2".into();
    another.incident = Some("live/2".into());
    all.insert("snap-2".into(), another);
}

fn hold(f: &mut Facts, hold: Hold) {
    f.plan.waits.push(Wait {
        reason: Reason::Hold(hold),
        since: None,
        until: None,
    });
}

fn address(f: &mut Facts, found: AddressFound) {
    *known(&mut f.world.addresses) = vec![found];
}

fn held(f: &mut Facts, by: Option<&str>, private_ip: Option<&str>) {
    if let AddressFound::One(address) = &mut known(&mut f.world.addresses)[0] {
        address.instance = by.map(Into::into);
        address.private_ip = private_ip.map(Into::into);
    }
}

fn alarms(f: &mut Facts, change: impl FnOnce(&mut AlarmSetup)) {
    change(known(&mut f.alarms).get_mut("status").unwrap());
}

fn metric(f: &mut Facts, change: impl FnOnce(&mut MetricSetup)) {
    alarms(f, |alarm| change(alarm.metric.as_mut().unwrap()));
}

fn of(f: &mut Facts, dimension: &str, value: &str) {
    alarms(f, |one| *one = alarm(dimension, value));
}

fn standby_alarm(f: &mut Facts, change: impl FnOnce(&mut AlarmSetup)) {
    change(known(&mut f.alarms).get_mut("standby").unwrap());
}

/// Another volume that is tagged for the group.
fn stranger(f: &mut Facts, name: Option<&str>) {
    let all = known(&mut f.world.volumes);
    let mut other = all.values().next().unwrap().clone();
    other.id = "vol-7".into();
    other.name = name.map(Into::into);
    all.insert("vol-7".into(), other);
}

fn denied(f: &mut Facts) {
    f.asked.push(Asked {
        action: "ec2:DetachVolume",
        on: "vol-1".into(),
        answer: Answer::Denied,
    });
}

fn bodies(
    f: &mut Facts,
    change: impl FnOnce(&mut std::collections::BTreeMap<crate::ids::InstanceId, Body>),
) {
    change(known(&mut f.bodies));
}

fn body(f: &mut Facts, id: &str, change: impl FnOnce(&mut Body)) {
    bodies(f, |all| change(all.get_mut(&id.into()).unwrap()));
}

fn no_member(f: &mut Facts, id: &str) {
    known(&mut f.world.group).members.remove(&id.into());
}

fn protected(against_termination: bool, shutdown_terminates: bool) -> Seen<Protection> {
    Seen::Known(Protection {
        against_termination,
        shutdown_terminates,
        ..safe()
    })
}

fn safe() -> Protection {
    Protection {
        against_termination: true,
        against_stop: false,
        shutdown_terminates: false,
    }
}

fn here(f: &mut Facts, change: impl FnOnce(&mut crate::world::Here)) {
    change(f.world.here.as_mut().unwrap());
}

fn machine(f: &mut Facts, change: impl FnOnce(&mut MachineFacts)) {
    change(f.machine.as_mut().unwrap());
}

fn point(f: &mut Facts, state: PointState) {
    here(f, |here| here.mounts.clear());
    let path = "/srv/data".to_owned();
    machine(f, |machine| {
        machine
            .points
            .insert("data".into(), PointFacts { path, state });
    });
}

fn unit(f: &mut Facts, at: usize, change: impl FnOnce(&mut UnitFacts)) {
    machine(f, |machine| change(&mut known(&mut machine.units)[at]));
}
