//! What is the region like in which a live drill takes place, and what is its
//! group told?

use jiff::Timestamp;
use rehome_region::record::Tags;
use rehome_region::{Delay, GroupSetup, HookSetup, Region, Settings, Spread};

pub(super) const GROUP: &str = "orders-db";
pub(super) const UNIT: &str = "postgresql.service";
pub(super) const MOUNT: &str = "/srv/orders";
pub(super) const FILESYSTEM: &str = "ext4";

/// AWS is this much faster than it is: the drill is about data, not about time.
const SCALE: f64 = 0.1;
/// Of a small change, at full length: the drill writes little.
const UPLOAD: Spread = Spread::millis(25_000, 50_000);
/// How long Auto Scaling wonders whether an instance is really ill.
const DOUBTS: Spread = Spread::millis(60_000, 90_000);
const HEARTBEAT_S: u64 = 300;
/// A young instance is not believed to be ill: a drill does not wait for that.
const GRACE_PERIOD_S: u64 = 5;

pub(super) fn region(seed: u64, now: Timestamp) -> Region {
    let mut settings = Settings {
        seed,
        latency_scale: SCALE,
        ..Settings::default()
    };
    settings.latency.set(Delay::SnapshotUpload, UPLOAD);
    settings.latency.set(Delay::GroupDoubts, DOUBTS);
    Region::new(settings, now)
}

/// An Elastic IP, and a group of one; the address's allocation id.
pub(super) fn furnish(region: &mut Region, now: Timestamp) -> String {
    let allocation = region.allocate_address(Tags::new(), now);
    let setup = GroupSetup {
        name: GROUP.to_owned(),
        min: 1,
        max: 1,
        desired: 1,
        zones: region.settings().zones.clone(),
        hooks: vec![
            HookSetup::launching(HEARTBEAT_S),
            HookSetup::terminating(HEARTBEAT_S),
        ],
        grace_period_s: GRACE_PERIOD_S,
        ..GroupSetup::default()
    };
    region.create_group(setup, now);
    allocation
}

/// As a user would write it, but for times that fit the region's pace.
pub(super) fn configuration(allocation: &str) -> String {
    format!(
        r#"[[group]]
name = "{GROUP}"

[[group.address]]
allocation_id = "{allocation}"

[[group.volume]]
name = "data"
device = "/dev/sdf"
mount = "{MOUNT}"
filesystem = "{FILESYSTEM}"
size_gib = 2
type = "gp3"

[group.workload]
units = ["{UNIT}"]
health = ["pg_isready", "-q", "-h", "localhost", "-U", "postgres"]

[group.policy]
snapshot_every = "25s"
freeze = true
keep_snapshots = 3
max_data_loss = "90s"
quiesce_timeout = "30s"
capture_timeout = "40s"

[wake]
poll_every = "3s"
"#
    )
}
