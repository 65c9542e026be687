//! What does the world of one group look like now? Never fails: what could
//! not be read is unknown, with a sentence.

mod addresses;
mod alarms;
mod focus;
mod groups;
mod instances;
mod many;
mod snapshots;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

pub use self::focus::Focus;
use self::instances::Looked;
use super::{Aws, AwsError};
use crate::ids::{InstanceId, VolumeId};
use crate::spec::{GroupSpec, Kind};
use crate::world::{AddressFound, Group, Seen, Volume, World};

impl Aws {
    /// Looks at the focused parts and keeps the others from `last`. `here` is
    /// passed through as it was. Without `last`, looks at everything.
    pub async fn observe(&self, spec: &GroupSpec, focus: Focus, last: Option<&World>) -> World {
        let focus = if last.is_some() { focus } else { Focus::ALL };
        let look = Look {
            aws: self,
            spec,
            focus,
            last,
        };
        // Each on the heap: what the SDK keeps of a call is large, and a stack
        // that holds five of them at once is not there on every thread.
        let (group, volumes, snapshots, addresses, alarms) = tokio::join!(
            Box::pin(look.group()),
            Box::pin(look.volumes()),
            Box::pin(look.snapshots()),
            Box::pin(look.addresses()),
            Box::pin(look.alarms()),
        );
        // Whoever holds a belonging is known only now.
        let last_group = last.map(|last| &last.group);
        let named = named(
            spec,
            known(group.as_ref(), last_group),
            &volumes,
            &addresses,
        );
        let looked = Box::pin(look.instances(named)).await;
        let group = match group {
            Some(group) => group,
            None => groups::of_pair(spec, &looked, last_group),
        };
        World {
            group,
            instances: looked.seen(),
            snapshots: snapshots::with_names(snapshots, &volumes),
            volumes,
            addresses,
            alarms,
            here: last.and_then(|last| last.here.clone()),
        }
    }
}

struct Look<'a> {
    aws: &'a Aws,
    spec: &'a GroupSpec,
    focus: Focus,
    last: Option<&'a World>,
}

impl Look<'_> {
    /// None for a pair: its group is what its instances say.
    async fn group(&self) -> Option<Seen<Group>> {
        match self.spec.kind {
            Kind::Pair { .. } => None,
            Kind::Asg => {
                let last = self.last.map(|last| &last.group);
                Some(refreshed(self.focus.group, last, self.aws.see_group(&self.spec.name)).await)
            }
        }
    }

    async fn volumes(&self) -> Seen<BTreeMap<VolumeId, Volume>> {
        let last = self.last.map(|last| &last.volumes);
        let before = last.and_then(Seen::known);
        let look = self.aws.see_volumes(self.spec, self.is_full(), before);
        refreshed(self.focus.volumes, last, look).await
    }

    async fn snapshots(&self) -> snapshots::Shown {
        let last = self.last.map(|last| &last.snapshots);
        let before = last.and_then(Seen::known);
        let look = self.aws.see_snapshots(self.spec, self.is_full(), before);
        refreshed(self.focus.snapshots, last, look).await
    }

    async fn addresses(&self) -> Seen<Vec<AddressFound>> {
        let last = self.last.map(|last| &last.addresses);
        let look = self.aws.see_addresses(&self.spec.addresses);
        refreshed(self.focus.addresses, last, look).await
    }

    async fn alarms(&self) -> alarms::Shown {
        let last = self.last.map(|last| &last.alarms);
        let look = self.aws.see_alarms(&self.spec.alarms);
        refreshed(self.focus.alarms, last, look).await
    }

    /// Those of the named that are in focus; otherwise those not known yet, so
    /// that nothing is named that nobody ever looked at.
    async fn instances(&self, named: BTreeSet<InstanceId>) -> Looked {
        let pair = matches!(self.spec.kind, Kind::Pair { .. });
        let wanted = self.focus.instances || (pair && self.focus.group);
        match self.last.map(|last| &last.instances) {
            Some(last) if !wanted => {
                let before = last.known();
                // Who could not be read a moment ago is as unknown as it was.
                let spoilers = self.aws.memory.spoilers();
                let strangers = named
                    .into_iter()
                    .filter(|id| before.is_some_and(|before| !before.contains_key(id)))
                    .filter(|id| !spoilers.contains(id))
                    .collect();
                let looked = self.aws.look_at_instances(&strangers).await;
                looked.on_top_of(last)
            }
            _ => self.aws.look_at_instances(&named).await,
        }
    }

    fn is_full(&self) -> bool {
        self.focus == Focus::ALL
    }
}

/// The part as it is now, or as it was when nobody wants it looked at.
async fn refreshed<T: Clone>(
    wanted: bool,
    last: Option<&Seen<T>>,
    look: impl Future<Output = Seen<T>>,
) -> Seen<T> {
    match last {
        Some(last) if !wanted => last.clone(),
        _ => look.await,
    }
}

/// The group as last known, where it cannot be read now: better to ask about
/// a member too many than about one too few.
fn known<'a>(now: Option<&'a Seen<Group>>, last: Option<&'a Seen<Group>>) -> Option<&'a Group> {
    now.and_then(Seen::known)
        .or_else(|| last.and_then(Seen::known))
}

/// Every instance that is named elsewhere: the members, and whoever holds a
/// belonging.
fn named(
    spec: &GroupSpec,
    group: Option<&Group>,
    volumes: &Seen<BTreeMap<VolumeId, Volume>>,
    addresses: &Seen<Vec<AddressFound>>,
) -> BTreeSet<InstanceId> {
    let pair = match &spec.kind {
        Kind::Pair { members } => members.as_slice(),
        Kind::Asg => &[],
    };
    let members = group.into_iter().flat_map(|group| group.members.keys());
    let attached = volumes
        .known()
        .into_iter()
        .flat_map(BTreeMap::values)
        .flat_map(|volume| &volume.attachments)
        .map(|attachment| &attachment.instance);
    let addressed = addresses
        .known()
        .into_iter()
        .flatten()
        .filter_map(|found| match found {
            AddressFound::One(address) => address.instance.as_ref(),
            AddressFound::Missing | AddressFound::Ambiguous(_) => None,
        });
    pair.iter()
        .chain(members)
        .chain(attached)
        .chain(addressed)
        .cloned()
        .collect()
}

fn unknown<T>(error: &AwsError) -> Seen<T> {
    Seen::Unknown(error.to_string())
}

/// What was understood, or the first thing that was not.
fn understood<T>(result: Result<T, String>) -> Seen<T> {
    match result {
        Ok(value) => Seen::Known(value),
        Err(problem) => {
            tracing::warn!(%problem, "not understood, so nothing is decided on it");
            Seen::Unknown(problem)
        }
    }
}
