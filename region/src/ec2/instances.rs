//! Instances: launched, stopped, started, terminated.

use jiff::Timestamp;

use crate::Region;
use crate::record::Tags;

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
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) size_gib: u64,
    pub(crate) delete_on_termination: bool,
}

/// Launches: `pending` now, `running` and booted later. The zone must not be dark.
pub(crate) fn launch(region: &mut Region, _launch: Launch, _now: Timestamp) -> String {
    region.dice.id("i")
}

/// What every orderly end goes through; the guest gets a chance to shut down.
pub(crate) fn terminate(_region: &mut Region, _instance: &str, _now: Timestamp) {}

pub(crate) fn stop(_region: &mut Region, _instance: &str, _force: bool, _now: Timestamp) {}

pub(crate) fn start(_region: &mut Region, _instance: &str, _now: Timestamp) {}
