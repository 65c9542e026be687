//! Replacing a member without a gap, and changing how many there should be.

use jiff::Timestamp;

use super::members::settle_soon;
use super::model::{Handover, Lifecycle, Member};
use crate::{Region, critical_path};

impl Region {
    /// A person or policy changes how many there should be; kept within the group's bounds.
    pub fn set_desired(&mut self, group: &str, desired: u64, now: Timestamp) {
        self.advance(now);
        let now = self.now;
        if let Some(group) = self.model.groups.get_mut(group) {
            group.desired = desired.clamp(group.min, group.max.max(group.min));
        }
        settle_soon(self, group, now);
    }

    /// Auto Scaling wants a member elsewhere: a second one is launched, and the
    /// oldest one in service is terminated when the new one is in service. Nothing
    /// happens while the group's `AZRebalance` process is suspended.
    pub fn rebalance(&mut self, group: &str, now: Timestamp) {
        self.advance(now);
        let now = self.now;
        let known = self.model.groups.get(group);
        if known.is_none_or(|known| known.suspended.contains("AZRebalance")) {
            return;
        }
        let text = "an instance was launched to rebalance the group between Availability Zones.";
        hand_over(self, group, None, text, now);
    }
}

/// Replaces a member (the oldest one in service, if none is named) without a gap.
pub(crate) fn hand_over(
    region: &mut Region,
    name: &str,
    old: Option<&str>,
    why: &str,
    now: Timestamp,
) {
    let Some(group) = region.model.groups.get(name) else {
        return;
    };
    let free = |member: &&Member| {
        member.lifecycle == Lifecycle::InService
            && old.is_none_or(|old| member.instance == old)
            && !group
                .handovers
                .iter()
                .any(|handover| handover.old == member.instance)
    };
    let chosen = group
        .members
        .values()
        .filter(free)
        .min_by_key(|member| member.serial);
    let Some(old) = chosen.map(|member| member.instance.clone()) else {
        return;
    };
    critical_path::begin(region, name, &old, why, now);
    if let Some(group) = region.model.groups.get_mut(name) {
        let why = why.to_owned();
        group.handovers.push(Handover { old, why });
    }
    settle_soon(region, name, now);
}
