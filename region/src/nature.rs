//! What do people and nature do to the region, outside of its API?

use jiff::Timestamp;

use crate::Region;
use crate::record::Tags;

impl Region {
    /// An Elastic IP, in a life before.
    pub fn allocate_address(&mut self, _tags: Tags, _now: Timestamp) -> String {
        self.dice.id("eipalloc")
    }

    /// An instance outside of any group; `service` names the pair it belongs to.
    pub fn run_instance(
        &mut self,
        _zone: &str,
        _service: Option<&str>,
        _tags: Tags,
        _now: Timestamp,
    ) -> String {
        self.dice.id("i")
    }

    /// A blank volume that is `available` at once.
    pub fn create_volume(
        &mut self,
        _zone: &str,
        _size_gib: u64,
        _tags: Tags,
        _now: Timestamp,
    ) -> String {
        self.dice.id("vol")
    }

    /// Attaches at once; false if the volume or the instance cannot.
    pub fn attach_volume(
        &mut self,
        _volume: &str,
        _instance: &str,
        _device: &str,
        _now: Timestamp,
    ) -> bool {
        false
    }

    /// Points an address at an instance, or at nothing.
    pub fn associate_address(
        &mut self,
        _allocation: &str,
        _instance: Option<&str>,
        _now: Timestamp,
    ) -> bool {
        false
    }

    /// Terminated behind its group's back: no guest shutdown, no hook before.
    pub fn kill_instance(&mut self, _instance: &str, _now: Timestamp) {}

    /// Kernel panic: the guest is dead, EC2 says `running` and, later, `impaired`.
    pub fn crash_guest(&mut self, _instance: &str, _now: Timestamp) {}

    pub fn zone_down(&mut self, _zone: &str, _now: Timestamp) {}

    pub fn zone_up(&mut self, _zone: &str, _now: Timestamp) {}

    /// Two minutes' notice, then it is terminated.
    pub fn spot_notice(&mut self, _instance: &str, _now: Timestamp) {}

    /// A person takes a snapshot; it completes in its own time.
    pub fn snapshot_by_hand(
        &mut self,
        _volume: &str,
        _tags: Tags,
        _now: Timestamp,
    ) -> Option<String> {
        None
    }

    pub fn delete_snapshot_by_hand(&mut self, _snapshot: &str, _now: Timestamp) {}

    pub fn delete_volume_by_hand(&mut self, _volume: &str, _now: Timestamp) {}

    pub fn tag_by_hand(&mut self, _resource: &str, _tags: Tags, _now: Timestamp) {}
}
