//! What may this process keep in mind between two looks? Hints alone: without
//! them it looks more often or sees a little later, and decides the same.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::now;
use crate::ids::{GroupName, InstanceId, SnapshotId, VolumeId};
use crate::world::{Hook, Snapshot, Volume};

/// Hooks rarely change; a person who adds one does not wait at the console.
const HOOKS_FOR: Duration = Duration::from_secs(3600);
/// A new resource that no describe shows by then does not exist.
const MADE_FOR: Duration = Duration::from_secs(15);
/// How long it counts that EC2 refused to stop an instance: a person may have
/// taken its protection away.
const UNSTOPPABLE_FOR: Duration = Duration::from_secs(3600);
/// How long an instance that spoils a common describe is asked apart.
const APART_FOR: Duration = Duration::from_secs(60);
/// How long one that could not be read counts as just back.
const BACK_FOR: Duration = Duration::from_secs(60);
/// An instance that nobody asked about for so long is somebody else's by now.
const READ_FOR: Duration = Duration::from_secs(3600);
/// How long AWS remembers a client token: measured as 12 hours by the EBS CSI driver.
const BURNED_FOR: Duration = Duration::from_secs(12 * 3600);
/// How long a call that was repeated in vain is tried once at a time.
const IN_VAIN_FOR: Duration = Duration::from_secs(60);
/// The same of a look, which comes again soon by itself. What changes something
/// may have to arrive in time: a heartbeat has three chances.
const UNSEEN_FOR: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Rc<RefCell<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    hooks: BTreeMap<GroupName, (Instant, Vec<Hook>)>,
    volumes: Made<VolumeId, Volume>,
    snapshots: Made<SnapshotId, Snapshot>,
    spoilers: BTreeMap<InstanceId, Instant>,
    /// Since when each could be read whenever it was asked about, and when that was last.
    read: BTreeMap<InstanceId, (Instant, Instant)>,
    /// Which instances EC2 refused to stop, and when.
    unstoppable: BTreeMap<InstanceId, Instant>,
    /// Client tokens by their first one: since when, and how many are burned.
    burned: BTreeMap<String, (Instant, u32)>,
    /// Calls by what they were for, and until when they are not insisted upon.
    in_vain: BTreeMap<String, Instant>,
}

/// What this process has just made, as AWS answered: describes lag behind, and
/// what they do not show yet would be made a second time.
type Made<Id, T> = BTreeMap<(GroupName, Id), (Instant, T)>;

impl Memory {
    pub(super) fn hooks(&self, group: &GroupName) -> Option<Vec<Hook>> {
        let kept = self.0.borrow();
        let (read, hooks) = kept.hooks.get(group)?;
        (now().saturating_duration_since(*read) < HOOKS_FOR).then(|| hooks.clone())
    }

    pub(super) fn keep_hooks(&self, group: &GroupName, hooks: &[Hook]) {
        let entry = (now(), hooks.to_vec());
        self.0.borrow_mut().hooks.insert(group.clone(), entry);
    }

    /// Auto Scaling did not know an action: the hooks may have changed.
    pub(super) fn forget_hooks(&self, group: &GroupName) {
        self.0.borrow_mut().hooks.remove(group);
    }

    pub(super) fn made_volume(&self, group: &GroupName, volume: Volume) {
        note(
            &mut self.0.borrow_mut().volumes,
            group,
            volume.id.clone(),
            volume,
        );
    }

    pub(super) fn made_snapshot(&self, group: &GroupName, snapshot: Snapshot) {
        note(
            &mut self.0.borrow_mut().snapshots,
            group,
            snapshot.id.clone(),
            snapshot,
        );
    }

    pub(super) fn volumes_of(&self, group: &GroupName) -> BTreeMap<VolumeId, Volume> {
        recent(&self.0.borrow().volumes, group)
    }

    pub(super) fn snapshots_of(&self, group: &GroupName) -> BTreeMap<SnapshotId, Snapshot> {
        recent(&self.0.borrow().snapshots, group)
    }

    pub(super) fn spoilers(&self) -> BTreeSet<InstanceId> {
        let now = now();
        let mut kept = self.0.borrow_mut();
        kept.spoilers
            .retain(|_, since| now.saturating_duration_since(*since) < APART_FOR);
        kept.spoilers.keys().cloned().collect()
    }

    pub(super) fn note_spoilers<'a>(&self, ids: impl IntoIterator<Item = &'a InstanceId>) {
        let now = now();
        let noted = ids.into_iter().map(|id| (id.clone(), now));
        self.0.borrow_mut().spoilers.extend(noted);
    }

    pub(super) fn note_read<'a>(
        &self,
        found: impl IntoIterator<Item = &'a InstanceId>,
        unread: impl IntoIterator<Item = &'a InstanceId>,
    ) {
        let now = now();
        let read = &mut self.0.borrow_mut().read;
        read.retain(|_, (_, last)| now.saturating_duration_since(*last) < READ_FOR);
        for id in unread {
            read.remove(id);
        }
        for id in found {
            let (_, last) = read.entry(id.clone()).or_insert((now, now));
            *last = now;
        }
    }

    pub(super) fn is_just_back(&self, id: &InstanceId) -> bool {
        let kept = self.0.borrow();
        let since = kept.read.get(id).map(|(since, _)| *since);
        since.is_none_or(|since| now().saturating_duration_since(since) < BACK_FOR)
    }

    pub(super) fn note_unstoppable(&self, id: &InstanceId) {
        let now = now();
        let unstoppable = &mut self.0.borrow_mut().unstoppable;
        unstoppable.retain(|_, since| now.saturating_duration_since(*since) < UNSTOPPABLE_FOR);
        unstoppable.insert(id.clone(), now);
    }

    pub(super) fn is_unstoppable(&self, id: &InstanceId) -> bool {
        let kept = self.0.borrow();
        let since = kept.unstoppable.get(id);
        since.is_some_and(|since| now().saturating_duration_since(*since) < UNSTOPPABLE_FOR)
    }

    /// How many tokens of this wish were found burned, which need not be tried again.
    pub(super) fn burned(&self, first: &str) -> u32 {
        let kept = self.0.borrow();
        kept.burned.get(first).map_or(0, |(_, count)| *count)
    }

    pub(super) fn note_burned(&self, first: &str, count: u32) {
        let now = now();
        let burned = &mut self.0.borrow_mut().burned;
        burned.retain(|_, (since, _)| now.saturating_duration_since(*since) < BURNED_FOR);
        burned.insert(first.to_owned(), (now, count));
    }

    /// Was this asked for again and again a moment ago, and not answered? The
    /// runner comes back to it by itself; to insist each time makes a zone that
    /// is dark for hours cost six times the calls.
    pub(super) fn was_in_vain(&self, doing: &str) -> bool {
        let kept = self.0.borrow();
        kept.in_vain.get(doing).is_some_and(|until| now() < *until)
    }

    /// However often it fails until then.
    pub(super) fn note_in_vain(&self, doing: &str, is_look: bool) {
        let long = if is_look { UNSEEN_FOR } else { IN_VAIN_FOR };
        let now = now();
        let kept = &mut self.0.borrow_mut().in_vain;
        kept.retain(|_, until| now < *until);
        kept.entry(doing.to_owned()).or_insert(now + long);
    }

    pub(super) fn forget_in_vain(&self, doing: &str) {
        self.0.borrow_mut().in_vain.remove(doing);
    }

    /// A describe shows it now, or we deleted it ourselves.
    pub(super) fn forget_volume(&self, group: &GroupName, id: &VolumeId) {
        self.0
            .borrow_mut()
            .volumes
            .remove(&(group.clone(), id.clone()));
    }

    pub(super) fn forget_snapshot(&self, group: &GroupName, id: &SnapshotId) {
        self.0
            .borrow_mut()
            .snapshots
            .remove(&(group.clone(), id.clone()));
    }
}

fn note<Id: Ord, T>(made: &mut Made<Id, T>, group: &GroupName, id: Id, what: T) {
    let now = now();
    made.retain(|_, (since, _)| now.saturating_duration_since(*since) < MADE_FOR);
    made.insert((group.clone(), id), (now, what));
}

fn recent<Id: Ord + Clone, T: Clone>(made: &Made<Id, T>, group: &GroupName) -> BTreeMap<Id, T> {
    let now = now();
    made.iter()
        .filter(|((of, _), (since, _))| {
            of == group && now.saturating_duration_since(*since) < MADE_FOR
        })
        .map(|((_, id), (_, what))| (id.clone(), what.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hints_fade() {
        let memory = Memory::default();
        let (orders, other) = (GroupName::from("orders"), GroupName::from("other"));
        memory.keep_hooks(&orders, &[]);
        assert_eq!(memory.hooks(&orders), Some(vec![]));
        assert!(memory.hooks(&other).is_none());
        tokio::time::advance(HOOKS_FOR).await;
        assert!(memory.hooks(&orders).is_none());

        let mut made = Made::new();
        note(&mut made, &orders, 1, "one");
        assert_eq!(recent(&made, &orders), BTreeMap::from([(1, "one")]));
        assert!(recent(&made, &other).is_empty());
        tokio::time::advance(MADE_FOR).await;
        assert!(recent(&made, &orders).is_empty());
        note(&mut made, &orders, 2, "two");
        assert_eq!(made.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_could_not_be_read_is_just_back_for_a_minute() {
        let memory = Memory::default();
        let (one, other) = (InstanceId::from("i-1"), InstanceId::from("i-2"));
        let back = || (memory.is_just_back(&one), memory.is_just_back(&other));
        memory.note_read([&one], [&other]);
        assert_eq!(back(), (true, true), "nobody knows for how long");
        tokio::time::advance(BACK_FOR).await;
        memory.note_read([&one, &other], []);
        assert_eq!(back(), (false, true));
        memory.note_read([&other], [&one]);
        tokio::time::advance(BACK_FOR).await;
        memory.note_read([&one, &other], []);
        assert_eq!(back(), (true, false));
        // What nobody asks about any more is not kept for ever.
        tokio::time::advance(READ_FOR).await;
        memory.note_read([&other], []);
        assert_eq!(memory.0.borrow().read.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_in_vain_is_insisted_upon_again_after_a_while() {
        let memory = Memory::default();
        memory.note_in_vain("look at i-1", true);
        memory.note_in_vain("stop i-1", false);
        assert!(memory.was_in_vain("look at i-1") && memory.was_in_vain("stop i-1"));
        assert!(!memory.was_in_vain("look at i-2"));
        // What has to arrive in time is insisted upon sooner.
        tokio::time::advance(IN_VAIN_FOR).await;
        assert!(memory.was_in_vain("look at i-1") && !memory.was_in_vain("stop i-1"));
        // However often it fails meanwhile.
        memory.note_in_vain("look at i-1", true);
        tokio::time::advance(UNSEEN_FOR - IN_VAIN_FOR).await;
        assert!(!memory.was_in_vain("look at i-1"));
        memory.note_in_vain("look at i-1", true);
        memory.forget_in_vain("look at i-1");
        assert!(!memory.was_in_vain("look at i-1"));
        // What nobody asks for any more is not kept for ever.
        memory.note_in_vain("look at i-1", true);
        tokio::time::advance(UNSEEN_FOR).await;
        memory.note_in_vain("look at i-2", true);
        assert_eq!(memory.0.borrow().in_vain.len(), 1);
    }
}
